"""FID of paired feature sets under weights and exchanges: value, influence, resamples, scores.

For real features x_i and predictions' features a_i of the same n images, FID with weights w_i
(sum 1) is

    FID(w) = |mu_x - mu_a|^2 + (tr S_x + tr S_a - 2 |K|_*) / (1 - sum w^2),
    K_ij = sqrt(w_i w_j) (x_i - mu_x).(a_j - mu_a),

where |.|_* is the nuclear norm and S are the weighted scatters; w = 1/n is the unbiased FID. Its
derivative (influence function) gives the standard error without resampling. Bootstrap weights
need many values, computed in a small basis of the features. Within-pair exchanges need none: the
derivative of FID at the pool of both predictions turns each exchange into a change of sign.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import scipy.stats
import torch
from torch import Tensor

from facemask_inpaint._internal.concurrency import in_order
from facemask_inpaint._internal.torch_state import Override
from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics._linear_algebra import lower_gram, symmetric_gram
from facemask_inpaint.metrics.features.sets import FeaturePair

BASIS_TOLERANCE = 1e-6
_FIRST_SKETCH = 64
# Largest intermediate of one block of replicates, in float64 numbers (8 MiB: stays in cache).
_BLOCK_NUMBERS = 2**20
# Eigenvalues this far below the largest are rounding; the square root would magnify them.
_NEARLY_SINGULAR = 1e-13
# Scores this far below the mean squared norm of the features are rounding.
_ROUNDING = 1e-10


class PairedFrechet:
    """FID of several predictions for the same images, ready for resampling.

    Example:
        >>> import torch
        >>> from facemask_inpaint.metrics import PairedFrechet
        >>> rows = torch.randn(3, 50, 4, generator=torch.Generator().manual_seed(0))
        >>> frechet = PairedFrechet(rows[0], rows[1:])
        >>> frechet.resample(torch.full((1, 50), 1 / 50)).shape
        torch.Size([1, 2])

    Args:
        real: ``(n, d)`` features; n >= 2.
        fakes: ``(m, n, d)`` features of m predictions, row i of image i.
        tolerance: share of the total variance that the reduced basis may leave out; 0 keeps all.
            Value and influence are always exact, and :meth:`resample` keeps both: only the
            curvature of FID in the directions left out is lost.
        seed: of the random sketch that finds the basis.

    Attributes:
        fids: ``(m,)`` float64, FID with n - 1.
        influence: ``(m, n)`` float64, psi: ``FID(w) = FID + sum_i (w_i - 1/n) psi_i + O(w^2)``,
            with mean 0 over the images.
        basis_size: dimensions in which replicates are computed.
    """

    def __init__(
        self, real: Tensor, fakes: Tensor, *, tolerance: float = BASIS_TOLERANCE, seed: int = 0
    ) -> None:
        if fakes.ndim != 3 or fakes.shape[1:] != real.shape:
            raise OptionError(
                f"predictions of shape {tuple(fakes.shape[1:])} for features {tuple(real.shape)}"
            )
        if len(real) < 2:
            raise OptionError("a covariance needs at least two images")
        stacked = torch.cat([real.double()[None], fakes.to(real.device).double()])
        stacked = stacked - stacked.mean(dim=(0, 1))
        self.fids, self.influence = influences(stacked)
        rows = stacked.flatten(0, 1)
        basis = _basis(rows, tolerance, seed, limit=len(real)) if tolerance > 0 else None
        reduced = stacked if basis is None else stacked @ basis
        self._replicates = _Replicates(reduced)
        self._correction: tuple[Tensor, Tensor] | None = None
        if basis is not None:
            reduced_fids, reduced_influence = influences(reduced)
            self._correction = self.fids - reduced_fids, self.influence - reduced_influence
        self.basis_size = reduced.shape[-1]

    def resample(self, weights: Tensor) -> Tensor:
        """Compute the FIDs ``(b, m)`` under weights.

        Args:
            weights: ``(b, n)`` with rows that sum to 1.
        """
        return self._in_blocks(self._weighted, weights.to(self.influence))

    def linear(self, weights: Tensor) -> Tensor:
        """Compute the first-order changes of the FIDs ``(b, m)`` under weights.

        Args:
            weights: ``(b, n)`` with rows that sum to 1.
        """
        return (weights.to(self.influence) - 1 / weights.shape[1]) @ self.influence.mT

    def exchange_scores(self, first: int, second: int) -> Tensor:
        """Compute what each image adds to the difference of two predictions' FIDs.

        The mean of the scores is the difference of FID up to third order in the difference of the
        predictions, and when the two predictions of some images change places the scores of these
        images change their signs, exactly, and no others do: the derivative is taken at the pool
        of both predictions, which no exchange alters.

        Args:
            first: index of the prediction whose FID counts positively.
            second: index of the other.

        Returns:
            ``(n,)`` float64.
        """
        rows = self._replicates
        return _exchange_scores(rows.real, torch.cat([rows.fakes[first], rows.fakes[second]]))

    def _weighted(self, weights: Tensor) -> Tensor:
        fids = self._replicates.fids(weights)
        if self._correction is None:
            return fids
        offset, slope = self._correction
        return fids + offset + (weights - 1 / weights.shape[1]) @ slope.mT

    def _in_blocks(self, function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        blocks = torch.split(rows, self._replicates.block)
        if rows.is_cuda:
            return torch.cat([function(block) for block in blocks])
        with _ONE_THREAD_PER_WORKER:
            return torch.cat(list(in_order(function, blocks, None, ahead=16)))


_ONE_THREAD_PER_WORKER = Override(torch.get_num_threads, torch.set_num_threads, 1)
"""Small eigenproblems gain from running side by side and lose from threads of their own."""


def influences(stacked: Tensor) -> tuple[Tensor, Tensor]:
    """Compute FID and influence function of every prediction.

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
        stretch = spread - coupling.real - coupling.fake
        psi = shift + stretch * (count / (count - 1))
        psis.append(psi - psi.mean())
    return torch.stack(fids), torch.stack(psis)


def fid_interval(pair: FeaturePair, confidence: float) -> tuple[float, float] | None:
    """Return a normal confidence interval of FID, by its influence function.

    Args:
        pair: features of both sides, row by row of the same image.
        confidence: such as 0.95.

    Returns:
        The limits; ``None`` where FID is mostly bias (n <= d).
    """
    count, width = pair.real.values.shape
    if count <= width:
        return None
    stacked = torch.stack([pair.real.values.double(), pair.fake.values.double()])
    fids, influence = influences(stacked)
    error = float(influence[0].std()) / math.sqrt(count)
    reach = float(scipy.stats.norm.ppf((1 + confidence) / 2)) * error
    return max(0.0, float(fids[0]) - reach), float(fids[0]) + reach


class _Coupling(NamedTuple):
    """Nuclear norm of ``K = X A^T`` = U s V^T, and the shares of its rows and columns.

    ``real[i] = sum_r s_r U_ir^2``, ``fake[i] = sum_r s_r V_ir^2``.
    """

    nuclear: Tensor
    real: Tensor
    fake: Tensor


def _coupler(real: Tensor) -> Callable[[Tensor], _Coupling]:
    """Couples centred real rows with centred rows of any prediction."""
    count, width = real.shape
    if count <= width:
        return lambda fake: _from_svd(torch.linalg.svd(real @ fake.mT, full_matrices=False))
    factor, failed = torch.linalg.cholesky_ex(lower_gram(real))

    def couple(fake: Tensor) -> _Coupling:
        coupling = None if failed else _from_factor(factor, real, fake)
        return coupling or _from_qr(real, fake)

    return couple


def _from_factor(factor: Tensor, real: Tensor, fake: Tensor) -> _Coupling | None:
    """From X^T X = L L^T: eigenvalues of L^T A^T A L are the squared singular values.

    With its eigenvectors W, the singular vectors are X L^-T W and A L W / s.
    """
    values, vectors = torch.linalg.eigh(factor.mT @ symmetric_gram(fake) @ factor)
    if values[0] <= _NEARLY_SINGULAR * values[-1]:
        return None
    quarter = values**0.25
    to_left = torch.linalg.solve_triangular(factor.mT, vectors * quarter, upper=True)
    left = ((real @ to_left) ** 2).sum(1)
    right = ((fake @ (factor @ (vectors / quarter))) ** 2).sum(1)
    return _Coupling(values.sqrt().sum(), left, right)


def _from_qr(real: Tensor, fake: Tensor) -> _Coupling:
    (first, upper), (second, other) = torch.linalg.qr(real), torch.linalg.qr(fake)
    left, values, right = torch.linalg.svd(upper @ other.mT)
    return _from_svd((first @ left, values, right @ second.mT))


def _from_svd(parts: tuple[Tensor, Tensor, Tensor]) -> _Coupling:
    left, values, right = parts
    return _Coupling(values.sum(), left**2 @ values, values @ right**2)


def _exchange_scores(real: Tensor, pool: Tensor) -> Tensor:
    """Scores ``(n,)`` of real rows ``(n, d)`` and both predictions' rows ``(2n, d)``."""
    count = len(real)
    step = real.mean(0) - pool.mean(0)
    pool = pool - pool.mean(0)
    energy = (pool**2).sum(1)
    spread = (energy - _transported(real - real.mean(0), pool)) * (count / (count - 1))
    derivative = spread - 2 * pool @ step
    scores = derivative[:count] - derivative[count:]
    # Products may round equal rows differently, depending on where they lie in memory.
    return torch.where(scores.abs() > _ROUNDING * energy.mean(), scores, 0.0)


def _transported(real: Tensor, pool: Tensor) -> Tensor:
    """``c^T T c`` of the pool's centred rows c, T the optimal transport map to the real Gaussian.

    With ``R R^T`` the scatter of the real rows and ``C R = U s V^T`` that is, for the row c of C,
    the sum of ``s_r U_cr^2`` but for a factor of the numbers of rows.
    """
    count, width = real.shape
    rows = pool @ (real.mT if count <= width else _root(real.mT @ real))
    values, vectors = torch.linalg.eigh(rows.mT @ rows)
    kept = values > _NEARLY_SINGULAR * values[-1]
    shares = (rows @ vectors[:, kept]) ** 2 / values[kept].sqrt()
    transported: Tensor = (len(pool) / count) ** 0.5 * shares.sum(1)
    return transported


class _Replicates:
    """FIDs of rows in the basis where replicates are computed.

    Args:
        stacked: ``(1 + m, n, k)`` float64, the real features first.
    """

    def __init__(self, stacked: Tensor) -> None:
        self.real, self.fakes = stacked[0], stacked[1:]
        self.count, width = self.real.shape
        self.norms = (stacked**2).sum(-1)
        self.route: _Route = (
            _CovarianceRoute(stacked) if self.count > width else _ProductRoute(stacked)
        )
        self.block = max(1, _BLOCK_NUMBERS // (self.count * min(self.count, width)))

    def fids(self, weights: Tensor) -> Tensor:
        """``(b, m)`` under weights ``(b, n)``."""
        real = weights @ self.real
        fakes = torch.stack([weights @ fake for fake in self.fakes], dim=1)
        norms = weights @ self.norms.mT
        spread_real = norms[:, :1] - (real**2).sum(-1, keepdim=True)
        spread_fake = norms[:, 1:] - (fakes**2).sum(-1)
        trace = spread_real + spread_fake - 2 * self.route.nuclear(weights)
        step = ((real[:, None] - fakes) ** 2).sum(-1)
        return step + trace / (1 - (weights**2).sum(1, keepdim=True))


class _Route(Protocol):
    """How nuclear norms are computed."""

    def nuclear(self, weights: Tensor) -> Tensor:
        """``(b, m)`` nuclear norms of weighted products, for weights ``(b, n)``."""


class _CovarianceRoute:
    """Through k-sized covariances, for more images than dimensions."""

    def __init__(self, stacked: Tensor) -> None:
        self.real, self.fakes = stacked[0], stacked[1:]

    def nuclear(self, weights: Tensor) -> Tensor:
        root = _root(_scatter(self.real, weights))
        norms = [_nuclear(root.mT @ _scatter(fake, weights) @ root) for fake in self.fakes]
        return torch.stack(norms, dim=1)


class _ProductRoute:
    """Through n-sized inner products of real rows with rows of a prediction, for fewer images."""

    def __init__(self, stacked: Tensor) -> None:
        self.products = stacked[0] @ stacked[1:].mT

    def nuclear(self, weights: Tensor) -> Tensor:
        scale = weights.sqrt()
        norms = []
        for product in self.products:
            rows, columns = weights @ product.mT, weights @ product
            total = (rows * weights).sum(1)
            centred = product - rows[:, :, None] - columns[:, None, :] + total[:, None, None]
            weighted = scale[:, :, None] * centred * scale[:, None, :]
            norms.append(torch.linalg.svdvals(weighted).sum(-1))
        return torch.stack(norms, dim=1)


def _scatter(rows: Tensor, weights: Tensor) -> Tensor:
    """``(b, k, k)`` weighted scatters of ``(n, k)`` rows about their weighted means."""
    weighted = rows.mT * weights[:, None, :]
    means = weights @ rows
    return weighted @ rows - means[:, :, None] * means[:, None, :]


def _root(scatter: Tensor) -> Tensor:
    """R with R R^T = scatter; Cholesky's unless the scatter is singular to rounding."""
    root: Tensor
    root, failed = torch.linalg.cholesky_ex(scatter)
    if bool(failed.any()):
        values, vectors = torch.linalg.eigh(scatter)
        root = vectors * values.clamp_min(0).sqrt()[..., None, :]
    return root


def _nuclear(square: Tensor) -> Tensor:
    values: Tensor = torch.linalg.eigvalsh(square)
    return values.clamp_min(0).sqrt().sum(-1)


def _basis(rows: Tensor, tolerance: float, seed: int, *, limit: int) -> Tensor | None:
    """``(d, k)``: leading directions that hold all but ``tolerance`` of the rows' energy.

    A randomised range finder in growing blocks (Halko, Martinsson & Tropp 2011, algorithm 4.2 with
    one power step) that stops by the residual itself, so the tolerance is certain; then the
    principal directions within the range. None when the basis would save nothing, with
    ``limit`` directions or more, or there is no energy at all.
    """
    generator = torch.Generator(rows.device).manual_seed(seed)
    energy = (rows**2).sum()
    limit, width = min(*rows.shape, limit), _FIRST_SKETCH
    if not bool(energy):
        return None
    directions = rows.new_zeros(rows.shape[1], 0)
    held = rows.new_zeros(len(rows), 0)
    while bool(energy - (held**2).sum() > 0.5 * tolerance * energy):
        width = min(width, limit - 1 - directions.shape[1])
        if width <= 0:
            return None
        sketch = rows.new_empty(rows.shape[1], width).normal_(generator=generator)
        sketch = rows.mT @ (rows @ sketch)
        sketch = sketch - directions @ (directions.mT @ sketch)
        directions = torch.linalg.qr(torch.cat([directions, sketch], dim=1)).Q
        held = rows @ directions
        width = directions.shape[1]
    values, vectors = torch.linalg.eigh(held.mT @ held)
    lost = energy - values.flip(0).cumsum(0)
    size = int((lost > tolerance * energy).sum()) + 1
    basis: Tensor = directions @ vectors.flip(1)[:, :size]
    return basis
