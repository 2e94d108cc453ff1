"""Refinement of LaMa's predictions for large images, scale by scale, at inference.

Kulshreshtha et al., "Feature Refinement to Improve High Resolution Image Inpainting", 2022
(arXiv 2206.13644); settings as in github.com/advimman/lama.

LaMa learnt on small images, and leaves wide holes of large ones vague. Refinement fills a small
copy first. At each larger scale it then adjusts the map between encoder and blocks, not the
weights, until the output shrunk by half resembles that of the scale before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from facemask_inpaint.errors import OptionError

MULTIPLE = 8
SMALLEST_SIDE = 32
NOT_QUITE_KNOWN = 1e-8
ERODED_BY = 7
"""Radius in pixels by which a hole is eroded before it is compared with the smaller scale."""

LOSS_SCALE = 2.0**16
"""Keeps float16 gradients from vanishing; a power of two, so that others do not change."""


@dataclass(frozen=True)
class Refinement:
    """How to refine; the defaults are those of the official code.

    Attributes:
        steps: passes per scale; the map is adjusted after each but the last, so 1 refines nothing.
        learning_rate: of Adam, which adjusts the map.
        smallest_side: shorter side, in pixels, that the smallest scale should have about. Below
            about 1.41 times that nothing is refined.
        max_scales: at most so many scales, each half the height and width of the next.
        pixel_budget: larger images are refined at this many pixels and the output is upsampled.

    Example:
        >>> Refinement(smallest_side=256).sizes(512, 512)
        [(256, 256), (512, 512)]
    """

    steps: int = 15
    learning_rate: float = 2e-3
    smallest_side: int = 512
    max_scales: int = 3
    pixel_budget: int = 1_800_000

    def __post_init__(self) -> None:
        least = {"steps": 1, "max_scales": 1, "smallest_side": SMALLEST_SIDE}
        least["pixel_budget"] = SMALLEST_SIDE**2
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise OptionError(f"{name} must be at least {bound}, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise OptionError(f"learning_rate must be positive, got {self.learning_rate}")

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return the height and width of each scale for an image, smallest first."""
        ratio = min(1.0, math.sqrt(self.pixel_budget / (height * width)))
        h, w = (max(int(side * ratio), SMALLEST_SIDE // 2) for side in (height, width))
        doublings = round(max(0.0, math.log2(min(h, w) / self.smallest_side)))
        scales = min(1 + doublings, self.max_scales)
        return [(h >> level, w >> level) for level in reversed(range(scales))]


class Refinable(Protocol):
    """What refinement needs of a network; images are in [0, 1]."""

    blocks: nn.Sequential

    def encode(self, image: Tensor, hole: Tensor) -> Tensor:
        """Map that the blocks take."""

    def decode(self, features: Tensor) -> Tensor:
        """Return the image of the blocks' output."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return all weights."""


def refine(network: Refinable, image: Tensor, hole: Tensor, settings: Refinement) -> Tensor:
    """Refine the prediction, one image at a time.

    The blocks' intermediate results are computed again for each gradient rather than kept, which
    bounds the memory. Maps are adjusted in float32, whatever the network computes in.

    Args:
        network: in inference mode; its weights stay as they are.
        image: ``(N, 3, H, W)`` in [0, 1], 0 in the hole.
        hole: ``(N, 1, H, W)`` in {0, 1}, 1 = fill.
        settings: how to refine.

    Returns:
        ``(N, 3, H, W)`` in [0, 1], not composited, without gradient.
    """
    with torch.inference_mode(False), torch.enable_grad(), _frozen(network):
        images, holes = (torch.split(part.detach().clone(), 1) for part in (image, hole))
        pairs = zip(images, holes)
        return torch.cat([_refine_one(network, *pair, settings) for pair in pairs])


def _refine_one(network: Refinable, image: Tensor, hole: Tensor, settings: Refinement) -> Tensor:
    dtype, size = image.dtype, image.shape[2:]
    small, *larger = _pyramid(image.float(), hole.float(), settings)
    scale = _Scale(network, *small, dtype)
    prediction = scale.predict(scale.start)
    for pair in larger:
        reference = scale.composite(prediction)
        scale = _Scale(network, *pair, dtype)
        prediction = scale.predict(_adjusted(scale, reference, settings))
    return _resized(prediction, size).to(dtype)


def _adjusted(scale: _Scale, reference: Tensor, settings: Refinement) -> Tensor:
    """The scale's map after it has been fitted to the smaller scale's image."""
    features = scale.start.clone().requires_grad_()
    optimiser = torch.optim.Adam([features], lr=settings.learning_rate)
    for _ in range(settings.steps - 1):
        loss = scale.loss(features, reference) * LOSS_SCALE
        features.grad = torch.autograd.grad(loss, features)[0] / LOSS_SCALE
        optimiser.step()
    return features.detach()


class _Scale:
    """One image at one scale: what is known of it, and the network's map for it.

    Args:
        network: the network.
        image: ``(1, 3, h, w)`` float32, 0 in the hole.
        hole: ``(1, 1, h, w)`` float32.
        dtype: what the network computes in.
    """

    def __init__(self, network: Refinable, image: Tensor, hole: Tensor, dtype: torch.dtype) -> None:
        self.network, self.dtype = network, dtype
        self.image, self.hole = image, hole
        self.inner = _inner_hole(hole)
        border = (0, -image.shape[3] % MULTIPLE, 0, -image.shape[2] % MULTIPLE)
        self.padded = F.pad(image, border, mode="reflect")
        self.padded_hole = F.pad(hole, border, mode="reflect")
        with torch.no_grad():
            start = network.encode(self.padded.to(dtype), self.padded_hole.to(dtype))
        self.start = start.float()

    def predict(self, features: Tensor) -> Tensor:
        """Return the image ``(1, 3, h, w)`` for a map of the scale, without gradient."""
        with torch.no_grad():
            return self._cropped(self._decoded(features))

    def composite(self, prediction: Tensor) -> Tensor:
        """Return the known pixels with the prediction in the hole."""
        return torch.lerp(self.image, prediction, self.hole)

    def loss(self, features: Tensor, reference: Tensor) -> Tensor:
        """Return the distance to known pixels, and in the hole to the smaller scale."""
        prediction = self._decoded(features)
        known = _mean_where(1 - self.padded_hole, (prediction - self.padded).abs())
        smaller = _downsample(self._cropped(prediction))
        return known + _mean_where(self.inner, (smaller - reference).abs())

    def _decoded(self, features: Tensor) -> Tensor:
        x = features.to(self.dtype)
        for block in self.network.blocks:
            x = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False)
        return self.network.decode(x).float()

    def _cropped(self, prediction: Tensor) -> Tensor:
        h, w = self.image.shape[2:]
        return prediction[..., :h, :w]


def _pyramid(image: Tensor, hole: Tensor, settings: Refinement) -> list[tuple[Tensor, Tensor]]:
    """Image and hole at every scale, smallest first; what a hole touches becomes hole."""
    *smaller, largest = settings.sizes(*image.shape[2:])
    hole = (_resized(hole, largest) > NOT_QUITE_KNOWN).float()
    levels = [(_resized(image, largest) * (1 - hole), hole)]
    for _ in smaller:
        image, hole = levels[0]
        hole = (_downsample(hole) >= NOT_QUITE_KNOWN).float()
        levels.insert(0, (_downsample(image) * (1 - hole), hole))
    return levels


def _resized(x: Tensor, size: tuple[int, ...]) -> Tensor:
    if x.shape[2:] == tuple(size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _downsample(x: Tensor) -> Tensor:
    """Blur with a 5 x 5 Gaussian of deviation 1, then downsample by two."""
    distance = torch.arange(-2.0, 3.0, device=x.device)
    taps = torch.softmax(-(distance**2) / 2, dim=0)
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 5, 5)
    blurred = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, groups=x.shape[1])
    return _resized(blurred, (x.shape[2] // 2, x.shape[3] // 2))


def _inner_hole(hole: Tensor) -> Tensor:
    """The hole at half the height and width, less a rim: there the smaller scale is trusted."""
    size = (hole.shape[2] // 2, hole.shape[3] // 2)
    outside = (_resized(hole, size) < 1).float()
    offset = torch.arange(-ERODED_BY, ERODED_BY + 1.0, device=hole.device)
    half_row = (ERODED_BY**2 - offset**2).sqrt().round()
    disc = (offset.abs() <= half_row[:, None]).float()
    return (F.conv2d(outside, disc[None, None], padding=ERODED_BY) == 0).float()


def _mean_where(mask: Tensor, x: Tensor) -> Tensor:
    """Mean of ``x`` ``(1, C, h, w)`` where ``mask`` ``(1, 1, h, w)`` is 1; 0 if it nowhere is."""
    return (x * mask).sum() / (x.shape[1] * mask.sum()).clamp_min(1)


@contextmanager
def _frozen(network: Refinable) -> Iterator[None]:
    """No gradients for the weights, which would cost memory and time."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
