"""``facemask-inpaint evaluate`` and ``compare``: folders of images in, tables out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from facemask_inpaint.cli import options
from facemask_inpaint.metrics.table import (
    default_metrics,
    metric_names,
    metric_rows,
    needs_features,
    of_face_networks,
)

if TYPE_CHECKING:
    from facemask_inpaint.metrics import FeatureReader
    from facemask_inpaint.metrics.inputs import OnError, Skipped


class _Reading(TypedDict):
    """Values of the options of :func:`_reader_options` and ``options.extractor_options``."""

    extractor: str | tuple[str, ...] | None
    weights: Path | None
    device: str | None
    dtype: str
    batch_size: int
    workers: int | None
    on_error: OnError
    cache: Path | None
    no_cache: bool


_reader_options = options.together(
    click.option(
        "--dtype",
        type=click.Choice(["float32", "float16", "bfloat16"]),
        default="float32",
        show_default=True,
        help="What the extractor computes in: Inception, dinov2 and clip follow.",
    ),
    options.device_option,
    click.option("--batch-size", default=32, show_default=True, help="Images at a time."),
    click.option("--workers", type=int, help="Decoding threads (default: one per core)."),
    click.option(
        "--on-error",
        type=click.Choice(["raise", "skip"]),
        default="skip",
        show_default=True,
        help="What to do with an image that cannot be read: stop, or measure the others and "
        "end with status 1 and a list.",
    ),
    click.option("--cache", type=options.new_folder, help="Folder that keeps features."),
    click.option("--no-cache", is_flag=True, help="Compute all features anew."),
    click.option("--json", "json_file", type=options.new_file, help="Write everything here."),
    click.option("--csv", "csv_file", type=options.new_file, help="Write the table here."),
)
"""How images become features; both commands read alike."""


@click.command()
@click.argument("real", type=options.existing)
@click.argument("fake", type=options.existing)
@options.metrics_option(default_metrics())
@click.option("--masks", type=options.existing, help="Masks, 255 = hole: pixel metrics in it too.")
@click.option(
    "--null-swaps",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Refits for P-IDS' reference.",
)
@click.option("--explain", is_flag=True, help="Say why P-IDS and U-IDS are what they are.")
@options.extractor_options(several=True)
@options.face_options
@_reader_options
def evaluate(
    real: Path,
    fake: Path,
    metrics: str | None,
    masks: Path | None,
    null_swaps: int,
    explain: bool,
    embedders: tuple[str, ...],
    finders: tuple[str, ...],
    json_file: Path | None,
    csv_file: Path | None,
    **reading: Unpack[_Reading],
) -> None:
    """Measure the images in FAKE against those in REAL; files pair by stem.

    \b
    Example:
        facemask-inpaint evaluate faces/ filled/ --masks masks/
        facemask-inpaint evaluate faces/ filled/ --metrics fid --json fid.json
        facemask-inpaint evaluate faces/ filled/ --metrics pids,uids --explain
        facemask-inpaint evaluate faces/ filled/ --metrics l1 --identity dlib --landmarks dlib-68
    """
    from facemask_inpaint.metrics import evaluate as evaluate_images
    from facemask_inpaint.metrics import explain_ids

    left_out = _LeftOut()
    names = metric_names(default_metrics() if metrics is None else metrics, metric_rows())
    names = of_face_networks(names, embedders, finders)
    readers = _readers(reading, left_out, needs_network=explain or needs_features(names))
    scores = evaluate_images(real, fake, names, masks, null_swaps=null_swaps, reader=readers)
    click.echo(str(scores))
    for name, reader in readers.items() if explain else ():
        click.echo(f"\n{name}: {explain_ids(real, fake, reader=reader)}")
    _write(json_file, lambda: scores.to_json(indent=2))
    _write(csv_file, scores.to_csv)
    options.require_none_failed(left_out.reasons)


@click.command()
@click.argument("real", type=options.existing)
@click.argument("methods", nargs=-1, required=True, metavar="NAME=FOLDER...")
@click.option("--replicates", default=1000, show_default=True, help="Bootstrap resamples.")
@options.exchanges_option
@click.option("--confidence", default=0.95, show_default=True, help="Of the intervals.")
@click.option("--seed", default=0, show_default=True, help="Of resamples and exchanges.")
@options.extractor_options(several=False)
@_reader_options
def compare(
    real: Path,
    methods: tuple[str, ...],
    replicates: int,
    exchanges: int | None,
    confidence: float,
    seed: int,
    json_file: Path | None,
    csv_file: Path | None,
    **reading: Unpack[_Reading],
) -> None:
    """Say which of several methods filled the same images better, with intervals and p-values.

    A folder with sub-folders, as `inpaint --classes` writes them, is compared class by class.

    \b
    Example:
        facemask-inpaint compare faces/ random=filled/random mixed=filled/mixed
    """
    from facemask_inpaint.metrics import compare as compare_methods

    folders = options.by_name("method", map(_named_folder, methods))
    left_out = _LeftOut()
    readers = _readers(reading, left_out, needs_network=True)
    result = compare_methods(
        real,
        {name: _by_class(folder) for name, folder in folders.items()},
        replicates=replicates,
        exchanges=exchanges,
        confidence=confidence,
        seed=seed,
        reader=next(iter(readers.values())),
    )
    click.echo(str(result))
    _write(json_file, lambda: result.to_json(indent=2))
    _write(csv_file, result.to_csv)
    options.require_none_failed(left_out.reasons)


def _readers(
    reading: _Reading, on_skip: _LeftOut, *, needs_network: bool
) -> dict[str, FeatureReader]:
    """Readers by the names of their extractors; one without a network where none is needed."""
    from facemask_inpaint import checkpoints
    from facemask_inpaint.metrics import FeatureReader

    cache = reading["cache"] or checkpoints.cache_folder() / "features"
    reader = FeatureReader(
        device=reading["device"],
        batch_size=reading["batch_size"],
        workers=reading["workers"],
        cache=None if reading["no_cache"] else cache,
        on_error=reading["on_error"],
        on_skip=on_skip,
        dtype=reading["dtype"],
    )
    if not needs_network:
        return {"": reader}
    return options.feature_readers(reading["extractor"], reading["weights"], reader)


class _LeftOut:
    """Why images were left out, each reason once: features and pixels read them both."""

    def __init__(self) -> None:
        self._reasons: dict[str, None] = {}

    @property
    def reasons(self) -> list[str]:
        return list(self._reasons)

    def __call__(self, skipped: Skipped) -> None:
        self._reasons[skipped.reason] = None


def _named_folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not name or not equals or not Path(folder).is_dir():
        raise click.UsageError(f"{text!r}: needed NAME=FOLDER with a folder that exists")
    return name, Path(folder)


def _by_class(folder: Path) -> Path | dict[str, Path]:
    """The folder itself, or its sub-folders by name where it holds no images."""
    from facemask_inpaint.images.folders import class_folders

    return class_folders(folder) or folder


def _write(target: Path | None, text: Callable[[], str]) -> None:
    if target is not None:
        from facemask_inpaint._internal.files import atomic_path

        with atomic_path(target) as path:
            path.write_text(text().rstrip("\n") + "\n", encoding="utf-8")
