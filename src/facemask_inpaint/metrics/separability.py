"""What P-IDS and U-IDS of equal distributions come to at a number of images.

Points in general position in d dimensions can be separated whatever they show when there are at
most d + 1 of them (Cover 1965). The classifier of both scores does separate them unless its penalty
forbids the weights that this takes, as it does where features differ little. What two samples of
one distribution score follows from the features alone. With random labels the classifier is about
a ridge regression with the hat matrix H = X (X^T X + I / 2)^-1 X^T. It pulls the decision of each
image towards its own label by h = tr H / (n + n') on average, and the labels of all others scatter
it with the variance v = tr H^2 / (n + n') - h^2. So, with the normal distribution function Phi,

    U-IDS = Phi(-h / sqrt(v)),        P-IDS = Phi(-sqrt(2) h / sqrt(v)).

Where the penalty is negligible, h = (d + 1) / (n + n') and v = h (1 - h); both scores are 0 from
h = 1 on.
"""

from __future__ import annotations

import math

import scipy.stats
import torch
from torch import Tensor

from facemask_inpaint.metrics._linear_algebra import lower_gram

NEGLIGIBLE = 0.01
"""Expected U-IDS below which equal distributions count as separated by their size."""

_PROBES = 64
_ROUNDING = 0.1  # of the kernel's eigenvalues, beside the penalty's 1 / 2


def expected_scores(real: Tensor, fake: Tensor) -> tuple[float, float]:
    """Return P-IDS and U-IDS of two samples of one distribution with features like these.

    Args:
        real: ``(n, d)`` features.
        fake: ``(n', d)`` features on the same device.
    """
    rows = torch.cat([real, fake]).double()
    rows = torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)
    eigenvalues = torch.linalg.eigvalsh(lower_gram(rows if len(rows) > rows.shape[1] else rows.T))
    shares = eigenvalues.clamp_min(0) / (eigenvalues.clamp_min(0) + 1 / 2)
    pull = float(shares.sum()) / len(rows)
    return _scores_of(pull, float(shares.square().sum()) / len(rows))


def _scores_of(pull: float, square: float) -> tuple[float, float]:
    """P-IDS and U-IDS by tr H / (n + n') and tr H^2 / (n + n')."""
    variance = square - pull**2
    distance = pull / math.sqrt(variance) if variance > 0 else math.inf
    unpaired, paired = scipy.stats.norm.cdf([-distance, -math.sqrt(2) * distance]).tolist()
    return paired, unpaired


def separability_warnings(
    real: Tensor, fake: Tensor, kernel: Tensor | None = None
) -> tuple[str, ...]:
    """Say what the number of images alone does to both scores.

    Args:
        real: ``(n, d)`` features.
        fake: ``(n', d)`` features on the same device.
        kernel: ``(n + n', n + n')`` products of all rows with a constant 1 appended, where they are
            known already: they save time.
    """
    total, limit = len(real) + len(fake), real.shape[1] + 1
    if total >= 4 * limit:
        return ()
    if total > limit:
        return (
            f"n + n' = {total} < 4(d + 1) = {4 * limit}: the scores are pulled towards 0 by the "
            "number of images; compare only at equal n",
        )
    sizes = f"n + n' = {total} <= d + 1 = {limit}"
    expected = None if kernel is None else _estimated_scores(kernel)
    if (expected or expected_scores(real, fake))[1] < NEGLIGIBLE:
        return (
            f"{sizes}: two samples of one distribution would score 0 here, so a score near 0 says "
            "nothing about the images",
        )
    return (
        f"{sizes}, and features that differ little beside the classifier's penalty: how near to 0 "
        "the scores are depends on the number of images and on the scale of the features; compare "
        "only at equal n and extractor",
    )


def _estimated_scores(kernel: Tensor) -> tuple[float, float] | None:
    """Estimate the expected scores at a tenth of the cost; ``None`` where rounding forbids it.

    H = 1 - M with M = (K + I / 2)^-1 / 2 for the kernel K. Random signs p estimate tr M by p^T M p,
    and tr M^2 by the square of M p (Hutchinson 1990). Errors of single products are independent.
    """
    matrix = kernel.clone()
    matrix.diagonal().add_(1 / 2)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    count = len(kernel)
    rounding = torch.finfo(kernel.dtype).eps * float(kernel.trace()) / math.sqrt(count)
    if int(failed) or rounding > _ROUNDING:
        return None
    generator = torch.Generator(kernel.device).manual_seed(0)
    signs = torch.randint(0, 2, (count, _PROBES), generator=generator, device=kernel.device)
    signs = signs.to(kernel) * 2 - 1
    images = torch.cholesky_solve(signs, factor) / 2
    first = float((signs * images).sum()) / (count * _PROBES)
    second = float(images.square().sum()) / (count * _PROBES)
    return _scores_of(1 - first, 1 - 2 * first + second)
