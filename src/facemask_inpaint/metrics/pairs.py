"""Reading pairs of a real and a fake image with their masks, and measuring each pair."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facemask_inpaint import __version__
from facemask_inpaint._internal.concurrency import in_order
from facemask_inpaint._internal.devices import resolve_device
from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint._internal.types import MaskLike
from facemask_inpaint.errors import ImageError, MaskError, OptionError
from facemask_inpaint.images import decode_mask
from facemask_inpaint.images.folders import key_of, list_images, listed
from facemask_inpaint.metrics.inputs import (
    MaskSource,
    OnError,
    OnSkip,
    OpenableImages,
    Skipped,
    SourceImage,
    match,
    open_images,
    require_different,
)
from facemask_inpaint.metrics.metric import ImageMetric
from facemask_inpaint.metrics.results import MetricResult


@dataclass(frozen=True)
class ImagePair:
    """A real and a fake image, as metrics of images get them.

    Attributes:
        real: ``(3, H, W)`` float64 in [0, 1].
        fake: the same.
        hole: ``(H, W)`` bool, where to measure; ``None`` for the whole image.

    Example:
        >>> import torch
        >>> from facemask_inpaint import metrics
        >>> pair = metrics.ImagePair(torch.zeros(3, 16, 16), torch.ones(3, 16, 16))
        >>> metrics.find_metric("l1")(pair)
        1.0
    """

    real: Tensor
    fake: Tensor
    hole: Tensor | None = None


@dataclass(frozen=True)
class PairedResult(MetricResult):
    """A mean over images.

    Attributes:
        values: of each image, in the order of ``names``; NaN where the metric is not defined.
        names: of the images.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> black, grey = np.zeros((2, 16, 16, 3), np.uint8), np.full((2, 16, 16, 3), 51, np.uint8)
        >>> [round(value, 2) for value in metrics.psnr(black, grey).values]
        [13.98, 13.98]
    """

    values: tuple[float, ...] = ()
    names: tuple[str, ...] = ()


class _Decoded(NamedTuple):
    """``(3, H, W)`` uint8 each, and the hole ``(H, W)`` bool where there is a mask."""

    name: str
    real: Tensor
    fake: Tensor
    hole: Tensor | None


@dataclass(frozen=True)
class PairReader:
    """How pairs of images are read and where they are measured.

    Example:
        >>> import numpy as np
        >>> from facemask_inpaint import metrics
        >>> reader = metrics.PairReader("cpu", progress=False)
        >>> black, grey = np.zeros((2, 16, 16, 3), np.uint8), np.full((2, 16, 16, 3), 51, np.uint8)
        >>> round(float(metrics.l1(black, grey, reader=reader)), 3)
        0.2

    Attributes:
        device: where the arithmetic runs; ``None`` is CUDA when there, else the CPU.
        workers: decoding threads; ``None`` for one per processor, at most eight.
        on_error: ``"raise"`` stops at the first pair that cannot be decoded or differs in size,
            ``"skip"`` leaves it out and names it in a warning.
        progress: whether a progress bar is shown.
        on_skip: called with every pair that is left out, as soon as it is.
    """

    device: str | torch.device | None = None
    workers: int | None = None
    on_error: OnError = "raise"
    progress: bool = True
    on_skip: OnSkip | None = None

    @ordinary_torch()
    def measure(
        self,
        real: OpenableImages,
        fake: OpenableImages,
        metrics: Sequence[ImageMetric],
        mask: MaskSource | None = None,
    ) -> dict[str, PairedResult]:
        """Compute several metrics of all pairs in one pass.

        Args:
            real: the real images.
            fake: the fake images; files pair by stem, everything else by order.
            metrics: rows of the table of metrics; those over the hole need masks.
            mask: the holes.

        Returns:
            Results by the metrics' names.

        Raises:
            ImageError: an undecodable image, or a pair of different sizes.
            MaskError: a mask that does not fit its image.
            OptionError: unmatched files (named), or a value that is not a number.
        """
        device = resolve_device(self.device)
        for metric in metrics:
            metric.get_ready(device)
        values: dict[str, list[float]] = {metric.name: [] for metric in metrics}
        names: list[str] = []
        skipped: list[Skipped] = []
        for decoded in self._pairs(real, fake, mask, skipped):
            names.append(decoded.name)
            first, second = (
                side.to(device).double() / 255 for side in (decoded.real, decoded.fake)
            )
            hole = None if decoded.hole is None else decoded.hole.to(device)
            whole, inside = ImagePair(first, second), ImagePair(first, second, hole)
            for metric in metrics:
                value = metric(inside if metric.over_hole else whole)
                values[metric.name].append(_number(value, metric, decoded.name))
        if not names:
            raise ImageError(f"not one of the pairs can be used: {skipped[0].reason}")
        return {
            metric.name: _summary(metric, values[metric.name], names, skipped, device)
            for metric in metrics
        }

    def _pairs(
        self,
        real: OpenableImages,
        fake: OpenableImages,
        mask: MaskSource | None,
        skipped: list[Skipped],
    ) -> Iterator[_Decoded]:
        reals, fakes = list(open_images(real)), list(open_images(fake))
        order = match([image.key for image in reals], [image.key for image in fakes])
        masks = masks_for(reals, mask)
        jobs = [(first, fakes[row], hole) for first, row, hole in zip(reals, order, masks)]
        loaded = in_order(_load_pair, jobs, self.workers, ahead=16)
        bar = progress_bar(loaded, "pixels", total=len(jobs), shown=self.progress, unit="pair")
        for result, image in zip(bar, reals):  # the bar first, or it never hears of its end
            if isinstance(result, _Decoded):
                yield result
            elif self.on_error == "raise":
                raise result
            else:
                skipped.append(Skipped(image.name, str(result)))
                if self.on_skip is not None:
                    self.on_skip(skipped[-1])


def masks_for(images: Sequence[SourceImage], mask: MaskSource | None) -> list[MaskLike | None]:
    """Return one undecoded mask per image, ``None`` for each without masks.

    Args:
        images: the images, in order.
        mask: whatever holds masks, see :data:`~.inputs.MaskSource`.

    Raises:
        OptionError: images without a mask of their stem, two masks of one stem, or another number
            of masks.
    """
    if isinstance(mask, (str, os.PathLike)) and Path(mask).is_dir():
        mask = list_images(Path(mask))
    if mask is None or isinstance(mask, (str, os.PathLike, Image.Image)):
        return [mask] * len(images)
    if isinstance(mask, (np.ndarray, Tensor)) and mask.ndim == 2:
        return [mask] * len(images)
    masks: list[MaskLike | None] = [*mask]
    keys = [key_of(item) if isinstance(item, (str, os.PathLike)) else None for item in masks]
    if None in keys or any(image.key is None for image in images):
        if len(masks) != len(images):
            raise OptionError(f"{len(masks)} masks for {len(images)} images")
        return masks
    require_different("masks", keys)
    by_stem = dict(zip(keys, masks))
    if missing := [image.name for image in images if image.key not in by_stem]:
        raise OptionError(f"{len(missing)} images have no mask of their stem: {listed(missing)}")
    return [by_stem[image.key] for image in images]


def _load_pair(
    job: tuple[SourceImage, SourceImage, MaskLike | None],
) -> _Decoded | ImageError | MaskError:
    """In a worker thread; a bad file travels back as a value, a bad mask of another kind raises."""
    first, second, mask = job
    try:
        return _decoded_pair(first, second, mask)
    except ImageError as error:
        return error
    except MaskError as error:
        if not isinstance(mask, (str, os.PathLike)):
            raise
        return error


def _decoded_pair(first: SourceImage, second: SourceImage, mask: MaskLike | None) -> _Decoded:
    real, fake = first.pixels(), second.pixels()
    size = (real.shape[1], real.shape[2])
    if real.shape != fake.shape:
        height, width = fake.shape[1:]
        raise ImageError(
            f"{first.name} is {size[0]}x{size[1]} but {second.name} {height}x{width} (height x "
            "width); pixel metrics need equal sizes"
        )
    hole = None if mask is None else decode_mask(mask, size, name=f"mask of {first.name}")
    return _Decoded(first.name, real, fake, hole)


def _number(value: float | None, metric: ImageMetric, name: str) -> float:
    """The value of one image, NaN where there is none."""
    if value is None:
        return math.nan
    if math.isnan(value):
        raise OptionError(f"{metric.label} of {name} is not a number; damaged weights?")
    return value


def _summary(
    metric: ImageMetric,
    values: Sequence[float],
    names: Sequence[str],
    skipped: Sequence[Skipped],
    device: torch.device,
) -> PairedResult:
    warnings = []
    if skipped:
        reasons = listed([reason for _, reason in skipped])
        warnings.append(f"{len(skipped)} pairs were left out: {reasons}")
    if identical := sum(map(math.isinf, values)):
        warnings.append(f"{identical} identical pairs are not in the mean")
    if undefined := sum(map(math.isnan, values)):
        smallest = f": it needs {metric.min_side} pixels each way" if metric.min_side > 1 else ""
        warnings.append(f"{metric.label} is not defined for {undefined} pairs{smallest}")
    finite = [value for value in values if math.isfinite(value)]
    mean = math.fsum(finite) / len(finite) if finite else math.inf if identical else math.nan
    details: dict[str, object] = {
        "region": "hole" if metric.over_hole else "whole",
        "skipped": [image for image, _ in skipped],
        "device": str(device),
        "dtype": "float64",
        "version": __version__,
    }
    return PairedResult(
        metric.name, mean, len(values), tuple(warnings), details, tuple(values), tuple(names)
    )
