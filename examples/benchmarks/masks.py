"""How fast masks are drawn, against a plain drawing loop with the same distribution.

Run with ``python examples/benchmarks/masks.py``. All figures come from one run in which the sides
take turns: the best of several rounds, in CPU time of one core, which other processes disturb
less than wall time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import click
import numpy as np
import torch
from PIL import Image, ImageDraw

from facemask_inpaint import MixedMaskSampler, SemanticMasker, data
from facemask_inpaint.masks import freeform

COUNTS = {"mat": (5, 3, 9), "comodgan": (10, 5, 20)}
"""Small boxes, large boxes and strokes at 512 pixels, each below the given number."""


def plain_boxes(hole: np.ndarray, below: int, count: int, rng: np.random.Generator) -> None:
    """Boxes with sides under ``below``, one draw at a time."""
    size = len(hole)
    for _ in range(count):
        width, height = int(rng.integers(below)), int(rng.integers(below))
        left = int(rng.integers(-(width // 2), size - width + width // 2))
        top = int(rng.integers(-(height // 2), size - height + height // 2))
        hole[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = True


def plain_strokes(size: int, below: int, rng: np.random.Generator) -> np.ndarray:
    """Zig-zag strokes on a Pillow canvas, one draw at a time."""
    canvas = Image.new("L", (size, size))
    draw = ImageDraw.Draw(canvas)
    mean = math.hypot(size, size) / 8
    for _ in range(rng.integers(below)):
        low = 2 * math.pi / 5 - rng.uniform(0, 2 * math.pi / 15)
        high = 2 * math.pi / 5 + rng.uniform(0, 2 * math.pi / 15)
        path = [(int(rng.integers(size)), int(rng.integers(size)))]
        for index in range(rng.integers(4, 18)):
            angle = rng.uniform(low, high)
            angle = 2 * math.pi - angle if index % 2 == 0 else angle
            length = np.clip(rng.normal(mean, mean // 2), 0, 2 * mean)
            x = np.clip(path[-1][0] + length * math.cos(angle), 0, size)
            y = np.clip(path[-1][1] + length * math.sin(angle), 0, size)
            path.append((int(x), int(y)))
        width = int(rng.uniform(12, 48))
        draw.line(path, fill=1, width=width)
        for x, y in path:
            corners = (x - width // 2, y - width // 2, x + width // 2, y + width // 2)
            draw.ellipse(corners, fill=1)
    for flip in (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_LEFT_RIGHT):
        if rng.random() < 0.5:
            canvas = canvas.transpose(flip)
    return np.asarray(canvas, dtype=bool)


def plain_mask(size: int, rng: np.random.Generator, counts: tuple[int, int, int]) -> np.ndarray:
    """What MAT and Co-Mod-GAN are trained with, written the obvious way."""
    small, large, strokes = counts
    while True:
        hole = np.zeros((size, size), dtype=bool)
        plain_boxes(hole, size // 2, rng.integers(small), rng)
        plain_boxes(hole, size, rng.integers(large), rng)
        hole |= plain_strokes(size, strokes, rng)
        if 0 < hole.mean() < 1:
            return hole


def seconds_per_call(calls: dict[str, Callable[[int], object]], repeats: int) -> dict[str, float]:
    """Best mean time of each call over seven rounds in which all take turns."""
    best = dict.fromkeys(calls, math.inf)
    for _ in range(7):
        for name, call in calls.items():
            start = time.process_time()
            for number in range(repeats):
                call(number)
            best[name] = min(best[name], (time.process_time() - start) / repeats)
    return best


def draw_seeded(draw: freeform.HoleGenerator, size: int, seed: int) -> np.ndarray:
    """One mask from a generator of random numbers of its own, as in training."""
    return draw(size, np.random.default_rng(seed))


def compare_generators(size: int, repeats: int) -> None:
    """Print masks per second of the library and of the plain loop."""
    print(f"{'masks per second at ' + str(size):28}{'plain loop':>12}{'library':>12}{'ratio':>8}")
    for name, counts in COUNTS.items():
        sides = {"plain": partial(plain_mask, counts=counts), "library": freeform.GENERATORS[name]}
        seconds = seconds_per_call(
            {side: partial(draw_seeded, draw, size) for side, draw in sides.items()}, repeats
        )
        plain, library = 1 / seconds["plain"], 1 / seconds["library"]
        print(f"{name:28}{plain:12.0f}{library:12.0f}{library / plain:8.1f}")


def time_sampler(size: int, repeats: int) -> None:
    """Print what one call of the mixed sampler and of the masker takes."""
    labels = data.sample(512).label_map
    samplers = {share: MixedMaskSampler(size, share) for share in (0.0, 0.5, 1.0)}
    calls: dict[str, Callable[[int], object]] = {
        f"sampler, {share:.0%} semantic": lambda number, draw=sampler: draw(labels, index=number)
        for share, sampler in samplers.items()
    }
    masker = SemanticMasker()
    for name in masker.classes:
        calls[f"masker, {name}"] = lambda _, name=name: masker(labels, name, size=size)
    print(f"\n{'512 label map to ' + str(size):28}{'ms per call':>12}")
    for name, seconds in seconds_per_call(calls, repeats).items():
        print(f"{name:28}{1000 * seconds:12.2f}")


def time_resolutions(repeats: int) -> None:
    """Print nanoseconds per pixel of the masker for label maps of growing size."""
    masker, portrait = SemanticMasker(), Image.fromarray(data.sample(512).label_map)
    classes = ("eyes", "hair", "head")
    print(f"\n{'ns per pixel of a label map':28}" + "".join(f"{name:>12}" for name in classes))
    for side in (256, 512, 1024, 2048):
        labels = np.asarray(portrait.resize((side, side), Image.Resampling.NEAREST))
        calls = {name: partial(masker, labels, name) for name in classes}
        seconds = seconds_per_call(
            {name: lambda _, call=call: call() for name, call in calls.items()},
            max(1, repeats * 256**2 // side**2),
        )
        print(f"{side:<28}" + "".join(f"{1e9 * s / side**2:12.1f}" for s in seconds.values()))


@click.command()
@click.option("--size", default=512, show_default=True, help="Side of the masks.")
@click.option("--repeats", default=100, show_default=True, help="Calls per round.")
def main(size: int, repeats: int) -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    compare_generators(size, repeats)
    time_sampler(size, repeats)
    time_resolutions(repeats)


if __name__ == "__main__":
    main()
