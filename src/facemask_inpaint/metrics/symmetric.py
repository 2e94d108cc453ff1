"""Products that are symmetric by construction, at the half price that BLAS has for them."""

from __future__ import annotations

import torch
from scipy.linalg import lapack
from torch import Tensor


def gram(rows: Tensor) -> Tensor:
    """``rows^T rows``, ``(n, d)`` -> ``(d, d)``, both float64."""
    if rows.device.type != "cpu":
        return rows.T @ rows
    # NumPy sees that both factors are one array and computes one triangle; PyTorch does not.
    array = rows.numpy()
    return torch.from_numpy(array.T @ array)


def congruent_eigenvalues(lower: Tensor, symmetric: Tensor) -> Tensor:
    """Ascending eigenvalues of ``L^T S L``.

    Args:
        lower: ``(d, d)`` float64, lower triangular L.
        symmetric: ``(d, d)`` float64 S.
    """
    if lower.device.type != "cpu":
        return torch.linalg.eigvalsh(lower.T @ symmetric @ lower)
    # Fortran's order is the transpose: U = L^T, and the upper triangle of U S U^T is filled.
    product, _ = lapack.dsygst(symmetric.numpy().T, lower.numpy().T, itype=2, lower=0)
    return torch.linalg.eigvalsh(torch.from_numpy(product.T), UPLO="L")
