"""Collecting what fails, so that it costs nothing else."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict
from typing import TypedDict

from facemask_inpaint.benchmark.store.journal import Journal
from facemask_inpaint.benchmark.store.layout import Layout
from facemask_inpaint.benchmark.store.records import Failure, from_dict, read_records
from facemask_inpaint.benchmark.store.settings import Settings
from facemask_inpaint.errors import OptionError

_log = logging.getLogger(__name__)

_STAGES = ("read", "load", "predict", "write", "measure", "score", "compare", "report")


class _FailureLine(TypedDict):
    stage: str
    message: str


class FailureLog:
    """Failures of one rank, in memory and, as far as the disk allows, in its journal."""

    def __init__(self, layout: Layout, rank: int) -> None:
        self._layout = layout
        self._journal = Journal(layout.work, "failures", rank)
        self._lock = threading.Lock()
        self._recorded: list[Failure] = []

    def begin(self, world_size: int) -> None:
        """Forget the failures of the command before: what still fails will fail again.

        Args:
            world_size: how many ranks there are.
        """
        self._journal.clear()
        self._journal.clear_above(world_size)

    def add(
        self,
        stage: str,
        error: object,
        *,
        method: str | None = None,
        mask_class: str | None = None,
        resolution: int | None = None,
        key: str | None = None,
    ) -> None:
        """Record a failure; any thread may call this."""
        text = " ".join(str(error).split()) or type(error).__name__
        failure = Failure(stage, text, method, mask_class, resolution, key)
        _log.log(logging.WARNING if key is None else logging.INFO, "%s", failure)
        with self._lock:
            self._recorded.append(failure)
        try:
            self._journal.append(asdict(failure))
        except OSError as full:
            # Memory still has it; with several ranks it is lost to the others.
            _log.warning("a failure could not be written: %s", full)

    def _earlier(self) -> tuple[Failure, ...]:
        """Return what earlier commands recorded; a damaged file of that is written anew."""
        try:
            return read_records(self._layout.failures, Failure)
        except OptionError as error:
            _log.warning("%s", error)
            return ()

    def everything(self, settings: Settings, tried: set[str]) -> list[Failure]:
        """Return the failures of all ranks, and earlier ones of methods not tried this time.

        Args:
            settings: of the run; they give the order.
            tried: names of the methods that this command was given.
        """
        failures = {
            *self._recorded,
            *(from_dict(Failure, content) for content in self._journal.read(_FailureLine)),
        }
        failures |= {
            failure
            for failure in self._earlier()
            if failure.method is not None and failure.method not in tried
        }
        keys = {key: row for row, key in enumerate(settings.keys)}
        methods = {entry.name: row for row, entry in enumerate(settings.methods)}
        classes = {entry.name: row for row, entry in enumerate(settings.classes)}
        return sorted(
            failures,
            key=lambda failure: (
                _STAGES.index(failure.stage),
                methods.get(failure.method or "", -1),
                failure.resolution or 0,
                classes.get(failure.mask_class or "", -1),
                keys.get(failure.key or "", -1),
                failure.message,
            ),
        )
