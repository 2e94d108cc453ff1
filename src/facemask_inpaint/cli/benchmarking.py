"""``facemask-inpaint benchmark``: models × mask classes × sides to tables, pictures and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facemask_inpaint.cli import options

if TYPE_CHECKING:
    from facemask_inpaint.benchmark import Run
    from facemask_inpaint.metrics import FeatureReader

_SHOWN_FAULTS = 40


def _feature_options(command: options.Command) -> options.Command:
    """How pictures become features."""
    for option in (
        click.option(
            "--front-end",
            default="stylegan",
            show_default=True,
            help="How pictures are prepared for the Inception network.",
        ),
        click.option("--weights", type=options.existing, help="Own copy of the Inception file."),
        click.option(
            "--extractor",
            type=click.Choice(["inception", "random-convolutions"]),
            default="inception",
            show_default=True,
            help="random-convolutions needs no weights: for rehearsals, its numbers compare with "
            "nothing published and every table says so.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.option(
    "--data",
    "dataset",
    type=options.existing,
    required=True,
    help="CelebAMask-HQ, or a folder with images/ and labels/.",
)
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
    "--results",
    multiple=True,
    metavar="[NAME=]FOLDER",
    help="Pictures filled elsewhere, as FOLDER/<class>/<key>.png; may be repeated.",
)
@options.compute_options
@options.classes_option()
@options.class_table_option
@options.dilate_option
@click.option(
    "--size",
    "sides",
    type=options.at_least_one,
    multiple=True,
    default=[256],
    show_default=True,
    help="Side of the pictures; may be repeated: 256, 512, 1024.",
)
@click.option(
    "--metrics",
    default="fid,pids,uids,kid,l1_hole,psnr_hole,ssim_hole",
    show_default=True,
    help="Comma-separated; the last three need no features.",
)
@_feature_options
@click.option(
    "--parser",
    help="Label filled pictures too (small, bisenet …): the diagnostic 'agreement' says whether a "
    "component came back where it was.",
)
@click.option("--no-compare", is_flag=True, help="Leave out intervals and p-values of differences.")
@options.exchanges_option
@click.option("--no-report", is_flag=True, help="Leave out the page.")
@click.option(
    "--check", is_flag=True, help="Only say what is wrong with the data and how large the run gets."
)
@click.option("--out", type=options.anywhere, required=True, help="Folder of the run.")
def benchmark(
    dataset: Path,
    split: str | None,
    limit: int | None,
    models: tuple[str, ...],
    results: tuple[str, ...],
    classes: str,
    class_table: Path | None,
    dilate: float | None,
    sides: tuple[int, ...],
    metrics: str,
    extractor: str,
    weights: Path | None,
    front_end: str,
    no_compare: bool,
    no_report: bool,
    check: bool,
    out: Path,
    device: str | None,
    **call: Any,
) -> None:
    """Fill every component of every portrait with every model, and measure what comes out.

    The same command goes on where it was stopped; with another model, class or size it adds that
    to the folder and computes nothing else. `torchrun --nproc-per-node 4 -m facemask_inpaint
    benchmark …` shares the work. What fails is listed at the end, with exit status 1, and costs
    nothing else.

    \b
    Example:
        facemask-inpaint benchmark --data CelebAMask-HQ --model lama --model mat --size 256 \\
            --out runs/celebahq
        facemask-inpaint benchmark --data faces --classes hair,eyes --limit 8 \\
            --extractor random-convolutions --out runs/rehearsal
    """
    from facemask_inpaint import SemanticMasker, data
    from facemask_inpaint import benchmark as bench

    options.require_folder(out)
    faces = data.open_faces(dataset, split)[:limit]
    masker = SemanticMasker(**options.masker_options(dilate, class_table))
    chosen = [_named(text) for text in models or (() if results else ("lite",))]
    chosen += [_named_results(text) for text in results]
    if check:
        options.check_data(faces, classes, masker, models=len(chosen), sides=sides)
        return
    names = [name.strip() for name in metrics.split(",") if name.strip()]
    run = bench.run(
        chosen,
        faces,
        out=out,
        classes=classes,
        sides=sides,
        masker=masker,
        metrics=names,
        reader=_reader(names, extractor, front_end, weights, device),
        device=device,
        compare=not no_compare,
        report=not no_report,
        **call,
    )
    _summarise(run)


def _named(text: str) -> Any:
    """A model, or a pair of name and model."""
    name, equals, model = text.partition("=")
    return (name, model) if equals and not Path(text).exists() else text


def _named_results(text: str) -> Any:
    from facemask_inpaint.benchmark import Results

    named = _named(text)
    if isinstance(named, tuple):
        return named[0], Results(Path(named[1]))
    return Results(Path(named))


def _reader(
    names: list[str], extractor: str, front_end: str, weights: Path | None, device: str | None
) -> FeatureReader | None:
    """How pictures become features; ``None`` where no metric needs any."""
    from facemask_inpaint._internal.devices import own_device
    from facemask_inpaint.benchmark.measures import FEATURE_METRICS
    from facemask_inpaint.benchmark.random_features import random_convolutions
    from facemask_inpaint.metrics import FeatureReader, InceptionExtractor

    if not set(names) & set(FEATURE_METRICS):
        return None
    where = own_device(device)
    if extractor != "inception":
        return FeatureReader(random_convolutions(where))
    if weights is None:
        return FeatureReader(front_end, device=where)
    return FeatureReader(InceptionExtractor(front_end, weights=weights, device=where))


def _summarise(run: Run) -> None:
    """What there is now and where, and what failed; nothing where another rank says it."""
    faults = run.faults
    for fault in faults[:_SHOWN_FAULTS]:
        click.echo(f"failed: {fault}", err=True)
    if len(faults) > _SHOWN_FAULTS:
        click.echo(f"… and {len(faults) - _SHOWN_FAULTS} more in {run.layout.faults}", err=True)
    if not run.pictures:
        raise click.ClickException("not one picture was filled")
    click.echo(
        f"pictures: {len(run.pictures)}; models: {len(run.models)}; classes: {len(run.classes)}; "
        f"failures: {len(faults)}"
    )
    click.echo(f"tables in {run.layout.tables}")
    if run.layout.report.exists():
        click.echo(f"look at {run.layout.report}")
    if faults:
        raise click.exceptions.Exit(1)
