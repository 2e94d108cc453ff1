"""What a small hole in a large photo costs beyond the decoded photo: memory and processor time.

Run with ``OMP_NUM_THREADS=1 python examples/benchmarks/large_photo.py``. Each row is measured in a
process of its own, on a 12-megapixel photo with one small face, once the network and the parser are
loaded and have been used: the highest resident memory during the call less that before it, when the
photo was decoded already, and the processor time of the call. ``--beside FOLDER`` measures another
checkout of the library in turn, such as the one before a change.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from PIL import Image

import facemask_inpaint as fmi

SIZE = (4000, 3000)
CORNER, SIDE = (2700, 500), 480
"""Where the portrait lies in the photo, and how large it is there."""

Call = Callable[[fmi.Inpainter], object]


def photo() -> Image.Image:
    """A photo of which one small part is the bundled portrait."""
    coarse = np.random.default_rng(0).integers(60, 180, (6, 8, 3), dtype=np.uint8)
    ground = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
    ground.paste(fmi.data.sample(512).image.resize((SIDE, SIDE)), CORNER)
    return ground


def label_map() -> Image.Image:
    """The label map of that photo."""
    labels = Image.new("L", SIZE)
    own = Image.fromarray(fmi.data.sample(512).label_map)
    labels.paste(own.resize((SIDE, SIDE), Image.Resampling.NEAREST), CORNER)
    return labels


def mask() -> Image.Image:
    """The eyes of the portrait in the photo."""
    eyes = fmi.SemanticMasker()(fmi.data.sample(512).label_map, "eyes")
    hole = Image.new("L", SIZE)
    hole.paste(Image.fromarray(eyes).resize((SIDE, SIDE), Image.Resampling.NEAREST), CORNER)
    return hole


def samples(dtype: str) -> np.ndarray:
    """The photo as an array of 16 bits or floats."""
    levels = np.asarray(photo())
    return levels.astype(np.uint16) * 257 if dtype == "uint16" else (levels / 255).astype(dtype)


def turned_file() -> Path:
    """A JPEG file of the photo, taken with the camera turned by 90 degrees."""
    path, exif = Path(tempfile.mkdtemp(), "photo.jpg"), Image.Exif()
    exif[0x0112] = 6
    photo().transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    return path


def masked(image: object, hole: object, **options: str) -> Call:
    """Inpaint a photo under a mask."""
    return lambda inpainter: inpainter(image, hole, **options)


def filled(image: object, **options: object) -> Call:
    """Find the face in a photo, hide its eyes and inpaint them."""
    return lambda inpainter: fmi.fill(image, "eyes", model=inpainter, **options)


def cut(labels: object) -> Call:
    """Cut a mask out of a label map."""
    return lambda _: fmi.SemanticMasker()(labels, "eyes")


ROWS: dict[str, Callable[[], Call]] = {
    "mask, crop": lambda: masked(photo(), mask(), strategy="crop"),
    "mask, whole photo": lambda: masked(photo(), mask()),
    "mask, whole photo, RGBA": lambda: masked(photo().convert("RGBA"), mask()),
    "mask, whole photo, uint16": lambda: masked(samples("uint16"), mask()),
    "mask, whole photo, float32": lambda: masked(samples("float32"), mask()),
    "mask in colour, whole photo": lambda: masked(photo(), mask().convert("RGB")),
    "fill": lambda: filled(photo()),
    "fill, array": lambda: filled(np.array(photo())),
    "fill, tone and Poisson": lambda: filled(photo(), match="tone", blend="poisson"),
    "fill, turned JPEG file": lambda: filled(turned_file()),
    "fill, label map": lambda: filled(photo(), label_map=label_map()),
    "SemanticMasker": lambda: cut(label_map()),
}
"""What is measured, by name; each prepares its arguments first."""


def memory(name: str) -> float:
    """A line of the process's status in MiB: VmRSS is what it has, VmHWM the most it had."""
    with open("/proc/self/status", encoding="ascii") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines[name].split()[0]) / 1024


def measure(name: str) -> None:
    """Print memory in MiB and time in seconds of one call, in this process."""
    inpainter = fmi.Inpainter.from_pretrained("lite", device="cpu")
    fmi.fill(fmi.data.sample(512).image, "eyes", model=inpainter)
    call = ROWS[name]()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed is no memory of the process any more
    with open("/proc/self/clear_refs", "w", encoding="ascii") as marks:
        marks.write("5")  # forget the highest memory so far
    before, start = memory("VmRSS"), time.process_time()
    call(inpainter)
    seconds = time.process_time() - start
    print(memory("VmHWM") - before, seconds)


def measured(name: str, library: Path | None) -> tuple[float, float]:
    """Memory and time of one call in a process of its own, with the library of a checkout."""
    path = {} if library is None else {"PYTHONPATH": str(library / "src")}
    command = [sys.executable, __file__, "--row", name]
    result = subprocess.run(command, check=True, capture_output=True, env={**os.environ, **path})
    mebibytes, seconds = map(float, result.stdout.split()[-2:])
    return mebibytes, seconds


@click.command()
@click.option("--beside", type=click.Path(path_type=Path), help="Another checkout to measure too.")
@click.option("--rounds", default=3, help="Of which medians are shown.")
@click.option("--only", multiple=True, type=click.Choice(list(ROWS)), default=list(ROWS))
@click.option("--row", type=click.Choice(list(ROWS)), help="Measure this in the same process.")
def main(beside: Path | None, rounds: int, only: tuple[str, ...], row: str | None) -> None:
    """Print each row as it is measured."""
    if row is not None:
        measure(row)
        return
    sides = {"here": None} if beside is None else {"beside": beside, "here": None}
    for name in only:
        taken = [
            {side: measured(name, path) for side, path in sides.items()} for _ in range(rounds)
        ]
        for side in sides:
            mebibytes, seconds = map(statistics.median, zip(*(each[side] for each in taken)))
            print(f"{name}, {side}: +{mebibytes:.0f} MiB, {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main()
