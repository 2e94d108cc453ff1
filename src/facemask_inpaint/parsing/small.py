"""The compact parser whose weights ship with the library.

This library's own design: a U-Net whose finest map has a quarter of the resolution, so that it
takes a fraction of a second on one core. It does not tell left from right: the two eyes are one
label, and so are the brows and the ears. Geometry tells them apart afterwards, so mirrored images
need no special care.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint.checkpoints import read, read_own
from facemask_inpaint.parsing.label_network import LabelNetwork, load_tensors

LABELS = (
    *("background", "skin", "nose", "l_eye", "l_brow", "l_ear", "mouth", "u_lip", "l_lip"),
    *("hair", "neck", "cloth"),
)
"""Label of each channel; those of ``l_eye``, ``l_brow`` and ``l_ear`` stand for both of a pair."""

ANCHORS = ("to_quarter.0.weight",)
"""Key by which the network is found behind whatever a wrapper puts in front of its keys."""

RESOLUTION = 256
"""Side in pixels of the square images that the weights are for."""

_HALF = (0.5, 0.5, 0.5)


class SmallParser(nn.Module):
    """U-Net from an RGB image to label scores at half its size.

    Args:
        widths: channels at 1/4, 1/8, 1/16 and 1/32 of the resolution.
    """

    def __init__(self, *, widths: tuple[int, int, int, int] = (32, 64, 112, 128)) -> None:
        super().__init__()
        quarter, eighth, deep, deepest = widths
        self.to_quarter = nn.Sequential(
            *_convolve(3, quarter, kernel=8, stride=4, padding=2), Residual(quarter)
        )
        self.to_eighth = _downsample(quarter, eighth)
        self.to_deep = _downsample(eighth, deep)
        self.to_deepest = nn.Sequential(*_downsample(deep, deepest), Surround(deepest))
        self.join_deep = Join(deepest, deep)
        self.join_eighth = Join(deep, eighth)
        self.join_quarter = Join(eighth, quarter)
        self.to_scores = nn.Conv2d(quarter, 4 * len(LABELS), 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        """Return scores ``(N, 12, H / 2, W / 2)`` before the softmax, one channel per label.

        Args:
            rgb: ``(N, 3, H, W)`` in [-1, 1], sides multiples of 32; made for 256.
        """
        quarter = self.to_quarter(rgb)
        eighth = self.to_eighth(quarter)
        deep = self.to_deep(eighth)
        x = self.join_deep(self.to_deepest(deep), deep)
        x = self.join_quarter(self.join_eighth(x, eighth), quarter)
        return F.pixel_shuffle(self.to_scores(x), 2)


class Residual(nn.Module):
    """A normalised 3 x 3 convolution around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolve(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        result: Tensor = x + self.body(x)
        return result


class Surround(nn.Module):
    """Adds to every position what the image as a whole looks like."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        result: Tensor = x + self.look(x.mean(dim=(2, 3)))[:, :, None, None]
        return result


class Join(nn.Module):
    """Twice the height and width, added to the map that the encoder had there."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(inputs, outputs, 1)
        self.mix = Residual(outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` and ``(N, outputs, 2H, 2W)`` to the latter's shape."""
        result: Tensor = self.mix(
            skip + F.interpolate(self.narrow(x), scale_factor=2.0, mode="bilinear")
        )
        return result


def load(
    weights: str | Path | None, device: torch.device, *, progress: bool = True
) -> LabelNetwork:
    """Return the network with the weights that ship with the library, or those of a file.

    Args:
        weights: a file to use instead.
        device: where it runs.
        progress: not needed, since nothing is fetched.

    Raises:
        CheckpointError: ``weights`` is the file of another network.
    """
    if weights is None:
        shipped = resources.files("facemask_inpaint.parsing") / "weights" / "small.safetensors"
        with resources.as_file(shipped) as path:
            tensors = read(path, "safetensors").tensors
    else:
        tensors = read_own(weights, ANCHORS, "small")
    with torch.device("meta"):
        network = SmallParser()
    module = load_tensors(network, tensors, "the compact parser").to(device)
    return LabelNetwork(module, RESOLUTION, LABELS, mean=_HALF, std=_HALF, device=device)


def _convolve(
    inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, padding: int = 1
) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _downsample(inputs: int, outputs: int) -> nn.Sequential:
    """Half the height and width, then two residual blocks."""
    return nn.Sequential(
        *_convolve(inputs, outputs, stride=2), Residual(outputs), Residual(outputs)
    )
