"""Contextual attention: a map rebuilt from its own patches where the image is known.

Yu et al., "Generative Image Inpainting with Contextual Attention", CVPR 2018 (arXiv 1801.07892),
section 4, in the form that "Free-Form Image Inpainting with Gated Convolution" (ICCV 2019) uses.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

Sampling = Literal["corners", "floor"]

SOFTMAX_SCALE = 10.0
SMALLEST_NORM = 1e-4
SCORE_BUDGET = 2**23
"""Attention scores that are held at once; more are worked through in several turns."""


class ContextualAttention(nn.Module):
    """Rebuilds each place of a map as a blend of the map's usable patches that resemble it.

    Places and patches are compared on a grid of half the height and width: the score is the
    product of the 3 x 3 neighbourhood of a place and that of a patch, the latter of norm 1. The
    softmax of the scores blends 4 x 4 patches of the whole map. Every sample has a mask of its
    own. Always computes in float32, and works through large maps in turns, so that memory grows
    with the number of cells and not with its square.

    Args:
        sampling: how the map shrinks to the grid; see :func:`nearest`.
        fuse: add up scores along the diagonals of the score matrix, once with the cells counted
            row by row and once column by column: a patch gains if its neighbours resemble the
            neighbours of the place.
    """

    def __init__(self, *, sampling: Sampling, fuse: bool) -> None:
        super().__init__()
        self.sampling, self.fuse = sampling, fuse

    def forward(self, x: Tensor, usable: Tensor) -> Tensor:
        """Rebuild ``x``.

        Args:
            x: ``(N, C, H, W)`` with even H and W.
            usable: ``(N, 1, H/2, W/2)`` bool, patches that may be pasted.

        Returns:
            ``(N, C, H, W)``; 0 where a sample has nothing usable.
        """
        wide = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            return self._rebuild(x.to(wide), usable).to(x.dtype)

    def _rebuild(self, x: Tensor, usable: Tensor) -> Tensor:
        h, w = usable.shape[2:]
        places = F.unfold(nearest(x, 2, self.sampling), 3, padding=1)
        patches = places / places.norm(dim=1, keepdim=True).clamp_min(SMALLEST_NORM)
        patches = rearrange(patches, "n d yx -> n yx d")
        pasted = F.unfold(x, 4, stride=2, padding=1)
        usable = rearrange(usable, "n 1 y x -> n (y x) 1")
        turn, rebuilt = max(1, SCORE_BUDGET // (len(x) * h * w)), []
        order = _columns(h, w, x.device)
        for start in range(0, h * w, turn):
            scores = self._scores(patches, places, order, start, min(start + turn, h * w))
            # What is not usable takes part in the softmax with a score of 0, and then drops out.
            weights = torch.softmax(SOFTMAX_SCALE * scores * usable, dim=1) * usable
            rebuilt.append(pasted @ weights)
        columns = rearrange(torch.cat(rebuilt, dim=2), "n c (x y) -> n c (y x)", x=w)
        return F.fold(columns, x.shape[2:], 4, stride=2, padding=1) / 4

    def _scores(
        self, patches: Tensor, places: Tensor, order: Tensor, start: int, stop: int
    ) -> Tensor:
        """Scores ``(N, L, stop - start)`` of all patches, row by row, at some places.

        Args:
            patches: ``(N, L, D)``, row by row.
            places: ``(N, D, L)``, row by row.
            order: ``(L,)``; see :func:`_columns`.
            start: first place, counted column by column.
            stop: end of the places.
        """
        if not self.fuse:
            return patches @ places[..., order[start:stop]]
        first, last = max(start - 1, 0), min(stop + 1, len(order))
        steps = torch.arange(-1, 2, device=order.device)
        needed, triples = torch.unique(order[first:last, None] + steps, return_inverse=True)
        # Zeros at either end stand for the places outside.
        scores = patches @ F.pad(places, (1, 1))[..., needed + 1]
        # Counted column by column, the second diagonal is one as well.
        scores = _diagonal_sum(scores, triples)[:, order]
        scores = F.pad(scores, (first - start + 1, stop + 1 - last))
        triples = torch.arange(1, 1 + stop - start, device=order.device)[:, None] + steps
        return _diagonal_sum(scores, triples)[:, order.argsort()]


def _columns(h: int, w: int, device: torch.device) -> Tensor:
    """Numbers of the cells of a grid, counted row by row, in the order of its columns."""
    return torch.arange(h * w, device=device).view(h, w).t().flatten()


def _diagonal_sum(scores: Tensor, triples: Tensor) -> Tensor:
    """Sum of three neighbours along the diagonal of the score matrix; outside it is 0.

    Args:
        scores: ``(N, L, K)``.
        triples: ``(P, 3)``, for each wanted place the columns before it, of it and after it.

    Returns:
        ``(N, L, P)``.
    """
    before, here, after = triples.unbind(-1)
    total = scores[..., here]
    total[:, 1:] += scores[:, :-1, before]
    total[:, :-1] += scores[:, 1:, after]
    return total


def nearest(x: Tensor, factor: int, sampling: Sampling) -> Tensor:
    """Downsample ``(N, C, H, W)`` by a whole factor, without averaging.

    Args:
        x: map whose sides are multiples of ``factor``.
        factor: how many times smaller the output is.
        sampling: ``"corners"`` lets the corners of both grids coincide and rounds half up, as
            TensorFlow does; ``"floor"`` takes the first of each group.
    """
    if sampling == "floor":
        return x[..., ::factor, ::factor]
    # Made on the CPU, where ties round the same for every device.
    rows, columns = (
        torch.linspace(0, side - 1, side // factor, device="cpu").add(0.5).long()
        for side in x.shape[2:]
    )
    return x[..., rows[:, None], columns]
