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

from facemask_inpaint.models.layers.float32 import upcast

CHUNK = 64
SAFE_EXPONENT = 60.0
"""Largest exponent that the factors of a chunk may have; float32 ends at 88."""

GATE_RANK = 16
GATE_NORMALISER = 16.0
NORM_EPS = 1e-6


def recurrent(q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor) -> Tensor:
    """Compute the attention token by token, as it is defined.

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
    """Compute the same attention by matrix products over chunks of tokens.

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
    if chunk < 2:
        return recurrent(q, k, v, log_gate)
    leading, tokens = q.shape[:-2], q.shape[-2]
    queries, keys, values, decay = (_in_chunks(x, chunk) for x in (q, k, v, log_gate))
    decay = decay.cumsum(1)
    centre, last = decay[:, chunk // 2 - 1 : chunk // 2], decay[:, -1:]
    # Decay only grows, so the ends of a chunk are farthest from its centre.
    if torch.maximum(decay[:, :1] - centre, centre - last).amax() > SAFE_EXPONENT:
        return chunked(q, k, v, log_gate, chunk=chunk // 2)
    factor = (decay - centre).exp_()
    queries, keys = queries * factor, keys / factor
    # Triangles are cut, not multiplied: what is above them may be infinite.
    scores = torch.bmm(queries, keys.mT).tril_()
    if (count := -(-tokens // chunk)) == 1:
        outputs = torch.bmm(scores, values)
    else:
        added = torch.bmm(keys.mT, values) * (last - centre).exp().mT
        parts = added, last.exp().mT
        states = _states(*(torch.unflatten(part, 0, (-1, count)) for part in parts))
        carried = torch.bmm(queries, states.flatten(0, 1) * centre.exp().mT)
        outputs = torch.baddbmm(carried, scores, values)
    return outputs.reshape(*leading, count * chunk, -1)[..., :tokens, :]


def _in_chunks(x: Tensor, chunk: int) -> Tensor:
    """``(B * M, chunk, D)`` of tokens ``(..., T, D)``, zeros added at the end if need be."""
    missing = -x.shape[-2] % chunk
    return (F.pad(x, (0, 0, 0, missing)) if missing else x).reshape(-1, chunk, x.shape[-1])


def _states(added: Tensor, kept: Tensor) -> Tensor:
    """State ``(B, M, K, V)`` before each chunk.

    Args:
        added: ``(B, M, K, V)``, what each chunk adds.
        kept: ``(B, M, K, 1)``, what each keeps of the state before it.
    """
    states = [torch.zeros_like(added[:, 0])]
    for more, share in zip(added.unbind(1)[:-1], kept.unbind(1)[:-1]):
        states.append(torch.addcmul(more, share, states[-1]))
    return torch.stack(states, 1)


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
        """Return ``(N, h, w, C)`` for a map of this shape."""
        _, h, w, _ = x.shape
        tokens = x.flatten(1, 2)
        log_gate = F.logsigmoid(self._heads(self.gk_proj(tokens))) / GATE_NORMALISER
        query, key, value = (
            self._heads(project(tokens)) for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended = chunked(query * query.shape[-1] ** -0.5, key, value, log_gate)
        gate = F.silu(self._heads(self.g_proj(tokens)))
        gated = rearrange(self.g_norm_swish_gate(attended) * gate, "n k t d -> n t (k d)")
        x = self.o_proj(gated.to(x.dtype)).unflatten(1, (h, w))
        return x

    def _heads(self, x: Tensor) -> Tensor:
        """``(N, heads, T, D)``, at least float32, of ``(N, T, heads * D)``."""
        return upcast(rearrange(x, "n t (k d) -> n k t d", k=self.heads))


class HeadNorm(nn.Module):
    """Root-mean-square normalisation of every head's channels, with weights that all share."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis of ``(..., C)``."""
        power = x.square().mean(-1, keepdim=True)
        return x * (power + NORM_EPS).rsqrt() * self.weight.to(x.dtype)
