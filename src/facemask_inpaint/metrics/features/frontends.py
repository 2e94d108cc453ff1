"""From image to input of the Inception network: the five published ways, by name.

Each resizes to 299 x 299 by its own rule and scales by its own constants, and features move by up
to 0.2 of their spread between two of them; so a statistic always carries the name of the one it
was made with. All five are separable and linear, hence given exactly by one matrix per axis.

===================  ========================================================  ===============
name                 resize                                                    scaling
===================  ========================================================  ===============
``stylegan``         bilinear, corner-aligned grid (TensorFlow 1)              (v - 128)/128
``torch_fidelity``   the same                                                  (v - 128)/128
``pytorch_fid``      bilinear, half-pixel centres, no antialiasing             (v - 127.5)/127.5
``torchmetrics``     bilinear, half-pixel centres, antialiased                 (v - 128)/128
``clean``            bicubic (a = -1/2), antialiased, clipped to 0..255        (v - 128)/128
===================  ========================================================  ===============

``stylegan`` is what the official P-IDS/U-IDS code runs, and the default everywhere here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint.errors import UnknownNameError

SIDE = 299
DEFAULT = "stylegan"


@dataclass(frozen=True)
class FrontEnd:
    """One way from uint8 images to network input.

    Attributes:
        name: the published name.
        rule: takes the length of an axis and returns its resampling matrix ``(299, length)``.
        centre: the value (of 0..255) that becomes 0; it is also the divisor.
        clip: whether resized values are clipped to 0..255 (cubic kernels overshoot).
    """

    name: str
    rule: Callable[[int], np.ndarray]
    centre: float
    clip: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """Resize and scale images.

        Args:
            images: ``(N, 3, H, W)`` in 0..255, any dtype.

        Returns:
            ``(N, 3, 299, 299)`` float32 on the same device.
        """
        height, width = images.shape[-2:]
        down = _matrix(self.rule, height, images.device)
        across = _matrix(self.rule, width, images.device)
        planes = images.float().contiguous()
        resized = down @ (planes @ across.T)
        if self.clip:
            resized = resized.clamp_(0, 255)
        return resized.sub_(self.centre).div_(self.centre)


def tensorflow_bilinear(length: int) -> np.ndarray:
    """Return TensorFlow 1's bilinear resampling matrix ``(299, length)``.

    Sample ``i`` lies at ``i * length/299``, computed in float32.

    Args:
        length: of the axis in pixels.
    """
    step = np.float32(length) / np.float32(SIDE)
    return _two_taps(np.arange(SIDE, dtype=np.float32) * step, length)


def half_pixel_bilinear(length: int) -> np.ndarray:
    """Return the bilinear matrix ``(299, length)`` with half-pixel centres, not antialiased.

    Sample ``i`` lies at ``(i + 1/2) * length/299 - 1/2`` and has two taps at any reduction.

    Args:
        length: of the axis in pixels.
    """
    step = np.float32(length) / np.float32(SIDE)
    position = (np.arange(SIDE, dtype=np.float32) + np.float32(0.5)) * step - np.float32(0.5)
    return _two_taps(np.maximum(position, 0), length)


def antialiased_bilinear(length: int) -> np.ndarray:
    """Return the matrix ``(299, length)`` of a triangle kernel widened by the reduction factor.

    Args:
        length: of the axis in pixels.
    """
    return _kernel_taps(lambda x: np.maximum(1 - np.abs(x), 0), length)


def antialiased_bicubic(length: int) -> np.ndarray:
    """Return the matrix ``(299, length)`` of Keys' cubic kernel, as PIL has it.

    The kernel (a = -1/2) is widened by the reduction factor.

    Args:
        length: of the axis in pixels.
    """
    return _kernel_taps(_cubic, length)


FRONT_ENDS = {
    front_end.name: front_end
    for front_end in (
        FrontEnd("stylegan", tensorflow_bilinear, 128.0),
        FrontEnd("torch_fidelity", tensorflow_bilinear, 128.0),
        FrontEnd("pytorch_fid", half_pixel_bilinear, 127.5),
        FrontEnd("torchmetrics", antialiased_bilinear, 128.0),
        FrontEnd("clean", antialiased_bicubic, 128.0, clip=True),
    )
}
"""All front ends by name."""


def front_end(name: str) -> FrontEnd:
    """Return the front end of a name.

    Args:
        name: one of :data:`FRONT_ENDS`.

    Raises:
        UnknownNameError: there is none; the message lists them.
    """
    if name not in FRONT_ENDS:
        raise UnknownNameError(f"no front end {name!r}; there are {', '.join(FRONT_ENDS)}")
    return FRONT_ENDS[name]


@lru_cache(maxsize=64)
def _matrix(rule: Callable[[int], np.ndarray], length: int, device: torch.device) -> Tensor:
    return torch.from_numpy(rule(length)).to(device, torch.float32)


def _two_taps(position: np.ndarray, length: int) -> np.ndarray:
    low = position.astype(np.int64)
    high = np.minimum(low + 1, length - 1)
    fraction = (position - low).astype(np.float64)
    rows = np.arange(SIDE)
    taps = np.zeros((SIDE, length))
    np.add.at(taps, (rows, low), 1 - fraction)
    np.add.at(taps, (rows, high), fraction)
    return taps


def _kernel_taps(kernel: Callable[[np.ndarray], np.ndarray], length: int) -> np.ndarray:
    step = length / SIDE
    centre = (np.arange(SIDE) + 0.5) * step
    distance = np.arange(length) + 0.5 - centre[:, None]
    taps: np.ndarray = kernel(distance / max(step, 1.0))
    taps /= taps.sum(axis=1, keepdims=True)
    return taps


def _cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
