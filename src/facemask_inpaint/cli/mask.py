"""``facemask-inpaint mask``: from photos or label maps to masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facemask_inpaint.cli import options
from facemask_inpaint.errors import FacemaskInpaintError
from facemask_inpaint.labels import LABEL_NAMES

_LOOKED_AT = 24
"""Images among which label maps are checked for their label order."""

if TYPE_CHECKING:
    from facemask_inpaint import SemanticMasker
    from facemask_inpaint._internal.types import FaceChoice, ImageLike
    from facemask_inpaint.cli.provenance import Output, Provenance
    from facemask_inpaint.labels import LabelIds
    from facemask_inpaint.parsing import FaceParser


@click.command()
@click.argument("images", type=options.existing)
@options.classes_option()
@options.class_table_option
@options.dilate_option
@options.label_order_option
@options.vocabulary_option
@click.option(
    "--parser",
    help="Finds the components of photos: small (the default, no download), bisenet, segformer, "
    "landmarks. If given, all images are photos.",
)
@click.option(
    "--face",
    type=options.FaceNumber(),
    default="largest",
    show_default=True,
    help="Which faces of a photo: largest, all, or a number from 0, the largest.",
)
@click.option(
    "--size",
    type=options.at_least_one,
    help="Side of the masks (default: the image's own size).",
)
@click.option("--out", type=options.new_folder, required=True, help="Folder to write.")
@click.option("--overwrite", is_flag=True, help="Also make masks that are already there.")
def mask(
    images: Path,
    classes: str,
    class_table: Path | None,
    dilate: float | None,
    label_order: str | None,
    vocabulary: str | None,
    parser: str | None,
    face: FaceChoice,
    size: int | None,
    out: Path,
    overwrite: bool,
) -> None:
    """Make masks of the components in IMAGES, a photo or label map, or a folder of them.

    Images whose samples are label ids are label maps, all others photos; those are turned upright.
    With --parser all are photos, even those of so few levels that they could be label ids. Label
    ids are in the order of CelebAMask-HQ unless --label-order names another one; with --vocabulary,
    all images are label maps of something else than faces. Writes OUT/<class>/<stem>.png, 255 =
    hole, for each component that an image has. Failures are listed at the end. Masks that are
    already there, made from the same file with the same options, are left as they are.

    \b
    Examples:
        facemask-inpaint mask photo.jpg --classes hair,eyes --out masks
        facemask-inpaint mask labels/ --classes A-L --out masks
        facemask-inpaint mask LaPa/test/labels --label-order lapa --out masks
    """
    from facemask_inpaint import SemanticMasker, masks
    from facemask_inpaint._internal.locks import locked
    from facemask_inpaint.cli.provenance import Provenance
    from facemask_inpaint.images import folders

    options.require_folder(out)
    on_demand = _open_parser(parser, face, of_label_maps=bool(vocabulary or label_order))
    masker = SemanticMasker(
        missing="empty",
        parser=None if vocabulary else on_demand,
        vocabulary=vocabulary or masks.FACES,
        label_order=label_order,
        **options.masker_options(dilate, class_table),
    )
    names = _available(masker, masker.select(classes))
    settings = {"parser": on_demand.name, "face": face, "size": size, **masker.settings()}
    settings |= {} if label_order is None else {"label_order": label_order}
    settings |= {} if parser is None else {"photos": True}
    paths = folders.list_images(images)
    if vocabulary is None and parser is None:
        _warn_of_order(paths, label_order)
    with locked(out, "mask"):
        provenance = Provenance(out)
        outputs = {path: _outputs(path, out, masker, names, settings) for path in paths}
        if not overwrite:
            for path, by_class in outputs.items():
                outputs[path] = dict(provenance.unfinished(by_class.items(), lambda item: item[1]))
        always = on_demand if parser else None
        written, failures = _write_all(masker, outputs, size, provenance, always)
    _say_unavailable(masker, names, on_demand.name)
    skipped = len(outputs) * len(names) - sum(map(len, outputs.values()))
    _report(out, written, failures, skipped)


def _say_unavailable(masker: SemanticMasker, names: Sequence[str], parser: str) -> None:
    if unavailable := [name for name in names if name in masker.unavailable()]:
        click.echo(f"photos: the {parser} parser never finds {', '.join(unavailable)}", err=True)


def _open_parser(name: str | None, face: FaceChoice, *, of_label_maps: bool) -> _ParserOnDemand:
    """The parser; one that was named is loaded, since it would fail for each photo otherwise."""
    on_demand = _ParserOnDemand(name or "small", face)
    if name is not None and of_label_maps:
        raise click.UsageError(
            "--parser is for photos, --vocabulary and --label-order are for label maps"
        )
    if name is not None:
        on_demand.load()
    return on_demand


def _available(masker: SemanticMasker, names: list[str]) -> list[str]:
    """The classes that the label order can give; the others are named on stderr."""
    from facemask_inpaint.masks.availability import unavailable_classes

    reasons = unavailable_classes(masker.label_order, {n: masker.classes[n] for n in names})
    for reason in reasons.values():
        click.echo(f"left out: {reason}", err=True)
    if len(reasons) == len(names):
        raise click.ClickException("none of these classes is available")
    return [name for name in names if name not in reasons]


def _warn_of_order(paths: Sequence[Path], label_order: str | None) -> None:
    """Say on stderr if label maps among the images seem to be in another order."""
    from facemask_inpaint.masks import order_warning

    step = max(1, len(paths) // _LOOKED_AT)
    if warning := order_warning(paths[::step][:_LOOKED_AT], label_order):
        click.echo(f"warning: {warning}; if they are photos, say so by --parser", err=True)


class _ParserOnDemand:
    """A face parser that is loaded when the first photo comes: label maps need none.

    Args:
        name: of the parser.
        face: which faces of a photo.
    """

    def __init__(self, name: str, face: FaceChoice) -> None:
        from facemask_inpaint.errors import unknown_name
        from facemask_inpaint.parsing import list_parsers

        if name not in list_parsers():
            raise unknown_name("parser", name, list_parsers())
        self.name = name
        self.face = face
        self._parser: FaceParser | None = None

    def load(self) -> FaceParser:
        """Return the parser, loaded at the first call."""
        if self._parser is None:
            from facemask_inpaint.parsing import load_parser

            self._parser = load_parser(self.name, face=self.face)
        return self._parser

    def __call__(self, image: ImageLike) -> LabelIds:
        """Return the label map of a photo."""
        return self.load()(image)

    @property
    def labels(self) -> Sequence[str]:
        """Names of the labels that it finds; all of them while nothing has been asked for."""
        return getattr(self._parser, "labels", LABEL_NAMES)


def _write_all(
    masker: SemanticMasker,
    outputs: Mapping[Path, Mapping[str, Output]],
    size: int | None,
    provenance: Provenance,
    to_label_map: _ParserOnDemand | None,
) -> tuple[list[bool], list[str]]:
    """Whether each mask was written or its component absent, and what failed.

    ``to_label_map`` is there if all images are photos, whatever they look like.
    """
    written: list[bool] = []
    failures: list[str] = []
    for path in options.progress([path for path, by_class in outputs.items() if by_class]):
        try:
            written += _write(masker, path, outputs[path], size, provenance, to_label_map)
        except FacemaskInpaintError as error:
            failures.append(options.failure(path, error))
    return written, failures


def _report(out: Path, written: list[bool], failures: list[str], skipped: int) -> None:
    if any(written) or not failures:
        absent = written.count(False)
        before = f"; {skipped} were made before" if skipped else ""
        click.echo(f"{sum(written)} masks written to {out}; {absent} components absent{before}")
    options.require_none_failed(failures)


def _outputs(
    path: Path, out: Path, masker: SemanticMasker, names: list[str], settings: Mapping[str, object]
) -> dict[str, Output]:
    """What is made of an image, by mask class."""
    from facemask_inpaint.cli.provenance import Output

    ids = {name: masker.classes[name].label_ids for name in names}
    return {
        name: Output(
            [out / name / f"{path.stem}.png"], [path], {"label_ids": ids[name], **settings}
        )
        for name in names
    }


def _write(
    masker: SemanticMasker,
    path: Path,
    outputs: Mapping[str, Output],
    size: int | None,
    provenance: Provenance,
    to_label_map: _ParserOnDemand | None,
) -> list[bool]:
    """Write the masks of an image; which of its components it has."""
    from PIL import Image

    from facemask_inpaint import images

    for output in outputs.values():
        provenance.begin(output)
    image = images.read_image(path)
    label_map = masker.open(to_label_map(image) if to_label_map else image)
    holes = {name: masker(label_map, name, size=size) for name in outputs}
    present = {name: hole for name, hole in holes.items() if hole.any()}
    for name, hole in present.items():
        images.save_image(Image.fromarray(hole).convert("L"), outputs[name].targets[0])
    for name, output in outputs.items():
        provenance.finish(output, absent=name not in present)
    return [name in present for name in outputs]
