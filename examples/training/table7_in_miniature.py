"""Table 7 in miniature: one small network, trained with random, semantic and mixed masks.

Run with ``python examples/training/table7_in_miniature.py --data faces``, where ``faces`` holds
``images``, ``labels``, ``train.txt`` and ``test.txt``. A reduced ``lite`` is trained three times:
same portraits, same steps, same seed, only the masks differ. All three then fill every mask class
of the held-out portraits, and the tables say which training filled them best.

The networks take turns of a few hundred steps, so they have equal steps whenever it stops. Nothing
is done twice: the same command goes on after an interruption, with a larger ``--steps`` too. The
study's network was MAT at 512 over 100 epochs; this one learns for minutes, without a
discriminator.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import layout_features
import numpy as np
import torch
from PIL import Image

from facemask_inpaint import Inpainter, SemanticMasker, data, images, metrics, training
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.benchmark.report.text_tables import MISSING, Cell, Table
from facemask_inpaint.errors import FacemaskInpaintError
from facemask_inpaint.images import contact_sheets
from facemask_inpaint.masks import MaskClass
from facemask_inpaint.metrics import Comparison, FeatureReader
from facemask_inpaint.metrics.comparison.results import p_text
from facemask_inpaint.training import Augmentation, Losses, Masks, Optimiser, Recipe, state

STRATEGIES = ("random", "semantic", "mixed")
ROUND = 300
"""Steps that one network takes before the next one has its turn."""
LEVEL = 0.05
"""Adjusted p below which a difference is called one."""

Portraits = Mapping[str, Image.Image]
Paths = Mapping[str, Sequence[Path]]
"""Images by mask class, in the order of the class's portraits."""
Filled = Mapping[str, Paths]
"""The same by strategy."""


@dataclass(frozen=True)
class Task:
    """Held-out portraits that have a component, and the holes that hide it."""

    mask_class: str
    keys: tuple[str, ...]
    holes: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Work:
    """Held-out portraits at the network's size, and what is to be filled in them."""

    portraits: Portraits
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Scores:
    """Hole L1 by strategy and class, and the comparison of FIDs."""

    tasks: tuple[Task, ...]
    l1: Mapping[str, Mapping[str, float]]
    comparison: Comparison

    def fid(self) -> dict[str, dict[str, float]]:
        """FID by strategy and class."""
        found: dict[str, dict[str, float]] = {name: {} for name in STRATEGIES}
        for one in self.comparison.differences:
            found[one.first][one.group] = one.fid_first
            found[one.second][one.group] = one.fid_second
        return found


def recipe(strategy: str, resolution: int) -> Recipe:
    """What is the same for all three, and the masks, which are not."""
    return Recipe(
        name=f"table7-{strategy}",
        architecture="lite",
        options={"resolution": resolution, "widths": [32, 64, 128], "depth": 2, "detail": 0},
        resolution=resolution,
        batch_size=8,
        masks=Masks(kind=strategy, semantic_probability=0.5, random="mat"),
        augmentation=Augmentation(flip=0.5, rotation=10),
        losses=Losses(hole_l1=10, adversarial=0, r1=0),
        generator=Optimiser(learning_rate=1e-3, betas=(0.9, 0.99), warmup_steps=50),
        discriminator_options={"width": 8},
        ema_half_life=400,
        validate_every=0,
        save_every=100,
    )


def steps_done(run: Path) -> int:
    """Steps of the newest checkpoint of a run."""
    saved = next(state.usable(run / "checkpoints"), None)
    return saved["step"] if saved is not None else 0


def train_in_turns(
    portraits: data.Faces, out: Path, resolution: int, steps: int, minutes: float
) -> tuple[int, dict[str, Inpainter]]:
    """Train all three, a round each in turn, to the same number of steps.

    Returns:
        That number, which is below ``steps`` where the minutes were over first, and the networks.
    """
    start = time.monotonic()
    done = [steps_done(out / name) for name in STRATEGIES]
    first = min(done)
    ends = [*range(first // ROUND * ROUND + ROUND, steps, ROUND), steps]
    if max(done) > ends[0]:
        raise click.ClickException(f"{out} has {max(done)} steps already; ask for as many or more")
    for end in ends:
        networks = {}
        for name in STRATEGIES:
            asked = recipe(name, resolution).changed(steps=end)
            networks[name] = training.train(asked, portraits, out=out / name, progress=False)
            if steps_done(out / name) < end:
                raise click.ClickException("stopped; the same command goes on")
        passed = time.monotonic() - start
        click.echo(f"step {end} of {steps}, {passed / 60:.1f} minutes")
        if passed >= 60 * minutes:
            break
    return end, networks


def squares(faces: data.Faces, resolution: int) -> Portraits:
    """The portraits at the network's size, by key."""
    size = (resolution, resolution)
    return {one.key: one.read_image().resize(size, Image.Resampling.LANCZOS) for one in faces}


def stacked(portraits: Portraits) -> torch.Tensor:
    """``(N, 3, S, S)`` uint8."""
    pixels = np.stack([np.array(image) for image in portraits.values()])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def prepare(faces: data.Faces, resolution: int) -> Work:
    """Portraits, and a task for each of the twelve classes that at least two of them have."""
    masker = SemanticMasker(missing="empty")
    labels = {face.key: face.read_label_map() for face in faces}
    tasks = []
    for name in masker.classes:
        holes = {key: masker(labels[key], name, size=resolution) for key in labels}
        usable = {key: hole for key, hole in holes.items() if hole.any() and not hole.all()}
        if len(usable) > 1:
            tasks.append(Task(str(name), tuple(usable), tuple(usable.values())))
    return Work(squares(faces, resolution), tuple(tasks))


def fill_all(
    networks: Mapping[str, Inpainter], work: Work, out: Path, steps: int
) -> dict[str, dict[str, list[Path]]]:
    """Fill every hole with every network; files are named after the network's steps."""
    filled: dict[str, dict[str, list[Path]]] = {}
    for name, inpainter in networks.items():
        folder = out / name / f"filled-{steps:06d}"
        filled[name] = {
            task.mask_class: fill(inpainter, work.portraits, task, folder / task.mask_class)
            for task in work.tasks
        }
        click.echo(f"{name}: {sum(map(len, filled[name].values()))} filled images in {folder}")
    return filled


def fill(inpainter: Inpainter, portraits: Portraits, task: Task, folder: Path) -> list[Path]:
    """Fill a class's holes, leaving out what an earlier call has written."""
    paths = [folder / f"{key}.png" for key in task.keys]
    missing = [index for index, path in enumerate(paths) if not path.exists()]
    if missing:
        chosen = [portraits[task.keys[index]] for index in missing]
        composites = inpainter(chosen, [task.holes[index] for index in missing])
        for index, composite in zip(missing, composites):
            images.save_image(composite, paths[index])
    return paths


def score(work: Work, filled: Filled, out: Path, reader: FeatureReader) -> Scores:
    """FID by features of whole images, with its statistics, and L1 over the hole."""
    for key, image in work.portraits.items():
        images.save_image(image, out / "originals" / f"{key}.png")
    real = {
        task.mask_class: [out / "originals" / f"{key}.png" for key in task.keys]
        for task in work.tasks
    }
    l1 = {
        name: {task.mask_class: hole_l1(real, filled[name], task) for task in work.tasks}
        for name in STRATEGIES
    }
    return Scores(work.tasks, l1, metrics.compare(real, filled, reader=reader))


def hole_l1(real: Paths, fake: Paths, task: Task) -> float:
    """Mean absolute difference over the holes of one class, of samples in [0, 1]."""
    pairs = metrics.PairReader(workers=1, progress=False)
    name = task.mask_class
    return float(metrics.l1(real[name], fake[name], list(task.holes), reader=pairs))


def grid(caption: str, values: Mapping[str, Mapping[str, float]], tasks: Sequence[Task]) -> Table:
    """The layout of the study's Table 7: strategies by mask classes."""
    rows = []
    for name in STRATEGIES:
        row = [Cell(name)]
        for task in tasks:
            column = sorted(values[other][task.mask_class] for other in STRATEGIES)
            value = values[name][task.mask_class]
            row.append(Cell(f"{value:.3g}", 1 + column.index(value)))
        rows.append(tuple(row))
    rows.append((Cell("n"), *(Cell(str(len(task.keys))) for task in tasks)))
    header = ("masks in training", *(heading(task.mask_class) for task in tasks))
    notes = (
        "Smaller is better; the best is bold",
        "Of the letters the study pins C, G and I; the others are this library's",
    )
    return Table(caption, header, tuple(rows), notes)


def heading(mask_class: str) -> str:
    """Letter and name of a class."""
    return f"{MaskClass(mask_class).letter} {mask_class.replace('_', ' ')}"


def differences(comparison: Comparison) -> Table:
    """Every pair of strategies in every class, with interval and adjusted p."""
    rows = [
        (one.group, str(one.n), one.first, one.second, one.corrected, one.interval, one.p_adjusted)
        for one in comparison.differences
    ]
    rows += [
        ("mean", MISSING, one.first, one.second, one.corrected, one.interval, None)
        for one in comparison.overall
    ]
    cells = tuple(
        (
            *(Cell(text) for text in texts),
            Cell(f"{corrected:+.3g}"),
            Cell(f"{interval.low:+.3g} to {interval.high:+.3g}"),
            Cell(MISSING if p is None else p_text(p, comparison.smallest_p_adjusted)),
        )
        for *texts, corrected, interval, p in rows
    )
    header = ("class", "n", "first", "second", "D", f"{comparison.confidence:.0%} interval", "p")
    notes = [
        "D: the first's FID less the second's, freed of its bootstrap bias; positive speaks for "
        f"the second. p: exchange test; adjusted: {comparison.adjustment}",
    ]
    if any(one.biased for one in comparison.differences):
        notes.append("Fewer images than features: the intervals only describe, rely on p")
    return Table("Differences of FID", header, cells, (*notes, *comparison.warnings))


def outcome(scores: Scores) -> list[str]:
    """What the tables say, in sentences."""
    fid, said = scores.fid(), []
    for name in STRATEGIES:
        best = [
            task.mask_class
            for task in scores.tasks
            if fid[name][task.mask_class] == min(fid[s][task.mask_class] for s in STRATEGIES)
        ]
        said.append(
            f"{name}: lowest FID in {len(best)} of {len(scores.tasks)} classes"
            + (f" ({', '.join(best)})" if best else "")
        )
    for first, second in (("mixed", "random"), ("mixed", "semantic"), ("semantic", "random")):
        clear = [one for one in scores.comparison.differences if one.p_adjusted < LEVEL]
        pair = [one for one in clear if {one.first, one.second} == {first, second}]
        better = [one.group for one in pair if (one.corrected < 0) == (one.first == first)]
        worse = [one.group for one in pair if one.group not in better]
        said.append(
            f"{first} against {second}: better in {', '.join(better) or 'no class'}; worse in "
            f"{', '.join(worse) or 'no class'} (adjusted p < {LEVEL})"
        )
    return said


def sheet(work: Work, filled: Filled) -> Image.Image:
    """One portrait of every class: original, hole, and what each strategy made of it."""
    cells = []
    for number, task in enumerate(work.tasks):
        place = number % len(task.keys)
        original = work.portraits[task.keys[place]]
        answers = [images.read_image(filled[name][task.mask_class][place]) for name in STRATEGIES]
        cut = contact_sheets.paint_hole(original, task.holes[place])
        cells.append(contact_sheets.SheetEntry(task.mask_class, (original, cut, *answers)))
    title = f"original, hole, {', '.join(STRATEGIES)}"
    return contact_sheets.contact_sheet(cells, columns=2, side=128, title=title)


def extractor(kind: str, portraits: data.Faces, resolution: int) -> metrics.FeatureExtractor:
    """The chosen features; of the layout's, the directions come from training portraits."""
    if kind == "inception":
        return metrics.InceptionExtractor()
    return layout_features.fit(stacked(squares(portraits, resolution)))


def report(scores: Scores, about: Sequence[str]) -> str:
    """The Markdown file."""
    said = [f"- {line}" for line in (*about, *outcome(scores))]
    tables = (
        grid("FID of whole images", scores.fid(), scores.tasks),
        grid("Mean absolute difference over the hole", scores.l1, scores.tasks),
        differences(scores.comparison),
    )
    return "\n".join(["# Table 7 in miniature", "", *said, "", *(t.markdown() for t in tables)])


def description(
    steps: int, resolution: int, faces: data.Faces, networks: Mapping[str, Inpainter], identity: str
) -> list[str]:
    """Under which circumstances the numbers came about."""
    weights = sum(one.numel() for one in networks["mixed"].network.parameters())
    shared = recipe("mixed", resolution)
    return [
        f"lite with {weights / 1e6:.2f} million weights at {resolution} x {resolution}, trained on "
        f"the {len(faces)} portraits of {faces.name}: {steps} steps of {shared.batch_size}, seed "
        f"{shared.seed}, L1 over the hole, no discriminator",
        f"features: {identity}; the numbers compare with each other, not with published ones",
        "one training run of each kind: the intervals speak of the choice of portraits, not of "
        "how another seed would have turned out",
    ]


@click.command()
@click.option(
    "--data",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Portraits with label maps, train.txt and test.txt.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/table7"))
@click.option("--steps", type=click.IntRange(1), default=1200, help="Of each network.")
@click.option(
    "--minutes", type=float, default=math.inf, help="Then start no further round of steps."
)
@click.option(
    "--portraits", "limit", type=click.IntRange(2), help="Fill so many portraits (default: all)."
)
@click.option("--resolution", type=click.IntRange(32), default=128, help="Of the images.")
@click.option("--threads", type=click.IntRange(1), help="Processor threads (default: PyTorch's).")
@click.option(
    "--features",
    type=click.Choice(["layout", "inception"]),
    default="layout",
    help="layout needs no download; inception needs the published weights.",
)
def main(
    folder: Path,
    out: Path,
    steps: int,
    minutes: float,
    limit: int | None,
    resolution: int,
    threads: int | None,
    features: str,
) -> None:
    """Train with three kinds of masks, and print which fills which component best.

    Writes table7.md and table7.jpg.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        learnt, held_out = (data.open_faces(folder, split) for split in ("train", "test"))
        chosen = extractor(
            features, learnt, resolution
        )  # before training: weights may not be at hand
        done, networks = train_in_turns(learnt, out, resolution, steps, minutes)
        work = prepare(held_out[:limit], resolution)
        filled = fill_all(networks, work, out, done)
        reader = FeatureReader(chosen, workers=1, cache=out / "features", progress=False)
        scores = score(work, filled, out, reader)
    except FacemaskInpaintError as error:
        raise click.ClickException(str(error)) from error
    text = report(scores, description(done, resolution, learnt, networks, chosen.identity))
    with atomic_path(out / "table7.md") as path:
        path.write_text(text, encoding="utf-8")
    images.save_image(sheet(work, filled), out / "table7.jpg")
    click.echo(text)


if __name__ == "__main__":
    main()
