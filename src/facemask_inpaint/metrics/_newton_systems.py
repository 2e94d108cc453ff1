"""The linear systems of Newton's method for a linear support vector machine.

``(I + 2 cost X_A^T X_A) p = target``, where A are the rows inside the margin, the active ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from facemask_inpaint.errors import FacemaskInpaintError
from facemask_inpaint.metrics._linear_algebra import gram, lower_gram, spectral_norm

LOOSE = 0.1
"""Accuracy that suffices while rows still enter and leave A."""

_MAX_CONJUGATE_GRADIENT_STEPS = 40
_MAX_GUESSES = 40
_TOLERATED = 3  # rows that may have entered or left since a primal system was factorised
_BORDER = 12  # a kernel system is factorised anew when more than one row in so many has


class ConvergenceError(FacemaskInpaintError, ArithmeticError):
    """The optimum of a support vector machine was not reached, so no score can be given."""


class NewtonSystem(ABC):
    """Solves the systems of changing A by a float32 factor.

    Conjugate gradients in float64 correct the solution; a factor that does not help them is
    replaced by one in float64, for good.

    Args:
        rows: ``(N, d)`` float64.
        cost: weight of the losses.
    """

    def __init__(self, rows: Tensor, cost: float) -> None:
        self.rows, self.cost = rows, cost
        self.dtype = torch.float32
        self._active = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
        self._selected: Tensor | slice = slice(None)
        self._selection = rows
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Compute, in :attr:`dtype`, what does not depend on A."""

    @abstractmethod
    def factorise(self, active: Tensor) -> bool:
        """Make ready for these rows; False where the system is numerically singular."""

    @abstractmethod
    def corrected(self, active: Tensor, target: Tensor, accuracy: float | None) -> Tensor | None:
        """Solve with the help of the factor; None where conjugate gradients do not get there."""

    def first_guess(self, sign: Tensor) -> Tensor:
        """Return weights ``(d,)`` to start from.

        Args:
            sign: ``(N,)``, +1 or -1.
        """
        return self.rows.new_zeros(self.rows.shape[1])

    def solve(self, active: Tensor, target: Tensor, accuracy: float | None) -> Tensor:
        """Return p.

        Args:
            active: ``(N,)`` bool, the rows A.
            target: ``(d,)``.
            accuracy: largest norm of the residual, relative to the target's; ``None`` takes what
                the factor gives.

        Raises:
            ConvergenceError: the accuracy cannot be reached.
        """
        if not active.any():
            return target
        solution = self.corrected(active, target, accuracy) if self.factorise(active) else None
        if solution is not None:
            return solution
        if self.dtype == torch.float64:
            raise ConvergenceError("the features are too ill-conditioned for float64")
        self.dtype = torch.float64
        self.prepare()
        return self.solve(active, target, accuracy)

    def active_rows(self, active: Tensor) -> tuple[Tensor, Tensor | slice]:
        """Return rows among which are all active ones, and their numbers.

        Args:
            active: ``(N,)`` bool.
        """
        if not torch.equal(active, self._active):
            few = 2 * int(active.sum()) < len(active)
            self._selected = active.nonzero()[:, 0] if few else slice(None)
            self._selection = self.rows[self._selected]
            self._active = active
        return self._selection, self._selected


class PrimalSystem(NewtonSystem):
    """Systems as wide as the rows, for many rows."""

    def prepare(self) -> None:
        """Compute ``X^T X``."""
        self._low = self.rows.to(self.dtype)
        self._all = lower_gram(self._low)
        self._gram, self._members = self._all, torch.ones_like(self._active)
        self._factor: Tensor | None = None

    def factorise(self, active: Tensor) -> bool:
        """Factorise ``I + 2 cost X_A^T X_A``, unless A is about what it was."""
        changed = int((active != self._members).sum())
        if self._factor is not None and changed <= _TOLERATED:
            return True
        self._gram, self._members = self._updated_gram(active, changed), active
        matrix = 2 * self.cost * self._gram
        matrix.diagonal().add_(1)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        self._factor = None if int(failed) else factor
        return self._factor is not None

    def corrected(self, active: Tensor, target: Tensor, accuracy: float | None) -> Tensor | None:
        """Solve; see :meth:`NewtonSystem.corrected`."""
        assert self._factor is not None  # factorise came first
        factor = self._factor
        if accuracy is None:
            return _cholesky_solve(target, factor)
        rows, numbers = self.active_rows(active)
        weight = 2 * self.cost * active[numbers].to(rows)
        return _conjugate_gradient(
            lambda v: v + rows.mT @ (weight * (rows @ v)),
            lambda v: _cholesky_solve(v, factor),
            target,
            accuracy * float(target.norm()),
        )

    def _updated_gram(self, active: Tensor, changed: int) -> Tensor:
        """Lower half of ``X_A^T X_A``, from the rows of A or from those that entered or left."""
        if bool(active.all()):
            return self._all
        if changed > int(active.sum()):
            return lower_gram(self._low[active])
        entered, left = active & ~self._members, self._members & ~active
        return self._gram + lower_gram(self._low[entered]) - lower_gram(self._low[left])


class KernelSystem(NewtonSystem):
    """Systems of the active rows, for fewer rows than columns.

    By Woodbury's identity ``p = target - X_A^T z``, where ``(X_A X_A^T + I / (2 cost)) z = X_A
    target``.
    """

    def prepare(self) -> None:
        """Compute ``X X^T``."""
        kernel = gram(self.rows.to(self.dtype).mT)
        self._norm = float(spectral_norm(kernel)) ** 0.5
        self._kernel = _BorderedKernel(kernel, 1 / (2 * self.cost))

    @property
    def matrix(self) -> Tensor:
        """``X X^T``, in :attr:`dtype`."""
        return self._kernel.matrix

    def first_guess(self, sign: Tensor) -> Tensor:
        """Run Newton's method for ``w = X^T b`` in float32, until few rows enter or leave A.

        Args:
            sign: ``(N,)``, +1 or -1.
        """
        kernel = self._kernel.matrix
        sign = sign.to(kernel)
        dual, decisions = torch.zeros_like(sign), torch.zeros_like(sign)
        before = None
        for _ in range(_MAX_GUESSES):
            slack = 1 - sign * decisions
            active, loss = slack > 0, slack.clamp_min(0)
            settled = before is not None and int((active != before).sum()) <= len(sign) // 100
            if settled or not self._kernel.factorise(active):
                break
            change = self._kernel.solve(sign) - dual
            speed = kernel @ change
            slope = decisions @ change - 2 * self.cost * (sign * loss) @ speed
            if not slope < 0:
                break
            length = exact_step(slope, change @ speed, slack, sign * speed, self.cost)
            dual, decisions = dual + length * change, decisions + length * speed
            before = active
        return self.rows.mT @ dual.to(self.rows)

    def factorise(self, active: Tensor) -> bool:
        """Factorise; see :meth:`NewtonSystem.factorise`."""
        return self._kernel.factorise(active)

    def corrected(self, active: Tensor, target: Tensor, accuracy: float | None) -> Tensor | None:
        """Solve; see :meth:`NewtonSystem.corrected`."""
        mask = active.to(self.rows)
        dual = _conjugate_gradient(
            lambda v: mask * (self.rows @ (self.rows.mT @ v)) + v / (2 * self.cost),
            self._kernel.solve,
            mask * (self.rows @ target),
            (accuracy or LOOSE) * float(target.norm()) / (2 * self.cost * self._norm),
        )
        return None if dual is None else target - self.rows.mT @ dual


class _BorderedKernel:
    """Solves ``(K_AA + ridge I) z = v`` for changing A.

    Rows F were factorised. The few that have entered since, and the constraint that z is 0 where
    rows have left, border the system, and their Schur complement is small.
    """

    def __init__(self, matrix: Tensor, ridge: float) -> None:
        self.matrix, self._ridge = matrix, ridge
        self._factored: Tensor | None = None
        self._active: Tensor | None = None

    def factorise(self, active: Tensor) -> bool:
        if self._active is not None and torch.equal(active, self._active):
            return True
        changed = None if self._factored is None else int((active != self._factored).sum())
        failed = 0
        if changed is None or changed > int(active.sum()) // _BORDER:
            self._rows = active.nonzero()[:, 0]
            matrix = self._part(self._rows, self._rows)
            matrix.diagonal().add_(self._ridge)
            self._factor, info = torch.linalg.cholesky_ex(matrix)
            self._factored, failed = active, int(info)
        self._set_border(active)
        self._active = None if failed else active
        return not failed

    def solve(self, vector: Tensor) -> Tensor:
        """Return ``(N,)``, 0 outside A; of the vector ``(N,)`` only A counts."""
        low = vector.to(self._factor)
        inner = _cholesky_solve(low[self._rows], self._factor)
        solution = torch.zeros_like(low)
        if self._border.shape[1]:
            outer = torch.cat([low[self._entered], low.new_zeros(len(self._left))])
            outer = torch.linalg.solve(self._schur, outer - self._border.mT @ inner)
            inner = inner - self._influence @ outer
            solution[self._entered] = outer[: len(self._entered)]
        solution[self._rows] = inner
        solution[self._left] = 0
        return solution.to(vector)

    def _set_border(self, active: Tensor) -> None:
        assert self._factored is not None  # factorise has set it
        self._entered = (active & ~self._factored).nonzero()[:, 0]
        self._left = (self._factored & ~active).nonzero()[:, 0]
        identity = self.matrix.new_zeros(len(self._rows), len(self._left))
        identity[torch.searchsorted(self._rows, self._left), torch.arange(len(self._left))] = 1
        self._border = torch.cat([self._part(self._rows, self._entered), identity], dim=1)
        self._influence = torch.cholesky_solve(self._border, self._factor)
        self._schur = -self._border.mT @ self._influence
        corner = self._schur[: len(self._entered), : len(self._entered)]
        corner += self._part(self._entered, self._entered)
        corner.diagonal().add_(self._ridge)

    def _part(self, rows: Tensor, columns: Tensor) -> Tensor:
        return self.matrix.index_select(0, rows).index_select(1, columns)


def _cholesky_solve(vector: Tensor, factor: Tensor) -> Tensor:
    """Solve in the factor's precision."""
    return torch.cholesky_solve(vector.to(factor)[:, None], factor)[:, 0].to(vector)


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


def _conjugate_gradient(
    operator: Callable[[Tensor], Tensor],
    inverse: Callable[[Tensor], Tensor],
    target: Tensor,
    goal: float,
) -> Tensor | None:
    """Preconditioned conjugate gradients to a residual of ``goal``; None when that is not reached.

    With an inverse that is exact but for rounding this takes one step or two.
    """
    solution = torch.zeros_like(target)
    residual = target
    preconditioned = inverse(residual)
    direction = preconditioned
    energy = residual @ preconditioned
    for _ in range(_MAX_CONJUGATE_GRADIENT_STEPS):
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
