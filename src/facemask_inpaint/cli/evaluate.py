"""``facemask-inpaint evaluate`` and ``compare``: folders of pictures in, tables out."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facemask_inpaint.cli import options

if TYPE_CHECKING:
    from facemask_inpaint.metrics import Evaluation, FeatureReader
    from facemask_inpaint.metrics.inputs import Skipped


def _reader_options(command: options.Command) -> options.Command:
    """How pictures become features; both commands read alike."""
    for option in (
        click.option("--csv", "csv_file", type=options.anywhere, help="Write the table here."),
        click.option("--json", "json_file", type=options.anywhere, help="Write everything here."),
        click.option("--no-cache", is_flag=True, help="Compute all features anew."),
        click.option("--cache", type=options.anywhere, help="Folder that keeps features."),
        click.option(
            "--on-error",
            type=click.Choice(["raise", "skip"]),
            default="skip",
            show_default=True,
            help="What to do with a picture that cannot be read: stop, or measure the others and "
            "end with status 1 and a list.",
        ),
        click.option("--workers", type=int, help="Decoding threads (default: one per core)."),
        click.option("--batch-size", default=32, show_default=True, help="Pictures at a time."),
        click.option("--device", help="cuda, cpu … (default: cuda when there)."),
        click.option("--dtype", default="float32", show_default=True, help="Or float16, bfloat16."),
        click.option("--weights", type=options.existing, help="Own copy of the Inception file."),
        click.option(
            "--front-end",
            default="stylegan",
            show_default=True,
            help="How pictures are prepared for the Inception network; see the docs on metrics.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("real", type=options.existing)
@click.argument("fake", type=options.existing)
@click.option(
    "--metrics",
    default="fid,pids,uids,kid,psnr,ssim,l1",
    show_default=True,
    help="Comma-separated: fid kid pids uids psnr ssim l1 lpips.",
)
@click.option("--masks", type=options.existing, help="Masks, 255 = hole: pixel metrics in it too.")
@click.option("--null-swaps", default=0, show_default=True, help="Refits for P-IDS' reference.")
@_reader_options
def evaluate(
    real: Path,
    fake: Path,
    metrics: str,
    masks: Path | None,
    null_swaps: int,
    json_file: Path | None,
    csv_file: Path | None,
    **reading: Any,
) -> None:
    """Measure the pictures in FAKE against those in REAL; files pair by stem.

    \b
    Example:
        facemask-inpaint evaluate faces/ filled/ --masks masks/
        facemask-inpaint evaluate faces/ filled/ --metrics fid --json fid.json
    """
    from facemask_inpaint import metrics as measures

    names = [name.strip() for name in metrics.split(",") if name.strip()]
    left_out = _LeftOut()
    reader = _reader(
        **reading, on_skip=left_out, needs_network=bool(set(names) & set(measures.FEATURE_METRICS))
    )
    found = measures.evaluate(real, fake, names, masks, null_swaps=null_swaps, reader=reader)
    click.echo(str(found))
    _write(json_file, lambda: found.to_json(indent=2))
    _write(csv_file, lambda: _as_csv(found))
    options.require_none_failed(left_out.reasons)


@click.command()
@click.argument("real", type=options.existing)
@click.argument("models", nargs=-1, required=True, metavar="NAME=FOLDER...")
@click.option("--replicates", default=1000, show_default=True, help="Bootstrap resamples.")
@options.exchanges_option
@click.option("--confidence", default=0.95, show_default=True, help="Of the intervals.")
@click.option("--seed", default=0, show_default=True, help="Of resamples and exchanges.")
@_reader_options
def compare(
    real: Path,
    models: tuple[str, ...],
    replicates: int,
    exchanges: int | None,
    confidence: float,
    seed: int,
    json_file: Path | None,
    csv_file: Path | None,
    **reading: Any,
) -> None:
    """Say which of several models filled the same pictures better, with intervals and p-values.

    A folder with sub-folders, as `inpaint --classes` writes them, is compared class by class.

    \b
    Example:
        facemask-inpaint compare faces/ random=filled/random mixed=filled/mixed
    """
    from facemask_inpaint import metrics as measures

    folders = dict(_named_folder(text) for text in models)
    left_out = _LeftOut()
    result = measures.compare(
        real,
        {name: _by_class(folder) for name, folder in folders.items()},
        replicates=replicates,
        exchanges=exchanges,
        confidence=confidence,
        seed=seed,
        reader=_reader(**reading, on_skip=left_out, needs_network=True),
    )
    click.echo(str(result))
    _write(json_file, lambda: result.to_json(indent=2))
    _write(csv_file, result.to_csv)
    options.require_none_failed(left_out.reasons)


def _reader(
    front_end: str,
    weights: Path | None,
    dtype: str,
    device: str | None,
    cache: Path | None,
    no_cache: bool,
    needs_network: bool,
    **kept: Any,
) -> FeatureReader:
    from facemask_inpaint import checkpoints
    from facemask_inpaint.metrics import FeatureReader, InceptionExtractor

    if no_cache:
        cache = None
    elif cache is None:
        cache = checkpoints.cache_folder() / "features"
    if not needs_network:
        return FeatureReader(device=device, cache=None, **kept)
    extractor = InceptionExtractor(front_end, weights=weights, device=device, dtype=dtype)
    return FeatureReader(extractor, cache=cache, **kept)


class _LeftOut:
    """Why pictures were left out, each reason once: features and pixels read them both."""

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
    """The folder itself, or its sub-folders by name where it holds no pictures."""
    from facemask_inpaint.images.folders import class_folders

    return class_folders(folder) or folder


def _as_csv(found: Evaluation) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["metric", "value", "n"])
    writer.writerows([name, result.value, result.n] for name, result in found.items())
    return table.getvalue()


def _write(target: Path | None, text: Callable[[], str]) -> None:
    if target is not None:
        from facemask_inpaint._internal.files import atomic_path

        with atomic_path(target) as path:
            path.write_text(text().rstrip("\n") + "\n", encoding="utf-8")
