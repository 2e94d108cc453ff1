"""Whether label maps show faces: ids read in a wrong label order put eyes below noses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemask_inpaint.errors import ImageError, LabelMapError
from facemask_inpaint.images.folders import listed
from facemask_inpaint.labels import LABEL_ORDERS, PAIRED_LABELS, LabelOrder
from facemask_inpaint.masks.availability import given_classes
from facemask_inpaint.masks.components import Component
from facemask_inpaint.masks.label_maps import LabelMap, LabelMapLike, LabelSource, open_label_map
from facemask_inpaint.masks.label_orders import named_order
from facemask_inpaint.masks.vocabularies import FACES

_SIDE = 128
"""Pixels a side that suffice to see where components lie."""

_SPECK = 4
"""Components with fewer pixels, of those, say nothing."""

_SLACK = 0.04
"""Overlap that is forgiven, as a share of the height of the image."""

_UNEQUAL = 8
"""Lips whose areas differ by more than this factor are not both lips."""

_TRIED = 8
"""Suspicious label maps that are read in the other orders."""

_PARTS = {
    **{name: (name,) for pair in PAIRED_LABELS for name in pair},
    **{
        name: (name,) for name in ("skin", "nose", "u_lip", "l_lip", "hair", "hat", "neck", "cloth")
    },
    "eyes": ("l_eye", "r_eye"),
    "eyebrows": ("l_brow", "r_brow"),
    "mouth": ("mouth", "u_lip", "l_lip"),
}
_COMPONENTS = {
    name: Component(name, tuple(FACES.labels[label] for label in labels))
    for name, labels in _PARTS.items()
}
_ABOVE = (
    *(("eyebrows", "eyes"), ("eyes", "nose"), ("nose", "mouth"), ("u_lip", "l_lip")),
    *(("mouth", "neck"), ("mouth", "cloth"), ("eyes", "cloth"), ("skin", "neck"), ("hat", "eyes")),
)
"""Pairs whose first lies above the second."""

_IN_SKIN = ("eyes", "eyebrows", "nose", "mouth")
_OF_EVERY_FACE = ("eyes", "nose", "mouth")


@dataclass(frozen=True)
class _Place:
    """Number of pixels of a component, means of rows and columns, first and last row."""

    area: int
    row: float
    column: float
    top: float
    bottom: float


def order_violations(label_map: LabelMapLike) -> list[str]:
    """Return what contradicts that a label map shows an upright face; nothing if it does.

    Label ids do not show in which order they are. Where components lie does: read in a wrong
    order, eyes come to lie below the nose, left on the right, or hair in the middle.

    Args:
        label_map: of one face; opened in the label order that is in question, see
            :func:`open_label_map`.

    Returns:
        A few words on each contradiction. One is enough for suspicion, but the largest share of
        them in a data set tells more than any single face.

    Raises:
        LabelMapError: The label map has ids that the order does not have.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import data, masks
        >>> label_map = data.sample(256).label_map
        >>> masks.order_violations(label_map)
        []
        >>> masks.order_violations(masks.reorder_label_map(label_map, "bisenet"))[:2]
        ['eyebrows below eyes', 'nose below mouth']
    """
    source = open_label_map(label_map)
    places = _places(source)
    return [*_wrong_heights(places), *_wrong_sides(places), *_wrong_sizes(places, source)]


def order_warning(
    label_maps: Iterable[LabelMapLike], label_order: str | LabelOrder | None = None
) -> str | None:
    """Return a warning if most of some label maps show no face when read in their label order.

    Args:
        label_maps: of one face each, not opened yet; what cannot be read is passed over.
        label_order: in which they are read; ``None`` for that of CelebAMask-HQ.

    Returns:
        What contradicts a face, and in which other orders faces come out; ``None`` if at most
        half of the label maps are suspicious.

    Raises:
        UnknownNameError: There is no such label order.

    Example:
        >>> from facemask_inpaint import data, masks
        >>> label_map = data.sample(256).label_map
        >>> masks.order_warning([label_map]) is None
        True
        >>> print(masks.order_warning([label_map], "bisenet")[:43])
        1 of 1 label maps show no upright face when
    """
    order = named_order(label_order or "celebamask-hq")
    read = [(each, found) for each in label_maps if (found := _violations(each, order)) is not None]
    suspicious = [(label_map, found) for label_map, found in read if found]
    if 2 * len(suspicious) <= len(read):
        return None
    common = Counter(words for _, found in suspicious for words in found).most_common(3)
    fitting = _fitting_orders([label_map for label_map, _ in suspicious[:_TRIED]])
    paths = [Path(each).name for each, _ in suspicious if isinstance(each, str | Path)]
    names = f"; they are {listed(paths)}" if paths else ""
    better = f"faces come out in the order {' or '.join(fitting)}" if fitting else "name their own"
    return (
        f"{len(suspicious)} of {len(read)} label maps show no upright face when their ids are read "
        f"as those of {order.title} ({', '.join(words for words, _ in common)}): {better} "
        f"(label_order=, --label-order){names}"
    )


def _fitting_orders(label_maps: Sequence[LabelMapLike]) -> list[str]:
    """Names of the orders in which most of some label maps show a face."""
    return [
        name
        for name, order in LABEL_ORDERS.items()
        if sum(_violations(each, order) == [] for each in label_maps) > 0.7 * len(label_maps)
    ]


def _violations(label_map: LabelMapLike, order: LabelOrder) -> list[str] | None:
    """What contradicts a face, or None for what is no label map of this order."""
    try:
        return order_violations(open_label_map(label_map, label_order=order))
    except (LabelMapError, ImageError):
        return None


def _wrong_heights(places: Mapping[str, _Place]) -> Iterator[str]:
    for first, second in _ABOVE:
        if {first, second} <= places.keys() and places[first].row > places[second].row:
            yield f"{first} below {second}"
    nose, hair, skin = places.get("nose"), places.get("hair"), places.get("skin")
    if hair and nose and hair.top > nose.row:
        yield "hair begins below the nose"
    for name in _IN_SKIN:
        part = places.get(name)
        if skin and part and not skin.top - _SLACK < part.top <= part.bottom < skin.bottom + _SLACK:
            yield f"{name} outside the skin"


def _wrong_sides(places: Mapping[str, _Place]) -> Iterator[str]:
    for left, right in PAIRED_LABELS:
        if {left, right} <= places.keys() and places[left].column < places[right].column:
            yield f"{left} to the left of {right} in the image"


def _wrong_sizes(places: Mapping[str, _Place], source: LabelSource) -> Iterator[str]:
    skin = places.get("skin")
    for name in (*_IN_SKIN, "neck"):
        if skin and name in places and places[name].area > skin.area:
            yield f"{name} larger than the skin"
    if {"u_lip", "l_lip"} <= places.keys():
        areas = sorted(places[name].area for name in ("u_lip", "l_lip"))
        if areas[1] > _UNEQUAL * areas[0]:
            yield "lips of very different size"
    given = given_classes(source.label_order, _COMPONENTS)
    if missing := [name for name in _OF_EVERY_FACE if name in given and name not in places]:
        yield f"a face without {' and '.join(missing)}"


def _places(source: LabelSource) -> dict[str, _Place]:
    ids = source.ids if isinstance(source, LabelMap) else source.merged()
    step = max(1, min(ids.shape) // _SIDE)
    ids = ids[::step, ::step]
    rows, columns = (
        np.stack([np.bincount(line, minlength=FACES.count) for line in lines])
        for lines in (ids, ids.T)
    )
    places = {}
    for name, component in _COMPONENTS.items():
        counts = [table[:, component.label_ids].sum(axis=1) for table in (rows, columns)]
        if counts[0].sum() >= _SPECK:
            places[name] = _place(counts[0], counts[1], len(ids))
    return places


def _place(in_rows: NDArray[np.intp], in_columns: NDArray[np.intp], height: int) -> _Place:
    area = int(in_rows.sum())
    row, column = (
        float((line * np.arange(len(line))).sum()) / area / height for line in (in_rows, in_columns)
    )
    used = np.flatnonzero(in_rows) / height
    return _Place(area, row, column, float(used[0]), float(used[-1]))
