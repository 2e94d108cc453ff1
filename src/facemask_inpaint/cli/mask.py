"""``facemask-inpaint mask``: photos or label maps to hole masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facemask_inpaint.cli import options
from facemask_inpaint.errors import FacemaskInpaintError

if TYPE_CHECKING:
    from facemask_inpaint import SemanticMasker
    from facemask_inpaint.cli.provenance import Output, Provenance


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
    not have is left out. What fails is listed at the end and costs nothing else;
    masks that were cut before from the same file in the same way are left as they are.

    \b
    Examples:
        facemask-inpaint mask photo.jpg --classes hair,eyes --out masks
        facemask-inpaint mask labels/ --classes A-L --out masks
    """
    from facemask_inpaint import SemanticMasker, parsing
    from facemask_inpaint._internal.locks import locked
    from facemask_inpaint.benchmark.store.settings import masker_record
    from facemask_inpaint.cli.provenance import Provenance
    from facemask_inpaint.images import folders

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
    how = {"parser": parser, "face": face, "size": size, **masker_record(masker)}
    with locked(out, "mask"):
        provenance = Provenance(out)
        paths = folders.list_images(pictures)
        results = {path: _results(path, out, masker, wanted, how) for path in paths}
        if not overwrite:
            results = {path: _left(found, provenance) for path, found in results.items()}
        for path in options.progress([path for path in paths if results[path]]):
            try:
                made = _cut(masker, path, results[path], size, provenance)
            except FacemaskInpaintError as error:
                failures.append(options.failure(path, error))
                continue
            written += made
            absent += len(results[path]) - made
    kept = len(paths) * len(wanted) - sum(map(len, results.values()))
    if written or not failures:
        before = f"; {kept} were looked for already" if kept else ""
        click.echo(f"{written} masks written to {out}; {absent} components absent{before}")
    options.require_none_failed(failures)


def _results(
    path: Path, out: Path, masker: SemanticMasker, wanted: list[str], how: dict[str, Any]
) -> dict[str, Output]:
    """What comes of a picture, by mask class."""
    from facemask_inpaint.cli.provenance import Output

    ids = {name: masker.classes[name].label_ids for name in wanted}
    return {
        name: Output([out / name / f"{path.stem}.png"], [path], {"label_ids": ids[name], **how})
        for name in wanted
    }


def _left(results: dict[str, Output], provenance: Provenance) -> dict[str, Output]:
    """Results that are not there, or were made from another file or otherwise."""
    left = {name: one for name, one in results.items() if not provenance.is_current(one)}
    provenance.require_known(target for one in left.values() for target in one.targets)
    return left


def _cut(
    masker: SemanticMasker,
    path: Path,
    results: dict[str, Output],
    size: int | None,
    provenance: Provenance,
) -> int:
    """Write a picture's masks where they are to go; how many of the components it has."""
    from facemask_inpaint import images

    for result in results.values():
        provenance.begin(result)
    labels = masker.parse(images.read_image(path))
    holes = {name: masker(labels, name, size=size) for name in results}
    present = {name: hole for name, hole in holes.items() if hole.getbbox() is not None}
    for name, hole in present.items():
        images.save_image(hole, results[name].targets[0])
    for name, result in results.items():
        provenance.finish(result, absent=name not in present)
    return len(present)
