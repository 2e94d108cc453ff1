"""FID of paired feature sets under weights and exchanges: value, influence, resamples.

For real features x_i and fillings a_i of the same n pictures, FID with weights w_i (sum 1) is

    FID(w) = |mu_x - mu_a|^2 + (tr S_x + tr S_a - 2 |K|_*) / (1 - sum w^2),
    K_ij = sqrt(w_i w_j) (x_i - mu_x).(a_j - mu_a),

where |.|_* is the nuclear norm and S are the weighted scatters; w = 1/n is the unbiased FID. Its
derivative (influence function) gives the standard error without resampling. Bootstrap weights
and within-pair exchanges need many values, computed in a small basis of the features.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from facemask_inpaint.errors import OptionError

BASIS_TOLERANCE = 1e-6
_SKETCH_WIDTH = 32
# Largest intermediate of one block of replicates, in float64 numbers (64 MiB).
_BLOCK_NUMBERS = 8 * 2**20
# Eigenvalues this far below the largest are rounding; the square root would magnify them.
_NEARLY_SINGULAR = 1e-13


class PairedFrechet:
    """FID of several fillings of the same pictures, ready for resampling.

    Args:
        real: ``(n, d)`` features; n >= 2.
        fakes: ``(m, n, d)`` features of m fillings, row i of picture i.
        tolerance: share of the total variance that the reduced basis may leave out; 0 keeps all.
            Value and influence are always exact, and :meth:`resample` keeps both: only the
            curvature of FID in the directions left out is lost.
        seed: of the random sketch that finds the basis.

    Attributes:
        fids: ``(m,)`` float64, FID with n - 1.
        influence: ``(m, n)`` float64, psi: ``FID(w) = FID + sum_i (w_i - 1/n) psi_i + O(w^2)``,
            with mean 0 over the pictures.
        basis_size: dimensions in which replicates are computed.
        residual_bound: what the directions left out can add to a trace of the root in
            :meth:`exchange`: the geometric mean of their traces, largest over the fillings.
    """

    def __init__(
        self, real: Tensor, fakes: Tensor, *, tolerance: float = BASIS_TOLERANCE, seed: int = 0
    ) -> None:
        if fakes.ndim != 3 or fakes.shape[1:] != real.shape:
            raise OptionError(
                f"fillings of shape {tuple(fakes.shape[1:])} for features {tuple(real.shape)}"
            )
        if len(real) < 2:
            raise OptionError("a covariance needs at least two pictures")
        stacked = torch.cat([real.double()[None], fakes.to(real.device).double()])
        stacked = stacked - stacked.mean(dim=(0, 1))
        self.fids, self.influence = influences(stacked)
        basis = _basis(stacked.flatten(0, 1), tolerance, seed) if tolerance > 0 else None
        reduced = stacked if basis is None else stacked @ basis
        self._rows = _Rows(reduced)
        self._residuals = (stacked**2).sum(-1) - (reduced**2).sum(-1)
        self._correction: tuple[Tensor, Tensor] | None = None
        if basis is not None:
            reduced_fids, reduced_influence = influences(reduced)
            self._correction = self.fids - reduced_fids, self.influence - reduced_influence
        self.basis_size = reduced.shape[-1]
        traces = self._residuals.clamp_min(0).sum(1) / (len(real) - 1)
        self.residual_bound = 0.0 if basis is None else float((traces[0] * traces[1:].max()).sqrt())

    def resample(self, weights: Tensor) -> Tensor:
        """``(b, m)`` FIDs under weights ``(b, n)`` with rows that sum to 1."""
        return torch.cat([self._weighted(block) for block in self._blocks(weights)])

    def linear(self, weights: Tensor) -> Tensor:
        """``(b, m)`` first-order change of FID under weights ``(b, n)``."""
        return (weights.to(self.influence) - 1 / weights.shape[1]) @ self.influence.mT

    def exchange(self, first: int, second: int, keep: Tensor) -> Tensor:
        """``(b,)`` differences of FID after exchanging the two fillings of some pictures.

        Args:
            first: index of the filling whose FID counts positively.
            second: of the other.
            keep: ``(b, n)`` bool; where False, the fillings of that picture change places.
        """
        swap = self._rows.exchanger(first, second)
        difference = torch.cat([swap(block) for block in self._blocks(keep)])
        excess = self._residuals[first + 1] - self._residuals[second + 1]
        signs = 2 * keep.to(excess) - 1
        return difference + signs @ excess / (keep.shape[1] - 1)

    def _weighted(self, weights: Tensor) -> Tensor:
        weights = weights.to(self.influence)
        found = self._rows.fids(weights)
        if self._correction is None:
            return found
        offset, slope = self._correction
        return found + offset + (weights - 1 / weights.shape[1]) @ slope.mT

    def _blocks(self, rows: Tensor) -> tuple[Tensor, ...]:
        return rows.split(max(1, _BLOCK_NUMBERS // self._rows.numbers_per_replicate))


def influences(stacked: Tensor) -> tuple[Tensor, Tensor]:
    """FID and influence of every filling.

    Args:
        stacked: ``(1 + m, n, d)`` float64, the real features first.

    Returns:
        ``(m,)`` FIDs with n - 1, and ``(m, n)`` psi with mean 0.
    """
    count = stacked.shape[1]
    means = stacked.mean(dim=1)
    centred = stacked - means[:, None]
    couple = _coupler(centred[0])
    squares = (centred**2).sum(-1)
    fids, psis = [], []
    for fake in range(1, len(stacked)):
        step = means[0] - means[fake]
        coupling = couple(centred[fake])
        spread = squares[0] + squares[fake]
        trace = spread.sum() - 2 * coupling.nuclear
        fids.append((step @ step + trace / (count - 1)).clamp_min(0))
        shift = 2 * (centred[0] - centred[fake]) @ step
        stretch = spread - count * (coupling.real + coupling.fake)
        psi = shift + stretch * (count / (count - 1))
        psis.append(psi - psi.mean())
    return torch.stack(fids), torch.stack(psis)


class _Coupling(NamedTuple):
    """Nuclear norm of ``K = X A^T`` = U s V^T, and the shares of its rows and columns.

    ``real[i] = sum_r s_r U_ir^2``, ``fake[i] = sum_r s_r V_ir^2``; both are divided by n, since
    the derivative of the norm of a 1/n-weighted matrix is asked for.
    """

    nuclear: Tensor
    real: Tensor
    fake: Tensor


def _coupler(real: Tensor) -> Callable[[Tensor], _Coupling]:
    """Couples centred real rows with centred rows of any filling."""
    count, width = real.shape
    if count <= width:
        return lambda fake: _from_svd(torch.linalg.svd(real @ fake.mT, full_matrices=False))
    factor, failed = torch.linalg.cholesky_ex(real.mT @ real)
    whitened = None if failed else torch.linalg.solve_triangular(factor, real.mT, upper=False)

    def couple(fake: Tensor) -> _Coupling:
        found = None if whitened is None else _from_factor(factor, whitened, fake)
        return found or _from_qr(real, fake)

    return couple


def _from_factor(factor: Tensor, whitened: Tensor, fake: Tensor) -> _Coupling | None:
    """From X^T X = L L^T: eigenvalues of L^T A^T A L are the squared singular values."""
    turned = fake @ factor
    values, vectors = torch.linalg.eigh(turned.mT @ turned)
    if values[0] <= _NEARLY_SINGULAR * values[-1]:
        return None
    root = values.sqrt()
    left = (vectors.mT @ whitened) ** 2
    right = (turned @ vectors) ** 2
    count = len(fake)
    return _Coupling(root.sum(), root @ left / count, right @ (1 / root) / count)


def _from_qr(real: Tensor, fake: Tensor) -> _Coupling:
    (first, upper), (second, other) = torch.linalg.qr(real), torch.linalg.qr(fake)
    left, values, right = torch.linalg.svd(upper @ other.mT)
    return _from_svd((first @ left, values, right @ second.mT))


def _from_svd(parts: tuple[Tensor, Tensor, Tensor]) -> _Coupling:
    left, values, right = parts
    count = len(left)
    return _Coupling(values.sum(), left**2 @ values / count, values @ right**2 / count)


class _Rows:
    """Centred rows in the basis where replicates are computed.

    With more pictures than dimensions through k-sized covariances, else through n-sized products.
    """

    def __init__(self, stacked: Tensor) -> None:
        self.real, self.fakes = stacked[0], stacked[1:]
        self.count, self.width = self.real.shape
        self.through_covariance = self.count > self.width
        side = min(self.count, self.width)
        self.numbers_per_replicate = side * max(side, self.count)

    @cached_property
    def _products(self) -> Tensor:
        """``(m, n, n)`` inner products of every real row with every row of a filling."""
        return self.real @ self.fakes.mT

    def fids(self, weights: Tensor) -> Tensor:
        """``(b, m)`` under weights ``(b, n)``."""
        means = weights @ self.real, (weights @ self.fakes).transpose(0, 1)
        norms = (self.real**2).sum(-1), (self.fakes**2).sum(-1)
        spread_real = weights @ norms[0] - (means[0] ** 2).sum(-1)
        spread_fake = weights @ norms[1].mT - (means[1] ** 2).sum(-1)
        step = ((means[0][:, None] - means[1]) ** 2).sum(-1)
        nuclear = self._by_covariance if self.through_covariance else self._by_products
        trace = spread_real[:, None] + spread_fake - 2 * nuclear(weights)
        return step + trace / (1 - (weights**2).sum(1))[:, None]

    def _by_covariance(self, weights: Tensor) -> Tensor:
        root = _root(_scatter(self.real, weights))
        scatters = [_scatter(fake, weights) for fake in self.fakes]
        return torch.stack([_nuclear(root.mT @ scatter @ root) for scatter in scatters], dim=1)

    def _by_products(self, weights: Tensor) -> Tensor:
        scale = weights.sqrt()
        found = []
        for product in self._products:
            rows, columns = weights @ product.mT, weights @ product
            total = (rows * weights).sum(1)
            centred = product - rows[:, :, None] - columns[:, None, :] + total[:, None, None]
            weighted = scale[:, :, None] * centred * scale[:, None, :]
            found.append(torch.linalg.svdvals(weighted).sum(-1))
        return torch.stack(found, dim=1)

    def exchanger(self, first: int, second: int) -> Callable[[Tensor], Tensor]:
        """FID differences as a function of which pairs are kept, ``(b, n)`` bool to ``(b,)``."""
        pair = self.fakes[first], self.fakes[second]
        mean = self.real.mean(0)
        nuclear = self._exchanged_covariance if self.through_covariance else self._exchanged_products
        norms = tuple((side**2).sum(-1) for side in pair)

        def side(keep: Tensor) -> Tensor:
            weights = keep.to(self.real)
            means = (weights @ pair[0] + (1 - weights) @ pair[1]) / self.count
            spread = weights @ norms[0] + (1 - weights) @ norms[1]
            return ((mean - means) ** 2).sum(-1) + (
                spread - self.count * (means**2).sum(-1)
            ) / (self.count - 1)

        traces = nuclear(first, second)

        def difference(keep: Tensor) -> Tensor:
            one, other = traces(keep)
            return side(keep) - side(~keep) - 2 * (one - other) / (self.count - 1)

        return difference

    def _exchanged_covariance(
        self, first: int, second: int
    ) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        centred = self.real - self.real.mean(0)
        root = _root(centred.mT @ centred)
        one, other = self.fakes[first] @ root, self.fakes[second] @ root
        total = one.mT @ one + other.mT @ other
        sums = one.sum(0) + other.sum(0)

        def traces(keep: Tensor) -> tuple[Tensor, Tensor]:
            chosen = torch.where(keep[:, :, None], one, other)
            moment, summed = chosen.mT @ chosen, chosen.sum(1)
            return tuple(
                _nuclear(square - plain[:, :, None] * plain[:, None, :] / self.count)
                for square, plain in ((moment, summed), (total - moment, sums - summed))
            )

        return traces

    def _exchanged_products(
        self, first: int, second: int
    ) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        centred = self._products - self._products.mean(1, keepdim=True)
        one, other = centred[first], centred[second]

        def traces(keep: Tensor) -> tuple[Tensor, Tensor]:
            return tuple(
                torch.linalg.svdvals(chosen - chosen.mean(-1, keepdim=True)).sum(-1)
                for chosen in (
                    torch.where(keep[:, None, :], one, other),
                    torch.where(keep[:, None, :], other, one),
                )
            )

        return traces


def _scatter(rows: Tensor, weights: Tensor) -> Tensor:
    """``(b, k, k)`` weighted scatters of ``(n, k)`` rows about their weighted means."""
    weighted = rows.mT * weights[:, None, :]
    means = weights @ rows
    return weighted @ rows - means[:, :, None] * means[:, None, :]


def _root(scatter: Tensor) -> Tensor:
    """R with R R^T = scatter; Cholesky's unless the scatter is singular to rounding."""
    factor, failed = torch.linalg.cholesky_ex(scatter)
    if not bool(failed.any()):
        return factor
    values, vectors = torch.linalg.eigh(scatter)
    return vectors * values.clamp_min(0).sqrt()[..., None, :]


def _nuclear(square: Tensor) -> Tensor:
    return torch.linalg.eigvalsh(square).clamp_min(0).sqrt().sum(-1)


def _basis(rows: Tensor, tolerance: float, seed: int) -> Tensor | None:
    """``(d, k)`` orthonormal directions that hold all but ``tolerance`` of the rows' energy.

    A blocked randomised range finder (Halko, Martinsson & Tropp 2011, algorithm 4.4 with one power
    step) that stops by the residual itself, so the tolerance is certain. None when the basis
    would not be smaller than the rows' own dimensions.
    """
    generator = torch.Generator(rows.device).manual_seed(seed)
    allowed = tolerance * (rows**2).sum()
    residual, parts, size = rows.clone(), list[Tensor](), 0
    while bool((residual**2).sum() > allowed):
        size += _SKETCH_WIDTH
        if size >= min(rows.shape):
            return None
        probe = torch.randn(
            rows.shape[1], _SKETCH_WIDTH, dtype=rows.dtype, device=rows.device, generator=generator
        )
        sketch = residual.mT @ (residual @ probe)
        for part in parts:  # the residual is orthogonal to them but for rounding
            sketch = sketch - part @ (part.mT @ sketch)
        directions = torch.linalg.qr(sketch).Q
        residual = residual - (residual @ directions) @ directions.mT
        parts.append(directions)
    return torch.cat(parts, dim=1) if parts else None
