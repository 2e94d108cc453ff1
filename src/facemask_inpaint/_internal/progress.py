"""Progress bars, shown only where somebody can see them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeAlias, TypedDict

from tqdm.auto import tqdm
from typing_extensions import Unpack

ProgressBar: TypeAlias = tqdm
"""A progress bar: ``update``, ``set_description``, ``set_postfix``."""

_OF_TIME = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


class BarOptions(TypedDict, total=False):
    """Further arguments of ``tqdm``."""

    unit: str
    unit_scale: bool
    initial: float
    leave: bool
    bar_format: str


def progress_bar(
    items: Iterable[object] | None = None,
    description: str | None = None,
    *,
    shown: bool,
    total: float | None = None,
    **options: Unpack[BarOptions],
) -> ProgressBar:
    """Return a progress bar, around ``items`` or moved by hand.

    Args:
        items: to iterate over.
        description: text before the bar.
        shown: whether the caller wants one; it is shown if :func:`is_visible` too.
        total: number of steps; by default ``len(items)`` where there is one.
        **options: see :class:`BarOptions`.
    """
    visible = shown and is_visible()
    return tqdm(items, description, total, disable=not visible, **options)


def timed_progress_bar(
    seconds: float, description: str, *, shown: bool, done: float = 0.0
) -> ProgressBar:
    """Return a progress bar for work of a fixed time; update it by the seconds that passed.

    Args:
        seconds: how long the work takes.
        description: text before the bar.
        shown: as for :func:`progress_bar`.
        done: seconds that have passed already.
    """
    return progress_bar(
        None, description, shown=shown, total=seconds, initial=done, bar_format=_OF_TIME
    )


def is_visible() -> bool:
    """Tell whether a bar can be seen: in a notebook, or where stderr is a terminal.

    In a log a bar would be thousands of useless lines, and services have no stderr at all.
    """
    if sys.stderr is None:
        return False
    if any(base.__name__ == "tqdm_notebook" for base in tqdm.__mro__):
        return True
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError, OSError):  # no stream, a closed one, or a lost terminal
        return False
