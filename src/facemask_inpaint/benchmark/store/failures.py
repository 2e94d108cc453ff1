"""Collecting what fails, so that it costs nothing else."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict

from facemask_inpaint.benchmark.store.journal import Journal
from facemask_inpaint.benchmark.store.layout import Layout
from facemask_inpaint.benchmark.store.records import Fault, from_dict, read_records
from facemask_inpaint.benchmark.store.settings import Settings
from facemask_inpaint.errors import OptionError

_log = logging.getLogger(__name__)

_STAGES = ("read", "load", "fill", "write", "measure", "score", "compare", "report")


class FaultLog:
    """Faults of one rank, in memory and, as far as the disk allows, in its journal."""

    def __init__(self, layout: Layout, rank: int) -> None:
        self._layout = layout
        self._journal = Journal(layout.work, "faults", rank)
        self._lock = threading.Lock()
        self._found: list[Fault] = []

    def begin(self, world: int) -> None:
        """Forget the faults of the command before: what still fails will fail again."""
        self._journal.clear()
        self._journal.clear_above(world)

    def add(
        self,
        stage: str,
        error: object,
        *,
        model: str | None = None,
        mask_class: str | None = None,
        side: int | None = None,
        key: str | None = None,
    ) -> None:
        """Record one; any thread may call this."""
        text = " ".join(str(error).split()) or type(error).__name__
        fault = Fault(stage, text, model, mask_class, side, key)
        _log.log(logging.WARNING if key is None else logging.INFO, "%s", fault)
        with self._lock:
            self._found.append(fault)
        try:
            self._journal.append(asdict(fault))
        except OSError as full:
            # Memory still has it; with several ranks it is lost to the others.
            _log.warning("a fault could not be written: %s", full)

    def _earlier(self) -> tuple[Fault, ...]:
        """What earlier commands recorded; a damaged file of that is written anew."""
        try:
            return read_records(self._layout.faults, Fault)
        except OptionError as error:
            _log.warning("%s", error)
            return ()

    def everything(self, settings: Settings, tried: set[str]) -> list[Fault]:
        """Faults of all ranks, and earlier ones of models that were not tried this time.

        Args:
            settings: of the run; they give the order.
            tried: names of the models that this command was given.
        """
        found = {
            *self._found,
            *(from_dict(Fault, content) for content in self._journal.read("stage", "message")),
        }
        found |= {
            fault
            for fault in self._earlier()
            if fault.model is not None and fault.model not in tried
        }
        keys = {key: row for row, key in enumerate(settings.keys)}
        models = {entry.name: row for row, entry in enumerate(settings.models)}
        classes = {entry.name: row for row, entry in enumerate(settings.classes)}
        return sorted(
            found,
            key=lambda fault: (
                _STAGES.index(fault.stage),
                models.get(fault.model or "", -1),
                fault.side or 0,
                classes.get(fault.mask_class or "", -1),
                keys.get(fault.key or "", -1),
                fault.message,
            ),
        )
