"""The steps around a network as a graph: from the pixels of any image, and back to them.

These are the crops of ``inpainting.strategies`` for whole images, in operators that a graph of free
size can hold: each axis is resampled, and mirrored to the size the network takes, by a product with
one matrix that is made from the size of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Framing:
    """How images of any size meet a network.

    Attributes:
        side: longer side to resample to, aspect kept; ``None`` keeps the scale.
        square: whether the shorter side is mirrored to the longer one.
        multiple: height and width must be multiples of this.
        smallest: height and width must be at least this.
    """

    side: int | None
    square: bool = False
    multiple: int = 1
    smallest: int = 1

    def scaled(self, height: int, width: int) -> tuple[int, int]:
        """Return the size an image is resampled to; all are whole numbers, or symbols of such."""
        if self.side is None:
            return height, width
        longer = _larger(height, width)
        height, width = (
            _larger(_rounded(length * self.side, longer), 1) for length in (height, width)
        )
        return height, width

    def padded(self, length: int) -> int:
        """Return the length that the network is given for one that was resampled."""
        if self.square and self.side is not None:
            return self.side
        length = _larger(length, self.smallest) + self.multiple - 1
        return length // self.multiple * self.multiple


class Entry(nn.Module):
    """From pixels to the network's input.

    Args:
        framing: how they meet.
    """

    def __init__(self, framing: Framing) -> None:
        super().__init__()
        self.framing = framing

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Frame ``(N, H, W, 3)`` and ``(N, H, W)`` uint8.

        Returns:
            ``(N, 3, h, w)`` float32 in [-1, 1], 0 in the hole, and ``(N, 1, h, w)``, 1 = hole.
        """
        hole = is_hole(mask)[:, None].float()
        known = 1 - hole
        masked_image = (image.permute(0, 3, 1, 2).float() / 127.5 - 1) * known
        framing, lengths = self.framing, image.shape[1:3]
        if framing.side is None:
            return self._mirrored(masked_image), self._mirrored(hole)
        axes = [
            (mirrored(framing.padded(scaled), scaled), length, scaled, length)
            for length, scaled in zip(lengths, framing.scaled(*lengths))
        ]
        down, across = (resampling(*axis).float() for axis in axes)
        hole_down, hole_across = (overlaps(*axis).float() for axis in axes)
        small_hole = (hole_down @ hole @ hole_across.mT > 0).float()
        total = down @ known @ across.mT
        weight = torch.where(small_hole > 0, 1.0, total).clamp(min=0.1)
        masked_image = (down @ masked_image @ across.mT / weight).clamp(-1, 1) * (1 - small_hole)
        return masked_image, small_hole

    def _mirrored(self, planes: Tensor) -> Tensor:
        """The planes ``(N, C, H, W)`` mirrored at the bottom and right to the next size."""
        for axis in (2, 3):
            length = planes.shape[axis]
            index = mirrored(self.framing.padded(length), length).long()
            planes = planes.index_select(axis, index)
        return planes


class Exit(nn.Module):
    """From the network's prediction to pixels.

    Args:
        framing: as that of the :class:`Entry`.
    """

    def __init__(self, framing: Framing) -> None:
        super().__init__()
        self.framing = framing

    def forward(self, image: Tensor, mask: Tensor, prediction: Tensor) -> Tensor:
        """Put the known pixels of ``image`` back.

        Args:
            image: ``(N, H, W, 3)`` uint8.
            mask: ``(N, H, W)`` uint8.
            prediction: ``(N, 3, h, w)`` float32.

        Returns:
            ``(N, H, W, 3)`` uint8, rounded half to even in the hole.
        """
        height, width = image.shape[1:3]
        if self.framing.side is None:
            filled = prediction[:, :, :height, :width]
        else:
            down, across = (
                resampling(torch.arange(length), scaled, length, columns).float()
                for length, scaled, columns in zip(
                    (height, width), self.framing.scaled(height, width), prediction.shape[2:]
                )
            )
            filled = down @ prediction @ across.mT
        levels = ((filled.clamp(-1, 1) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return torch.where(is_hole(mask)[..., None], levels.permute(0, 2, 3, 1), image)


def is_hole(mask: Tensor) -> Tensor:
    """Return where a uint8 mask ``(N, H, W)`` of 0 and 1, or 0 and 255, says hole; as bool."""
    values = mask.int()
    largest = values.amax(dim=(1, 2), keepdim=True)
    return values >= torch.where(largest > 1, 128, 1)


def mirrored(count: int, length: int) -> Tensor:
    """Return the first ``count`` of 0 … length-1, length-1 … 0, 0 …, as float64."""
    position, twice = torch.arange(count).double(), 2 * _scalar(length)
    position = position - twice * torch.floor(position / twice)
    return torch.minimum(position, twice - 1 - position)


def resampling(positions: Tensor, source: int, target: int, columns: int) -> Tensor:
    """Return weights of bicubic interpolation, antialiased where it shrinks.

    The kernel is that of Keys, "Cubic convolution interpolation for digital image processing",
    1981, with a = -1/2.

    Args:
        positions: ``(P,)`` of the target that are wanted.
        source: length that is resampled.
        target: length to reach.
        columns: positions that the source has with what follows behind it, which has no weight.

    Returns:
        ``(P, columns)`` float64; each row sums to 1.
    """
    scale = _scalar(source) / _scalar(target)
    centre = (positions.double()[:, None] + 0.5) * scale
    position = torch.arange(columns).double()
    x = ((position + 0.5 - centre) / scale.clamp(min=1)).abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
    weights = weights * (position < _scalar(source))
    return weights / weights.sum(dim=1, keepdim=True)


def overlaps(positions: Tensor, source: int, target: int, columns: int) -> Tensor:
    """Return which source pixels decide whether a target pixel is hole.

    The rule is that of ``images.resampling``: of a mask that shrinks no hole pixel is lost.

    Arguments are those of :func:`resampling`.

    Returns:
        ``(P, columns)`` bool.
    """
    have, want = _scalar(source), _scalar(target)
    first, position = positions.double()[:, None], torch.arange(columns).double()
    low, high = torch.floor(first * have / want), torch.ceil((first + 1) * have / want)
    shrunk = (position >= low) & (position < high)
    nearest = position == torch.floor((2 * first + 1) * have / (2 * want))
    shrinks = want < have
    return (shrunk & shrinks) | (nearest & ~shrinks)


def _larger(first: int, second: int) -> int:
    larger: int = torch.sym_max(first, second)  # type: ignore[no-untyped-call]
    return larger


def _rounded(numerator: int, denominator: int) -> int:
    """The quotient rounded half to even, as ``round`` does."""
    doubled = 2 * numerator + denominator
    quotient = doubled // (2 * denominator)
    remainder: int = torch.sym_min(doubled % (2 * denominator), 1)  # type: ignore[no-untyped-call]
    tie = 1 - remainder
    return quotient - tie * (quotient % 2)


def _scalar(length: int) -> Tensor:
    return torch.scalar_tensor(length, dtype=torch.float64)
