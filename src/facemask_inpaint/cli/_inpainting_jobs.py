"""What ``facemask-inpaint inpaint`` has to do: images paired with masks or label maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from facemask_inpaint.cli import options
from facemask_inpaint.errors import ComponentAbsentError

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from facemask_inpaint import SemanticMasker
    from facemask_inpaint.cli.provenance import Output


class Job(NamedTuple):
    """One image to inpaint.

    Attributes:
        image: its file.
        partner: file of its mask or label map; ``None`` for a photo, in which a parser looks.
        make_mask: returns the mask, or the path of its file; ``None`` for a photo.
        targets: files to write, one per sample.
        mask_settings: how the mask is made of a label map; its mask class, where that is known.
        label_map: file of the label map in which faces are found, if there is one.
    """

    image: Path
    partner: Path | None
    make_mask: Callable[[], PILImage | Path] | None
    targets: list[Path]
    mask_settings: Mapping[str, object]
    label_map: Path | None = None

    @property
    def mask_class(self) -> str | None:
        """Name of the mask's class, where that is known."""
        name = self.mask_settings.get("class")
        return name if isinstance(name, str) else None

    def output(self, settings: Mapping[str, object]) -> Output:
        """Return what the job makes, for the record of the folder."""
        from facemask_inpaint.cli.provenance import Output

        inputs = [self.image] if self.partner is None else [self.image, self.partner]
        return Output(self.targets, inputs, {**settings, **self.mask_settings})

    def mask(self) -> PILImage | Path | None:
        """Return the mask; ``None`` where the image does not have the component."""
        try:
            return None if self.make_mask is None else self.make_mask()
        except ComponentAbsentError:
            return None


def jobs_from_masks(image: Path, masks: Path, out: Path, samples: int) -> list[Job]:
    """Pair images with masks, or with the masks in folders named by mask class."""
    from facemask_inpaint.images import folders

    by_class = folders.class_folders(masks)
    pairs: list[tuple[Path, Path, Path, dict[str, str]]] = []
    if not by_class:
        pairs = [(out, *pair, {}) for pair in _paired(image, masks, "mask")]
    for name, folder in by_class.items():
        target = out / name if len(by_class) > 1 else out
        matched = folders.pair_by_stem(image, folder).matched
        pairs += [(target, *pair, {"class": name}) for pair in matched]
    if not pairs:
        raise click.ClickException(f"no image of {image} has a mask below {masks} (by stem)")
    many = image.is_dir() or len(by_class) > 1
    return [
        Job(path, mask, partial(Path, mask), _targets(folder, path, many, samples), settings)
        for folder, path, mask, settings in pairs
    ]


def jobs_from_label_maps(
    image: Path, label_maps: Path, masker: SemanticMasker, classes: str, out: Path, samples: int
) -> list[Job]:
    """Pair images with label maps, from which masks of the classes are made."""
    names = masker.select(classes)
    settings = masker.settings()
    many = image.is_dir() or len(names) > 1
    jobs = []
    for path, label_map in _paired(image, label_maps, "label map"):
        for name in names:
            targets = _targets(out / name if len(names) > 1 else out, path, many, samples)
            own = {"class": name, "label_ids": masker.classes[name].label_ids, **settings}
            cut = partial(_cut, masker, label_map, name)
            jobs.append(Job(path, label_map, cut, targets, own, label_map))
    return jobs


def jobs_from_photos(image: Path, classes: str, out: Path, samples: int) -> list[Job]:
    """List photos and mask classes; what hides them is found out when a photo is inpainted."""
    from facemask_inpaint import SemanticMasker
    from facemask_inpaint.images import folders

    names = SemanticMasker().select(classes)
    many = image.is_dir() or len(names) > 1
    return [
        Job(
            path,
            None,
            None,
            _targets(out / name if len(names) > 1 else out, path, many, samples),
            {"class": name},
        )
        for path in folders.list_images(image)
        for name in names
    ]


def _paired(image: Path, partner: Path, partner_name: str) -> list[tuple[Path, Path]]:
    """Pairs by stem; images without a partner are named, and left out."""
    from facemask_inpaint.images import folders

    pairs = folders.pair_by_stem(image, partner)
    if not pairs.matched:
        raise click.ClickException(f"no image of {image} has a {partner_name} in {partner}")
    if pairs.only_first:
        click.echo(
            f"{len(pairs.only_first)} images have no {partner_name} and are left out: "
            f"{folders.listed(pairs.only_first)}",
            err=True,
        )
    return pairs.matched


def _targets(out: Path, image: Path, many: bool, samples: int) -> list[Path]:
    from facemask_inpaint import images

    base = out / images.result_name(image) if many or _is_folder(out) else out
    if samples == 1:
        return [base]
    return [base.with_name(f"{base.stem}_{index}{base.suffix}") for index in range(samples)]


def _is_folder(out: Path) -> bool:
    """Whether one result goes into a folder of this name."""
    return out.is_dir() or not out.suffix


def check_targets(jobs: Sequence[Job], out: Path, overwrite: bool) -> None:
    """Refuse ``--out`` where it cannot be meant, and name results of another format."""
    from facemask_inpaint.images import files

    if len(jobs) > 1:
        options.require_folder(out)
    if len(jobs) > 1 or _is_folder(out):
        pairs = ((job.image.name, job.image.suffix, job.targets[0].suffix) for job in jobs)
        renamed = {name: target for name, own, target in pairs if target != own}
        if renamed:
            names = ", ".join(f"{name} as {suffix}" for name, suffix in renamed.items())
            click.echo(f"written in another format, which can hold the result: {names}", err=True)
    else:
        files.require_result_fits(jobs[0].image, out)
    for job in () if overwrite else jobs:
        if any(target.exists() and target.samefile(job.image) for target in job.targets):
            raise click.UsageError(
                f"--out would replace the image {job.image} itself; name another file or folder "
                "(--overwrite replaces it)"
            )


def _cut(masker: SemanticMasker, label_map: Path, name: str) -> PILImage:
    return masker(label_map, name)
