"""The hub client's progress bars, which it keeps in one switch for the whole process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from facemask_inpaint._internal.progress import is_visible


@contextmanager
def hub_bars(progress: bool) -> Iterator[None]:
    """Switch the bars off when no progress is wanted, and back to what they were afterwards."""
    change = not (progress and is_visible()) and not are_progress_bars_disabled()
    if change:
        disable_progress_bars()
    try:
        yield
    finally:
        if change:
            enable_progress_bars()
