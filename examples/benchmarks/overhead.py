"""What this library adds: the time of its import, and the Inpainter around a network.

Run with ``python examples/benchmarks/overhead.py``. Both figures are taken in one run: the import
as the difference between two fresh interpreters that take turns, the Inpainter as the CPU time of
the network's forward pass beside that of everything else in the same call.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import click

from facemask_inpaint import Inpainter, SemanticMasker, data, models


def import_milliseconds(rounds: int) -> float:
    """Median extra wall time of an interpreter that imports the package."""
    return 1e3 * statistics.median(
        _interpreter("import facemask_inpaint") - _interpreter("pass") for _ in range(rounds)
    )


def _interpreter(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def overhead(inpainter: Inpainter, call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median CPU seconds of the forward pass within a call, and of all else in that call."""
    marks: list[float] = []
    mark = lambda *_: marks.append(time.process_time())  # noqa: E731
    hooks = [
        inpainter.network.register_forward_pre_hook(mark),
        inpainter.network.register_forward_hook(mark),
    ]
    forwards, others = [], []
    for _ in range(rounds + 1):
        marks.clear()
        start = time.process_time()
        call()
        whole = time.process_time() - start
        forwards.append(marks[1] - marks[0])
        others.append(whole - forwards[-1])
    for hook in hooks:
        hook.remove()
    return statistics.median(forwards[1:]), statistics.median(others[1:])


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--size", type=click.Choice(["256", "512"]), default="512", show_default=True)
def main(rounds: int, size: str) -> None:
    """Print the import time, and the Inpainter's share of a call with LaMa."""
    click.echo(f"import facemask_inpaint: {import_milliseconds(3 * rounds):.0f} ms")
    sample = data.sample(int(size))
    hole = SemanticMasker()(sample.label_map, "face_oval")
    inpainter = Inpainter(models.create("lama"), device="cpu")
    for blend in ("none", "feather", "poisson"):
        call = partial(inpainter, sample.image, hole, blend=blend)
        forward, around = overhead(inpainter, call, rounds)
        click.echo(
            f"LaMa at {size}, blend={blend}: forward {forward:.3f} s, around it {around:.3f} s "
            f"({around / forward:.1%})"
        )


if __name__ == "__main__":
    main()
