"""Fourier transforms as products with matrices of cosines and sines.

ONNX's ``DFT`` is missing from most accelerators, slow where a side is no power of two, and its
shapes are not known in advance. The maps that LaMa transforms are an eighth of the image's side: so
small that a product with a matrix costs far less than the convolutions beside it. The matrices are
made in the graph, from the size of the map.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from facemask_inpaint.models.lama.generator import FourierUnit


def fourier_unit(unit: FourierUnit, x: Tensor) -> Tensor:
    """Compute what ``unit.forward_float32`` does, without complex numbers.

    Args:
        unit: the unit, for its convolution and its batch norm.
        x: ``(N, C, H, W)`` float32.

    Returns:
        ``(N, C, H, W)``.
    """
    h, w = x.shape[-2:]
    cos_h, sin_h = waves(h, h)
    cos_w, sin_w = waves(w, w // 2 + 1)
    scale = (h * w) ** -0.5
    # Along the width; a real signal's imaginary part is minus its product with the sines.
    real, imaginary = x @ (cos_w * scale), x @ (sin_w * -scale)
    real, imaginary = (
        cos_h @ real + sin_h @ imaginary,
        cos_h @ imaginary - sin_h @ real,
    )
    parts = rearrange(torch.stack([real, imaginary], 2), "n c part h w -> n (c part) h w")
    parts = F.relu(unit.norm(unit.mix(parts)))
    real, imaginary = rearrange(parts, "n (c part) h w -> part n c h w", part=2)
    real, imaginary = (
        cos_h @ real - sin_h @ imaginary,
        cos_h @ imaginary + sin_h @ real,
    )
    # Frequencies other than zero and the Nyquist frequency stand for their conjugates too.
    column = torch.arange(w // 2 + 1)
    weight = torch.where((column == 0) | (2 * column == w), scale, 2 * scale)
    signal: Tensor = (real * weight) @ cos_w.T - (imaginary * weight) @ sin_w.T
    return signal


def waves(length: int, frequencies: int) -> tuple[Tensor, Tensor]:
    """Return cosines and sines ``(length, frequencies)`` of a discrete Fourier transform.

    Angles are in float64: those of large maps are many turns.
    """
    position, frequency = torch.arange(length), torch.arange(frequencies)
    angle = (position[:, None] * frequency).double() * (2 * math.pi / length)
    return torch.cos(angle).float(), torch.sin(angle).float()
