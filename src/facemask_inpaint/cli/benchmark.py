"""``facemask-inpaint benchmark``: methods × mask classes × resolutions to tables and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack, cast

import click

from facemask_inpaint.benchmark._resolutions import LARGEST_RESOLUTION, SMALLEST_RESOLUTION
from facemask_inpaint.cli import options
from facemask_inpaint.metrics.table import default_metrics, needs_features, of_face_networks

if TYPE_CHECKING:
    from facemask_inpaint.benchmark import Protocol, Run, RunOptions
    from facemask_inpaint.benchmark.methods import MethodLike
    from facemask_inpaint.metrics import FeatureReader

_SHOWN_FAILURES = 40


class _Call(TypedDict):
    """Options that ``benchmark.run`` takes as they are."""

    seed: int
    batch_size: int
    device: str | None
    dtype: str
    parser: str | None
    compare: bool
    exchanges: int | None
    report: bool


@click.command()
@click.option(
    "--data",
    "dataset",
    type=options.existing,
    required=True,
    help="Folder of CelebAMask-HQ or another data set as distributed, or one with images/ and "
    "labels/.",
)
@click.option(
    "--protocol",
    "protocol_name",
    help="Follow a protocol: it decides classes, masks, sizes and seed, and unless given split, "
    "metrics and extractor; see `facemask-inpaint protocol list`.",
)
@click.option("--keys", type=options.existing, help="List of portraits that the protocol asks for.")
@click.option("--split", help="Part of the data: test, train … (default: the data set's own).")
@click.option("--limit", type=options.at_least_one, help="Take the first so many portraits only.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[NAME=]MODEL",
    help="Registry name, folder or hub repository; may be repeated (default: lite).",
)
@click.option(
    "--predictions",
    multiple=True,
    metavar="[NAME=]FOLDER",
    help="Predictions made elsewhere, as FOLDER/<class>/<key>.png; may be repeated.",
)
@options.compute_options
@options.classes_option()
@options.class_table_option
@options.dilate_option
@options.label_order_option
@options.vocabulary_option
@click.option(
    "--size",
    "resolutions",
    type=click.IntRange(SMALLEST_RESOLUTION, LARGEST_RESOLUTION),
    multiple=True,
    default=[256],
    show_default=True,
    help="Resolution in pixels; may be repeated: 256, 512, 1024.",
)
@options.metrics_option(default_metrics(in_hole=True), " Diagnostics are always added.")
@options.extractor_options(several=True)
@options.face_options
@click.option(
    "--parser",
    help="Label predictions too (small, bisenet …): the diagnostic 'agreement' says whether a "
    "component came back where it was.",
)
@click.option(
    "--no-compare",
    "compare",
    flag_value=False,
    default=True,
    help="Leave out intervals and p-values of differences.",
)
@options.exchanges_option
@click.option("--no-report", "report", flag_value=False, default=True, help="Leave out the page.")
@click.option(
    "--check", is_flag=True, help="Only say what is wrong with the data and how large the run gets."
)
@click.option("--out", type=options.new_folder, required=True, help="Folder of the run.")
def benchmark(
    dataset: Path,
    protocol_name: str | None,
    keys: Path | None,
    split: str | None,
    limit: int | None,
    models: tuple[str, ...],
    predictions: tuple[str, ...],
    classes: str,
    class_table: Path | None,
    dilate: float | None,
    label_order: str | None,
    vocabulary: str | None,
    resolutions: tuple[int, ...],
    metrics: str | None,
    extractor: tuple[str, ...],
    embedders: tuple[str, ...],
    finders: tuple[str, ...],
    weights: Path | None,
    check: bool,
    out: Path,
    **call: Unpack[_Call],
) -> None:
    """Fill every component of every portrait with every method, and measure the predictions.

    The same command goes on where it was stopped; with another method, class or size it adds that
    to the folder and computes nothing else. `torchrun --nproc-per-node 4 -m facemask_inpaint
    benchmark …` shares the work. What fails costs nothing else and ends with exit status 1.

    \b
    Example:
        facemask-inpaint benchmark --data CelebAMask-HQ --model lama --model mat --out runs/hq
        facemask-inpaint benchmark --data faces --classes hair,eyes --limit 8 \\
            --extractor random-convolutions --out runs/rehearsal
    """
    from facemask_inpaint import SemanticMasker, data
    from facemask_inpaint import benchmark as bench

    options.require_folder(out)
    chosen = cast("RunOptions", call)
    methods, followed = _methods(models, predictions), _followed(protocol_name)
    if followed is None:
        faces = data.open_faces(dataset, split, label_order=label_order, vocabulary=vocabulary)
        own = options.masker_options(dilate, class_table)
        faces, masker = faces[:limit], SemanticMasker(vocabulary=faces.vocabulary, **own)
        chosen |= {"classes": classes, "resolutions": resolutions, "masker": masker}
    else:
        faces = followed.split.open(dataset, keys)[:limit]
        masker, resolutions, classes = SemanticMasker(), followed.resolutions, "all"
        metrics = metrics or ",".join(followed.metrics)
        extractor = extractor if _is_given("extractor") else followed.extractors
        chosen["protocol"] = followed
    if check:
        options.check_data(faces, classes, masker, methods=len(methods), resolutions=resolutions)
        return
    options.warn_of_label_order(faces)
    chosen["metrics"] = names = _metric_names(metrics, embedders, finders, call["parser"])
    if needs_features(names):
        chosen["reader"] = _readers(extractor, weights, call["device"])
    _summarise(bench.run(methods, faces, out=out, **chosen))


def _metric_names(
    metrics: str | None,
    embedders: tuple[str, ...],
    finders: tuple[str, ...],
    parser: str | None,
) -> tuple[str, ...]:
    from facemask_inpaint.benchmark.metrics import checked_metrics

    return of_face_networks(checked_metrics(metrics, parser is not None), embedders, finders)


def _readers(
    extractor: tuple[str, ...], weights: Path | None, device: str | None
) -> dict[str, FeatureReader]:
    from facemask_inpaint._internal.devices import own_device
    from facemask_inpaint.metrics import FeatureReader

    return options.feature_readers(extractor, weights, FeatureReader(device=own_device(device)))


_DECIDED = (
    *("split", "classes", "class_table", "dilate", "label_order", "vocabulary", "resolutions"),
    "seed",
)
"""Options that a protocol decides."""


def _followed(name: str | None) -> Protocol | None:
    """Return the protocol of a name.

    Raises:
        UsageError: an option was given that the protocol decides.
    """
    from facemask_inpaint.benchmark import protocols

    if name is None:
        if _is_given("keys"):
            raise click.UsageError("--keys goes with --protocol; --split names a list of the data")
        return None
    if given := [option for option in _DECIDED if _is_given(option)]:
        shown = "--" + given[0].replace("resolutions", "size").replace("_", "-")
        raise click.UsageError(f"--protocol {name} decides {shown}: give one of the two")
    return protocols.find_protocol(name)


def _is_given(option: str) -> bool:
    """Say whether an option stands on the command line."""
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.COMMANDLINE


def _methods(
    models: tuple[str, ...], predictions: tuple[str, ...]
) -> list[MethodLike | tuple[str, MethodLike]]:
    """Return the methods that two options name; without any the default network."""
    methods: list[MethodLike | tuple[str, MethodLike]] = []
    methods += [_named(text) for text in models or (() if predictions else ("lite",))]
    return methods + [_named_predictions(text) for text in predictions]


def _named(text: str) -> str | tuple[str, str]:
    """Return a model, or a pair of name and model."""
    name, equals, model = text.partition("=")
    return (name, model) if equals and not Path(text).exists() else text


def _named_predictions(text: str) -> MethodLike | tuple[str, MethodLike]:
    """Return a folder of predictions, or a pair of name and folder."""
    from facemask_inpaint.benchmark import PredictionFolder

    named = _named(text)
    if isinstance(named, tuple):
        return named[0], PredictionFolder(Path(named[1]))
    return PredictionFolder(Path(named))


def _summarise(run: Run) -> None:
    """Print what there is now and where, and what failed."""
    failures = run.failures
    for failure in failures[:_SHOWN_FAILURES]:
        click.echo(f"failed: {failure}", err=True)
    if len(failures) > _SHOWN_FAILURES:
        click.echo(
            f"… and {len(failures) - _SHOWN_FAILURES} more in {run.layout.failures}", err=True
        )
    if not run.cases:
        raise click.ClickException("no case was predicted")
    click.echo(
        f"cases: {len(run.cases)}; methods: {len(run.methods)}; classes: {len(run.classes)}; "
        f"failures: {len(failures)}"
    )
    click.echo(f"tables in {run.layout.tables}")
    if run.layout.report.exists():
        click.echo(f"look at {run.layout.report}")
    if failures:
        raise click.exceptions.Exit(1)
