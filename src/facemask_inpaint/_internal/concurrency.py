"""Work in threads: decoders and encoders of images release the interpreter."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import TypeVar

from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint._internal.torch_state import ordinary_torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_THREADS = 8


def in_threads(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None,
    progress: bool,
    description: str,
) -> list[Result]:
    """Call a function with every item in threads and return its results in order.

    Args:
        function: called in a worker thread; what it raises ends the work and is raised here.
        items: its arguments.
        workers: threads; ``None`` for one per processor.
        progress: whether to show a progress bar.
        description: text of the bar.
    """
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix=description)
    try:
        results = pool.map(ordinary_torch()(function), items)
        return list(progress_bar(results, description, total=len(items), shown=progress))
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None, ahead: int
) -> Iterator[Result]:
    """Call a function with every item in threads and yield its results in order.

    Args:
        function: called in a worker thread, with the context variables of the caller.
        items: consumed no further than ``ahead`` beyond what was yielded.
        workers: threads; ``None`` for one per processor, at most eight.
        ahead: how many results may wait.
    """
    workers = workers or min(_MOST_THREADS, os.cpu_count() or 1)
    function = ordinary_torch()(function)  # a new thread has the process's defaults
    iterator = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:

        def submit(item: Item) -> Future[Result]:
            return pool.submit(copy_context().run, function, item)

        waiting = deque(map(submit, islice(iterator, ahead)))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(map(submit, islice(iterator, 1)))
                yield result
        finally:
            for future in waiting:
                future.cancel()


class BackgroundTasks:
    """Tasks in threads beside the main one, which never gets far ahead of them.

    Attributes:
        failed_in_a_row: how many of the latest tasks, one after another, returned ``False``.
    """

    _WAITING = 32

    def __init__(self) -> None:
        self.failed_in_a_row = 0
        threads = min(_MOST_THREADS, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="background")
        self._pending: deque[Future[bool]] = deque()

    def submit(self, task: Callable[[], bool]) -> None:
        """Start a task as soon as a thread is free; wait when too many wait already.

        Args:
            task: returns whether it succeeded.
        """
        while len(self._pending) >= self._WAITING:
            self._settle()
        self._pending.append(self._pool.submit(ordinary_torch()(task)))

    def _settle(self) -> None:
        succeeded = self._pending.popleft().result()
        self.failed_in_a_row = 0 if succeeded else self.failed_in_a_row + 1

    def __enter__(self) -> BackgroundTasks:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown()
        while self._pending:
            self._settle()
