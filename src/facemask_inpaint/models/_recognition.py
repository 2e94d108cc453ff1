"""Which published model a file belongs to: by its hash, else by its keys and shapes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from facemask_inpaint._internal.files import sha256_of
from facemask_inpaint.checkpoints import Contents, Source, own_keys, survey
from facemask_inpaint.errors import CheckpointError
from facemask_inpaint.models._cards import list_cards
from facemask_inpaint.models._model_card import Card, WeightFile
from facemask_inpaint.models._registry import MISFITS, network_class
from facemask_inpaint.models._unwrapping import (
    WHOLE,
    anchors_of,
    channels_first,
    part_name,
    roles_of,
)


@dataclass(frozen=True)
class Match:
    """A published file that a file on this machine is, or may be.

    Attributes:
        card: the model.
        role: which of its files.
        by: what shows it. ``"hash"`` leaves no doubt; ``"keys and shapes"`` do not tell a network
            from one of the same size with other weights; ``"keys"`` are those of the network, but
            no card has it at this size.

    Example:
        >>> from facemask_inpaint import checkpoints, models
        >>> path = checkpoints.fetch(models.card("lite").files[0].sources)
        >>> [(match.card.name, match.by) for match in models.recognise(path)]
        [('lite-portraits-256', 'hash')]
    """

    card: Card
    role: str
    by: Literal["hash", "keys and shapes", "keys"]


def recognise(path: str | Path) -> list[Match]:
    """Find the published files that a file may be, the likeliest first.

    There are none if no card has its network. Files that share keys and shapes with several cards
    are told apart by size and name, where one card's source has them, and else left open. Of files
    that cannot be read, only those of a published size are hashed.

    Raises:
        UnsafeCheckpointError: the file asks for something outside the closed list.
        CheckpointError: the file cannot be read, and is not a published one.

    Example:
        >>> recognise("G_ema.pth")[0].card.name  # doctest: +SKIP
        'mat-celebahq-512'
    """
    path = Path(path)
    size = path.stat().st_size
    try:
        contents = survey(path)
    except CheckpointError:
        if size in _pinned_sizes() and (known := list(_by_hash(path))):
            return known
        raise
    return list(_by_hash(path)) or _narrowed(list(_by_keys(contents)), path.name, size)


def _narrowed(matches: list[Match], name: str, size: int) -> list[Match]:
    """Those whose card names a file of this size, else of this name, if any does."""
    for fits in (lambda source: source.size == size, lambda source: source.basename == name):
        narrower = [match for match in matches if any(map(fits, _sources(match.card, match.role)))]
        matches = narrower or matches
    return matches


def file_of(card: Card, role: str) -> WeightFile:
    """Return the card's file of that role."""
    return next(file for file in card.files if file.role == role)


def _sources(card: Card, role: str) -> list[Source]:
    return [source for form in file_of(card, role).forms for source in form.sources]


def _pinned_sizes() -> set[int | None]:
    files = ((card, file.role) for card in list_cards() for file in card.files)
    return {source.size for card, role in files for source in _sources(card, role)} - {None}


def _by_hash(path: Path) -> Iterator[Match]:
    sha256, md5 = sha256_of(path), ""
    for card in list_cards():
        for file in card.files:
            for source in _sources(card, file.role):
                if source.md5 and not source.sha256:
                    md5 = md5 or _md5_of(path)
                if source.sha256 == sha256 or (source.md5 and source.md5 == md5):
                    yield Match(card, file.role, "hash")
                    break


def _md5_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _by_keys(contents: Contents) -> Iterator[Match]:
    """Matches by the files that hold a whole network; where there are none, by parts."""
    cards: dict[str, list[Card]] = {}
    for card in list_cards():
        if card.files:
            cards.setdefault(card.architecture, []).append(card)
    whole = [
        match
        for architecture, editions in cards.items()
        if (options := _options(contents, architecture)) is not None
        for match in _editions(editions, options)
    ]
    yield from whole or _parts(contents, cards)


def _parts(contents: Contents, cards: Mapping[str, Sequence[Card]]) -> Iterator[Match]:
    for architecture, editions in cards.items():
        network = network_class(architecture)
        for role in roles_of(network):
            try:
                own_keys(contents.keys, anchors_of(network, role), part_name(network, role))
            except CheckpointError:
                continue
            for card in editions:
                if any(file.role == role for file in card.files):
                    yield Match(card, role, "keys and shapes")


def _options(contents: Contents, architecture: str) -> dict[str, object] | None:
    """Constructor arguments that a whole network's shapes tell; ``None`` if it is another's."""
    network = network_class(architecture)
    anchors = anchors_of(network)
    if not anchors:
        return None
    try:
        names = own_keys(contents.keys, anchors, part_name(network, WHOLE))
        shapes = {own: contents.shape(key) for own, key in names.items()}
        tensors = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
        return network.official_options(channels_first(tensors))
    except MISFITS:
        return None


def _editions(cards: Sequence[Card], options: Mapping[str, object]) -> list[Match]:
    """Those of a network's cards that agree with what the tensors tell; all if none does."""
    agreeing = [card for card in cards if _agrees(card, options)]
    if agreeing:
        return [Match(card, WHOLE, "keys and shapes") for card in agreeing]
    return [Match(card, WHOLE, "keys") for card in cards]


def _agrees(card: Card, options: Mapping[str, object]) -> bool:
    expected = {"resolution": card.resolution, **card.options, **card.traits}
    return all(options[name] == value for name, value in expected.items() if name in options)
