"""``facemask-inpaint inpaint``: fill the holes of a picture or of a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from facemask_inpaint.cli import options
from facemask_inpaint.errors import ComponentAbsentError, FacemaskInpaintError, OptionError

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from facemask_inpaint import Inpainter, SemanticMasker
    from facemask_inpaint.cli.provenance import Output, Provenance


class _Job(NamedTuple):
    """One picture to fill: where it lies, its mask or label map, where the results go."""

    image: Path
    partner: Path
    mask: Callable[[], PILImage | Path]
    targets: list[Path]
    cut: Mapping[str, Any]
    """How the mask is made of the label map; its class, where that is known."""

    def result(self, settings: Mapping[str, Any]) -> Output:
        """What the job makes, as the folder remembers it."""
        from facemask_inpaint.cli.provenance import Output

        return Output(self.targets, [self.image, self.partner], {**settings, **self.cut})


@click.command()
@click.argument("image", type=options.existing)
@click.option(
    "--mask",
    "masks",
    type=options.existing,
    help="Mask, folder of masks, or folder of such by class as `mask` writes; 255 = hole.",
)
@click.option("--labels", type=options.existing, help="Label map(s), with --classes.")
@options.classes_option(default=None)
@options.class_table_option
@options.dilate_option
@options.model_option
@options.compute_options
@options.condition_options
@click.option(
    "--num-samples",
    type=options.at_least_one,
    default=1,
    show_default=True,
    help="Different results per picture.",
)
@click.option("--strategy", type=click.Choice(["pad", "resize", "crop"]), help="See the docs.")
@click.option(
    "--blend",
    type=click.Choice(["none", "feather", "poisson"]),
    default="none",
    show_default=True,
    help="What to do at the border of the hole.",
)
@click.option(
    "--sampling",
    type=click.Choice(["official", "balanced", "fast"]),
    help="How many steps RePaint takes: 2,410, 295 or 57 calls of its network.",
)
@click.option("--refine", is_flag=True, help="Refine large pictures at several scales (LaMa).")
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
    sampling: str | None,
    refine: bool,
    **call: Any,
) -> None:
    """Fill the hole of IMAGE, a picture or a folder of pictures.

    Masks and label maps are paired with pictures by file stem, and the results keep each picture's
    format (JPEG is lossy, so known pixels are exact in PNG, WebP-lossless or TIFF only), or become
    PNG where that format cannot hold them. What fails is listed at the end and costs nothing else.
    Of many pictures those are left as they are that are there already, made from the same files
    with the same model and options: a run that was interrupted goes on where it stopped.

    \b
    Example:
        facemask-inpaint inpaint face.png --mask hole.png --model lama --out filled.png
        facemask-inpaint inpaint faces/ --mask masks/ --out filled
        facemask-inpaint inpaint faces/ --labels labels/ --classes hair,eyes --out filled
        facemask-inpaint inpaint faces/ --labels labels/ --classes eyes --out filled \\
            --model diffusers:owner/pipeline --steps 30
    """
    from facemask_inpaint import Inpainter, SemanticMasker
    from facemask_inpaint._internal.locks import locked
    from facemask_inpaint.cli.provenance import Provenance
    from facemask_inpaint.inpainting.pretrained import weights_identity

    samples = call["num_samples"]
    if masks is not None and labels is None:
        if (classes, class_table, dilate) != (None, None, None):
            raise click.UsageError("--classes, --class-table and --dilate belong to --labels")
        jobs = _jobs_from_masks(image, masks, out, samples)
    elif masks is None and labels is not None and classes is not None:
        masker = SemanticMasker(**options.masker_options(dilate, class_table))
        jobs = _jobs_from_labels(image, labels, masker, masker.select(classes), out, samples)
    else:
        raise click.UsageError("give either --mask, or --labels with --classes, e.g. hair,eyes")
    if len(jobs) > 1:
        options.require_folder(out)
    if len(jobs) > 1 or out.is_dir() or not out.suffix:
        _say_renamed(jobs)
    if not overwrite:
        _require_elsewhere(jobs)
    is_folder = image.is_dir() or len(jobs) > 1
    with locked(out, "inpaint") if is_folder else nullcontext():
        provenance = Provenance(out) if is_folder or out.is_dir() else None
        settings = {"dtype": dtype, "sampling": sampling, "refine": refine, **call}
        settings = {name: settings[name] for name in settings if name != "batch_size"}
        if provenance is not None:
            settings["weights"] = weights_identity(model)
        left = jobs
        if provenance is not None and is_folder and not overwrite:
            left = _left(jobs, provenance, settings)
        if not left:
            click.echo(
                f"nothing to do: every result is in {out} already, made from the same files with "
                "the same options (--overwrite makes them anew)"
            )
            return
        inpainter = Inpainter.from_pretrained(model, device=device, dtype=dtype)
        if refine:
            _refine(inpainter)
        if sampling:
            _sample_by(inpainter, sampling)
        run = _Run(inpainter, call, provenance, settings)
        run.fill_all(left)
    _summarise(run, left, len(jobs) - len(left), f"with {model} in {out}")


def _left(jobs: list[_Job], provenance: Provenance, settings: Mapping[str, Any]) -> list[_Job]:
    """Jobs whose results are not there, or were made from other files or otherwise."""
    left = [job for job in jobs if not provenance.is_current(job.result(settings))]
    provenance.require_known(target for job in left for target in job.targets)
    return left


def _summarise(run: _Run, jobs: list[_Job], kept: int, how: str) -> None:
    """Say what was done, what was there already, and what failed."""
    if run.filled or not run.failures:
        before = f"; {kept} were there already" if kept else ""
        click.echo(f"{run.filled} of {len(jobs)} pictures filled {how}{before}")
    if run.absent:
        click.echo(f"{run.absent} components absent, left out")
    options.require_none_failed(run.failures)


def _sample_by(inpainter: Inpainter, sampling: str) -> None:
    """Choose RePaint's preset, or say that this is not RePaint."""
    from facemask_inpaint.models.repaint import RePaint

    if not isinstance(inpainter.network, RePaint):
        raise click.UsageError("--sampling works with RePaint only")
    inpainter.network.sampling = sampling


def _refine(inpainter: Inpainter) -> None:
    from facemask_inpaint.models.lama import LaMa, Refinement

    if not isinstance(inpainter.network, LaMa):
        raise click.UsageError("--refine works with LaMa only")
    inpainter.network.refinement = Refinement()


def _jobs_from_masks(image: Path, masks: Path, out: Path, samples: int) -> list[_Job]:
    from facemask_inpaint.images import folders

    by_class = folders.class_folders(masks)
    pairs: list[tuple[Path, Path, Path, dict[str, str]]]
    if not by_class:
        pairs = [(out, *pair, {}) for pair in _paired(image, masks, "mask")]
    else:
        pairs = []
        for name, folder in by_class.items():
            found = folders.pair_by_stem(image, folder).matched
            target = out / name if len(by_class) > 1 else out
            pairs += [(target, *pair, {"class": name}) for pair in found]
    if not pairs:
        raise click.ClickException(f"no picture of {image} has a mask below {masks} (by stem)")
    many = image.is_dir() or len(by_class) > 1
    return [
        _Job(path, mask, partial(Path, mask), _targets(folder, path, many, samples), cut)
        for folder, path, mask, cut in pairs
    ]


def _jobs_from_labels(
    image: Path, labels: Path, masker: SemanticMasker, names: list[str], out: Path, samples: int
) -> list[_Job]:
    from facemask_inpaint.benchmark.store.settings import masker_record

    jobs = []
    how = masker_record(masker)
    for path, label_map in _paired(image, labels, "label map"):
        for name in names:
            folder = out / name if len(names) > 1 else out
            targets = _targets(folder, path, image.is_dir() or len(names) > 1, samples)
            cut = {"class": name, "label_ids": masker.classes[name].label_ids, **how}
            jobs.append(_Job(path, label_map, partial(masker, label_map, name), targets, cut))
    return jobs


def _paired(image: Path, partner: Path, kind: str) -> list[tuple[Path, Path]]:
    """Pairs by stem; pictures without a partner are named, and left out."""
    from facemask_inpaint.images import folders

    pairs = folders.pair_by_stem(image, partner)
    if not pairs.matched:
        raise click.ClickException(f"no picture of {image} has a {kind} in {partner} (by stem)")
    if pairs.only_first:
        named = ", ".join(pairs.only_first[:5]) + (" …" if len(pairs.only_first) > 5 else "")
        click.echo(f"{len(pairs.only_first)} pictures have no {kind}, left out: {named}", err=True)
    return pairs.matched


def _targets(out: Path, image: Path, many: bool, samples: int) -> list[Path]:
    from facemask_inpaint import images

    into_folder = many or out.is_dir() or not out.suffix
    base = out / images.result_name(image) if into_folder else out
    if samples == 1:
        return [base]
    return [base.with_name(f"{base.stem}_{index}{base.suffix}") for index in range(samples)]


def _say_renamed(jobs: list[_Job]) -> None:
    """Name pictures whose results go into another kind of file."""
    pairs = ((job.image.name, job.image.suffix, job.targets[0].suffix) for job in jobs)
    renamed = {name: target for name, own, target in pairs if target != own}
    if renamed:
        shown = ", ".join(f"{name} as {suffix}" for name, suffix in renamed.items())
        click.echo(f"written in another format, which holds the result: {shown}", err=True)


def _require_elsewhere(jobs: list[_Job]) -> None:
    """Refuse results that lie where the pictures are; they would count as filled already."""
    for job in jobs:
        if any(target.exists() and target.samefile(job.image) for target in job.targets):
            raise click.UsageError(
                f"--out would replace the picture {job.image} itself; name another file or folder "
                "(--overwrite replaces it)"
            )


class _Run:
    """Fills jobs in batches; what fails is named and costs nothing else."""

    def __init__(
        self,
        inpainter: Inpainter,
        call: dict[str, Any],
        provenance: Provenance | None,
        settings: Mapping[str, Any],
    ) -> None:
        self._inpainter = inpainter
        self._call = call
        self._provenance = provenance
        self._settings = settings
        self.filled = 0
        self.absent = 0
        self.failures: list[str] = []

    def fill_all(self, jobs: list[_Job]) -> None:
        """Fill every job, one batch after the other."""
        size = self._call["batch_size"]
        for start in options.progress(range(0, len(jobs), size)):
            batch = jobs[start : start + size]
            try:
                self._fill(batch)
            except OptionError:
                raise  # no picture is at fault, so none would fare better
            except FacemaskInpaintError:
                for job in batch:
                    self._fill_alone(job)

    def _fill_alone(self, job: _Job) -> None:
        try:
            self._fill([job])
        except FacemaskInpaintError as error:
            self.failures.append(options.failure(job.image, error))

    def _conditions(self, batch: list[_Job]) -> dict[str, Any]:
        """The mask classes of a batch, for a network that takes them."""
        if "mask_class" not in self._inpainter.network.condition_spec():
            return {}
        return {"mask_class": [job.cut.get("class") or None for job in batch]}

    def _fill(self, batch: list[_Job]) -> None:
        from facemask_inpaint import images

        if self._provenance is not None:
            for job in batch:
                self._provenance.begin(job.result(self._settings))
        masks = [(job, mask) for job in batch if (mask := _mask_of(job)) is not None]
        pictures = [images.read_image(job.image) for job, _ in masks]
        for (job, mask), picture in zip(masks, pictures):
            if not isinstance(mask, Path):
                options.require_size(job.partner, mask.size, picture.size)
        samples = []
        if masks:
            conditions = self._conditions([job for job, _ in masks])
            samples = self._inpainter(
                pictures, [mask for _, mask in masks], **conditions, **self._call
            )
        if self._call["num_samples"] == 1:
            samples = [samples]
        for number, filled in enumerate(samples):
            for (job, _), picture in zip(masks, filled):
                images.save_image(picture, job.targets[number])
        present = [job for job, _ in masks]
        if self._provenance is not None:
            for job in batch:
                self._provenance.finish(job.result(self._settings), absent=job not in present)
        self.filled += len(masks)
        self.absent += len(batch) - len(masks)


def _mask_of(job: _Job) -> PILImage | Path | None:
    """The job's mask; None where the picture does not have the component."""
    try:
        return job.mask()
    except ComponentAbsentError:
        return None
