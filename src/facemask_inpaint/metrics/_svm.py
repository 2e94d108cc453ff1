"""The exact linear support vector machine behind P-IDS and U-IDS.

Minimises, over weights that include the bias (a constant feature 1 is appended to every row),

    J(w) = 1/2 |w|^2 + cost * sum_i max(0, 1 - s_i w.x_i)^2,        s_i = +1 or -1.

J is strictly convex with a piecewise constant Hessian, so the optimum is unique and semismooth
Newton with an exact line search ends after a few steps (Keerthi & DeCoste 2005; Chapelle 2007,
"Training a support vector machine in the primal"). scikit-learn's ``LinearSVC(dual=False)``
stops near the same optimum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from facemask_inpaint.metrics._newton_systems import (
    LOOSE,
    ConvergenceError,
    KernelSystem,
    NewtonSystem,
    PrimalSystem,
    exact_step,
)

MAX_NEWTON_STEPS = 200
ALIGNMENT = 16  # columns
FULL_ACCURACY = 1e-10
# So many steps are taken as the float32 factor gives them; the line search makes up for errors.
UNCHECKED_STEPS = 10
# Below this relative gradient a stagnating norm is rounding, above it a failure.
ROUNDING_FLOOR = 1e-8


@dataclass(frozen=True)
class Hyperplane:
    """The optimum of one fit: ``f(x) = weight.x + bias``.

    Attributes:
        weight: ``(d,)`` float64.
        bias: weight of the constant feature, penalised like the others.
        objective: J at the optimum.
        relative_gradient: ``|grad J| / |grad J(0)|`` where the solver stopped.
        iterations: Newton steps taken.
        form: ``"primal"`` or ``"kernel"``, the linear systems that were solved.
    """

    weight: Tensor
    bias: float
    objective: float
    relative_gradient: float
    iterations: int
    form: str


class SquaredHingeSVM:
    """Fits separating hyperplanes to fixed rows under changing labels.

    What does not depend on the labels (Gram or kernel matrix of all rows) is computed once, so
    refitting with exchanged labels costs a fraction of the first fit.

    Args:
        rows: ``(N, d)`` features of any float dtype, on any device, without the constant column.
        cost: weight of the squared hinge losses (scikit-learn's ``C``).
        form: ``"primal"`` solves (d+1)-sized systems, ``"kernel"`` N-sized ones; None takes the
            cheaper. Both reach the same optimum.
    """

    def __init__(self, rows: Tensor, *, cost: float = 1.0, form: str | None = None) -> None:
        if form not in (None, "primal", "kernel"):
            raise ValueError(f'form must be "primal", "kernel" or None, not {form!r}')
        count, self.dimension = rows.shape
        self.rows = _with_constant(rows)
        self.cost = cost
        self.form = form or ("kernel" if count <= self.rows.shape[1] else "primal")
        kind = KernelSystem if self.form == "kernel" else PrimalSystem
        self._system: NewtonSystem = kind(self.rows, cost)
        self._size = float(self.rows.norm())

    def fit(self, labels: Tensor, *, tolerance: float = 1e-12) -> Hyperplane:
        """Find the optimum for one labelling.

        Args:
            labels: ``(N,)``, +1 or -1.
            tolerance: largest ``|grad J| / |grad J(0)|`` accepted; where float64 rounding
                forbids it, the solver stops when the gradient no longer falls below 1e-8.

        Raises:
            ConvergenceError: neither was reached.
        """
        sign = labels.to(self.rows)
        start = 2 * self.cost * float((self.rows.mT @ sign).norm())
        zero = self.rows.new_zeros(self.rows.shape[1])
        weight = self._system.first_guess(sign) if start else zero  # the optimum, if 0
        slack = 1 - sign * (self.rows @ weight)
        previous, before = float("inf"), torch.zeros_like(sign, dtype=torch.bool)
        for step in range(MAX_NEWTON_STEPS):
            active, loss = slack > 0, slack.clamp_min(0)
            rows, numbers = self._system.active_rows(active)
            gradient = weight - 2 * self.cost * (rows.mT @ (sign * loss)[numbers])
            norm = float(gradient.norm())
            if self._converged(norm, previous, start, float(loss.norm()), tolerance):
                return self._hyperplane(weight, loss, norm / start if start else 0.0, step)
            # Loose far from the optimum; where no row enters or leaves, one step is enough.
            accuracy = min(LOOSE, (norm / start) ** 0.5)
            if torch.equal(active, before):
                accuracy = min(accuracy, max(FULL_ACCURACY, 0.3 * tolerance * start / norm))
            checked = accuracy < LOOSE or step >= UNCHECKED_STEPS
            change = self._system.solve(active, -gradient, accuracy if checked else None)
            speed = sign * (self.rows @ change)
            length = exact_step(gradient @ change, change @ change, slack, speed, self.cost)
            weight, slack = weight + length * change, slack - length * speed
            previous, before = norm, active
        raise ConvergenceError(
            f"{MAX_NEWTON_STEPS} Newton steps left a relative gradient of {norm / start:.1e}, "
            f"above the tolerance {tolerance:.1e}; check the features for extreme values"
        )

    @property
    def kernel(self) -> Tensor | None:
        """Products ``(N, N)`` of the rows with their constant; ``None`` in the primal form."""
        return self._system.matrix if isinstance(self._system, KernelSystem) else None

    def decide(self, plane: Hyperplane) -> Tensor:
        """Return f of every row, ``(N,)`` float64."""
        return self.rows[:, : self.dimension] @ plane.weight + plane.bias

    def _converged(
        self, norm: float, previous: float, start: float, loss: float, tolerance: float
    ) -> bool:
        eps = torch.finfo(torch.float64).eps
        negligible = 2 * self.cost * eps * self._size * loss
        stagnates = norm <= ROUNDING_FLOOR * start and 3 * norm > previous
        return norm <= max(tolerance * start, negligible) or stagnates

    def _hyperplane(
        self, weight: Tensor, loss: Tensor, relative_gradient: float, steps: int
    ) -> Hyperplane:
        objective = 0.5 * (weight @ weight) + self.cost * (loss @ loss)
        return Hyperplane(
            weight=weight[: self.dimension],
            bias=float(weight[self.dimension]),
            objective=float(objective),
            relative_gradient=relative_gradient,
            iterations=steps,
            form=self.form,
        )


def _with_constant(rows: Tensor) -> Tensor:
    """float64 rows with the constant 1 appended, and zeros up to an aligned width.

    Zero columns keep weight 0; the matrix products are twice as fast on aligned rows.
    """
    count, width = rows.shape
    padded = rows.new_zeros(count, ALIGNMENT * (width // ALIGNMENT + 1), dtype=torch.float64)
    padded[:, :width] = rows
    padded[:, width] = 1
    return padded
