"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
Item = TypeVar("Item")

existing = click.Path(exists=True, path_type=Path)
anywhere = click.Path(path_type=Path)


def classes_option(default: str | None = "all") -> Callable[[Command], Command]:
    """``--classes``: names, letters and ranges of mask classes."""
    return click.option(
        "--classes",
        default=default,
        show_default=default is not None,
        help="Mask classes: names or letters, ranges too, e.g. hair,eyes or A-L or all.",
    )


def class_table_option(command: Command) -> Command:
    """``--class-table``: a JSON or YAML file with the user's own classes."""
    return click.option(
        "--class-table",
        type=existing,
        help="JSON or YAML file: class name to list of label names; replaces the twelve classes.",
    )(command)


def dilate_option(command: Command) -> Command:
    """``--dilate``: how far masks are grown."""
    return click.option(
        "--dilate",
        type=float,
        help="Grow masks by this many pixels, or by a share of the side when below 1 "
        "(default: 0.01).",
    )(command)


def network_options(command: Command) -> Command:
    """``--model``, ``--device``, ``--dtype``, ``--batch-size``, ``--seed``."""
    for option in (
        click.option("--seed", default=0, show_default=True, help="Decides every random draw."),
        click.option("--batch-size", default=8, show_default=True, help="Pictures at a time."),
        click.option("--dtype", default="float32", show_default=True, help="Or bfloat16, float16."),
        click.option("--device", help="cuda, cpu … (default: cuda when there)."),
        click.option(
            "--model",
            default="harmonic",
            show_default=True,
            help="Registry name, folder or hub repository.",
        ),
    ):
        command = option(command)
    return command


def masker_options(dilate: float | None, class_table: Path | None = None) -> dict[str, Any]:
    """Keyword arguments for ``SemanticMasker``; what was not given keeps its default there."""
    chosen: dict[str, Any] = {}
    if dilate is not None:
        chosen["dilate"] = dilate if 0 < dilate < 1 else round(dilate)
    if class_table is not None:
        chosen["classes"] = class_table
    return chosen


def progress(items: Sequence[Item]) -> Iterable[Item]:
    """The items behind a bar with the time left; no bar where nobody watches."""
    from tqdm.auto import tqdm

    return tqdm(items, disable=None)
