"""``facemask-inpaint inpaint``: fill the holes of a picture or of a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from facemask_inpaint.cli import options
from facemask_inpaint.errors import FacemaskInpaintError

if TYPE_CHECKING:
    from facemask_inpaint import Inpainter


class _Job(NamedTuple):
    """One picture to fill: where it lies, how to get its mask, where the results go."""

    image: Path
    mask: Callable[[], Any]
    targets: list[Path]


@click.command()
@click.argument("image", type=options.existing)
@click.option("--mask", "masks", type=options.existing, help="Mask or folder of masks, 255 = hole.")
@click.option("--labels", type=options.existing, help="Label map(s), with --classes.")
@options.classes_option(default=None)
@options.class_table_option
@options.dilate_option
@options.network_options
@click.option("--num-samples", default=1, show_default=True, help="Different results per picture.")
@click.option("--strategy", type=click.Choice(["pad", "resize", "crop"]), help="See the docs.")
@click.option(
    "--blend",
    type=click.Choice(["none", "feather", "poisson"]),
    default="none",
    show_default=True,
    help="What to do at the border of the hole.",
)
@click.option("--out", type=options.anywhere, required=True, help="File, or folder for many.")
@click.option("--overwrite", is_flag=True, help="Fill pictures again that are there already.")
def inpaint(
    image: Path,
    masks: Path | None,
    labels: Path | None,
    classes: str | None,
    class_table: Path | None,
    dilate: float | None,
    out: Path,
    overwrite: bool,
    model: str,
    device: str | None,
    dtype: str,
    **call: Any,
) -> None:
    """Fill the hole of IMAGE, a picture or a folder of pictures.

    Masks and label maps are paired with pictures by file stem, and the results keep each picture's
    format (JPEG is lossy, so known pixels are exact in PNG, WebP-lossless or TIFF only). A run that
    was interrupted goes on where it stopped.

    \b
    Example:
        facemask-inpaint inpaint face.png --mask hole.png --model lama --out filled.png
        facemask-inpaint inpaint faces/ --labels labels/ --classes hair,eyes --out filled
    """
    if (masks is None) == (labels is None):
        raise click.UsageError("give either --mask, or --labels with --classes")
    if labels is not None and classes is None:
        raise click.UsageError("--labels needs --classes, e.g. --classes hair,eyes")
    if masks is not None:
        jobs = _jobs_from_masks(image, masks, out, call["num_samples"])
    else:
        masker_options = options.masker_options(dilate, class_table)
        jobs = _jobs_from_labels(image, labels, classes, masker_options, out, call["num_samples"])
    if not overwrite:
        jobs = [job for job in jobs if not all(target.exists() for target in job.targets)]
    if not jobs:
        click.echo(f"nothing to do: every result is in {out} already (--overwrite makes them anew)")
        return
    from facemask_inpaint import Inpainter

    inpainter = Inpainter.from_pretrained(model, device=device, dtype=dtype)
    failures = _fill_all(inpainter, jobs, call)
    click.echo(f"{len(jobs) - len(failures)} of {len(jobs)} pictures filled with {model} in {out}")
    if failures:
        raise click.ClickException(f"{len(failures)} failed: " + "; ".join(failures))


def _jobs_from_masks(image: Path, masks: Path, out: Path, samples: int) -> list[_Job]:
    from facemask_inpaint import images

    many = image.is_dir()
    return [
        _Job(path, partial(images.read_image, other), _targets(out, path, many, samples))
        for path, other in _paired(image, masks, "mask")
    ]


def _jobs_from_labels(
    image: Path, labels: Path, classes: str, masker_options: dict[str, Any], out: Path, samples: int
) -> list[_Job]:
    from facemask_inpaint import SemanticMasker

    masker = SemanticMasker(**masker_options)
    wanted = options.parse_classes(classes, masker)
    many = image.is_dir() or len(wanted) > 1
    return [
        _Job(
            path,
            partial(masker, other, name),
            _targets(
                out / options.class_name(name) if len(wanted) > 1 else out, path, many, samples
            ),
        )
        for path, other in _paired(image, labels, "label map")
        for name in wanted
    ]


def _paired(image: Path, partner: Path, kind: str) -> list[tuple[Path, Path]]:
    """Pairs by stem; pictures without a partner are named, and left out."""
    from facemask_inpaint import folders

    pairs = folders.pair_by_stem(image, partner)
    if not pairs.matched:
        raise click.ClickException(f"no picture of {image} has a {kind} in {partner} (by stem)")
    if pairs.only_first:
        named = ", ".join(pairs.only_first[:5]) + (" …" if len(pairs.only_first) > 5 else "")
        click.echo(f"{len(pairs.only_first)} pictures have no {kind}, left out: {named}", err=True)
    return pairs.matched


def _targets(out: Path, image: Path, many: bool, samples: int) -> list[Path]:
    base = out / image.name if many or not out.suffix else out
    if samples == 1:
        return [base]
    return [base.with_name(f"{base.stem}_{index}{base.suffix}") for index in range(samples)]


def _fill_all(inpainter: Inpainter, jobs: list[_Job], call: dict[str, Any]) -> list[str]:
    """Fill in batches; what fails is named and costs nothing else. Returns the failures."""
    failures: list[str] = []
    size = call["batch_size"]
    with options.progress(jobs) as bar:
        for start in range(0, len(jobs), size):
            batch = jobs[start : start + size]
            try:
                _fill(inpainter, batch, call)
            except FacemaskInpaintError:
                failures += _fill_one_by_one(inpainter, batch, call)
            bar.update(len(batch))
    return failures


def _fill_one_by_one(inpainter: Inpainter, batch: list[_Job], call: dict[str, Any]) -> list[str]:
    failures = []
    for job in batch:
        try:
            _fill(inpainter, [job], call)
        except FacemaskInpaintError as error:
            message = str(error)
            name = "" if job.image.name in message else f"{job.image.name}: "
            failures.append(name + message)
    return failures


def _fill(inpainter: Inpainter, batch: list[_Job], call: dict[str, Any]) -> None:
    from facemask_inpaint import images

    pictures = [images.read_image(job.image) for job in batch]
    results = inpainter(pictures, [job.mask() for job in batch], **call)
    samples = results if call["num_samples"] > 1 else [results]
    for number, filled in enumerate(samples):
        for job, picture in zip(batch, filled):
            images.save_image(picture, job.targets[number])
