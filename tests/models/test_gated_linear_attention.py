"""Gated linear attention in chunks equals its recurrence, whatever the gates and lengths."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facemask_inpaint.models.layers.gated_linear_attention import (
    GatedLinearAttention,
    chunked,
    recurrent,
)


def _inputs(tokens: int, gate: float = 1.0, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    q, k, logits = (torch.randn(2, 3, tokens, 5, generator=generator).to(dtype) for _ in range(3))
    v = torch.randn(2, 3, tokens, 7, generator=generator).to(dtype)
    return [q, k, v, F.logsigmoid(gate * logits) / 16]


def test_the_recurrence_is_what_the_paper_defines() -> None:
    q, k, v, log_gate = _inputs(4)
    state = torch.zeros(2, 3, 5, 7, dtype=torch.float64)
    for t in range(4):
        state = torch.diag_embed(log_gate[..., t, :].exp()) @ state
        state = state + torch.einsum("...k,...v->...kv", k[..., t, :], v[..., t, :])
        expected = torch.einsum("...k,...kv->...v", q[..., t, :], state)
        torch.testing.assert_close(recurrent(q, k, v, log_gate)[..., t, :], expected)


@pytest.mark.parametrize("tokens", [1, 37, 64, 65, 200])
@pytest.mark.parametrize("chunk", [1, 16, 64])
def test_chunks_equal_the_recurrence(tokens: int, chunk: int) -> None:
    given = _inputs(tokens)
    torch.testing.assert_close(
        chunked(*given, chunk=chunk), recurrent(*given), atol=1e-12, rtol=1e-12
    )


@pytest.mark.parametrize("gate", [20.0, 100.0, 400.0, 1e4])
def test_strong_gates_leave_no_holes_in_float32(gate: float) -> None:
    given = _inputs(150, gate, torch.float32)
    expected = recurrent(*(x.double() for x in given))
    torch.testing.assert_close(chunked(*given).double(), expected, atol=1e-5, rtol=1e-5)


def test_a_gradient_passes_and_is_that_of_the_recurrence() -> None:
    gradients = []
    for attend in (recurrent, chunked):
        given = [x.requires_grad_() for x in _inputs(70)]
        gradients.append(torch.autograd.grad(attend(*given).square().sum(), given))
    for ours, expected in zip(*gradients):
        torch.testing.assert_close(ours, expected)


def test_a_token_sees_nothing_of_later_ones() -> None:
    torch.manual_seed(0)
    layer = GatedLinearAttention(32, heads=4)
    x = torch.randn(1, 4, 5, 32)
    later = x.clone()
    later[:, 2:] += 1
    with torch.no_grad():
        # Rounding alone knows of later tokens: they shift the reference of a chunk's exponents.
        torch.testing.assert_close(layer(x)[:, :2], layer(later)[:, :2], atol=1e-4, rtol=0)
