"""How every command ends: well, or in one sentence on stderr and a status that is not zero."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO

import click

from facemask_inpaint._internal.files import DISK_FULL
from facemask_inpaint.errors import FacemaskInpaintError

DEBUG = "--debug"
"""Option of every command, for those who look for a fault: show where it happened."""


class _StoppedError(KeyboardInterrupt):
    """The command was asked to stop by a signal."""


class Commands(click.Group):
    """A group that turns errors into one clear line and exit status 1, and warnings into a line."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        own = given.index("--") if "--" in given else len(given)
        self._debug = DEBUG in given[:own]
        given = [one for one in given[:own] if one != DEBUG] + given[own:]
        if args is None:  # a process of its own, whose streams are this command's
            _mend_streams()
        return super().main(given, *more, **options)

    def invoke(self, ctx: click.Context) -> object:
        with warnings.catch_warnings(), _stopped_by_sigterm():
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
                raise  # of a broken pipe: whoever read the output has left; click ends quietly
            except KeyboardInterrupt as error:
                raise _Ended(error) from error
            except Exception as error:
                if self._debug:
                    raise
                raise click.ClickException(sentence_of(error)) from error


class _Ended(click.ClickException):
    """A command that a signal has ended."""

    def __init__(self, error: KeyboardInterrupt) -> None:
        number = signal.SIGTERM if isinstance(error, _StoppedError) else signal.SIGINT
        self.exit_code = 128 + number  # type: ignore[misc]
        super().__init__(f"stopped before the end ({number.name}); what was finished is kept")


def sentence_of(error: Exception) -> str:
    """One sentence for an error, without the place in the code."""
    if isinstance(error, FacemaskInpaintError):
        return str(error)
    if isinstance(error, OSError):
        named = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        more = "; what was there before is kept: free some space and run the command again"
        return named + (more if error.errno in DISK_FULL else "")
    first = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"there is not enough memory; a smaller --batch-size or size needs less ({first})"
    return (
        f"a fault of this program ({type(error).__name__}: {first}); run the same command with "
        f"{DEBUG}, and report what it shows"
    )


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


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that it leaves nothing half done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> None:
    raise _StoppedError


def _mend_streams() -> None:
    """Give the process the three streams that it should have, and text that always fits.

    Where one is closed, the next file that is opened would take its number, and with it whatever
    a library written in C has to say.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (for good)
    sys.stderr = _Forgiving(sys.stderr)


class _Forgiving:
    """A stream whose reader may leave: what is said to nobody is no reason to end the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
