"""What data of a label order can never give, as opposed to what one image lacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from facemask_inpaint.errors import ComponentAbsentError
from facemask_inpaint.labels import LabelOrder
from facemask_inpaint.masks.components import GLASSES, Component
from facemask_inpaint.masks.vocabularies import FACES


def lacking_labels(order: LabelOrder, component: Component) -> tuple[str, ...]:
    """Return the labels of a component that a label order lacks or cannot tell from others.

    Eyeglasses that are part of a larger component do not count: where they have no label,
    something else is labelled in their place.
    """
    ids = [label for label in component.label_ids if label != GLASSES] or component.label_ids
    lacking = order.lacking({FACES.names[label] for label in component.label_ids})
    return tuple(FACES.names[label] for label in ids if FACES.names[label] in lacking)


def unavailable_classes(
    order: LabelOrder | None, classes: Mapping[str, Component]
) -> dict[str, str]:
    """Return why classes are not available from data of a label order, by name.

    Args:
        order: of the data; ``None`` for that of CelebAMask-HQ, which has everything.
        classes: name to component, of faces.
    """
    if order is None:
        return {}
    return {
        str(name): _reason(str(name), order, lacking)
        for name, component in classes.items()
        if (lacking := lacking_labels(order, component))
    }


def given_classes(
    order: LabelOrder | None, classes: Mapping[str, Component]
) -> Mapping[str, Component]:
    """Return the classes that data of a label order can give."""
    if order is None:
        return classes
    return {name: part for name, part in classes.items() if not lacking_labels(order, part)}


def require_given(order: LabelOrder | None, components: Iterable[Component]) -> None:
    """Refuse components that data of a label order cannot give.

    Raises:
        ComponentAbsentError: The message names the labels.
    """
    for reason in unavailable_classes(order, {part.name: part for part in components}).values():
        raise ComponentAbsentError(reason)


def _reason(name: str, order: LabelOrder, lacking: tuple[str, ...]) -> str:
    missing = [label for label in lacking if label in order.missing]
    words = f"no {', '.join(missing)}" if missing else f"no separate {', '.join(lacking)}"
    return f"{name} is not available from this data: {order.title} has {words}"
