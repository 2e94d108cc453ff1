"""The ``facemask-inpaint`` command. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import warnings
from typing import TextIO

import click

from facemask_inpaint import __version__
from facemask_inpaint.cli.app import app
from facemask_inpaint.cli.benchmarking import benchmark
from facemask_inpaint.cli.demo import demo
from facemask_inpaint.cli.inpaint import inpaint
from facemask_inpaint.cli.masking import mask
from facemask_inpaint.cli.measuring import compare, evaluate
from facemask_inpaint.cli.reporting import report
from facemask_inpaint.cli.training import train
from facemask_inpaint.cli.weights import convert, models
from facemask_inpaint.errors import FacemaskInpaintError


class _Commands(click.Group):
    """A group that turns errors into one clear line and exit status 1, and warnings into a line."""

    def invoke(self, ctx: click.Context) -> object:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except BrokenPipeError:
                raise  # whoever read the output has left; click ends quietly
            except OSError as error:
                named = f"{error.filename}: {error.strerror}" if error.filename else str(error)
                raise click.ClickException(named) from error
            except FacemaskInpaintError as error:
                raise click.ClickException(str(error)) from error


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as one line; ``warnings.showwarning`` would add the place in the code."""
    click.echo(f"Warning: {message}", err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="facemask-inpaint")
def main() -> None:
    """Inpaint faces under semantic masks: cut a component out, fill it, look at the result.

    Start with: facemask-inpaint demo
    """


for command in (
    demo,
    mask,
    inpaint,
    models,
    convert,
    evaluate,
    compare,
    benchmark,
    report,
    train,
    app,
):
    main.add_command(command)
