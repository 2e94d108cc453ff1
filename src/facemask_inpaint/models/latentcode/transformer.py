"""The bidirectional transformer over an image's codes.

Known codes see each other; an unknown cell sees them and itself, but no
other unknown cell.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class CodeTransformer(nn.Module):
    """Scores of all codes for every cell, from the cells whose codes are known.

    Args:
        cells: number of cells.
        codes: size of the codebook.
        width: channels of a token.
        depth: number of blocks.
        heads: heads of each attention, a divisor of ``width``.
    """

    def __init__(self, cells: int, codes: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        # Word 0 stands for an unknown code and opens the sequence, word c + 1 for code c.
        self.words = nn.Embedding(codes + 1, width)
        self.places = nn.Parameter(torch.empty(1, cells + 1, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, codes, bias=False)
        nn.init.normal_(self.words.weight, std=0.02)
        nn.init.normal_(self.places, std=0.02)

    def forward(self, codes: Tensor, known: Tensor) -> Tensor:
        """Score the codes of all cells.

        No keys can be kept from one call to the next: known cells attend to each other, so one
        more of them changes all.

        Args:
            codes: ``(N, cells)`` int64, in reading order; ignored where not known.
            known: ``(N, cells)`` bool.

        Returns:
            Logits ``(N, cells, codes)``.
        """
        words = F.pad(torch.where(known, codes + 1, 0), (1, 0))
        x = self.words(words) + self.places
        seen = F.pad(known, (1, 0), value=True)
        itself = torch.eye(seen.shape[1], dtype=torch.bool, device=seen.device)
        attends = seen[:, None, None, :] | itself
        for block in self.blocks:
            x = block(x, attends)
        output: Tensor = self.head(self.norm(x[:, 1:]))
        return output


class Block(nn.Module):
    """Attention and a perceptron, each behind a normalisation, each with a shortcut.

    Args:
        width: channels of a token.
        heads: heads of the attention, a divisor of ``width``.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, attends: Tensor) -> Tensor:
        """Map tokens ``(N, L, C)`` to the same; ``attends`` ``(N, 1, L, L)`` says to which keys."""
        x = x + self.proj(self.attend(self.norm1(x), attends))
        x = x + self.contract(F.gelu(self.expand(self.norm2(x))))
        return x

    def attend(self, x: Tensor, attends: Tensor) -> Tensor:
        """Return the mixed values ``(N, L, C)`` of all heads, side by side."""
        parts = {"part": 3, "heads": self.heads}
        qkv = rearrange(self.qkv(x), "n l (part heads c) -> part n heads l c", **parts)
        query, key, value = qkv.unbind()
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=attends)
        return rearrange(mixed, "n heads l c -> n l (heads c)")
