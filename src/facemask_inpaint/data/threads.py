"""The same for every portrait, several at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint._internal.torch_state import ordinary_torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None,
    progress: bool,
    description: str,
) -> list[Result]:
    """``map`` in threads: Pillow's decoders and encoders release the interpreter.

    Args:
        function: called in a worker thread; what it raises ends the work and is raised here.
        items: its arguments.
        workers: threads; ``None`` for one per processor.
        progress: show a bar.
        description: what the bar says.
    """
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix=description)
    try:
        results = pool.map(ordinary_torch()(function), items)
        return list(progress_bar(results, description, total=len(items), shown=progress))
    finally:
        pool.shutdown(cancel_futures=True)
