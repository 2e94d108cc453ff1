"""The study's proposals in miniature: which masks, weights and hints train a small network best.

Run with ``python examples/training/proposals_in_miniature.py --data portraits``, where
``portraits`` holds ``images``, ``labels``, ``train.txt`` and ``test.txt``. A reduced ``lite`` is
trained with random, semantic and mixed masks, with mixed masks that adapt to what is hardest, with
weighted classes, and told which class a hole is of: each with several seeds, all else equal.

Two classes are left out of every training, so that the study's claim, which is about holes that
training did not have, is tested on three kinds: classes trained on, classes left out, and free-form
holes. The measure is the L1 distance over the hole. Intervals are bootstrapped over seeds *and*
portraits. Nothing is done twice: the same command goes on after an interruption.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint import Inpainter, SemanticMasker, data, training
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.masks import GENERATORS, MASK_CLASSES
from facemask_inpaint.training import Augmentation, Losses, Masks, Optimiser, Recipe

LEFT_OUT = ("nose", "ears")
WEIGHTED = {"eyes": 2.0, "eyebrows": 2.0, "full_mouth": 2.0, "lips": 2.0}
"""The small classes, which the study proposes to weigh up."""

FREE_FORM = "free-form"
VARIANTS = ("random", "semantic", "mixed", "adaptive", "class-weighted", "class-conditional")
REFERENCE = "mixed"
RESAMPLED = 2000

Errors = NDArray[np.float64]
"""L1 over the hole ``(portraits,)``; not a number where a portrait lacks the component."""


def recipe(variant: str, seed: int, resolution: int, steps: int) -> Recipe:
    """What a variant does otherwise than the others, and what is the same."""
    kind = variant if variant in ("random", "semantic") else "mixed"
    return Recipe(
        name=f"proposals-{variant}-{seed}",
        architecture="lite",
        options={
            "resolution": resolution,
            "widths": [16, 32, 64],
            "depth": 1,
            "detail": 0,
            "mask_classes": [str(name) for name in MASK_CLASSES]
            if variant == "class-conditional"
            else [],
        },
        resolution=resolution,
        batch_size=8,
        steps=steps,
        masks=Masks(
            kind=kind,
            class_weights=dict.fromkeys(LEFT_OUT, 0.0),
            adaptive=1.0 if variant == "adaptive" else 0.0,
        ),
        augmentation=Augmentation(flip=0.5, rotation=10),
        losses=Losses(
            hole_l1=10,
            adversarial=0,
            r1=0,
            class_weights=WEIGHTED if variant == "class-weighted" else {},
        ),
        generator=Optimiser(
            learning_rate=1e-3, betas=(0.9, 0.99), warmup_steps=50, decay_start=0.6
        ),
        discriminator_options={"width": 8},
        ema_half_life=400,
        validate_every=max(1, steps // 4) if variant == "adaptive" else 0,
        save_every=max(1, steps // 2),
        seed=seed,
    )


def tests(faces: data.Faces, resolution: int) -> dict[str, list[NDArray[np.bool_]]]:
    """Holes of every portrait by class, and free-form ones."""
    masker = SemanticMasker(missing="empty")
    labels = [face.read_label_map() for face in faces]
    holes = {
        str(name): [np.asarray(masker(one, name, size=resolution)) > 0 for one in labels]
        for name in masker.classes
    }
    draw = GENERATORS["mat"]
    free = [np.asarray(draw(resolution, np.random.default_rng(n))) > 0 for n in range(len(faces))]
    return holes | {FREE_FORM: free}


def errors(
    inpainter: Inpainter,
    images: Sequence[Image.Image],
    holes: Sequence[NDArray[np.bool_]],
    told: str | None,
) -> Errors:
    """L1 over each portrait's hole, of samples in [0, 1]."""
    found = np.full(len(images), np.nan)
    usable = [n for n, hole in enumerate(holes) if hole.any() and not hole.all()]
    hint = {"mask_class": told} if told else {}
    filled = inpainter([images[n] for n in usable], [holes[n] for n in usable], **hint)
    for n, answer in zip(usable, filled, strict=True):
        apart = np.abs(np.asarray(answer, float) - np.asarray(images[n], float))
        found[n] = apart[holes[n]].mean() / 255
    return found


def run(
    variant: str,
    seed: int,
    faces: data.Faces,
    held_out: data.Faces,
    resolution: int,
    steps: int,
    out: Path,
) -> dict[str, Errors]:
    """Train one network and measure it, or read what an earlier call measured."""
    path = out / f"{variant}-{seed}.json"
    if path.exists():
        return {name: np.array(values) for name, values in json.loads(path.read_text()).items()}
    asked = recipe(variant, seed, resolution, steps)
    validation = held_out if variant == "adaptive" else None
    inpainter = training.train(
        asked, faces, out=out / f"{variant}-{seed}", validation=validation, progress=False
    )
    size = (resolution, resolution)
    images = [one.read_image().resize(size, Image.Resampling.LANCZOS) for one in held_out]
    told = variant == "class-conditional"
    found = {
        name: errors(inpainter, images, holes, name if told and name != FREE_FORM else None)
        for name, holes in tests(held_out, resolution).items()
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({name: list(values) for name, values in found.items()}))
    return found


def interval(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean difference of ``(seeds, portraits)`` errors, and its 95 % bootstrap interval.

    Seeds are drawn for each of the two by itself, portraits for both alike.
    """
    rng = np.random.default_rng(0)
    seeds, portraits = first.shape
    means = []
    for _ in range(RESAMPLED):
        chosen = rng.integers(portraits, size=portraits)
        resampled = [
            np.nanmean(group[rng.integers(seeds, size=seeds)][:, chosen])
            for group in (first, second)
        ]
        means.append(resampled[0] - resampled[1])
    low, high = np.quantile(means, [0.025, 0.975])
    return float(np.nanmean(first) - np.nanmean(second)), float(low), float(high)


def report(found: Mapping[str, NDArray[np.float64]], names: Sequence[str]) -> Iterator[str]:
    """A Markdown table: errors of ``REFERENCE``, and how far the others are from it.

    Args:
        found: errors ``(seeds, kinds of holes, portraits)`` by variant.
        names: of the kinds of holes.
    """
    others = [variant for variant in found if variant != REFERENCE]
    yield "| holes | " + " | ".join([REFERENCE, *others]) + " |"
    yield "| --- " * (len(found) + 1) + "|"
    for place, name in enumerate(names):
        base = found[REFERENCE][:, place]
        cells = [f"{1000 * np.nanmean(base):.1f}"]
        for variant in others:
            mean, low, high = (1000 * x for x in interval(found[variant][:, place], base))
            mark = "**" if low * high > 0 else ""
            cells.append(f"{mark}{mean:+.1f}{mark} ({low:+.1f} to {high:+.1f})")
        label = f"{name} (left out)" if name in LEFT_OUT else name
        yield f"| {label} | " + " | ".join(cells) + " |"


@click.command()
@click.option("--data", "folder", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/proposals"))
@click.option("--steps", type=click.IntRange(1), default=800, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--resolution", type=click.IntRange(64), default=64, show_default=True)
@click.option("--variant", "variants", multiple=True, default=VARIANTS, show_default=True)
@click.option(
    "--portraits", "limit", type=click.IntRange(2), default=80, help="Of the held-out ones."
)
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True)
def main(
    folder: Path,
    out: Path,
    steps: int,
    seeds: int,
    resolution: int,
    variants: tuple[str, ...],
    limit: int,
    processes: int,
) -> None:
    """Train every variant with every seed, and print a table of 1000 times the L1 distance."""
    faces = data.labelled_folder(folder, keys=folder / "train.txt")
    keys = (folder / "test.txt").read_text().split()[:limit]
    held_out = data.labelled_folder(folder, keys=keys)
    chosen = tuple(dict.fromkeys((REFERENCE, *variants)))
    jobs = [(variant, seed) for seed in range(seeds) for variant in chosen]
    found: dict[tuple[str, int], dict[str, Errors]] = {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        running = {
            pool.submit(run, *job, faces, held_out, resolution, steps, out): job for job in jobs
        }
        for done in as_completed(running):
            variant, seed = job = running[done]
            found[job] = done.result()
            mean = np.nanmean(np.concatenate(list(found[job].values())))
            click.echo(f"{variant}, seed {seed}: {1000 * mean:.2f}")
    names = list(found[jobs[0]])
    by_variant = {
        variant: np.array([list(found[variant, seed].values()) for seed in range(seeds)])
        for variant in chosen
    }
    table = "\n".join(report(by_variant, names))
    out.mkdir(parents=True, exist_ok=True)
    (out / "proposals.md").write_text(table + "\n")
    click.echo(table)


if __name__ == "__main__":
    main()
