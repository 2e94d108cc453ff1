"""Linear attention with a gate that forgets, token by token or in chunks.

Yang et al., "Gated Linear Attention Transformers with Hardware-Efficient Training", ICML 2024
(arXiv 2312.06635). A state ``S`` of keys x values runs along the tokens of a head::

    S_t = diag(exp(log_gate_t)) S_{t-1} + k_t v_t^T,    o_t = S_t^T q_t
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from facemask_inpaint.models.layers.float32 import widened

CHUNK = 64
SAFE_EXPONENT = 60.0
"""Largest exponent that the factors of a chunk may have; float32 ends at 88."""

GATE_RANK = 16
GATE_NORMALISER = 16.0
NORM_EPS = 1e-6


def recurrent(q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor) -> Tensor:
    """Attention token by token, as it is defined.

    Args:
        q: ``(..., T, K)`` queries, scaled.
        k: ``(..., T, K)`` keys.
        v: ``(..., T, V)`` values.
        log_gate: ``(..., T, K)``, logarithm of what is kept of the state, at most 0.

    Returns:
        ``(..., T, V)``.
    """
    state = q.new_zeros(*q.shape[:-2], q.shape[-1], v.shape[-1])
    outputs = []
    for query, key, value, gate in zip(*(x.unbind(-2) for x in (q, k, v, log_gate.exp()))):
        state = gate[..., None] * state + key[..., None] * value[..., None, :]
        outputs.append((query[..., None, :] @ state).squeeze(-2))
    return torch.stack(outputs, -2)


def chunked(q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """The same attention by matrix products over chunks of tokens.

    Gates so strong that a chunk's factors would leave the range of float32 make chunks smaller,
    down to the recurrence.

    Args:
        q: ``(..., T, K)`` queries, scaled.
        k: ``(..., T, K)`` keys.
        v: ``(..., T, V)`` values.
        log_gate: ``(..., T, K)``, logarithm of what is kept of the state, at most 0.
        chunk: tokens that go together, a power of two.

    Returns:
        ``(..., T, V)``.
    """
    tokens = q.shape[-2]
    padding = (0, 0, 0, -tokens % chunk)
    q, k, v, log_gate = (
        rearrange(F.pad(x, padding), "... (m c) d -> ... m c d", c=chunk)
        for x in (q, k, v, log_gate)
    )
    decay = log_gate.cumsum(-2)
    centre = decay[..., chunk // 2 - 1 : chunk // 2, :]
    shifted = decay - centre
    if chunk > 1 and shifted.abs().amax() > SAFE_EXPONENT:
        q, k, v, log_gate = (x.flatten(-3, -2)[..., :tokens, :] for x in (q, k, v, log_gate))
        smaller = chunk // 2
        if smaller == 1:
            return recurrent(q, k, v, log_gate)
        return chunked(q, k, v, log_gate, chunk=smaller)
    # Keys as they are at the end of their chunk, queries as from its beginning.
    rise, fall = shifted.exp(), (-shifted).exp()
    scores = ((q * rise) @ (k * fall).transpose(-1, -2)).tril()
    last = decay[..., -1:, :]
    carried = _carried((k * (last - decay).exp()).transpose(-1, -2) @ v, last.exp())
    outputs = scores @ v + (q * decay.exp()) @ carried
    return outputs.flatten(-3, -2)[..., :tokens, :]


def _carried(added: Tensor, kept: Tensor) -> Tensor:
    """State ``(..., M, K, V)`` before each chunk.

    Args:
        added: ``(..., M, K, V)``, what each chunk adds.
        kept: ``(..., M, 1, K)``, what each keeps of the state before it.
    """
    state = torch.zeros_like(added[..., 0, :, :])
    states = []
    for more, share in zip(added.unbind(-3), kept.transpose(-1, -2).unbind(-3)):
        states.append(state)
        state = torch.addcmul(more, share, state)
    return torch.stack(states, -3)


class GatedLinearAttention(nn.Module):
    """Multi-head gated linear attention over the rows of a map, from top left to bottom right.

    The state, the gates and the normalisation are float32 at every precision.

    Args:
        channels: of the map.
        heads: of the attention; values have ``channels / heads`` channels each, keys half of it.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        keys = channels // 2
        self.q_proj = nn.Linear(channels, keys, bias=False)
        self.k_proj = nn.Linear(channels, keys, bias=False)
        self.v_proj = nn.Linear(channels, channels, bias=False)
        self.g_proj = nn.Linear(channels, channels, bias=False)
        self.gk_proj = nn.Sequential(
            nn.Linear(channels, GATE_RANK, bias=False), nn.Linear(GATE_RANK, keys)
        )
        self.g_norm_swish_gate = HeadNorm(channels // heads)
        self.o_proj = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Answer ``(N, h, w, C)`` for a map of this shape."""
        _, h, w, _ = x.shape
        tokens = x.flatten(1, 2)
        log_gate = F.logsigmoid(self._heads(self.gk_proj(tokens))) / GATE_NORMALISER
        query, key, value = (
            self._heads(project(tokens)) for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended = chunked(query * query.shape[-1] ** -0.5, key, value, log_gate)
        gate = F.silu(self._heads(self.g_proj(tokens)))
        gated = rearrange(self.g_norm_swish_gate(attended) * gate, "n k t d -> n t (k d)")
        return self.o_proj(gated.to(x.dtype)).unflatten(1, (h, w))

    def _heads(self, x: Tensor) -> Tensor:
        """``(N, heads, T, D)``, at least float32, of ``(N, T, heads * D)``."""
        return widened(rearrange(x, "n t (k d) -> n k t d", k=self.heads))


class HeadNorm(nn.Module):
    """Root-mean-square normalisation of every head's channels, with weights that all share."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        power = x.square().mean(-1, keepdim=True)
        return x * (power + NORM_EPS).rsqrt() * self.weight.to(x.dtype)
