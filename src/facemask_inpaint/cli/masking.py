"""``facemask-inpaint mask``: label maps to hole masks."""

from __future__ import annotations

from pathlib import Path

import click

from facemask_inpaint.cli import options


@click.command()
@click.argument("labels", type=options.existing)
@options.classes_option()
@options.class_table_option
@options.dilate_option
@click.option(
    "--size",
    type=options.at_least_one,
    help="Side of the masks (default: the label map's own size).",
)
@click.option("--out", type=options.anywhere, required=True, help="Folder to write.")
@click.option("--overwrite", is_flag=True, help="Make masks again that are there already.")
def mask(
    labels: Path,
    classes: str,
    class_table: Path | None,
    dilate: float | None,
    size: int | None,
    out: Path,
    overwrite: bool,
) -> None:
    """Cut components out of LABELS, a label map or a folder of them (CelebAMask-HQ ids).

    Writes OUT/<class>/<stem>.png, 255 = hole. A component that a picture does not have is left out.

    \b
    Example:
        facemask-inpaint mask labels/ --classes hair,eyes --out masks
    """
    from facemask_inpaint import SemanticMasker, folders, images

    options.require_folder(out)
    masker = SemanticMasker(missing="empty", **options.masker_options(dilate, class_table))
    wanted = masker.select(classes)
    written, absent = 0, 0
    for path in options.progress(folders.list_images(labels)):
        for name in wanted:
            target = out / name / f"{path.stem}.png"
            if target.exists() and not overwrite:
                continue
            hole = masker(path, name, size=size)
            if hole.getbbox() is None:
                absent += 1
                continue
            images.save_image(hole, target)
            written += 1
    click.echo(f"{written} masks written to {out}; {absent} components absent")
