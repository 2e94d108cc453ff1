"""The exact linear support vector machine behind P-IDS and U-IDS.

Minimises, over weights that include the bias (a constant feature 1 is appended to every row),

    J(w) = 1/2 |w|^2 + cost * sum_i max(0, 1 - s_i w.x_i)^2,        s_i = +1 or -1.

J is strictly convex with a piecewise constant Hessian, so the optimum is unique and semismooth
Newton with an exact line search ends after a few steps (Keerthi & DeCoste 2005; Chapelle 2007,
"Training a support vector machine in the primal"). scikit-learn's ``LinearSVC(dual=False)``
stops near the same optimum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from facemask_inpaint.errors import FacemaskInpaintError
from facemask_inpaint.metrics._linear_algebra import lower_gram

MAX_NEWTON_STEPS = 200
MAX_CONJUGATE_GRADIENT_STEPS = 40
ALIGNMENT = 16  # columns
# Below this relative gradient a stagnating norm is rounding, above it a failure.
ROUNDING_FLOOR = 1e-8


class ConvergenceError(FacemaskInpaintError, ArithmeticError):
    """The optimum of a support vector machine was not reached, so no score can be given."""


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
        # A kernel step factorises in float64, a primal one in float32 at half the cost.
        kernel_is_cheaper = 2 * count**3 <= self.rows.shape[1] ** 3
        self.form = form or ("kernel" if kernel_is_cheaper else "primal")
        kind = _KernelSystem if self.form == "kernel" else _PrimalSystem
        self._system: _NewtonSystem = kind(self.rows, cost)
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
        weight = self.rows.new_zeros(self.rows.shape[1])
        previous = start = float("inf")
        for step in range(MAX_NEWTON_STEPS):
            slack = 1 - sign * (self.rows @ weight)
            active = slack > 0
            loss = slack.clamp_min(0)
            gradient = weight - 2 * self.cost * (self.rows.mT @ (sign * loss))
            norm = float(gradient.norm())
            start = norm if step == 0 else start
            if self._converged(norm, previous, start, float(loss.norm()), tolerance):
                return self._hyperplane(weight, loss, norm / start if step else 0.0, step)
            # Loose far from the optimum, tight near it: superlinear convergence at least cost.
            accuracy = min(0.1, (norm / start) ** 0.5)
            change = self._system.solve(active, -gradient, accuracy)
            weight = weight + change * self._step(weight, change, gradient, sign, slack)
            previous = norm
        raise ConvergenceError(
            f"{MAX_NEWTON_STEPS} Newton steps left a relative gradient of {norm / start:.1e}, "
            f"above the tolerance {tolerance:.1e}; check the features for extreme values"
        )

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

    def _step(
        self, weight: Tensor, change: Tensor, gradient: Tensor, sign: Tensor, slack: Tensor
    ) -> Tensor:
        speed = sign * (self.rows @ change)
        return exact_step(gradient @ change, change @ change, slack, speed, self.cost)

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


def exact_step(
    slope: Tensor, curvature: Tensor, slack: Tensor, speed: Tensor, cost: float
) -> Tensor:
    """Find the minimiser t > 0 of J along a descent direction, without iterating.

    ``J'(t) = slope + curvature t - 2 cost sum_i u_i (max(0, r_i - t u_i) - max(0, r_i))`` is
    increasing and piecewise linear, with a kink where a row enters or leaves the margin. The
    kinks are sorted, J' is summed up from kink to kink, and the zero lies in the first piece
    that ends above it.

    Args:
        slope: J'(0) < 0, scalar.
        curvature: squared norm of the direction, scalar.
        slack: ``(N,)`` r = 1 - s f at t = 0.
        speed: ``(N,)`` u = s times the change of f along the direction.
        cost: weight of the losses.
    """
    active = slack > 0
    pull = 2 * cost * speed**2
    crosses = torch.where(active, speed > 0, speed < 0)
    times, order = torch.sort(slack[crosses] / speed[crosses])
    jumps = torch.where(active[crosses], -pull[crosses], pull[crosses])[order]
    zero = times.new_zeros(1)
    second = curvature + pull[active].sum() + torch.cat([zero, jumps.cumsum(0)])
    second = torch.maximum(second, curvature)  # rounding must not undercut the penalty's part
    times = torch.cat([zero, times])
    first = slope + torch.cat([zero, (second[:-1] * times.diff()).cumsum(0)])
    piece = torch.searchsorted(first, zero, right=False).clamp_min(1) - 1
    return (times - first / second)[piece].squeeze(0)


class _NewtonSystem(Protocol):
    """Solves ``(I + 2 cost X_A^T X_A) p = target`` for the rows A marked active."""

    def solve(self, active: Tensor, target: Tensor, accuracy: float) -> Tensor:
        """``p`` with a residual of at most ``accuracy`` times the target's norm."""


class _PrimalSystem:
    """(d+1)-sized Cholesky factor in float32, corrected by conjugate gradients in float64."""

    def __init__(self, rows: Tensor, cost: float) -> None:
        self.rows, self.cost = rows, cost
        self._gram = _ActiveGram(rows.float())

    def solve(self, active: Tensor, target: Tensor, accuracy: float) -> Tensor:
        operator = _hessian(self.rows, active, self.cost)
        inverse = self._inverse(active)
        solution = _conjugate_gradient(operator, inverse, target, accuracy) if inverse else None
        if solution is None and self._gram.rows.dtype != torch.float64:
            # The features are too ill-conditioned for float32; stay in float64 from here on.
            self._gram = _ActiveGram(self.rows)
            return self.solve(active, target, accuracy)
        if solution is None:
            raise ConvergenceError("the features are too ill-conditioned for float64")
        return solution

    def _inverse(self, active: Tensor) -> Callable[[Tensor], Tensor] | None:
        matrix = 2 * self.cost * self._gram.of(active)
        matrix.diagonal().add_(1)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if failed:
            return None
        return lambda v: torch.cholesky_solve(v.to(factor)[:, None], factor)[:, 0].double()


class _ActiveGram:
    """Lower half of ``X_A^T X_A``, kept current by the rows that enter and leave A."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self._all = lower_gram(rows)
        self._active: Tensor | None = None
        self._matrix = self._all

    def of(self, active: Tensor) -> Tensor:
        if self._active is None or bool(active.all()):
            self._active, self._matrix = torch.ones_like(active), self._all
        changed = int((active != self._active).sum())
        if changed > int(active.sum()):
            self._matrix = lower_gram(self.rows[active])
        elif changed:
            entered, left = self.rows[active & ~self._active], self.rows[self._active & ~active]
            self._matrix = self._matrix + lower_gram(entered) - lower_gram(left)
        self._active = active
        return self._matrix


class _KernelSystem:
    """N-sized systems by Woodbury's identity: cheaper when there are fewer rows than columns."""

    def __init__(self, rows: Tensor, cost: float) -> None:
        self.rows, self.cost = rows, cost
        self._kernel = lower_gram(rows.mT)

    def solve(self, active: Tensor, target: Tensor, accuracy: float) -> Tensor:
        chosen = active.nonzero()[:, 0]
        rows = self.rows[chosen]
        matrix = self._kernel.index_select(0, chosen).index_select(1, chosen)
        matrix.diagonal().add_(1 / (2 * self.cost))
        factor = torch.linalg.cholesky(matrix)

        def inverse(v: Tensor) -> Tensor:
            inner = torch.cholesky_solve((rows @ v)[:, None], factor)[:, 0]
            return v - rows.mT @ inner

        operator = _hessian(self.rows, active, self.cost)
        solution = _conjugate_gradient(operator, inverse, target, accuracy)
        if solution is None:
            raise ConvergenceError("the features are too ill-conditioned for float64")
        return solution


def _with_constant(rows: Tensor) -> Tensor:
    """float64 rows with the constant 1 appended, and zeros up to an aligned width.

    Zero columns keep weight 0; the matrix products are twice as fast on aligned rows.
    """
    count, width = rows.shape
    padded = rows.new_zeros(count, ALIGNMENT * (width // ALIGNMENT + 1), dtype=torch.float64)
    padded[:, :width] = rows
    padded[:, width] = 1
    return padded


def _hessian(rows: Tensor, active: Tensor, cost: float) -> Callable[[Tensor], Tensor]:
    weight = 2 * cost * active.to(rows)
    return lambda v: v + rows.mT @ (weight * (rows @ v))


def _conjugate_gradient(
    operator: Callable[[Tensor], Tensor],
    inverse: Callable[[Tensor], Tensor],
    target: Tensor,
    accuracy: float,
) -> Tensor | None:
    """Preconditioned conjugate gradients; None when they do not get there.

    With an inverse that is exact but for rounding this takes one step or two.
    """
    solution = torch.zeros_like(target)
    residual = target
    goal = accuracy * float(target.norm())
    preconditioned = inverse(residual)
    direction = preconditioned
    energy = residual @ preconditioned
    for _ in range(MAX_CONJUGATE_GRADIENT_STEPS):
        image = operator(direction)
        length = energy / (direction @ image)
        solution = solution + length * direction
        residual = residual - length * image
        if float(residual.norm()) <= goal:
            return solution
        preconditioned = inverse(residual)
        energy, before = residual @ preconditioned, energy
        direction = preconditioned + (energy / before) * direction
    return None
