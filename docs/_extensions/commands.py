"""The command-line reference, written from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
from sphinx.application import Sphinx

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.cli import main

PROGRAM = "facemask-inpaint"
_VERBATIM = "\b"
_SPECIAL = re.compile(r"([\\*_<>\[\]|])")
_OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")


def reference() -> str:
    """Return the page in Markdown: a section for every command, and in it those of its own."""
    context = click.Context(main, info_name=PROGRAM)
    sections = [_section(main.commands[name], context) for name in main.list_commands(context)]
    return "\n\n".join(sections) + "\n"


def _section(command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, info_name=command.name, parent=parent)
    path = context.command_path.split(" ")[1:]
    usage = f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    heading = f"#{'#' * len(path)} {' '.join(path)}"
    parts = [heading, *_help(command.help or ""), usage, *_options(command, context)]
    if isinstance(command, click.Group):
        names = command.list_commands(context)
        parts += [_section(command.commands[name], context) for name in names]
    return "\n\n".join(parts)


def _help(text: str) -> Iterator[str]:
    """Paragraphs of a help text; what click leaves unwrapped becomes a block of commands."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if not paragraph.startswith(_VERBATIM):
            yield _prose(paragraph)
            continue
        first, *lines = paragraph.removeprefix(_VERBATIM).strip("\n").splitlines()
        if lines and first.rstrip().endswith(":"):
            yield _prose(first)
            yield _block(lines)
        else:
            yield _block([first, *lines])


def _block(lines: list[str]) -> str:
    shown = inspect.cleandoc("\n".join(lines)).splitlines()
    prompted = [f"$ {line}" if line.startswith(PROGRAM) else f"  {line}" for line in shown]
    return "\n".join(["```console", *prompted, "```"])


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    """One entry per option: how it is written, what it does, and its default."""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and isinstance(parameter, click.Option) and "--help" not in parameter.opts:
            names, text = record
            yield f"`{names}`\n: {_prose(text)}"


def _prose(text: str) -> str:
    """Help text with what Markdown would interpret escaped, and options set as code."""
    pieces = " ".join(line.strip() for line in text.splitlines()).split("`")
    pieces[::2] = [_escaped(piece) for piece in pieces[::2]]  # every second one is code
    return "`".join(pieces).replace("``", "`")


def _escaped(text: str) -> str:
    escaped = _SPECIAL.sub(r"\\\1", text)
    return _OPTION.sub(r"`\g<0>`", escaped)


def write_page(app: Sphinx) -> None:
    """Write the part that ``commands.md`` includes."""
    with atomic_path(Path(app.srcdir, "_generated", "commands.md")) as temporary:
        temporary.write_text(reference(), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write before the pages are read."""
    app.connect("builder-inited", write_page)
    return {"parallel_read_safe": True}
