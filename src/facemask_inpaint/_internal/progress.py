"""Progress bars: one kind for the whole library, and none where nobody would see it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TypeAlias

from tqdm.auto import tqdm

ProgressBar: TypeAlias = tqdm
"""A progress bar: ``update``, ``set_description``, ``set_postfix``."""

_OF_TIME = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


def progress_bar(
    items: Iterable[Any] | None = None,
    description: str | None = None,
    *,
    shown: bool,
    total: float | None = None,
    **options: Any,
) -> ProgressBar:
    """Return a progress bar, around ``items`` or moved by hand.

    Args:
        items: what is handed on, one by one.
        description: what stands before the bar.
        shown: whether the caller wants one; see :func:`is_visible` for who gets one.
        total: number of steps; by default ``len(items)`` where there is one.
        **options: further arguments of ``tqdm``, such as ``unit`` and ``initial``.
    """
    visible = shown and is_visible()
    return tqdm(items, description, total, disable=not visible, **options)


def timed_progress_bar(
    seconds: float, description: str, *, shown: bool, done: float = 0.0
) -> ProgressBar:
    """Return a progress bar for work that the clock ends; move it by the seconds that went by.

    Args:
        seconds: how long the work takes.
        description: what stands before the bar.
        shown: as for :func:`progress_bar`.
        done: seconds that went by before.
    """
    return progress_bar(
        None, description, shown=shown, total=seconds, initial=done, bar_format=_OF_TIME
    )


def is_visible() -> bool:
    """Whether somebody would see a bar: in a notebook, or where stderr is a terminal.

    In a log a bar is thousands of lines that say nothing, and services have no stderr at all.
    """
    if sys.stderr is None:
        return False
    if any(base.__name__ == "tqdm_notebook" for base in tqdm.__mro__):
        return True
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError, OSError):  # no stream, a closed one, or a lost terminal
        return False
