"""``facemask-inpaint demo``: every mask class on one portrait, with something to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facemask_inpaint.cli import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


_LAST = ("hair", "head")
_FIRST = ("nose", "full_mouth", "mouth_and_nose", "lips", "eyebrows", "eyes", "eyes_and_eyebrows")
"""The sheet begins with what the network that ships inpaints best, and ends with the worst."""


def _from_the_best(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST) + (name in _LAST)


@click.command()
@options.model_option
@options.compute_options
@options.classes_option()
@options.dilate_option
@click.option("--image", type=options.existing, help="Own portrait (default: the bundled one).")
@click.option("--labels", "label_map", type=options.existing, help="Label map of --image.")
@click.option(
    "--out",
    type=options.anywhere,
    default="runs/demo",
    show_default=True,
    help="Folder for the images and the contact sheet.",
)
def demo(
    image: Path | None,
    label_map: Path | None,
    out: Path,
    classes: str,
    dilate: float | None,
    model: str,
    device: str | None,
    dtype: str,
    batch_size: int,
    seed: int,
) -> None:
    """Hide every component of a portrait, inpaint it, and lay the results out on one sheet.

    \b
    Example:
        facemask-inpaint demo --out runs/demo
        facemask-inpaint demo --model lama --image me.jpg --labels me_labels.png
    """
    if (image is None) != (label_map is None):
        raise click.UsageError("--image and --labels belong together")
    from facemask_inpaint import Inpainter
    from facemask_inpaint._internal.locks import locked

    options.require_folder(out)
    portrait, holes = _portrait_and_holes(image, label_map, classes, dilate)
    inpainter = Inpainter.from_pretrained(model, device=device, dtype=dtype)
    composites = inpainter(
        [portrait] * len(holes),
        list(holes.values()),
        seed=seed,
        batch_size=batch_size,
        progress=True,
    )
    advice = inpainter.card.advice if inpainter.card is not None else ""
    with locked(out, "demo"):
        sheet = _write(out, portrait, holes, composites, title=model, note=advice)
    click.echo(f"{len(holes)} mask classes inpainted with {model}; look at {sheet}")


def _portrait_and_holes(
    image: Path | None, label_map: Path | None, classes: str, dilate: float | None
) -> tuple[Image.Image, dict[str, NDArray[np.bool_]]]:
    """The portrait, and the holes of the components that it has by mask class."""
    import numpy as np

    from facemask_inpaint import SemanticMasker, data, images
    from facemask_inpaint.parsing.alignment import face_box

    masker = SemanticMasker(missing="empty", **options.masker_options(dilate))
    source: NDArray[np.uint8] | Path
    if image is None or label_map is None:
        sample = data.sample(512)
        box = face_box(sample.label_map)
        portrait = sample.image.crop(box)
        source = sample.label_map[box[1] : box[3], box[0] : box[2]]
    else:
        portrait, source = images.read_image(image), label_map
    holes: dict[str, NDArray[np.bool_]] = {}
    for name in sorted(masker.select(classes), key=_from_the_best):
        hole = np.asarray(masker(source, name)).astype(bool)
        if label_map is not None:
            options.require_size(label_map, hole.shape[::-1], portrait.size)
        if hole.any():
            holes[name] = hole
        else:
            click.echo(f"{name}: not in this image, left out")
    return portrait, holes


def _write(
    out: Path,
    portrait: Image.Image,
    holes: Mapping[str, NDArray[np.bool_]],
    composites: Sequence[Image.Image],
    *,
    title: str,
    note: str,
) -> Path:
    """Write the images with their holes, the composites, and the sheet of them all."""
    from facemask_inpaint import images
    from facemask_inpaint.images import contact_sheets, formats

    entries = []
    for (name, hole), composite in zip(holes.items(), composites):
        hidden = contact_sheets.paint_hole(portrait, hole)
        images.save_image(hidden, out / f"{name}_hole.png")
        suffix = formats.exact_suffix(composite.mode) or ".png"
        images.save_image(composite, out / f"{name}_filled{suffix}")
        caption = f"{name}  {hole.mean():.1%}"
        entries.append(contact_sheets.SheetEntry(caption, (portrait, hidden, composite)))
    sheet = contact_sheets.contact_sheet(
        entries, title=f"{title}: original, hole, composite", note=note
    )
    path = out / "contact_sheet.png"
    images.save_image(sheet, path)
    return path
