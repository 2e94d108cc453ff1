"""What a small hole in a large photo costs beyond the decoded photo: memory and processor time.

Run with ``OMP_NUM_THREADS=1 python examples/benchmarks/large_photo.py``. Each row is measured in a
process of its own, on a 12-megapixel photo with one small face, once the network and the parser are
loaded and have been used: the highest resident memory during the call less that before it, when the
photo was decoded already, and the processor time of the call.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import click
import numpy as np
from PIL import Image

import facemask_inpaint as fmi

SIZE = (4000, 3000)
CORNER, SIDE = (2700, 500), 480
"""Where the portrait lies in the photo, and how large it is there."""


def photo() -> Image.Image:
    """A photo of which one small part is the bundled portrait."""
    coarse = np.random.default_rng(0).integers(60, 180, (6, 8, 3), dtype=np.uint8)
    ground = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
    ground.paste(fmi.data.sample(512).image.resize((SIDE, SIDE)), CORNER)
    return ground


def mask() -> Image.Image:
    """The eyes of the portrait in the photo."""
    eyes = fmi.SemanticMasker()(fmi.data.sample(512).label_map, "eyes")
    hole = Image.new("L", SIZE)
    hole.paste(Image.fromarray(eyes).convert("L").resize((SIDE, SIDE)).point(_two_valued), CORNER)
    return hole


def _two_valued(level: int) -> int:
    return 255 if level > 127 else 0


def calls() -> dict[str, Callable[[fmi.Inpainter], Callable[[], object]]]:
    """What is measured, by name; each prepares its arguments first."""

    def masked(**options: str) -> Callable[[fmi.Inpainter], Callable[[], object]]:
        def prepare(inpainter: fmi.Inpainter) -> Callable[[], object]:
            image, hole = photo(), mask()
            return lambda: inpainter(image, hole, **options)

        return prepare

    def filled(inpainter: fmi.Inpainter) -> Callable[[], object]:
        image = photo()
        return lambda: fmi.fill(image, "eyes", model=inpainter)

    return {
        "mask, strategy crop": masked(strategy="crop"),
        "mask, the network's own strategy": masked(),
        "fill: find the face, cut the mask, inpaint": filled,
    }


def memory(name: str) -> float:
    """A line of the process's status in MiB: VmRSS is what it has, VmHWM the most it had."""
    with open("/proc/self/status", encoding="ascii") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines[name].split()[0]) / 1024


def measure(name: str) -> None:
    """Print memory and time of one call, in this process."""
    inpainter = fmi.Inpainter.from_pretrained("lite", device="cpu")
    fmi.fill(fmi.data.sample(512).image, "eyes", model=inpainter)
    call = calls()[name](inpainter)
    with open("/proc/self/clear_refs", "w", encoding="ascii") as marks:
        marks.write("5")  # forget the highest memory so far
    before, start = memory("VmRSS"), time.process_time()
    call()
    seconds = time.process_time() - start
    print(f"{name}: +{memory('VmHWM') - before:.0f} MiB, {seconds:.2f} s")


@click.command()
@click.option("--row", type=click.Choice(list(calls())), help="Measure this in the same process.")
def main(row: str | None) -> None:
    """Print each row as it is measured."""
    if row is not None:
        measure(row)
        return
    for name in calls():
        subprocess.run([sys.executable, __file__, "--row", name], check=True)


if __name__ == "__main__":
    main()
