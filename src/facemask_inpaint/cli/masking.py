"""``facemask-inpaint mask``: photos or label maps to hole masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facemask_inpaint.cli import options
from facemask_inpaint.errors import FacemaskInpaintError

if TYPE_CHECKING:
    from facemask_inpaint import SemanticMasker


@click.command()
@click.argument("pictures", type=options.existing)
@options.classes_option()
@options.class_table_option
@options.dilate_option
@click.option(
    "--parser",
    default="small",
    show_default=True,
    help="What finds the components of photos: small (no download), bisenet, segformer, landmarks.",
)
@click.option(
    "--face",
    default="largest",
    show_default=True,
    help="Which faces of a photo: largest, all, or a number from 0, the largest.",
)
@click.option(
    "--size",
    type=options.at_least_one,
    help="Side of the masks (default: the picture's own size).",
)
@click.option("--out", type=options.anywhere, required=True, help="Folder to write.")
@click.option("--overwrite", is_flag=True, help="Make masks again that are there already.")
def mask(
    pictures: Path,
    classes: str,
    class_table: Path | None,
    dilate: float | None,
    parser: str,
    face: str,
    size: int | None,
    out: Path,
    overwrite: bool,
) -> None:
    """Cut components out of PICTURES, a photo or label map, or a folder of them.

    Pictures whose samples are label ids (CelebAMask-HQ) are label maps, all others photos; those
    are turned upright. Writes OUT/<class>/<stem>.png, 255 = hole. A component that a picture does
    not have is left out. What fails is listed at the end and costs nothing else.

    \b
    Examples:
        facemask-inpaint mask photo.jpg --classes hair,eyes --out masks
        facemask-inpaint mask labels/ --classes A-L --out masks
    """
    from facemask_inpaint import SemanticMasker, folders, parsing

    options.require_folder(out)
    chosen = int(face) if face.isdecimal() else face
    masker = SemanticMasker(
        missing="empty",
        parser=parsing.load_parser(parser, face=chosen),
        **options.masker_options(dilate, class_table),
    )
    wanted = masker.select(classes)
    if lost := [name for name in wanted if name in masker.unavailable()]:
        click.echo(f"photos: the {parser} parser never finds {', '.join(lost)}", err=True)
    written, absent, failures = 0, 0, list[str]()
    for path in options.progress(folders.list_images(pictures)):
        targets = {name: out / name / f"{path.stem}.png" for name in wanted}
        if not overwrite:
            targets = {name: target for name, target in targets.items() if not target.exists()}
        try:
            made = _cut(masker, path, targets, size) if targets else 0
        except FacemaskInpaintError as error:
            failures.append(options.failure(path, error))
            continue
        written += made
        absent += len(targets) - made
    if written or not failures:
        click.echo(f"{written} masks written to {out}; {absent} components absent")
    options.require_none_failed(failures)


def _cut(masker: SemanticMasker, path: Path, targets: dict[str, Path], size: int | None) -> int:
    """Write a picture's masks where they are to go; how many of the components it has."""
    from facemask_inpaint import images

    labels = masker.parse(images.read_image(path))
    holes = {name: masker(labels, name, size=size) for name in targets}
    present = {name: hole for name, hole in holes.items() if hole.getbbox() is not None}
    for name, hole in present.items():
        images.save_image(hole, targets[name])
    return len(present)
