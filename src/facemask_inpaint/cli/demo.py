"""``facemask-inpaint demo``: the main job on one portrait, with something to look at."""

from __future__ import annotations

from pathlib import Path

import click

from facemask_inpaint.cli import options

_LAST = ("hair", "head")
_FIRST = ("nose", "full_mouth", "mouth_and_nose", "lips", "eyebrows", "eyes", "eyes_and_eyebrows")
"""What the network that ships fills best leads the sheet, and what it fills worst ends it."""


def _from_the_best(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST) + (name in _LAST)


@click.command()
@options.model_option
@options.compute_options
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
    import numpy as np

    from facemask_inpaint import Inpainter, SemanticMasker, data, images
    from facemask_inpaint._internal.locks import locked
    from facemask_inpaint.images import contact_sheets, formats
    from facemask_inpaint.parsing.alignment import face_box

    options.require_folder(out)
    sample = data.sample(512)
    box = face_box(sample.label_map)
    portrait = sample.image.crop(box) if image is None else images.read_image(image)
    masker = SemanticMasker(missing="empty", **options.masker_options(dilate))
    wanted = sorted(masker.select(classes), key=_from_the_best)
    framed = sample.label_map[box[1] : box[3], box[0] : box[2]]
    holes = {name: np.asarray(masker(labels or framed, name)).astype(bool) for name in wanted}
    for name in wanted:
        if labels is not None:
            options.require_size(labels, holes[name].shape[::-1], portrait.size)
        if not holes[name].any():
            click.echo(f"{name}: not in this picture, left out")
            del holes[name]
    inpainter = Inpainter.from_pretrained(model, device=device, dtype=dtype)
    results = inpainter(
        [portrait] * len(holes),
        list(holes.values()),
        seed=seed,
        batch_size=batch_size,
        progress=True,
    )
    cells = []
    sheet = out / "contact_sheet.png"
    with locked(out, "demo"):
        for (name, hole), filled in zip(holes.items(), results):
            cut = contact_sheets.paint_hole(portrait, hole)
            images.save_image(cut, out / f"{name}_hole.png")
            suffix = formats.exact_suffix(filled.mode) or ".png"
            images.save_image(filled, out / f"{name}_filled{suffix}")
            cells.append(
                contact_sheets.SheetEntry(f"{name}  {hole.mean():.1%}", (portrait, cut, filled))
            )
        title = f"{model}: original, hole, filled"
        advice = inpainter.card.advice if inpainter.card is not None else ""
        images.save_image(contact_sheets.contact_sheet(cells, title=title, note=advice), sheet)
    click.echo(f"{len(holes)} classes filled with {model}; look at {sheet}")
