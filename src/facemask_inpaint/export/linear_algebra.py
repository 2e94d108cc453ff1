"""Linear algebra of symmetric positive definite matrices as ONNX operators.

ONNX has no operators for it and PyTorch's exporter no translation. Here the columns of a matrix are
walked over with ``Scan``, so that a graph has a few nodes whatever the size. The arithmetic is in
float64: for matrices of some dozens of rows it costs nothing, and float32 would lose digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import DOUBLE, FLOAT, graph, script
from onnxscript import opset18 as op

_FLOAT32, _FLOAT64 = 1, 11


@script()  # type: ignore[untyped-decorator]
def cholesky(matrix: FLOAT[...]) -> DOUBLE[...]:
    """Factorise ``(N, K, K)``: each column of the lower factor takes its outer product away."""

    @graph()  # type: ignore[untyped-decorator]
    def take_column(rest: DOUBLE[...], unit: DOUBLE[...], below: DOUBLE[...]):  # type: ignore[no-untyped-def]
        column = op.ReduceSum(rest * unit, op.Constant(value_ints=[-1]), keepdims=0)
        pivot = op.ReduceSum(column * unit, op.Constant(value_ints=[-1]), keepdims=1)
        scaled = column * below / op.Sqrt(pivot)
        as_column = op.Unsqueeze(scaled, op.Constant(value_ints=[2]))
        as_row = op.Unsqueeze(scaled, op.Constant(value_ints=[1]))
        return rest - as_column * as_row, scaled

    size = op.Shape(matrix, start=2, end=3)
    ones = op.Expand(op.Constant(value_float=1.0), op.Concat(size, size, axis=0))
    units = op.Cast(op.EyeLike(ones), to=11)
    below = op.Cast(op.Trilu(ones, upper=1), to=11)
    wide = op.Cast(matrix, to=11)
    _rest, columns = op.Scan(wide, units, below, body=take_column, num_scan_inputs=2)
    return op.Transpose(columns, perm=[1, 2, 0])


@script()  # type: ignore[untyped-decorator]
def solve_lower(factor: DOUBLE[...], right: DOUBLE[...]) -> DOUBLE[...]:
    """Divide a lower triangular ``(N, K, K)`` out of ``(N, K, M)``, row by row."""

    @graph()  # type: ignore[untyped-decorator]
    def eliminate(rest: DOUBLE[...], column: DOUBLE[...], unit: DOUBLE[...]):  # type: ignore[no-untyped-def]
        wide = op.Unsqueeze(column, op.Constant(value_ints=[2]))
        pick = op.Unsqueeze(unit, op.Constant(value_ints=[1]))
        pivot = op.ReduceSum(wide * pick, op.Constant(value_ints=[1]), keepdims=1)
        row = op.ReduceSum(rest * pick, op.Constant(value_ints=[1]), keepdims=1) / pivot
        return rest - wide * row, op.Squeeze(row, op.Constant(value_ints=[1]))

    size = op.Shape(factor, start=2, end=3)
    ones = op.Expand(op.Constant(value_float=1.0), op.Concat(size, size, axis=0))
    units = op.Cast(op.EyeLike(ones), to=11)
    columns = op.Transpose(factor, perm=[2, 0, 1])
    _rest, rows = op.Scan(right, columns, units, body=eliminate, num_scan_inputs=2)
    return op.Transpose(rows, perm=[1, 0, 2])


def _solve_upper(factor: Any, right: Any) -> Any:
    """Divide an upper triangular ``(N, K, K)`` out: seen from the last row, it is a lower one."""
    lower = _reversed(_reversed(factor, 1), 2)
    return _reversed(solve_lower(lower, _reversed(right, 1)), 1)


def _reversed(values: Any, axis: int) -> Any:
    """The values with the last of an axis first."""
    last, before_first = op.Constant(value_ints=[-1]), op.Constant(value_ints=[-(2**63) + 1])
    return op.Slice(values, last, before_first, op.Constant(value_ints=[axis]), last)


def _translate_cholesky(matrix: Any, upper: bool = False, check_errors: bool = False) -> Any:
    """``torch.linalg.cholesky_ex``: the lower factor, and a status that nobody reads."""
    return op.Cast(cholesky(matrix), to=_FLOAT32), op.Constant(value_int=0)


def _translate_cholesky_solve(right: Any, factor: Any, upper: bool = False) -> Any:
    """``torch.cholesky_solve`` for a lower factor."""
    return op.Cast(_solve_both(op.Cast(factor, to=_FLOAT64), right), to=_FLOAT32)


def _translate_solve(
    matrix: Any, right: Any, left: bool = True, check_errors: bool = False
) -> tuple[Any, ...]:
    """``torch.linalg.solve`` of a positive definite matrix, which needs no pivots."""
    vector = len(right.shape) < len(matrix.shape)
    last = op.Constant(value_ints=[-1])
    columns = op.Unsqueeze(right, last) if vector else right
    solved = op.Cast(_solve_both(cholesky(matrix), columns), to=_FLOAT32)
    status = op.Constant(value_int=0)
    return (op.Squeeze(solved, last) if vector else solved), matrix, status, status


def _translate_triangular(
    matrix: Any,
    right: Any,
    upper: bool = False,
    left: bool = True,
    unitriangular: bool = False,
) -> Any:
    """``torch.linalg.solve_triangular`` from the left."""
    solve = _solve_upper if upper else solve_lower
    wide = (op.Cast(part, to=_FLOAT64) for part in (matrix, right))
    return op.Cast(solve(*wide), to=_FLOAT32)


def _solve_both(factor: Any, right: Any) -> Any:
    """Divide ``factor @ factor.T`` out of a float32 ``(N, K, M)``."""
    half = solve_lower(factor, op.Cast(right, to=_FLOAT64))
    return _solve_upper(op.Transpose(factor, perm=[0, 2, 1]), half)


_ATEN = torch.ops.aten

TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    _ATEN.linalg_cholesky_ex.default: _translate_cholesky,
    _ATEN.cholesky_solve.default: _translate_cholesky_solve,
    _ATEN._linalg_solve_ex.default: _translate_solve,
    _ATEN.linalg_solve_triangular.default: _translate_triangular,
}
"""For ``torch.onnx.export``: operators of PyTorch, and the functions that write them in ONNX."""
