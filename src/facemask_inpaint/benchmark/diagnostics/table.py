"""The table of diagnostics, and all of them for one prediction.

A diagnostic takes two places: a function in this folder, and a row of :data:`DIAGNOSTICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch

from facemask_inpaint.benchmark.diagnostics.border import colour_shift, seam
from facemask_inpaint.benchmark.diagnostics.colour import Pixels
from facemask_inpaint.benchmark.diagnostics.components import agreement, asymmetry
from facemask_inpaint.errors import ImageError, MaskError
from facemask_inpaint.masks.label_maps import LabelMapLike, open_label_map
from facemask_inpaint.masks.morphology import Hole
from facemask_inpaint.masks.parsers import Parser
from facemask_inpaint.metrics import ImageMetric, ImagePair
from facemask_inpaint.metrics.metric import ImageFunction, Need


@dataclass(frozen=True, kw_only=True)
class LabelledPair(ImagePair):
    """An image, its prediction and its label map, as diagnostics get them.

    Attributes:
        original: the image, ``(H, W, 3)`` uint8.
        prediction: the prediction, likewise.
        mask: the hole, ``(H, W)`` bool.
        label_map: of the original.
        label_ids: ids that the mask class covers.
        parser: makes a label map of the prediction; ``None`` without one.
    """

    original: Pixels
    prediction: Pixels
    mask: Hole
    label_map: LabelMapLike
    label_ids: Sequence[int]
    parser: Parser | None = None

    @classmethod
    def of(
        cls,
        original: Pixels,
        prediction: Pixels,
        hole: Hole,
        label_map: LabelMapLike,
        label_ids: Sequence[int],
        parser: Parser | None = None,
    ) -> LabelledPair:
        """Check and collect what belongs to one prediction.

        Args:
            original: ``(H, W, 3)`` uint8.
            prediction: likewise, the hole filled.
            hole: ``(H, W)`` bool, True = hole.
            label_map: of the original, of any size.
            label_ids: ids that the hole is meant to hide.
            parser: makes a label map of the prediction.

        Raises:
            ImageError: an image is not ``(H, W, 3)`` uint8, or the two differ in size.
            MaskError: the hole is not bool, or of another size.
        """
        _require_same_frame(original, prediction, hole)
        real, fake = (
            torch.from_numpy(image / 255).movedim(-1, 0) for image in (original, prediction)
        )
        return cls(
            real=real,
            fake=fake,
            hole=torch.from_numpy(hole.copy()),
            original=original,
            prediction=prediction,
            mask=hole,
            label_map=open_label_map(label_map),
            label_ids=label_ids,
            parser=parser,
        )


def diagnose(
    original: Pixels,
    prediction: Pixels,
    hole: Hole,
    label_map: LabelMapLike,
    label_ids: Sequence[int],
    parser: Parser | None = None,
) -> dict[str, float]:
    """Compute all diagnostics of one prediction that are defined for it.

    Args:
        original: ``(H, W, 3)`` uint8.
        prediction: likewise, the hole filled.
        hole: ``(H, W)`` bool, True = hole.
        label_map: of the original, of any size.
        label_ids: ids that the hole is meant to hide.
        parser: makes a label map of the prediction; without one there is no ``agreement``.

    Returns:
        Those of ``seam``, ``colour_shift``, ``asymmetry`` and ``agreement`` that are defined.

    Raises:
        ImageError: an image is not ``(H, W, 3)`` uint8, or the two differ in size.
        MaskError: the hole is not bool, or of another size.
    """
    pair = LabelledPair.of(original, prediction, hole, label_map, label_ids, parser)
    values = {name: metric(pair) for name, metric in DIAGNOSTICS.items()}
    return {name: value for name, value in values.items() if value is not None}


def _mean_agreement(pair: LabelledPair) -> float | None:
    """Return the mean of :func:`agreement` over the components; ``None`` without a parser."""
    if pair.parser is None:
        return None
    overlaps = agreement(pair.parser(pair.prediction), pair.label_map, pair.label_ids)
    return float(np.mean(list(overlaps.values()))) if overlaps else None


def _diagnostic(
    name: str,
    better: Literal["lower", "higher"],
    meaning: str,
    unit: str,
    function: Callable[[LabelledPair], float | None],
    *needs: Need,
) -> ImageMetric:
    return ImageMetric(
        name=name,
        label=name.replace("_", " "),
        better=better,
        meaning=meaning,
        unit=unit,
        function=cast(ImageFunction, function),  # a benchmark's pairs have all that it needs
        needs=frozenset({"pairs", "mask", *needs}),
        over_hole=True,
        ranks=False,
    )


DIAGNOSTICS: Mapping[str, ImageMetric] = {
    metric.name: metric
    for metric in (
        _diagnostic(
            "seam",
            "lower",
            "visibility of the hole's border",
            "CIELAB units",
            lambda pair: seam(pair.original, pair.prediction, pair.mask),
        ),
        _diagnostic(
            "colour_shift",
            "lower",
            "change of tone across the border beyond the original's",
            "CIEDE2000 units",
            lambda pair: colour_shift(pair.original, pair.prediction, pair.mask),
        ),
        _diagnostic(
            "asymmetry",
            "lower",
            "unlikeness of left and right components beyond the original's",
            "CIELAB units",
            lambda pair: asymmetry(pair.original, pair.prediction, pair.label_map, pair.label_ids),
            "label map",
        ),
        _diagnostic(
            "agreement",
            "higher",
            "overlap of what a parser finds with the label map",
            "",
            _mean_agreement,
            "label map",
            "parser",
        ),
    )
}
"""Rows beside the table of metrics. A method that draws nothing has few flaws: they do not rank."""


def _require_same_frame(original: Pixels, prediction: Pixels, hole: Hole) -> None:
    for name, image in (("original", original), ("prediction", prediction)):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ImageError(f"the {name} must be (H, W, 3) uint8, not {image.shape} {image.dtype}")
    if original.shape != prediction.shape:
        raise ImageError(
            f"original {original.shape} and prediction {prediction.shape} differ in size"
        )
    if hole.dtype != bool or hole.shape != original.shape[:2]:
        raise MaskError(
            f"the hole must be bool {original.shape[:2]} as the images, "
            f"not {hole.dtype} {hole.shape}"
        )
