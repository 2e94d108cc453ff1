"""What Moebius and PixelHacker cost at true size: encoder, one guided step, decoder, memory.

Weights are random: speed does not depend on them. CPU time of one thread; on a GPU wall time.
One network a process, which never forgets its memory peak.

Example: ``python examples/benchmarks/diffusion_steps.py moebius``
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from facemask_inpaint import models
from facemask_inpaint.models.layers.latent_categories import LatentCategoryNetwork, noise_schedule

SIDE = 512


def timed(name: str, call: Callable[[], Tensor], device: torch.device) -> Tensor:
    """The call's answer; its time and the peak of the process so far are printed."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    start = clock()
    answer = call()
    if device.type == "cuda":
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{name:>8} {clock() - start:8.2f} s, peak {peak:7,.0f} MiB", flush=True)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=["moebius", "pixelhacker"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    network = cast(LatentCategoryNetwork, models.create(arguments.network))
    network.to(device, getattr(torch, arguments.dtype))
    visible = (torch.rand(1, 3, SIDE, SIDE, generator=generator) * 2 - 1).to(device)
    hole = torch.zeros(1, 1, SIDE, SIDE, device=device)
    hole[..., 150:350, 150:350] = 1
    latents = network.draw_latents(1, SIDE, SIDE, generator=generator)
    latents = {name: latent.to(device) for name, latent in latents.items()}
    run = noise_schedule(20)
    with torch.inference_mode():
        known = timed("encode", lambda: network.condition(visible, hole, latents), device)
        state = network.start(run, visible, known, latents)
        seen = torch.cat([state, known], 1)
        step, scale = run.timesteps[0], network.guidance_scale
        for _ in range(2):
            timed("step", lambda: network.guided_epsilon(seen, step, scale), device)
        timed("decode", lambda: network.decode(state), device)


if __name__ == "__main__":
    main()
