"""``facemask-inpaint mask``: photos or label maps to hole masks."""

from __future__ import annotations

from pathlib import Path

import click

from facemask_inpaint.cli import options


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

    Pictures in colour are photos, all others label maps (CelebAMask-HQ ids). Photos are turned
    upright. Writes OUT/<class>/<stem>.png, 255 = hole. A component that a picture does not have is
    left out.

    \b
    Examples:
        facemask-inpaint mask photo.jpg --classes hair,eyes --out masks
        facemask-inpaint mask labels/ --classes A-L --out masks
    """
    from facemask_inpaint import SemanticMasker, folders, images, parsing

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
    written, absent = 0, 0
    for path in options.progress(folders.list_images(pictures)):
        targets = {name: out / name / f"{path.stem}.png" for name in wanted}
        if all(target.exists() for target in targets.values()) and not overwrite:
            continue
        labels = masker.parse(path)
        for name, target in targets.items():
            if target.exists() and not overwrite:
                continue
            hole = masker(labels, name, size=size)
            if hole.getbbox() is None:
                absent += 1
                continue
            images.save_image(hole, target)
            written += 1
    click.echo(f"{written} masks written to {out}; {absent} components absent")
