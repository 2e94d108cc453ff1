"""Features of several methods' predictions, image by image and group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics.features.reader import FeatureReader
from facemask_inpaint.metrics.features.sets import (
    FeatureSet,
    FeatureSource,
    common_identity,
    input_warnings,
    provenance,
)
from facemask_inpaint.metrics.inputs import rereadable

GroupedSource: TypeAlias = Mapping[str, FeatureSource]
"""Images or features by group, such as a mask class."""

SINGLE_GROUP = "all"
"""Name of the group when the sources are not split into groups."""


@dataclass(frozen=True, eq=False)
class ImageGroup:
    """One group's features.

    Attributes:
        name: of the group, such as a mask class.
        real: ``(n, d)``.
        fakes: ``(m, n, d)``, one prediction per method; row i of image i.
        images: names of the images; equal names in different groups mean the same image.
        warnings: what a reader of a number has to know.
        provenance: of the features.
    """

    name: str
    real: Tensor
    fakes: Tensor
    images: tuple[str, ...]
    warnings: tuple[str, ...]
    provenance: dict[str, object]


def read_groups(
    real: FeatureSource | GroupedSource,
    methods: Mapping[str, FeatureSource | GroupedSource],
    images: Sequence[str] | Mapping[str, Sequence[str]] | None,
    reader: FeatureReader,
) -> list[ImageGroup]:
    """Read what :func:`~.significance.compare` takes; its arguments are described there.

    Raises:
        OptionError: fewer than two methods, groups that differ, unmatched or unnamed images.
        ImageError: an image cannot be decoded.
    """
    if len(methods) < 2:
        raise OptionError(f"a comparison needs two methods at least, not {len(methods)}")
    split = {name: _by_group(source) for name, source in methods.items()}
    reals = _by_group(real)
    groups = list(next(iter(split.values())))
    if list(reals) == [SINGLE_GROUP]:
        (shared,) = reals.values()
        if len(groups) > 1:
            shared = reader.read(rereadable(shared), "real")
        reals = dict.fromkeys(groups, shared)
    for name, sources in {"real": reals, **split}.items():
        if set(sources) != set(groups):
            raise OptionError(f"groups of {name}: {list(sources)}; of the first method: {groups}")
    read = [
        _read_group(group, reals[group], [sources[group] for sources in split.values()], reader)
        for group in groups
    ]
    return _named(read, images)


def _read_group(
    name: str, real: FeatureSource, fakes: Sequence[FeatureSource], reader: FeatureReader
) -> ImageGroup:
    real = rereadable(real)
    once = reader.read(real, f"{name}: real")
    # Images left out here must be left out of the predictions too, which the reader does by itself.
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
    return ImageGroup(
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
    groups: list[ImageGroup], images: Sequence[str] | Mapping[str, Sequence[str]] | None
) -> list[ImageGroup]:
    """Groups with the user's image names, the files' stems, or row numbers if unambiguous."""
    names: list[Sequence[Any]]
    if isinstance(images, Mapping):
        if missing := [group.name for group in groups if group.name not in images]:
            raise OptionError(f"images= has no names for the groups {missing}")
        names = [images[group.name] for group in groups]
    elif images is not None:
        names = [images] * len(groups)
    elif all(group.images for group in groups):
        names = [group.images for group in groups]
    elif len({len(group.real) for group in groups}) > 1:
        raise OptionError(
            "groups of different sizes without file names: pass images=, the names of each "
            "group's images, so that shared images are known"
        )
    else:
        names = [range(len(group.real)) for group in groups]
    named = [replace(group, images=tuple(map(str, each))) for group, each in zip(groups, names)]
    for group in named:
        if len(group.images) != len(group.real) or len(set(group.images)) < len(group.real):
            raise OptionError(
                f"{group.name}: {len(set(group.images))} different names for "
                f"{len(group.real)} images"
            )
    return named


def _by_group(source: FeatureSource | GroupedSource) -> dict[str, FeatureSource]:
    return dict(source) if isinstance(source, Mapping) else {SINGLE_GROUP: source}
