"""Options that several commands share, and what is done with their values."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypedDict, TypeVar, cast

import click

from facemask_inpaint.errors import LabelMapError
from facemask_inpaint.labels import LABEL_ORDERS
from facemask_inpaint.metrics.faces.cards import face_networks
from facemask_inpaint.metrics.table import EFFICIENTNET, EXTRACTORS, metric_rows

if TYPE_CHECKING:
    from facemask_inpaint import SemanticMasker
    from facemask_inpaint._internal.types import Conditions
    from facemask_inpaint.data import Faces
    from facemask_inpaint.metrics import FeatureReader

Command = TypeVar("Command", bound=Callable[..., object])
Item = TypeVar("Item")


class Decorator(Protocol):
    """What adds options to a command."""

    def __call__(self, command: Command, /) -> Command:
        """Return the command with its options."""


def together(*decorators: Decorator) -> Decorator:
    """Return several options as one decorator; ``--help`` lists them in this order."""

    def decorate(command: Command, /) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


class PathToWrite(click.Path):
    """A path to write to: that something can be written there is checked before any computing."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        """Return the path.

        Raises:
            BadParameter: nothing can be written there.
        """
        path = Path(os.fsdecode(value))
        if obstacle := self._obstacle(path):
            self.fail(obstacle, param, ctx)
        super().convert(value, param, ctx)
        return path

    def _obstacle(self, path: Path) -> str | None:
        """Say why nothing can be written under a path, if so."""
        try:
            path.lstat()
        except FileNotFoundError:
            pass
        except OSError as error:  # its name is too long, or a folder in it is a file
            return f"{path}: {error.strerror}"
        if path.is_dir() and not self.dir_okay:
            return f"{path} is a folder; name a file"
        if path.is_file() and not self.file_okay:
            return f"{path} is a file; name a folder"
        folder = next(each for each in (path, *path.absolute().parents) if each.is_dir())
        writable = os.access(folder, os.W_OK | os.X_OK)
        return None if writable else f"{folder} is a folder that cannot be written to"


existing = click.Path(exists=True, path_type=Path)
anywhere = PathToWrite()
new_file = PathToWrite(dir_okay=False)
new_folder = PathToWrite(file_okay=False)
at_least_one = click.IntRange(min=1)


def by_name(what: str, pairs: Iterable[tuple[str, Item]]) -> dict[str, Item]:
    """Return named values as a dictionary, and refuse a name that is given twice.

    Args:
        what: the names stand for, such as ``"method"``.
        pairs: names and their values.

    Raises:
        UsageError: of ``click``; a name stands for two values.
    """
    named: dict[str, Item] = {}
    for name, value in pairs:
        if name in named:
            raise click.UsageError(f"{what} {name!r} is given twice")
        named[name] = value
    return named


def classes_option(default: str | None = "all") -> Decorator:
    """Return the option ``--classes``: names, letters and ranges of mask classes."""
    return click.option(
        "--classes",
        default=default,
        show_default=default is not None,
        help="Mask classes: names or letters, ranges too, e.g. hair,eyes or A-L or all.",
    )


class_table_option = click.option(
    "--class-table",
    type=existing,
    help="JSON or YAML file: class name to list of label names; replaces the twelve classes.",
)

dilate_option = click.option(
    "--dilate",
    type=float,
    help="Dilate masks by this many pixels, or by a share of the side when below 1 "
    "(default: 0.01).",
)

label_order_option = click.option(
    "--label-order",
    type=click.Choice(list(LABEL_ORDERS)),
    help="Order of the ids in label maps of faces (default: the data set's own, else that of "
    "CelebAMask-HQ).",
)

vocabulary_option = click.option(
    "--vocabulary",
    help="What label ids stand for, if not faces: cityscapes, ade20k, lip, atr, or a JSON or "
    "YAML file with labels of your own.",
)

model_option = click.option(
    "--model",
    default="lite",
    show_default=True,
    help="Registry name, folder or hub repository.",
)


class FaceNumber(click.ParamType["int | str"]):
    """Which faces of a photo: ``largest``, ``all``, or a number from 0, the largest."""

    name = "largest|all|NUMBER"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Return the number, or the word."""
        text = str(value)
        if text not in ("largest", "all") and not text.isdecimal():
            self.fail(f"{text!r} is neither largest nor all nor a number from 0", param, ctx)
        return int(text) if text.isdecimal() else text


exchanges_option = click.option(
    "--exchanges",
    type=at_least_one,
    help="Random exchanges of the test of differences; the smallest p-value is one in so many "
    "(default: 9,999, and more for many models).",
)


def metrics_option(default: Sequence[str], further: str = "") -> Decorator:
    """``--metrics``: names out of the table of metrics."""
    names = " ".join(metric_rows())
    return click.option(
        "--metrics",
        show_default=",".join(default),
        help=f"Comma-separated: {names}. Names in _hole are over the hole alone.{further}",
    )


def extractor_options(*, several: bool) -> Decorator:
    """``--extractor`` and ``--weights``: how images become features."""
    repeated = " May be repeated: metrics are then named fid@NAME." if several else ""

    return together(
        click.option(
            "--extractor",
            type=click.Choice(EXTRACTORS),
            multiple=several,
            show_default=f"{EXTRACTORS[0]}; {EFFICIENTNET} where the Inception file cannot be had "
            "and the extra [features] is installed",
            help="Front end of the Inception network, see the docs on metrics; dinov2; clip; "
            "efficientnet-lite0, which needs no download and compares with nothing published; or "
            f"random-convolutions, which needs no weights: for rehearsals.{repeated}",
        ),
        click.option("--weights", type=existing, help="Own copy of the extractor's file."),
    )


face_options = together(
    click.option(
        "--identity",
        "embedders",
        type=click.Choice(face_networks("embedding")),
        multiple=True,
        help="Measure by this face recogniser too: distance, recognised, re-identified. May be "
        "repeated.",
    ),
    click.option(
        "--landmarks",
        "finders",
        type=click.Choice(face_networks("landmarks")),
        multiple=True,
        help="Measure by this landmark finder too: landmark errors, faces found. May be repeated.",
    ),
)


def feature_readers(
    extractor: str | Sequence[str] | None,
    weights: Path | None,
    reader: FeatureReader,
) -> dict[str, FeatureReader]:
    """Return a reader for each extractor, by name; without any name for the default one.

    Args:
        extractor: names of extractors.
        weights: own copy of the Inception file.
        reader: says how images are read, the device, and the dtype that the networks compute in.
    """
    from facemask_inpaint.metrics import open_extractor
    from facemask_inpaint.metrics.features.extractors import default_extractor

    if not extractor:
        extractor = EXTRACTORS[0] if weights else default_extractor()
    names = [extractor] if isinstance(extractor, str) else extractor
    if weights is None:  # loaded when they are needed
        return {name: replace(reader, extractor=name) for name in names}
    networks = (
        open_extractor(name, reader.device, weights=weights, dtype=reader.dtype) for name in names
    )
    return {
        name: replace(reader, extractor=network, device=None)
        for name, network in zip(names, networks)
    }


device_option = click.option("--device", help="cuda, cpu … (default: cuda when there).")


compute_options = together(
    device_option,
    click.option("--dtype", default="float32", show_default=True, help="Or bfloat16, float16."),
    click.option(
        "--batch-size", type=at_least_one, default=8, show_default=True, help="Images at a time."
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Seed of all random draws.",
    ),
)


_CONDITIONS = ("prompt", "negative_prompt", "steps", "guidance_scale", "sampling", "refine")


def conditions(call: Mapping[str, object]) -> Conditions:
    """Return those of a command's options that are conditions of a network."""
    return cast("Conditions", {name: call[name] for name in _CONDITIONS})


condition_options = together(
    click.option("--prompt", help="What the hole should show (default: by its mask class)."),
    click.option("--negative-prompt", help="What the hole should not show."),
    click.option("--steps", type=at_least_one, help="Denoising steps of a diffusion network."),
    click.option(
        "--guidance-scale", type=float, help="Weight of the prompt, for networks that take it."
    ),
)


class MaskerOptions(TypedDict, total=False):
    """Keyword arguments for ``SemanticMasker``."""

    dilate: float
    classes: Path


def masker_options(dilate: float | None, class_table: Path | None = None) -> MaskerOptions:
    """Return keyword arguments for ``SemanticMasker``; what was not given keeps its default."""
    chosen: MaskerOptions = {}
    if dilate is not None:
        chosen["dilate"] = dilate
    if class_table is not None:
        chosen["classes"] = class_table
    return chosen


def require_folder(out: Path) -> None:
    """Refuse an ``--out`` for several files that is a file, or is named like an image."""
    from facemask_inpaint.images.formats import image_suffixes

    if out.is_file() or (out.suffix.lower() in image_suffixes() and not out.exists()):
        raise click.UsageError(f"--out {out}: there are several files to write; name a folder")


def require_size(label_map: Path, mask: tuple[int, int], image: tuple[int, int]) -> None:
    """Refuse a label map whose size (width, height) is not its image's."""
    if mask != image:
        raise LabelMapError(
            f"{label_map} is {mask[0]} x {mask[1]} pixels, its image {image[0]} x {image[1]} "
            "(width x height); label maps are never resized: make it of the image's size"
        )


def check_data(
    faces: Faces,
    classes: str,
    masker: SemanticMasker,
    *,
    methods: int = 0,
    resolutions: Sequence[int] = (),
    label_maps: bool = True,
) -> None:
    """Say what is wrong with a data set, and what room a benchmark takes; status 1 for problems."""
    from facemask_inpaint import data

    found = data.check(faces, classes, masker, square=True, label_maps=label_maps)
    click.echo(str(found))
    if methods:
        space = found.disk_space(methods, resolutions) / 1e9
        click.echo(f"disk space with {methods} method(s): about {space:,.1f} GB")
    if unusable := len(found.keys) - len(found.usable):
        raise click.ClickException(f"{unusable} of {len(found.keys)} portraits cannot be used")


def warn_of_label_order(faces: Faces) -> None:
    """Say on stderr if the label maps seem to be in another order than they are read in."""
    from facemask_inpaint import data

    if warning := data.label_order_warning(faces):
        click.echo(f"warning: {warning}", err=True)


def failure(path: Path, error: Exception) -> str:
    """Return what went wrong with a file, as text that names the file."""
    return str(error) if path.name in str(error) else f"{path.name}: {error}"


def require_none_failed(failures: Sequence[str]) -> None:
    """End with status 1 and a list of what failed, if anything did."""
    if failures:
        raise click.ClickException(f"{len(failures)} failed: " + "\n  ".join(failures))


def progress(items: Sequence[Item]) -> Iterator[Item]:
    """Yield the items behind a progress bar, which only a terminal or notebook shows."""
    from facemask_inpaint._internal.progress import progress_bar

    yield from progress_bar(items, shown=True)
