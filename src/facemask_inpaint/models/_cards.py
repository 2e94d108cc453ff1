"""Finding the card of a published model by its name."""

from __future__ import annotations

import functools

from facemask_inpaint.errors import UnknownNameError, unknown_name
from facemask_inpaint.models._model_card import Card
from facemask_inpaint.models.published import CARDS

_PATH_MARKS = frozenset("/\\.~:")


def card(name: str) -> Card:
    """Return the card behind a registry name, an alias or a bare architecture name.

    Args:
        name: for example ``"mat-celebahq-512"``, ``"big-lama"`` or ``"mat"``; a bare
            architecture name means its default card.

    Raises:
        UnknownNameError: no card has this name, or it looks like a path.

    Example:
        >>> card("big-lama").name
        'lama-places-256-big'
    """
    names = _by_name()
    if name in names:
        return names[name]
    unknown = unknown_name("model", name, names)
    if _PATH_MARKS.isdisjoint(name):
        raise unknown
    raise UnknownNameError(
        f"{name!r} looks like a path, not like a registry name. If it is a path: "
        "Inpainter.from_checkpoint(path, architecture) opens an official checkpoint file and "
        "Inpainter.from_pretrained(folder) a folder or hub repository with config.json and "
        f"model.safetensors. If it is a registry name: {unknown}"
    )


def list_cards(architecture: str | None = None) -> list[Card]:
    """Return the cards of all architectures, or of one.

    They are sorted by architecture, its default card first.

    Args:
        architecture: a name of :func:`list_architectures`; ``None`` for all.

    Raises:
        UnknownNameError: no card belongs to this architecture.

    Example:
        >>> [card.name for card in list_cards("lite")]
        ['lite-portraits-256']
    """
    known = {card.architecture for card in CARDS}
    if architecture is not None and architecture not in known:
        raise unknown_name("architecture", architecture, known)
    chosen = [card for card in CARDS if architecture in (None, card.architecture)]
    return sorted(chosen, key=_order)


def list_pretrained(architecture: str | None = None) -> list[str]:
    """Return the names of :func:`list_cards`, in its order.

    Example:
        >>> list_pretrained("harmonic")
        ['harmonic']
    """
    return [card.name for card in list_cards(architecture)]


def _order(card: Card) -> tuple[str, bool, str, int, str]:
    return card.architecture, not card.default, card.data, card.resolution or 0, card.name


@functools.cache
def _by_name() -> dict[str, Card]:
    names = {card.architecture: card for card in CARDS if card.default}
    for card in CARDS:
        names |= dict.fromkeys((card.name, *card.aliases), card)
    return names
