"""The ``facemask-inpaint`` command. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import click

from facemask_inpaint import __version__
from facemask_inpaint.cli.app import app
from facemask_inpaint.cli.benchmark import benchmark
from facemask_inpaint.cli.demo import demo
from facemask_inpaint.cli.evaluate import compare, evaluate
from facemask_inpaint.cli.exit_status import Commands
from facemask_inpaint.cli.export import export
from facemask_inpaint.cli.inpaint import inpaint
from facemask_inpaint.cli.mask import mask
from facemask_inpaint.cli.models import convert, models
from facemask_inpaint.cli.privacy import privacy
from facemask_inpaint.cli.protocol import protocol
from facemask_inpaint.cli.report import report
from facemask_inpaint.cli.train import train


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="facemask-inpaint")
def main() -> None:
    """Inpaint faces under semantic masks: hide a component, inpaint it, measure the result.

    Start with: facemask-inpaint demo
    """


for command in (
    demo,
    mask,
    inpaint,
    models,
    convert,
    export,
    evaluate,
    compare,
    benchmark,
    protocol,
    report,
    privacy,
    train,
    app,
):
    main.add_command(command)
