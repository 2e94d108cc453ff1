"""Features that mean something on aligned portraits and need no downloaded weights.

Where the Inception network cannot be had, Fréchet distances need other features. These say how
strong edges are, and what colour there is, in each cell of a grid over the face: histograms of
oriented gradients (Dalal and Triggs, 2005) beside a small thumbnail. Principal components of
training portraits turn them into a few dozen directions in which real faces vary, each measured in
the real faces' own standard deviations. An eye in the wrong place, a blurred mouth or a wrong skin
tone moves them; identity and fine texture hardly do.

Numbers made with them compare only with numbers made with the same fit.
"""

from __future__ import annotations

import hashlib
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask_inpaint.metrics import FeatureExtractor, custom

SIDE = 128
"""Images are resized to this side first."""
CELLS = 8
ORIENTATIONS = 4
DIRECTIONS = 48


def measure(images: Tensor) -> Tensor:
    """Edge strengths and colours by cell.

    Args:
        images: ``(N, 3, H, W)`` uint8.

    Returns:
        ``(N, (4 + 3) * 64)``: mean strength of edges in four orientations, then mean red, green
        and blue, each on a grid of 8 x 8 cells, in [0, 1].
    """
    colours = images.float() / 255
    if colours.shape[-2:] != (SIDE, SIDE):
        colours = F.interpolate(colours, (SIDE, SIDE), mode="bilinear", antialias=True)
    grey = F.pad(colours.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]
    down = grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    angles = [math.pi * k / ORIENTATIONS for k in range(ORIENTATIONS)]
    edges = [(across * math.cos(angle) + down * math.sin(angle)).abs() for angle in angles]
    maps = torch.cat([*edges, colours], dim=1)
    return F.avg_pool2d(maps, SIDE // CELLS).flatten(1)


def fit(portraits: Tensor, directions: int = DIRECTIONS) -> FeatureExtractor:
    """Extractor whose directions are those in which these portraits vary most.

    Args:
        portraits: ``(N, 3, H, W)`` uint8, at least two, of the size that will be measured.
        directions: at most so many features.
    """
    raw = torch.cat([measure(chunk) for chunk in portraits.split(32)])
    mean, spread = raw.mean(dim=0), raw.std(dim=0).clamp(min=1e-6)
    _, lengths, axes = torch.linalg.svd((raw - mean) / spread, full_matrices=False)
    usable = int((lengths > 1e-4 * lengths[0]).sum())
    kept = min(directions, usable)
    deviations = lengths[:kept] / math.sqrt(len(raw) - 1)
    projection = axes[:kept].T / deviations

    def features(images: Tensor) -> Tensor:
        return (measure(images) - mean) / spread @ projection

    digest = hashlib.sha256(portraits.numpy().tobytes()).hexdigest()[:12]
    identity = (
        f"face layout: edges and colours on a grid of {CELLS} x {CELLS} cells, "
        f"{kept} whitened directions of {len(portraits)} portraits ({digest})"
    )
    return custom(features, identity)
