"""``facemask-inpaint demo``: the main job on one portrait, with something to look at."""

from __future__ import annotations

from pathlib import Path

import click

from facemask_inpaint.cli import options


@click.command()
@options.network_options
@options.classes_option()
@options.dilate_option
@click.option("--image", type=options.existing, help="Own portrait (default: the bundled one).")
@click.option("--labels", type=options.existing, help="Label map of --image.")
@click.option(
    "--out",
    type=options.anywhere,
    default="runs/demo",
    show_default=True,
    help="Folder for the pictures and the contact sheet.",
)
def demo(
    image: Path | None,
    labels: Path | None,
    out: Path,
    classes: str,
    dilate: float | None,
    model: str,
    device: str | None,
    dtype: str,
    batch_size: int,
    seed: int,
) -> None:
    """Cut every component out of a portrait, fill it, and lay the results on one sheet.

    \b
    Example:
        facemask-inpaint demo --out runs/demo
        facemask-inpaint demo --model lama --image me.jpg --labels me_labels.png
    """
    if (image is None) != (labels is None):
        raise click.UsageError("--image and --labels belong together")
    from facemask_inpaint import Inpainter, SemanticMasker, data, images, sheets

    if image is None or labels is None:
        sample = data.sample(512)
        portrait, label_map = sample.image, sample.labels
    else:
        portrait, label_map = images.read_image(image), images.read_label_map(labels)
    inpainter = Inpainter.from_pretrained(model, device=device, dtype=dtype)
    masker = SemanticMasker(missing="empty", **options.masker_options(dilate))
    wanted = options.parse_classes(classes, masker)
    holes = {name: masker(label_map, name) for name in wanted}
    present = {name: hole for name, hole in holes.items() if hole.any()}
    for name in holes.keys() - present.keys():
        click.echo(f"{options.class_name(name)}: not in this picture, left out")
    filled = inpainter(
        [portrait] * len(present),
        list(present.values()),
        seed=seed,
        batch_size=batch_size,
        progress=True,
    )
    cells = []
    for (name, hole), result in zip(present.items(), filled):
        cut = sheets.paint_hole(portrait, hole)
        stem = options.class_name(name)
        images.save_image(cut, out / f"{stem}_hole.png")
        images.save_image(result, out / f"{stem}_filled.png")
        cells.append(sheets.Cell(f"{stem}  {hole.mean():.1%}", (portrait, cut, result)))
    sheet = out / "contact_sheet.png"
    title = f"{model}: original, hole, filled"
    images.save_image(sheets.contact_sheet(cells, title=title), sheet)
    click.echo(f"{len(present)} classes filled with {model}; look at {sheet}")
