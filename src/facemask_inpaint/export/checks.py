"""Does a graph compute what its network computes? Asked before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from facemask_inpaint._internal.types import Size
from facemask_inpaint.errors import ExportError
from facemask_inpaint.export._extra import require

if TYPE_CHECKING:
    import onnxruntime

    from facemask_inpaint.models import InpaintingNetwork


TOLERANCE: dict[str, float] = {"float32": 1e-5, "float16": 2e-2}
"""Largest difference from PyTorch by what a graph computes in, as a share of the largest value of
the prediction where that is above 1."""

LEVELS: dict[str, int] = {"float32": 1, "float16": 3}
"""Largest difference of a composite in levels of 255."""

BATCHES = (1, 3)


def open_session(path: str | Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """Open a graph for the CPU.

    Args:
        path: of the graph.
        threads: of one operator; 0 leaves it to the runtime.

    Raises:
        ExportError: the runtime cannot load the graph.
    """
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors have no common base but this
        reason = str(error).strip().splitlines()[0][:200]
        raise ExportError(f"onnxruntime cannot load the exported graph: {reason}") from error


def check_sizes(network: InpaintingNetwork, fixed: Size | None) -> list[Size]:
    """Return the sizes at which a graph is compared: five, or the one that it takes."""
    if fixed is not None:
        return [fixed]
    unit = network.size_multiple
    least = -(-max(network.smallest_size, min(64, 8 * unit)) // unit) * unit
    steps = ((0, 2), (0, 0), (1, 3), (4, 0), (3, 5))
    return [(least + down * unit, least + across * unit) for down, across in steps]


@torch.inference_mode()
def check_network(path: Path, network: InpaintingNetwork, sizes: list[Size], dtype: str) -> float:
    """Compare the graph of a network with the network, for one image and for several.

    Args:
        path: of the graph.
        network: in float32 on the CPU.
        sizes: to compare at.
        dtype: what the graph computes in.

    Returns:
        The largest difference, relative as :data:`TOLERANCE` says.

    Raises:
        ExportError: it is above the tolerance, or the graph cannot be run.
    """
    session, worst = open_session(path), 0.0
    cases = [(size, BATCHES[index % 2]) for index, size in enumerate(sizes)]
    if len(sizes) == 1:
        cases.append((sizes[0], BATCHES[1]))
    for size, n in cases:
        generator = torch.Generator().manual_seed(n + size[0])
        image = _smooth(n, size, generator)
        mask = _masks(n, size)[:, None].float()
        latents = network.draw_latents(n, *size, generator=generator)
        expected = network(image, mask, latents=latents).numpy()
        feeds = {"image": image, "mask": mask} | latents
        where = f"{n} image{'s' * (n > 1)} of {size[0]}x{size[1]}"
        predicted = run(session, {name: value.numpy() for name, value in feeds.items()}, where)
        apart = np.abs(predicted - expected).max() / max(1.0, np.abs(expected).max())
        worst = max(worst, accepted(float(apart), TOLERANCE[dtype], where))
    return worst


def check_pipeline(
    path: Path, fill: Callable[[np.ndarray, np.ndarray], np.ndarray], side: int, dtype: str
) -> int:
    """Compare the graph of a pipeline with what fills an image in Python, at five sizes.

    Args:
        path: of the graph.
        fill: from an ``(H, W, 3)`` uint8 image and a bool mask to the composite.
        side: about the side of the images to try.
        dtype: what the graph computes in.

    Returns:
        The largest difference in levels.

    Raises:
        ExportError: it is above :data:`LEVELS`, or a known pixel changed.
    """
    session, worst = open_session(path), 0
    ratios = ((1.0, 1.0), (0.8, 1.1), (1.1, 0.6), (0.5, 0.5), (0.9, 0.7))
    for down, across in ratios:
        size = (int(side * down) // 2 * 2 - 1 * (down != 1), int(side * across))
        smooth = _smooth(1, size, torch.Generator().manual_seed(side))[0].permute(1, 2, 0)
        pixels = ((smooth + 1) * 127.5).round().byte().numpy()
        hole = _masks(1, size)[0].numpy()
        feeds = {"image": pixels[None], "mask": 255 * hole[None].astype(np.uint8)}
        where = f"an image of {size[0]}x{size[1]} in the pipeline"
        (composite,) = run(session, feeds, where)
        if not np.array_equal(composite[~hole], pixels[~hole]):
            raise ExportError(f"the export differs from PyTorch: {where} has changed known pixels")
        apart = np.abs(composite.astype(int) - fill(pixels, hole)).max()
        worst = max(worst, int(accepted(int(apart), LEVELS[dtype], where)))
    return worst


def _smooth(n: int, size: Size, generator: torch.Generator) -> torch.Tensor:
    """Images of colours that run into each other, as those of photos do, ``(N, 3, H, W)``."""
    colours = torch.rand(n, 3, 12, 12, generator=generator) * 2.4 - 1.2
    return F.interpolate(colours, size=size, mode="bicubic").clamp(-1, 1)


def _masks(n: int, size: Size) -> torch.Tensor:
    """Rectangles at ``n`` places, ``(N, H, W)`` bool."""
    height, width = size
    masks = torch.zeros(n, height, width, dtype=torch.bool)
    for index in range(n):
        top, left = height // (4 + index), width // (3 + index)
        masks[index, top : top + height // 3, left : left + width // 3] = True
    return masks


def run(
    session: onnxruntime.InferenceSession, feeds: Mapping[str, np.ndarray], where: str
) -> np.ndarray:
    """Return the one output of a graph.

    Raises:
        ExportError: it cannot be run; ``where`` names the case.
    """
    try:
        output: np.ndarray = session.run(None, dict(feeds))[0]
        return output
    except Exception as error:  # the runtime's errors have no common base but this
        reason = str(error).strip().splitlines()[0][:200]
        raise ExportError(f"the exported graph fails for {where}: {reason}") from error


def accepted(apart: float, tolerance: float, where: str) -> float:
    """Return a difference that is small enough.

    Raises:
        ExportError: it is not; ``where`` names the case.
    """
    if not apart <= tolerance:
        raise ExportError(
            f"the export differs from PyTorch by {apart:.2g} for {where}; {tolerance:.2g} is "
            "allowed, so nothing was written"
        )
    return apart
