"""``facemask-inpaint train``: train a network by a recipe, or go on where a run stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from facemask_inpaint.cli import options

if TYPE_CHECKING:
    from facemask_inpaint.data import Faces
    from facemask_inpaint.training import Recipe

_ENDS = {
    "complete": "trained: all {:,} steps are done",
    "time": "trained: the time is up, after {:,} steps",
    "stopped": "stopped before the end, after {:,} steps; the same command goes on",
}


@click.command()
@click.option(
    "--recipe",
    default="lite-smoke",
    show_default=True,
    help="Name of a recipe (see --list) or a YAML file.",
)
@click.option("--list", "listing", is_flag=True, help="List the recipes and exit.")
@click.option("--show", is_flag=True, help="Print the recipe as YAML and exit.")
@click.option(
    "--data",
    type=options.existing,
    help="Folder of portraits with label maps; --masks random does without.",
)
@click.option(
    "--split", help="Part of the data: a name, or all (default: train where it exists, else all)."
)
@click.option(
    "--validation-split", help="Held-out part for validation, e.g. test (default: no validation)."
)
@options.label_order_option
@click.option(
    "--masks",
    type=click.Choice(["random", "semantic", "mixed"]),
    help="Kind of masks, instead of the recipe's.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a setting, e.g. --set batch_size=4 --set losses.r1=1; may be repeated.",
)
@click.option(
    "--check", is_flag=True, help="Only check the data; exit status 1 if something is wrong."
)
@click.option(
    "--skip-unreadable",
    is_flag=True,
    help="Check all portraits first, and leave out unusable ones.",
)
@click.option("--out", type=options.new_folder, help="Folder of the run (default: runs/RECIPE).")
@options.device_option
@click.option("--workers", type=click.IntRange(min=0), help="Processes that read images.")
def train(
    recipe: str,
    listing: bool,
    show: bool,
    data: Path | None,
    split: str | None,
    validation_split: str | None,
    label_order: str | None,
    masks: str | None,
    check: bool,
    skip_unreadable: bool,
    settings: tuple[str, ...],
    out: Path | None,
    device: str | None,
    workers: int | None,
) -> None:
    """Train a network with random, semantic or mixed masks.

    The same command continues a run that was stopped. SIGTERM, or Ctrl-C once, saves and ends.

    \b
    Example:
        facemask-inpaint train --recipe lite-smoke --data faces --check
        facemask-inpaint train --recipe lite-smoke --data faces --out runs/smoke
        facemask-inpaint inpaint face.png --mask mask.png --model runs/smoke/model
        torchrun --nproc-per-node 8 -m facemask_inpaint train --recipe study-mat-512 --data CAM
    """
    from facemask_inpaint import training
    from facemask_inpaint.data import open_faces

    if listing:
        _list_recipes()
        return
    chosen = training.open_recipe(recipe).changed(**_changes(settings, masks))
    if show:
        click.echo(chosen.to_yaml(), nl=False)
        return
    if data is None:
        raise click.UsageError("--data is needed: a folder of portraits with label maps")
    reading = _reading(chosen, label_order)
    validation = open_faces(data, validation_split, **reading) if validation_split else None
    faces = _portraits(data, split, validation, reading)
    if check:
        for portraits in filter(None, (faces, validation)):
            _check(portraits, chosen)
        return
    options.warn_of_label_order(faces)
    out = out or Path("runs") / chosen.name
    _echo_assumptions(chosen)
    training.train(
        chosen,
        faces,
        out=out,
        validation=validation,
        skip_unreadable=skip_unreadable,
        device=device,
        workers=workers,
        on_end=lambda end, steps: click.echo(_ENDS[end].format(steps)),
    )
    click.echo(f"model: {out / 'model'}; log: {out / 'log.jsonl'}")


def _echo_assumptions(recipe: Recipe) -> None:
    for assumption in recipe.assumptions:
        click.echo(f"not known from the recipe's source: {assumption}", err=True)


def _list_recipes() -> None:
    from facemask_inpaint.training import RECIPES

    for name, recipe in RECIPES.items():
        click.echo(
            f"{name:<20} {recipe.architecture} at {recipe.resolution}, {recipe.masks.kind} masks"
        )


def _check(portraits: Faces, recipe: Recipe) -> None:
    masks = recipe.masks
    options.check_data(portraits, masks.classes, masks.masker(), label_maps=masks.need_label_maps)


class _Reading(TypedDict):
    """Keyword arguments of ``open_faces``: what label ids stand for, if they are needed."""

    label_order: str | None
    vocabulary: str | None
    label_maps: bool


def _reading(recipe: Recipe, label_order: str | None) -> _Reading:
    """How label maps are read: as the recipe says, unless it is of faces."""
    from facemask_inpaint.masks import FACES

    vocabulary = recipe.masks.vocabulary
    return {
        "label_order": label_order,
        "vocabulary": None if vocabulary == FACES.name else vocabulary,
        "label_maps": recipe.masks.need_label_maps,
    }


def _portraits(data: Path, split: str | None, held_out: Faces | None, reading: _Reading) -> Faces:
    """The training data, without what is held out unless the split was named."""
    from facemask_inpaint.data import open_faces

    faces = open_faces(data, split, preferred="train", **reading)
    return faces if split or held_out is None else faces.without(face.key for face in held_out)


def _changes(settings: tuple[str, ...], masks: str | None) -> dict[str, object]:
    """What the options change of the recipe, by the names of its settings."""
    changes = [_setting(text) for text in settings]
    if masks is not None:
        changes.append(("masks.kind", masks))
    return options.by_name("setting", changes)


def _setting(text: str) -> tuple[str, object]:
    from facemask_inpaint._internal.settings import parse_yaml

    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--set {text}: write NAME=VALUE")
    return name.strip(), parse_yaml(value, f"--set {name.strip()}")
