"""``facemask-inpaint models`` and ``convert``: which models there are, and how to convert them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facemask_inpaint.cli import options

if TYPE_CHECKING:
    from facemask_inpaint.verification.published_files import CheckResult


@click.command()
@click.argument("name", required=False)
@click.option("--check", is_flag=True, help="Fetch the model, load it and inpaint with it.")
@click.option(
    "--file",
    "files",
    type=options.existing,
    multiple=True,
    help="With --check: this file instead of a download; once per part, in the card's order.",
)
@click.option(
    "--all-local",
    type=options.existing,
    help="Check every published model's file in this folder and below.",
)
@click.option(
    "--against",
    type=options.existing,
    help="With --check: compare with the published examples in this folder.",
)
@options.device_option
def models(
    name: str | None,
    check: bool,
    files: tuple[Path, ...],
    all_local: Path | None,
    against: Path | None,
    device: str | None,
) -> None:
    """List the models, show the card of one, or check that published files work here.

    A check reads the file without running anything in it, prints its hash and layout, and inpaints
    the bundled portrait: one line per model. Files in a folder are recognised by their hash, else
    by keys and shapes; all others are listed and skipped.

    \b
    Examples:
        facemask-inpaint models
        facemask-inpaint models lama-celebahq-256
        facemask-inpaint models lama-celebahq-256 --check
        facemask-inpaint models migan-ffhq-256 --check --file migan_256_ffhq.pt
        facemask-inpaint models --all-local weights
        facemask-inpaint models --check migan-ffhq-256 \\
            --against MI-GAN/examples/ffhq_256_freeform
    """
    _require_sensible(name, check, files, all_local)
    if against is not None:
        if name is None or not check:
            raise click.UsageError("--against goes with NAME --check")
        _compare_with_authors(name, files, against, device)
    elif name is None and all_local is None:
        _list()
    elif name is not None and not check:
        _show(name)
    else:
        from facemask_inpaint.verification import published_files

        if all_local is not None:
            _report(published_files.check_folder(all_local, device=device))
        else:
            _report([published_files.check_model(str(name), files, device=device)])


def _require_sensible(
    name: str | None, check: bool, files: tuple[Path, ...], all_local: Path | None
) -> None:
    if all_local is not None and (name or check or files):
        raise click.UsageError(
            "--all-local checks a folder; leave out the name, --check and --file"
        )
    if check and name is None:
        raise click.UsageError("--check needs the name of a model; --all-local checks a folder")
    if files and not check:
        raise click.UsageError("--file goes with NAME --check")


def _report(results: Iterable[CheckResult]) -> None:
    """One line for each as it comes; exit status 1 if any model fails."""
    failed = False
    for result in results:
        click.echo(str(result))
        failed = failed or result.status == "fails"
    if failed:
        raise click.exceptions.Exit(1)


def _show(name: str) -> None:
    from facemask_inpaint.models import card

    click.echo(card(name).summary())


def _list() -> None:
    from facemask_inpaint.models import list_cards

    rows = [("name", "px", "weights", "licence")]
    for card in list_cards():
        licence = textwrap.shorten(card.licence, 40, placeholder=" …")
        rows.append((card.name, str(card.resolution or "any"), card.availability, licence))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [value.ljust(width) for value, width in zip(row, widths)]
        click.echo("  ".join([*cells, row[3]]).rstrip())


def _compare_with_authors(
    name: str, files: tuple[Path, ...], folder: Path, device: str | None
) -> None:
    """Inpaint published examples, and say how well the results agree with the authors'."""
    from facemask_inpaint import Inpainter
    from facemask_inpaint.verification.published_examples import (
        compare_with_published,
        find_published_examples,
    )

    examples = find_published_examples(folder)
    if files:
        inpainter = Inpainter.from_checkpoint(files, name, device=device)
    else:
        inpainter = Inpainter.from_pretrained(name, device=device)
    matching = 0
    for agreement in compare_with_published(inpainter, examples):
        click.echo(f"{agreement.name}: {agreement}")
        matching += agreement.matches
    summary = f"{name}: {matching} of {len(examples)} examples match the authors' results"
    if matching < len(examples):
        raise click.ClickException(summary)
    click.echo(summary)


@click.command()
@click.argument("architecture")
@click.argument("checkpoint", type=options.existing, nargs=-1, required=True)
@click.option("--out", type=options.new_folder, required=True, help="Folder to write.")
def convert(architecture: str, checkpoint: tuple[Path, ...], out: Path) -> None:
    """Turn an official checkpoint file into config.json + model.safetensors.

    Nothing in the file is executed. ARCHITECTURE is an architecture or a registry name. Networks
    that are published in several files take them all.

    \b
    Example:
        facemask-inpaint convert lama-celebahq-256 best.ckpt --out weights/lama
        facemask-inpaint inpaint face.png --mask hole.png --model weights/lama --out out.png
    """
    from facemask_inpaint import Inpainter
    from facemask_inpaint._internal.locks import locked

    inpainter = Inpainter.from_checkpoint(checkpoint, architecture, device="cpu")
    with locked(out, "convert"):
        folder = inpainter.save_pretrained(out)
    count = sum(parameter.numel() for parameter in inpainter.network.parameters())
    click.echo(f"{folder}: {inpainter.network.architecture}, {count:,} parameters")
