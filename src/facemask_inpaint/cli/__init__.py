"""The ``facemask-inpaint`` command. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import click

from facemask_inpaint import __version__
from facemask_inpaint.cli.demo import demo
from facemask_inpaint.cli.inpaint import inpaint
from facemask_inpaint.cli.masking import mask
from facemask_inpaint.cli.measuring import compare, evaluate
from facemask_inpaint.cli.weights import convert, models
from facemask_inpaint.errors import FacemaskInpaintError


class _Commands(click.Group):
    """A group that turns this library's errors into one clear line and exit status 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (FacemaskInpaintError, OSError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="facemask-inpaint")
def main() -> None:
    """Inpaint faces under semantic masks: cut a component out, fill it, look at the result.

    Start with: facemask-inpaint demo
    """


for command in (demo, mask, inpaint, evaluate, compare, models, convert):
    main.add_command(command)
