"""The options of a call of an inpainter, as a type."""

from __future__ import annotations

from facemask_inpaint._internal.types import (
    Blend,
    Conditions,
    FaceChoice,
    Match,
    PerImage,
    Strategy,
    ValueRange,
)
from facemask_inpaint.masks.label_maps import LabelMapLike
from facemask_inpaint.masks.parsers import Parser


class InpaintingOptions(Conditions, total=False):
    """The options of a call of :class:`~facemask_inpaint.Inpainter`, which documents them."""

    label_map: PerImage[LabelMapLike] | None
    parser: str | Parser | None
    faces: FaceChoice
    seed: PerImage[int]
    strategy: Strategy | None
    margin: float
    blend: Blend | None
    border: int
    match: Match | None
    batch_size: int
    value_range: ValueRange | None
    progress: bool
