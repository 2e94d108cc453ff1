"""How much faster gated linear attention in chunks is than its recurrence, token by token.

Both sides run in this process on one thread, at the sizes of PixelHacker's layers for an image of
512 x 512; what counts is CPU time, the best of several runs. The last column is the largest
difference, in units of the largest answer.

Example: ``python examples/benchmarks/gated_linear_attention.py``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask_inpaint.models.layers.gated_linear_attention import (
    GATE_NORMALISER,
    chunked,
    recurrent,
)

HEADS = 8
LAYERS = ((5, 64, 320), (5, 32, 640), (5, 16, 1280), (1, 8, 1280))
"""How many layers of the network see a map of which side and how many channels."""


def inputs(side: int, channels: int) -> tuple[Tensor, ...]:
    """Queries, keys, values and gates like those of a layer."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, HEADS, side**2)
    q, k, logits = (
        torch.randn(*shape, channels // 16, generator=generator) + shift for shift in (0.5, 0.5, 3)
    )
    v = torch.randn(*shape, channels // 8, generator=generator)
    return q * q.shape[-1] ** -0.5, k, v, F.logsigmoid(logits) / GATE_NORMALISER


def seconds(call: Callable[[], Tensor], repeats: int) -> float:
    """CPU time of a call, the best of several."""
    call()
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    print("tokens  keys  values  recurrence ms  chunks ms  ratio  difference")
    slow = fast = 0.0
    with torch.inference_mode():
        for count, side, channels in LAYERS:
            given = inputs(side, channels)
            before = seconds(lambda given=given: recurrent(*given), repeats)
            after = seconds(lambda given=given: chunked(*given), repeats)
            expected = recurrent(*(x.double() for x in given))
            apart = ((chunked(*given) - expected).abs().max() / expected.abs().max()).item()
            print(
                f"{side**2:6d} {channels // 16:5d} {channels // 8:7d} {1e3 * before:14.1f} "
                f"{1e3 * after:10.1f} {before / after:6.1f}  {apart:10.1e}"
            )
            slow, fast = slow + count * before, fast + count * after
    print(f"all {sum(count for count, *_ in LAYERS)} layers of a call: {slow / fast:.1f} times")


if __name__ == "__main__":
    main()
