"""``facemask-inpaint inpaint``: inpaint an image or a folder of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Unpack, cast

import click

from facemask_inpaint.cli import options
from facemask_inpaint.cli._inpainting_jobs import (
    Job,
    check_targets,
    jobs_from_label_maps,
    jobs_from_masks,
    jobs_from_photos,
)
from facemask_inpaint.errors import ComponentAbsentError, FacemaskInpaintError, OptionError

if TYPE_CHECKING:
    from PIL import Image

    from facemask_inpaint import Inpainter
    from facemask_inpaint._internal.types import Conditions
    from facemask_inpaint.cli.provenance import Provenance
    from facemask_inpaint.inpainting.options import InpaintingOptions
    from facemask_inpaint.masks.parsers import Parser


_NOTHING_TO_DO = (
    "nothing to do: every result is already in {}, made from the same files with the same options "
    "(--overwrite makes them anew)"
)


@click.command()
@click.argument("image", type=options.existing)
@click.option(
    "--mask",
    "masks",
    type=options.existing,
    help="Mask, folder of masks, or folder of such by class as `mask` writes; 255 = hole.",
)
@click.option("--labels", "label_maps", type=options.existing, help="Label map(s), with --classes.")
@options.classes_option(default=None)
@options.class_table_option
@options.dilate_option
@click.option(
    "--parser",
    help="Finds the faces of photos: small (the default, no download), bisenet, segformer, "
    "landmarks.",
)
@click.option(
    "--faces",
    type=options.FaceNumber(),
    default="all",
    show_default=True,
    help="Which faces of a photo: all, largest, or a number from 0, the largest.",
)
@options.model_option
@options.compute_options
@options.condition_options
@click.option(
    "--num-samples",
    type=options.at_least_one,
    default=1,
    show_default=True,
    help="Different results per image.",
)
@click.option(
    "--strategy",
    type=click.Choice(["pad", "resize", "crop", "face"]),
    help="What the network sees of an image (default: its faces as it knows them, where they are "
    "found); see the docs.",
)
@click.option(
    "--blend",
    type=click.Choice(["none", "feather", "poisson"]),
    help="What to do at the border of the hole (default: poisson for faces that are framed, else "
    "none).",
)
@click.option(
    "--match",
    type=click.Choice(["tone"]),
    help="tone: take over the colours and the grain around the hole.",
)
@click.option(
    "--sampling",
    type=click.Choice(["official", "balanced", "fast"]),
    help="RePaint's sampling: 2,410, 295 or 57 calls of its network.",
)
@click.option(
    "--refine",
    is_flag=True,
    default=None,
    help="Refine large images at several scales (LaMa).",
)
@click.option(
    "--out",
    type=options.anywhere,
    default="inpainted",
    show_default=True,
    help="File, or folder for many.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Make results anew that are already there, and replace files of any origin.",
)
def inpaint(
    image: Path,
    masks: Path | None,
    label_maps: Path | None,
    classes: str | None,
    class_table: Path | None,
    dilate: float | None,
    out: Path,
    overwrite: bool,
    model: str,
    device: str | None,
    dtype: str,
    num_samples: int,
    **call: Unpack[InpaintingOptions],
) -> None:
    """Inpaint IMAGE, a photo or a folder of photos: hide mask classes, or what a mask says.

    With --classes alone the faces are found in the photo, and each is inpainted as the network
    knows faces; several classes give one result each. Masks and label maps are paired with images
    by file stem.

    Results keep each image's format (JPEG is lossy, so known pixels are exact in PNG, lossless WebP
    and TIFF only), or become PNG where that format cannot hold them. Failures are listed at the
    end; the other images are inpainted all the same. Of many images those are skipped whose results
    are already there, made from the same files with the same model and options, so an interrupted
    run can be continued. A single image is always inpainted. Files that the same image did not lead
    to before are replaced only with --overwrite.

    \b
    Example:
        facemask-inpaint inpaint photo.jpg --classes eyes,hair
        facemask-inpaint inpaint photos/ --classes eyes --model lama --match tone --out filled
        facemask-inpaint inpaint face.png --mask hole.png --model lama --out filled.png
        facemask-inpaint inpaint faces/ --labels labels/ --classes hair,eyes --out filled
        facemask-inpaint inpaint faces/ --labels labels/ --classes eyes --out filled \\
            --model diffusers:owner/pipeline --steps 30
    """
    from facemask_inpaint import Inpainter
    from facemask_inpaint._internal.locks import locked
    from facemask_inpaint.cli.provenance import Provenance

    masker_options = options.masker_options(dilate, class_table)
    jobs = _jobs(image, masks, label_maps, classes, masker_options, out, num_samples)
    check_targets(jobs, out, overwrite)
    is_folder = image.is_dir() or len(jobs) > 1
    with locked(out, "inpaint") if is_folder else nullcontext():
        provenance = Provenance(out)
        settings = _settings(model, dtype, num_samples, call)
        left = jobs if overwrite else _left(jobs, provenance, settings, is_folder)
        if not left:
            click.echo(_NOTHING_TO_DO.format(out))
            return
        call["parser"] = _loaded_parser(call.get("parser"), left[0], device)
        inpainter = Inpainter.from_pretrained(model, device=device, dtype=dtype)
        kind = _Run if left[0].partner else _PhotoRun
        run = kind(inpainter, num_samples, call, provenance, settings)
        run.inpaint_all(left)
    run.report(f"with {model} in {out}", skipped=len(jobs) - len(left))


def _left(
    jobs: list[Job], provenance: Provenance, settings: Mapping[str, object], is_folder: bool
) -> list[Job]:
    """The jobs to do, all if it is a single one; none may replace what is not its own."""
    if is_folder:
        return provenance.unfinished(jobs, lambda job: job.output(settings))
    provenance.require_own(job.output(settings) for job in jobs)
    return jobs


def _loaded_parser(
    parser: str | Parser | None, job: Job, device: str | None
) -> str | Parser | None:
    """The parser that a run needs, loaded before any photo; else it would fail for each."""
    from facemask_inpaint.masks.parsers import resolve_parser

    if job.label_map is not None or not (parser or job.partner is None):
        return parser
    return resolve_parser(parser or "small", device=device)


def _jobs(
    image: Path,
    masks: Path | None,
    label_maps: Path | None,
    classes: str | None,
    masker_options: options.MaskerOptions,
    out: Path,
    samples: int,
) -> list[Job]:
    from facemask_inpaint import SemanticMasker

    if masks is not None and label_maps is None:
        if classes is not None or masker_options:
            raise click.UsageError("--classes, --class-table and --dilate belong to --labels")
        return jobs_from_masks(image, masks, out, samples)
    if masks is None and label_maps is not None and classes is not None:
        masker = SemanticMasker(**masker_options)
        return jobs_from_label_maps(image, label_maps, masker, classes, out, samples)
    if masks is None and label_maps is None and classes is not None:
        if masker_options:
            raise click.UsageError("--class-table and --dilate belong to --labels")
        return jobs_from_photos(image, classes, out, samples)
    raise click.UsageError(
        "give --classes, e.g. hair,eyes, and --labels if you have them; or --mask"
    )


def _settings(
    model: str, dtype: str, num_samples: int, call: InpaintingOptions
) -> dict[str, object]:
    """Everything besides files that results depend on."""
    from facemask_inpaint.inpainting.pretrained import weights_identity

    settings = {name: value for name, value in call.items() if name != "batch_size"}
    settings |= {"num_samples": num_samples, "dtype": dtype}
    return {**settings, "weights": weights_identity(model)}


class _Run:
    """Inpaints in batches; failures are kept for the end and stop nothing else."""

    @property
    def _at_a_time(self) -> int:
        """How many images are inpainted together."""
        return self._call["batch_size"]

    def __init__(
        self,
        inpainter: Inpainter,
        num_samples: int,
        call: InpaintingOptions,
        provenance: Provenance,
        settings: Mapping[str, object],
    ) -> None:
        self._inpainter = inpainter
        self._num_samples = num_samples
        self._call = call
        self._provenance = provenance
        self._settings = settings
        self._total = 0
        self._inpainted = 0
        self._absent = 0
        self._failures: list[str] = []

    def inpaint_all(self, jobs: Sequence[Job]) -> None:
        """Do all jobs, one batch after the other."""
        self._inpainter.check_conditions(**options.conditions(self._call))
        self._total = len(jobs)
        size = self._at_a_time
        for start in options.progress(range(0, len(jobs), size)):
            batch = jobs[start : start + size]
            try:
                self._inpaint(batch)
            except OptionError:
                raise  # none of the images is the reason, so all others would fail too
            except FacemaskInpaintError:
                for job in batch:
                    self._inpaint_alone(job)

    def report(self, how: str, *, skipped: int) -> None:
        """Say what was done, what was already there, and what failed."""
        if self._inpainted or not self._failures:
            before = f"; {skipped} were already there" if skipped else ""
            click.echo(f"{self._inpainted} of {self._total} images inpainted {how}{before}")
        if self._absent:
            click.echo(f"{self._absent} components absent, left out")
        options.require_none_failed(self._failures)

    def _inpaint_alone(self, job: Job) -> None:
        try:
            self._inpaint([job])
        except FacemaskInpaintError as error:
            self._failures.append(options.failure(job.image, error))

    def _inpaint(self, batch: Sequence[Job]) -> None:
        for job in batch:
            self._provenance.begin(job.output(self._settings))
        present = self._write(batch)
        for job in batch:
            self._provenance.finish(job.output(self._settings), absent=job not in present)
        self._inpainted += len(present)
        self._absent += len(batch) - len(present)

    def _write(self, batch: Sequence[Job]) -> list[Job]:
        """Write the results of a batch; which of its jobs had anything to inpaint."""
        from facemask_inpaint import images

        masks = [(job, mask) for job in batch if (mask := job.mask()) is not None]
        originals = [images.read_image(job.image) for job, _ in masks]
        for (job, mask), original in zip(masks, originals):
            if job.partner is not None and not isinstance(mask, Path):
                options.require_size(job.partner, mask.size, original.size)
        present = [job for job, _ in masks]
        if present:
            call: InpaintingOptions = {**self._call, **self._mask_classes(present)}
            label_maps = [job.label_map for job in present if job.label_map is not None]
            if label_maps:
                call["label_map"] = label_maps
            own_masks, number = [mask for _, mask in masks], self._num_samples
            results = self._inpainter(originals, own_masks, num_samples=number, **call)
            samples = results if number > 1 else cast("list[list[Image.Image]]", [results])
            for number, composites in enumerate(samples):
                for job, composite in zip(present, composites):
                    images.save_image(composite, job.targets[number])
        return present

    def _mask_classes(self, batch: Sequence[Job]) -> Conditions:
        """The mask classes of a batch, for a network that can be told them."""
        told = self._inpainter.network.condition_spec().get("mask_class")
        if told is None:
            return {}
        names = [job.mask_class for job in batch]
        return {"mask_class": [name if name and told.knows(name) else None for name in names]}


class _PhotoRun(_Run):
    """Inpaints photos one by one, and says of each which faces were found."""

    _at_a_time = 1

    def _write(self, batch: Sequence[Job]) -> list[Job]:
        """Write the results of one photo; see :meth:`_Run._write`."""
        from facemask_inpaint import images
        from facemask_inpaint._internal.progress import ProgressBar

        (job,) = batch
        call: InpaintingOptions = {**self._call, "mask_class": job.mask_class}
        name = f"{job.image.name}, {job.mask_class}"
        try:
            original = images.read_image(job.image)
            result = self._inpainter.inpaint(original, num_samples=self._num_samples, **call)
        except ComponentAbsentError:
            ProgressBar.write(f"{name}: not in this photo, left out")
            return []
        number = self._num_samples
        composites = result.images if number > 1 else [result.images]
        for composite, target in zip(cast("list[Image.Image]", composites), job.targets):
            images.save_image(composite, target)
        ProgressBar.write(f"{name}: {result}; {', '.join(map(str, job.targets))}")
        return [job]
