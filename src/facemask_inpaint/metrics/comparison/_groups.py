"""Features of several models' fillings, picture by picture and group by group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics.features.reader import FeatureReader
from facemask_inpaint.metrics.features.sets import (
    FeatureSet,
    common_identity,
    input_warnings,
    provenance,
)
from facemask_inpaint.metrics.inputs import open_pictures

SINGLE_GROUP = "all"
"""Name of the group when the sources are not split into groups."""


@dataclass(frozen=True, eq=False)
class PictureGroup:
    """One group's features.

    Attributes:
        name: of the group, such as a mask class.
        real: ``(n, d)``.
        fakes: ``(m, n, d)``, one filling per model; row i of picture i.
        pictures: names of the pictures; equal names in different groups mean the same picture.
        warnings: what a reader of a number has to know.
        provenance: of the features.
    """

    name: str
    real: Tensor
    fakes: Tensor
    pictures: tuple[str, ...]
    warnings: tuple[str, ...]
    provenance: dict[str, object]


def read_groups(
    real: Any,
    models: Mapping[str, Any],
    pictures: Sequence[str] | Mapping[str, Sequence[str]] | None,
    reader: FeatureReader,
) -> list[PictureGroup]:
    """Read what :func:`~.significance.compare` takes; its arguments are described there.

    Raises:
        OptionError: fewer than two models, groups that differ, unmatched or unnamed pictures.
        ImageError: a picture cannot be decoded.
    """
    if len(models) < 2:
        raise OptionError(f"a comparison needs two models at least, not {len(models)}")
    split = {name: _by_group(source) for name, source in models.items()}
    reals = _by_group(real)
    groups = list(next(iter(split.values())))
    if list(reals) == [SINGLE_GROUP]:
        shared = reader.read(_rereadable(real), "real") if len(groups) > 1 else real
        reals = dict.fromkeys(groups, shared)
    for name, sources in {"real": reals, **split}.items():
        if set(sources) != set(groups):
            raise OptionError(f"groups of {name}: {list(sources)}; of the first model: {groups}")
    read = [
        _read_group(group, reals[group], [sources[group] for sources in split.values()], reader)
        for group in groups
    ]
    return _named(read, pictures)


def _read_group(name: str, real: Any, fakes: Sequence[Any], reader: FeatureReader) -> PictureGroup:
    real = _rereadable(real)
    once = reader.read(real, f"{name}: real")
    # Pictures left out here must be left out of the fillings too, which the reader does by itself.
    source = real if once.skipped else once
    pairs = [reader.read_pair(source, fake) for fake in fakes]
    everywhere = set.intersection(*(set(first.names) for first, _ in pairs))
    kept = [_rows(first, second, everywhere) for first, second in pairs]
    for first, second in kept:
        common_identity(first.identity, second.identity)
    _check_widths(name, kept)
    first = kept[0][0]
    keys = tuple(key for key in first.keys if key is not None)
    warnings = tuple(f"{name}: {text}" for pair in kept for text in input_warnings(*pair))
    return PictureGroup(
        name,
        first.values,
        torch.stack([second.values.to(first.values) for _, second in kept]),
        keys if len(keys) == len(first) else (),
        warnings,
        provenance(*kept[0]),
    )


def _rows(real: FeatureSet, fake: FeatureSet, names: set[str]) -> tuple[FeatureSet, FeatureSet]:
    rows = [row for row, name in enumerate(real.names) if name in names]
    return real.select(rows), fake.select(rows)


def _check_widths(name: str, pairs: Sequence[tuple[FeatureSet, FeatureSet]]) -> None:
    widths = {side.values.shape[1] for pair in pairs for side in pair}
    if len(widths) > 1:
        raise OptionError(f"{name}: features of widths {sorted(widths)} do not mix")


def _named(
    groups: list[PictureGroup], pictures: Sequence[str] | Mapping[str, Sequence[str]] | None
) -> list[PictureGroup]:
    """Groups with the user's picture names, the files' stems, or row numbers if unambiguous."""
    names: list[Sequence[Any]]
    if isinstance(pictures, Mapping):
        if missing := [group.name for group in groups if group.name not in pictures]:
            raise OptionError(f"pictures= has no names for the groups {missing}")
        names = [pictures[group.name] for group in groups]
    elif pictures is not None:
        names = [pictures] * len(groups)
    elif all(group.pictures for group in groups):
        names = [group.pictures for group in groups]
    elif len({len(group.real) for group in groups}) > 1:
        raise OptionError(
            "groups of different sizes without file names: pass pictures=, the names of each "
            "group's pictures, so that shared pictures are known"
        )
    else:
        names = [range(len(group.real)) for group in groups]
    named = [replace(group, pictures=tuple(map(str, each))) for group, each in zip(groups, names)]
    for group in named:
        if len(group.pictures) != len(group.real) or len(set(group.pictures)) < len(group.real):
            raise OptionError(
                f"{group.name}: {len(set(group.pictures))} different names for "
                f"{len(group.real)} pictures"
            )
    return named


def _by_group(source: Any) -> dict[str, Any]:
    return dict(source) if isinstance(source, Mapping) else {SINGLE_GROUP: source}


def _rereadable(source: Any) -> Any:
    """The source itself, or the pictures of a stream, which could be read only once."""
    return list(open_pictures(source)) if isinstance(source, Iterator) else source
