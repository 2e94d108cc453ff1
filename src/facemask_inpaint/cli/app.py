"""``facemask-inpaint app``: a page in the browser to inpaint portraits and compare models."""

from __future__ import annotations

import contextlib
import threading

import click

from facemask_inpaint.cli import options


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    default=("lite",),
    show_default=True,
    help="Preselected model: registry name, folder or hub repository. Twice to compare.",
)
@click.option(
    "--parser",
    default="small",
    show_default=True,
    help="Preselected parser, for portraits without a label map.",
)
@options.device_option
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="TCP port (default: the first free one from 7860).",
)
@click.option(
    "--share",
    is_flag=True,
    help="Also ask Gradio's service for a public address; images then pass through it.",
)
def app(
    models: tuple[str, ...], parser: str, device: str | None, port: int | None, share: bool
) -> None:
    """Open a page on this machine: mark what to hide in a portrait, inpaint it, compare, download.

    It starts with the bundled portrait. Nothing leaves this machine unless --share is
    given. Ctrl-C ends it.

    \b
    Examples:
        facemask-inpaint app
        facemask-inpaint app --model harmonic --model lama --port 8000
    """
    from facemask_inpaint.app import serve

    with serve(models, parser=parser, device=device, port=port, share=share) as addresses:
        click.echo(f"open {' or '.join(addresses)} in a browser; Ctrl-C ends the page")
        _wait()


def _wait() -> None:
    """Wait for Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
