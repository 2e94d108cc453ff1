"""``facemask-inpaint models`` and ``convert``: what weights there are, and how to keep them."""

from __future__ import annotations

import textwrap
from pathlib import Path

import click

from facemask_inpaint.cli import options


@click.command()
@click.argument("name", required=False)
def models(name: str | None) -> None:
    """List the models, or show the card of one.

    \b
    Example:
        facemask-inpaint models
        facemask-inpaint models lama-celebahq-256
    """
    from facemask_inpaint.models.cards import card, list_cards

    if name is not None:
        click.echo(card(name).summary())
        return
    rows = [("name", "px", "weights", "licence")]
    for one in list_cards():
        licence = textwrap.shorten(one.licence, 40, placeholder=" …")
        rows.append((one.name, str(one.resolution or "any"), one.availability, licence))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [value.ljust(width) for value, width in zip(row, widths)]
        click.echo("  ".join([*cells, row[3]]).rstrip())


@click.command()
@click.argument("architecture")
@click.argument("checkpoint", type=options.existing, nargs=-1, required=True)
@click.option("--out", type=options.anywhere, required=True, help="Folder to write.")
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

    inpainter = Inpainter.from_checkpoint(checkpoint, architecture, device="cpu")
    folder = inpainter.save_pretrained(out)
    count = sum(parameter.numel() for parameter in inpainter.network.parameters())
    click.echo(f"{folder}: {inpainter.network.architecture}, {count:,} parameters")
