"""How commands end: with status 0, or with one sentence on stderr and another exit status."""

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
"""Option of every command: show the traceback of an error."""


_LESS_MEMORY = {
    "--batch-size": "a smaller --batch-size",
    "--size": "a smaller --size",
    "--set": "--set with a smaller batch_size or resolution",
}
"""What is said of memory that does not suffice, by option of the command."""


class _StoppedError(KeyboardInterrupt):
    """The process was sent SIGTERM."""


class Commands(click.Group):
    """A group of commands whose errors and warnings are one line each."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Any:
        """Run the command that the arguments name; by default those of the process."""
        words = list(sys.argv[1:] if args is None else args)
        end = words.index("--") if "--" in words else len(words)
        self._debug = DEBUG in words[:end]
        words = [word for word in words[:end] if word != DEBUG] + words[end:]
        if args is None:  # a process of its own, whose streams belong to this command
            _repair_streams()
        return super().main(words, *more, **options)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; an error that is not click's ends it with status 1 and one sentence."""
        with warnings.catch_warnings(), _stopped_by_sigterm():
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
                raise  # of a broken pipe: the reader of the output has ended; click ends quietly
            except KeyboardInterrupt as error:
                _forget_the_interrupt()
                raise _Ended(error) from error
            except Exception as error:
                if self._debug:
                    raise
                raise click.ClickException(sentence_of(error, self._options(ctx))) from error

    def _options(self, ctx: click.Context) -> list[str]:
        """Names of the options of the command that was called."""
        command = self.commands.get(ctx.invoked_subcommand or "")
        return [name for each in command.params for name in each.opts] if command else []


class _Ended(click.ClickException):
    """A command was ended by a signal."""

    def __init__(self, error: KeyboardInterrupt) -> None:
        number = signal.SIGTERM if isinstance(error, _StoppedError) else signal.SIGINT
        self.exit_code = 128 + number  # type: ignore[misc]
        super().__init__(f"stopped before the end ({number.name}); what was finished is kept")


def sentence_of(error: Exception, options: Sequence[str] = ()) -> str:
    """Return one sentence for an error, without its traceback.

    Args:
        error: that ended a command.
        options: of the command, of which one may be the way out.
    """
    if isinstance(error, FacemaskInpaintError):
        return str(error)
    if isinstance(error, OSError):
        sentence = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        advice = "; what was there before is kept: free some space and run the command again"
        return sentence + (advice if error.errno in DISK_FULL else "")
    first = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        ways = [_LESS_MEMORY[name] for name in options if name in _LESS_MEMORY]
        advice = f"{' or '.join([*ways, 'smaller images'])} need less"
        return f"there is not enough memory; {advice} ({first})"
    return (
        f"internal error ({type(error).__name__}: {first}); please report it with what the same "
        f"command shows with {DEBUG}"
    )


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as one line; ``warnings.showwarning`` would add the line of code."""
    click.echo(f"Warning: {message}", err=True)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that nothing is left half done."""
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


def _forget_the_interrupt() -> None:
    """Let ``python -m`` end with our exit status rather than by SIGINT.

    CPython notes an interrupt of code that runs from a string, as that of every new dataclass
    does, as unhandled even where it is caught later; other code from a string clears the note.
    """
    exec("")


def _repair_streams() -> None:
    """Open standard streams that are closed, and let text of any encoding pass.

    Otherwise the next file to be opened would take the number of a closed stream, and receive
    whatever a C library writes to it.
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
    sys.stderr = _BreakableStream(sys.stderr)


class _BreakableStream:
    """A stream whose reader may end: output that nobody reads must not stop the command."""

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
