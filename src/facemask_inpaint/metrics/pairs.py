"""Reading pairs of a real and a fake image with their masks, and measuring each pair."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facemask_inpaint import __version__
from facemask_inpaint._internal.concurrency import in_order
from facemask_inpaint._internal.devices import resolve_device
from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.errors import ImageError, MaskError, OptionError
from facemask_inpaint.images import decode_mask
from facemask_inpaint.images.folders import key_of, list_images, listed
from facemask_inpaint.metrics.inputs import (
    OnError,
    OnSkip,
    Picture,
    Skipped,
    match,
    open_pictures,
)
from facemask_inpaint.metrics.results import MetricResult, label_of

Measure = Callable[[Tensor, Tensor, Tensor | None], float]
"""Real and fake ``(3, H, W)`` float64 in [0, 1], and the hole ``(H, W)`` bool or ``None`` for the
whole frame, to one number."""

HOLE = "_hole"
"""What names of results over the hole end in."""


@dataclass(frozen=True)
class PairedResult(MetricResult):
    """A mean over pictures; ``values`` holds each picture's own, in the order of ``names``."""

    values: tuple[float, ...] = ()
    names: tuple[str, ...] = ()


class Pair(NamedTuple):
    """A decoded pair: ``(3, H, W)`` uint8 each, and the hole ``(H, W)`` bool where there is one."""

    name: str
    real: Tensor
    fake: Tensor
    hole: Tensor | None


@dataclass(frozen=True)
class PairReader:
    """Reads pairs of pictures and applies measures to them.

    Attributes:
        device: where the arithmetic runs; ``None`` is CUDA when there, else the CPU.
        workers: decoding threads; ``None`` for one per processor, at most eight.
        on_error: ``"raise"`` stops at the first pair that cannot be decoded or differs in size,
            ``"skip"`` leaves it out and names it in a warning.
        progress: whether a bar is shown.
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
        real: Any,
        fake: Any,
        measures: Mapping[str, Measure],
        mask: Any = None,
        *,
        whole_too: bool = False,
    ) -> dict[str, PairedResult]:
        """Every measure over every pair, in one pass.

        Returns:
            Results by name; those over the hole end in ``"_hole"``. With a mask the whole frame
            is measured only if ``whole_too``.
        """
        whole = mask is None or whole_too
        jobs = {name: (measure, False) for name, measure in measures.items() if whole}
        if mask is not None:
            jobs |= {name + HOLE: (measure, True) for name, measure in measures.items()}
        device = resolve_device(self.device)
        columns: dict[str, list[float]] = {name: [] for name in jobs}
        names: list[str] = []
        skipped: list[Skipped] = []
        for pair in self._pairs(real, fake, mask, skipped):
            names.append(pair.name)
            first, second = (side.to(device).double() / 255 for side in (pair.real, pair.fake))
            hole = None if pair.hole is None else pair.hole.to(device)
            for name, (measure, within) in jobs.items():
                value = measure(first, second, hole if within else None)
                if math.isnan(value):
                    raise OptionError(
                        f"{label_of(name)} of {pair.name} is not a number; damaged weights?"
                    )
                columns[name].append(value)
        if not names:
            raise ImageError(f"not one of the pairs can be used: {skipped[0].reason}")
        return {
            name: _summary(name, values, names, skipped, device) for name, values in columns.items()
        }

    def _pairs(self, real: Any, fake: Any, mask: Any, skipped: list[Skipped]) -> Iterator[Pair]:
        reals, fakes = list(open_pictures(real)), list(open_pictures(fake))
        order = match([picture.key for picture in reals], [picture.key for picture in fakes])
        masks = masks_for(reals, mask)
        jobs = [(first, fakes[row], hole) for first, row, hole in zip(reals, order, masks)]
        loaded = in_order(_load_pair, jobs, self.workers, ahead=16)
        bar = progress_bar(loaded, "pixels", total=len(jobs), shown=self.progress, unit="pair")
        for found, picture in zip(bar, reals):  # the bar first, or it never hears of its end
            if isinstance(found, Pair):
                yield found
            elif self.on_error == "raise":
                raise found
            else:
                skipped.append(Skipped(picture.name, str(found)))
                if self.on_skip is not None:
                    self.on_skip(skipped[-1])


def masks_for(pictures: Sequence[Picture], mask: Any) -> list[Any]:
    """One undecoded mask per picture, of whatever holds masks; ``None`` for each without any.

    Raises:
        OptionError: pictures without a mask of their stem, or another number of masks.
    """
    if isinstance(mask, (str, os.PathLike)) and Path(mask).is_dir():
        mask = list_images(Path(mask))
    single = mask is None or isinstance(mask, (str, os.PathLike, Image.Image))
    if single or (isinstance(mask, (np.ndarray, Tensor)) and mask.ndim == 2):
        return [mask] * len(pictures)
    masks = list(mask)
    keys = [key_of(one) if isinstance(one, (str, os.PathLike)) else None for one in masks]
    if None in keys or any(picture.key is None for picture in pictures):
        if len(masks) != len(pictures):
            raise OptionError(f"{len(masks)} masks for {len(pictures)} pictures")
        return masks
    by_stem = dict(zip(keys, masks))
    if missing := [picture.name for picture in pictures if picture.key not in by_stem]:
        raise OptionError(f"{len(missing)} pictures have no mask of their stem: {listed(missing)}")
    return [by_stem[picture.key] for picture in pictures]


def _load_pair(job: tuple[Picture, Picture, Any]) -> Pair | ImageError | MaskError:
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


def _decoded_pair(first: Picture, second: Picture, mask: Any) -> Pair:
    real, fake = first.pixels(), second.pixels()
    size = (real.shape[1], real.shape[2])
    if real.shape != fake.shape:
        height, width = fake.shape[1:]
        raise ImageError(
            f"{first.name} is {size[0]}x{size[1]} but {second.name} {height}x{width} (height x "
            "width); pixel metrics need equal sizes"
        )
    hole = None if mask is None else decode_mask(mask, size, name=f"mask of {first.name}")
    return Pair(first.name, real, fake, hole)


def _summary(
    name: str,
    values: Sequence[float],
    names: Sequence[str],
    skipped: Sequence[Skipped],
    device: torch.device,
) -> PairedResult:
    warnings = []
    if skipped:
        reasons = listed([reason for _, reason in skipped])
        warnings.append(f"{len(skipped)} pairs were left out: {reasons}")
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < len(values):
        warnings.append(f"{len(values) - len(finite)} identical pairs are not in the mean")
    mean = math.fsum(finite) / len(finite) if finite else math.inf
    details: dict[str, object] = {
        "region": "hole" if name.endswith(HOLE) else "whole",
        "skipped": [picture for picture, _ in skipped],
        "device": str(device),
        "dtype": "float64",
        "version": __version__,
    }
    return PairedResult(
        name, mean, len(values), tuple(warnings), details, tuple(values), tuple(names)
    )
