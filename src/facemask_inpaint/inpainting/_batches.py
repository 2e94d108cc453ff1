"""Predictions in batches: what one call of an inpainter is made of."""

from __future__ import annotations

import logging
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint._internal.types import PerImage
from facemask_inpaint.errors import OptionError
from facemask_inpaint.inpainting._canvas import Canvas
from facemask_inpaint.inpainting._plans import Part
from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models._conditions import joined_conditions

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Task:
    """A part of one image's hole to inpaint once.

    Attributes:
        canvas: the image, in which the prediction is put.
        part: of the hole, and what the network sees of the image.
        conditions: what the network is told, by name.
    """

    canvas: Canvas
    part: Part
    conditions: Mapping[str, object]


def seed_of_sample(seed: int, number: int) -> int:
    """Return the seed of one of several samples of an image; number 0 has the caller's own."""
    if number == 0:
        return seed
    sequence = np.random.SeedSequence((abs(seed), number))
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def predict_all(
    network: InpaintingNetwork,
    tasks: Sequence[Task],
    batch_size: int,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> Iterator[tuple[int, Tensor]]:
    """Yield every task's index and prediction ``(3, h, w)``, in batches of crops of one size."""
    sizes = [task.part.crop.padded for task in tasks]
    queue = sorted(range(len(tasks)), key=sizes.__getitem__)
    while queue:
        batch = [index for index in queue[:batch_size] if sizes[index] == sizes[queue[0]]]
        try:
            predictions = _predict(network, [tasks[index] for index in batch], device, dtype)
        except RuntimeError as error:
            if not _is_out_of_memory(error) or len(batch) == 1:
                raise
            batch_size = len(batch) // 2
            _log.warning("out of memory: continuing with batches of %d", batch_size)
            continue
        queue = queue[len(batch) :]
        yield from zip(batch, predictions)


@torch.inference_mode()
def _predict(
    network: InpaintingNetwork, batch: Sequence[Task], device: torch.device, dtype: torch.dtype
) -> Tensor:
    crops = [task.canvas.seen_in(task.part.crop) for task in batch]
    visible = torch.stack([rgb.to(device, dtype) for rgb, _ in crops])
    hole = torch.stack([mask.to(device, dtype) for _, mask in crops])
    generators = [torch.Generator().manual_seed(task.canvas.seed) for task in batch]
    conditions = joined_conditions(network.condition_spec(), [task.conditions for task in batch])
    prediction: Tensor = network(visible, hole, generator=generators, conditions=conditions)
    return prediction.float()


def seeds_of_images(seed: PerImage[int], count: int) -> list[int]:
    """Return one seed per image; anything that counts as a whole number is taken.

    Raises:
        OptionError: a seed is not a whole number of 64 bits, or there are too few or too many.
    """
    try:
        per_image = [seed] * count if isinstance(seed, SupportsIndex) else list(seed)
        seeds = [operator.index(number) for number in per_image]
    except TypeError:
        raise OptionError(f"seed must be a whole number, or one per image, not {seed!r}") from None
    if len(seeds) != count:
        raise OptionError(f"{len(seeds)} seeds for {count} images")
    if not all(-(2**63) <= number < 2**63 for number in seeds):
        raise OptionError(f"a seed must fit into 64 bits, got {seed!r}")
    return seeds


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
