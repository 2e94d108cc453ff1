"""Harmonic inpainting: a hole filled by the solution of Laplace's equation.

Also called membrane interpolation: the values are those of a thin membrane clamped at the known
pixels around the hole, each the mean of its neighbours. Known neighbours are Dirichlet conditions;
the image's border is free (Neumann), so a hole that touches it is still well posed.

The sparse system is solved in float64 by conjugate gradients, preconditioned with one symmetric
multigrid cycle (Galerkin coarsening, Briggs, Henson and McCormick, "A Multigrid Tutorial", 2000,
chapters 3 and 10), for all channels at once; its cost grows linearly with the hole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from facemask_inpaint.errors import FacemaskInpaintError

_DIRECT_BELOW = 2000
"""Unknowns up to which a system is factorised instead of coarsened."""
_JACOBI_WEIGHT = 0.8
_RELATIVE_RESIDUAL = 1e-10
_MOST_STEPS = 200


def fill_harmonically(values: Tensor, hole: Tensor) -> Tensor:
    """Fill the hole so that Laplace's equation holds in it.

    Args:
        values: ``(C, H, W)`` or ``(N, C, H, W)`` of any float dtype; what lies under the hole is
            ignored.
        hole: ``(H, W)`` bool, True = fill; one hole for all channels and images.

    Returns:
        A new tensor of the same shape, dtype and device. Known pixels are untouched. Where
        nothing at all is known it is 0, the middle of the networks' range [-1, 1].

    Raises:
        TypeError: ``values`` is not of a float dtype, or ``hole`` not bool.
        ValueError: the shapes do not fit, or a known pixel beside the hole is NaN or infinite.

    Example:
        >>> hole = torch.tensor([[False, True, True, False]])
        >>> fill_harmonically(torch.tensor([[[0.0, 9.0, 9.0, 3.0]]]), hole)
        tensor([[[0., 1., 2., 3.]]])
    """
    if not values.is_floating_point() or hole.dtype != torch.bool:
        raise TypeError(f"needed: float values and a bool hole; got {values.dtype}, {hole.dtype}")
    if values.ndim not in (3, 4) or values.shape[-2:] != hole.shape:
        raise ValueError(
            f"values {tuple(values.shape)} and hole {tuple(hole.shape)} do not fit; needed: "
            "(C, H, W) or (N, C, H, W), and (H, W)"
        )
    filled = values.detach().clone()
    if hole.all():
        return filled.zero_()
    if hole.any():
        rows, columns = _stretch(hole.any(dim=1)), _stretch(hole.any(dim=0))
        inside, view = hole[rows, columns], filled[..., rows, columns]
        planes = view.to("cpu", torch.float64).flatten(0, -3).numpy()
        solved = torch.from_numpy(_solve_planes(planes, inside.cpu().numpy()))
        view[..., inside] = solved.to(filled).reshape(*values.shape[:-2], -1)
    return filled


def _stretch(line: Tensor) -> slice:
    """From one before the first to one past the last True of a line."""
    at = line.nonzero()
    return slice(max(0, int(at[0]) - 1), int(at[-1]) + 2)


def _solve_planes(planes: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Values ``(P, unknowns)`` of the hole's pixels for planes ``(P, H, W)``, in raster order."""
    system, border = _laplace(hole)
    # Selected, not multiplied: NaN under the hole must not spread.
    right_side = border @ planes[:, ~hole].T
    if not np.isfinite(right_side).all():
        raise ValueError("known pixels beside the hole hold NaN or infinity")
    return _conjugate_gradients(system, right_side, _multigrid(system, hole)).T


def _laplace(hole: np.ndarray) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Graph Laplacian of the hole's pixels, and the weights of the known ones beside them."""
    h, w = hole.shape
    pixel = np.arange(h * w).reshape(h, w)
    pairs = np.concatenate(
        [
            np.stack([pixel[:, :-1].ravel(), pixel[:, 1:].ravel()]),
            np.stack([pixel[:-1].ravel(), pixel[1:].ravel()]),
        ],
        axis=1,
    )
    inside = hole.ravel()
    pairs = pairs[:, inside[pairs].any(axis=0)]
    here, there = np.concatenate([pairs, pairs[::-1]], axis=1)
    here, there = here[inside[here]], there[inside[here]]
    number = np.where(inside, np.cumsum(inside), np.cumsum(~inside)) - 1
    n = int(inside.sum())
    known = ~inside[there]
    border = _matrix(
        np.ones(known.sum()), number[here[known]], number[there[known]], (n, h * w - n)
    )
    row, column = number[here[~known]], number[there[~known]]
    degree = np.bincount(number[here], minlength=n).astype(np.float64)
    return sparse.diags_array(degree).tocsr() - _matrix(
        np.ones(len(row)), row, column, (n, n)
    ), border


def _matrix(
    weights: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]
) -> sparse.csr_array:
    return sparse.csr_array((weights, (rows, columns)), shape=shape)


_Solver = Callable[[np.ndarray], np.ndarray]
"""From a right side ``(unknowns, columns)`` to a solution of the same shape."""


@dataclass(frozen=True)
class _Cycle:
    """One multigrid cycle: smooth, correct on the next coarser grid, smooth again."""

    system: sparse.csr_array
    spread: sparse.csr_array
    gather: sparse.csr_array
    coarser: _Solver
    jacobi: np.ndarray

    def __call__(self, residual: np.ndarray) -> np.ndarray:
        x: np.ndarray = self.jacobi * residual
        x += self.spread @ self.coarser(self.gather @ (residual - self.system @ x))
        x += self.jacobi * (residual - self.system @ x)
        return x


def _multigrid(system: sparse.csr_array, hole: np.ndarray) -> _Solver:
    """Approximate inverse of ``system``: symmetric positive definite, exact when small."""
    if system.shape[0] <= _DIRECT_BELOW or not hole[::2, ::2].any():
        factors: _Solver = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A").solve
        return factors
    spread = _spread(hole)
    gather = spread.T.tocsr()
    coarser = _multigrid((gather @ system @ spread).tocsr(), hole[::2, ::2])
    jacobi = _JACOBI_WEIGHT / system.diagonal()[:, None]
    return _Cycle(system, spread, gather, coarser, jacobi)


def _spread(hole: np.ndarray) -> sparse.csr_array:
    """Bilinear interpolation from the hole's pixels at even places to all of its pixels.

    Known pixels stand for a correction of 0; past the image's border the last pixel repeats.
    """
    coarse = hole[::2, ::2]
    number = np.cumsum(coarse).reshape(coarse.shape) - 1
    y, x = np.nonzero(hole)
    fine = np.arange(len(y))
    entries = []
    for dy in (0, 1):
        for dx in (0, 1):
            near_y = np.minimum((y + dy) // 2, coarse.shape[0] - 1)
            near_x = np.minimum((x + dx) // 2, coarse.shape[1] - 1)
            held = coarse[near_y, near_x]
            entries.append((fine[held], number[near_y, near_x][held]))
    rows, columns = (np.concatenate(part) for part in zip(*entries))
    return _matrix(np.full(len(rows), 0.25), rows, columns, (len(y), int(coarse.sum())))


def _conjugate_gradients(
    system: sparse.csr_array, right_side: np.ndarray, precondition: _Solver
) -> np.ndarray:
    """Solve ``system @ x = right_side`` for every column at once."""
    x = precondition(right_side)
    residual = right_side - system @ x
    enough = _RELATIVE_RESIDUAL * np.linalg.norm(right_side, axis=0)
    direction = np.zeros_like(x)
    previous = np.ones(x.shape[1])
    for _ in range(_MOST_STEPS):
        if (np.linalg.norm(residual, axis=0) <= enough).all():
            return x
        z = precondition(residual)
        product = (residual * z).sum(axis=0)
        direction = z + direction * _ratio(product, previous)
        previous = product
        image = system @ direction
        stride = _ratio(product, (direction * image).sum(axis=0))
        x += stride * direction
        residual -= stride * image
    raise FacemaskInpaintError(f"harmonic inpainting did not converge in {_MOST_STEPS} steps")


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """``above / below``, and 0 for a column that is solved exactly and so has 0 below."""
    ratio: np.ndarray = np.divide(above, below, out=np.zeros_like(above), where=below != 0)
    return ratio
