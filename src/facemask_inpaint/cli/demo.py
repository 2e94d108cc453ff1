"""``facemask-inpaint demo``: every mask class on one portrait, with something to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facemask_inpaint.cli import options
from facemask_inpaint.errors import ComponentAbsentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from facemask_inpaint.masks.label_maps import LabelMapLike
    from facemask_inpaint.parsing.alignment import Box


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
@click.option("--image", type=options.existing, help="Own photo (default: the bundled one).")
@click.option(
    "--labels",
    "label_map",
    type=options.existing,
    help="Label map of --image (default: found by the parser that ships).",
)
@click.option(
    "--out",
    type=options.new_folder,
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

    In an own photo the largest face is found first; the sheet shows that face.

    \b
    Example:
        facemask-inpaint demo --out runs/demo
        facemask-inpaint demo --image me.jpg --model lama
    """
    if label_map is not None and image is None:
        raise click.UsageError("--labels belongs to --image")
    from facemask_inpaint import Inpainter
    from facemask_inpaint._internal.locks import locked

    options.require_folder(out)
    portrait, labels, box = _portrait(image, label_map)
    holes = _holes(portrait, labels, classes, dilate)
    inpainter = Inpainter.from_pretrained(model, device=device, dtype=dtype)
    composites = inpainter(
        [portrait] * len(holes),
        list(holes.values()),
        label_map=[labels] * len(holes),
        seed=seed,
        batch_size=batch_size,
        progress=True,
    )
    advice = inpainter.card.advice if inpainter.card is not None else ""
    with locked(out, "demo"):
        sheet = _write(out, portrait, holes, composites, box=box, title=model, note=advice)
    click.echo(f"{len(holes)} mask classes inpainted with {model}; look at {sheet}")


def _portrait(image: Path | None, label_map: Path | None) -> tuple[Image.Image, LabelMapLike, Box]:
    """The portrait, its label map, and the rectangle of it that the sheet shows."""
    from facemask_inpaint import data, images, parsing
    from facemask_inpaint.parsing.alignment import face_box

    if image is None:
        sample = data.sample(512)
        box = face_box(sample.label_map)
        portrait = sample.image.crop(box)
        return portrait, sample.label_map[box[1] : box[3], box[0] : box[2]], (0, 0, *portrait.size)
    portrait = images.read_image(image)
    if label_map is not None:
        return portrait, label_map, (0, 0, *portrait.size)
    labels = parsing.load_parser("small")(portrait)
    try:
        return portrait, labels, face_box(labels)
    except ComponentAbsentError:  # behind sunglasses, say
        return portrait, labels, (0, 0, *portrait.size)


def _holes(
    portrait: Image.Image, labels: LabelMapLike, classes: str, dilate: float | None
) -> dict[str, NDArray[np.bool_]]:
    """The holes of the components that a portrait has, by mask class."""
    import numpy as np

    from facemask_inpaint import SemanticMasker

    masker = SemanticMasker(missing="empty", **options.masker_options(dilate))
    holes: dict[str, NDArray[np.bool_]] = {}
    for name in sorted(masker.select(classes), key=_from_the_best):
        hole = np.asarray(masker(labels, name)).astype(bool)
        if isinstance(labels, Path):
            options.require_size(labels, hole.shape[::-1], portrait.size)
        if hole.any():
            holes[name] = hole
        else:
            click.echo(f"{name}: not in this image, left out")
    return holes


def _write(
    out: Path,
    portrait: Image.Image,
    holes: Mapping[str, NDArray[np.bool_]],
    composites: Sequence[Image.Image],
    *,
    box: Box,
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
        shown = tuple(each.crop(box) for each in (portrait, hidden, composite))
        entries.append(contact_sheets.SheetEntry(caption, shown))
    sheet = contact_sheets.contact_sheet(
        entries, title=f"{title}: original, hole, composite", note=note
    )
    path = out / "contact_sheet.png"
    images.save_image(sheet, path)
    return path
