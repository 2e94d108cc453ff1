"""Symmetric products, factors and eigenvalues at half the cost of the general routines."""

from __future__ import annotations

import torch
from scipy.linalg import lapack
from torch import Tensor

_BLOCK = 256


def gram(rows: Tensor) -> Tensor:
    """Return ``rows^T rows``, ``(d, d)`` of ``(n, d)``, both of one floating-point type."""
    if rows.device.type != "cpu":
        return rows.T @ rows
    # NumPy sees that both factors are one array and computes one triangle; PyTorch does not.
    array = rows.numpy()
    return torch.from_numpy(array.T @ array)


def congruent_eigenvalues(lower: Tensor, symmetric: Tensor) -> Tensor:
    """Return the ascending eigenvalues of ``L^T S L``.

    Args:
        lower: ``(d, d)`` float64, lower triangular L.
        symmetric: ``(d, d)`` float64 S.
    """
    if lower.device.type != "cpu":
        values: Tensor = torch.linalg.eigvalsh(lower.T @ symmetric @ lower)
        return values
    # Fortran's order is the transpose: U = L^T, and the upper triangle of U S U^T is filled.
    product, _ = lapack.dsygst(symmetric.numpy().T, lower.numpy().T, itype=2, lower=0)
    values = torch.linalg.eigvalsh(torch.from_numpy(product.T), UPLO="L")
    return values


def pivoted_factor(symmetric: Tensor) -> Tensor:
    """Return rows A ``(r, d)`` with ``A^T A = S``, r the numerical rank, by pivoted Cholesky.

    Columns of S that rounding cannot tell from combinations of others are left out (Higham,
    "Accuracy and Stability of Numerical Algorithms", section 10.3).

    Args:
        symmetric: ``(d, d)`` float64 S, positive semi-definite, on the CPU.
    """
    noise = len(symmetric) * torch.finfo(symmetric.dtype).eps * float(symmetric.diagonal().max())
    lower, order, rank, _ = lapack.dpstrf(symmetric.numpy(), tol=noise, lower=1)
    rows = torch.zeros(rank, len(symmetric), dtype=symmetric.dtype)
    rows[:, torch.from_numpy(order).long() - 1] = torch.from_numpy(lower).tril().T[:rank]
    return rows


def spectral_norm(symmetric: Tensor, steps: int = 10) -> Tensor:
    """Return the largest eigenvalue of a positive semi-definite matrix, by the power method.

    From below, and right to a few percent unless the largest eigenvalues lie close together.
    """
    vector = symmetric[symmetric.diagonal().argmax()]
    for _ in range(steps):
        vector = symmetric @ (vector / vector.norm())
    norm: Tensor = vector.norm()
    return norm


def lower_gram(rows: Tensor) -> Tensor:
    """Return ``rows^T rows``, ``(d, d)`` of ``(n, d)``, right in its lower half only.

    The lower half is all that Cholesky factors and symmetric eigenvalue routines read.
    """
    if rows.device.type == "cpu":
        return gram(rows)
    width = rows.shape[1]
    lower = rows.new_zeros(width, width)
    for start in range(0, width, _BLOCK):
        block = slice(start, start + _BLOCK)
        lower[block, : block.stop] = rows[:, block].mT @ rows[:, : block.stop]
    return lower


def symmetric_gram(rows: Tensor) -> Tensor:
    """Return ``rows^T rows``, ``(d, d)`` of ``(n, d)``, in full."""
    lower = lower_gram(rows).tril_()
    return lower + lower.tril(-1).mT
