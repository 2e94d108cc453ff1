"""One model at work, and what happens to its results while it works on."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint.benchmark.methods import Batch, Contender, Filler
from facemask_inpaint.benchmark.stages._memory import PeakMemory
from facemask_inpaint.benchmark.store.failures import FaultLog
from facemask_inpaint.benchmark.store.journal import Journal
from facemask_inpaint.errors import ImageError

PATIENCE = 16
"""Pictures in a row that may fail before a model is given up."""


class Attempt:
    """One model at work: batches, then single pictures where a batch fails; seconds and memory."""

    def __init__(
        self,
        contender: Contender,
        filler: Filler | None,
        timings: Journal,
        faults: FaultLog,
        device: torch.device,
    ) -> None:
        self.model = contender.entry.name
        self.failures = 0
        self.batched = contender.batched
        self._timed = contender.timed
        self._filler = filler
        self._timings = timings
        self._faults = faults
        self._memory = PeakMemory(device)
        self._first = True

    def fill(self, batch: Batch, wanted: Sequence[bool]) -> dict[str, Image.Image]:
        """Results of a batch by key; what fails is recorded and missing."""
        if self._filler is None:
            return {}
        try:
            filled = dict(zip(batch.keys, self._call(batch)))
        except Exception as error:  # whatever a model raises is its own fault
            if len(batch.keys) > 1:
                return self._one_by_one(batch, wanted)
            self._fail(batch, error)
            return {}
        self.failures = 0
        return filled

    def _one_by_one(self, batch: Batch, wanted: Sequence[bool]) -> dict[str, Image.Image]:
        filled: dict[str, Image.Image] = {}
        for row, asked in enumerate(wanted):
            if asked and self.failures < PATIENCE:
                filled |= self.fill(batch.row(row), [True])
        return filled

    def _fail(self, batch: Batch, error: Exception) -> None:
        self.failures += 1
        self._faults.add(
            "fill",
            error,
            model=self.model,
            mask_class=batch.mask_class,
            side=batch.side,
            key=batch.keys[0],
        )

    def _call(self, batch: Batch) -> list[Image.Image]:
        assert self._filler is not None  # fill() looked
        self._memory.start()
        begin = time.perf_counter()
        filled = [_checked(picture, batch.side) for picture in self._filler(batch)]
        seconds = time.perf_counter() - begin
        if len(filled) != len(batch.keys):
            raise ImageError(f"{len(filled)} results for {len(batch.keys)} pictures")
        if self._timed:
            self._note(batch, seconds)
        return filled

    def _note(self, batch: Batch, seconds: float) -> None:
        line = {
            "model": self.model,
            "side": batch.side,
            "device": self._memory.device_name,
            "seconds": seconds / len(batch.keys),
            "mebibytes": self._memory.mebibytes(),
            "n": len(batch.keys),
            "first": self._first,
        }
        self._first = False
        try:
            self._timings.append(line)
        except OSError as error:
            self._faults.add("write", error, model=self.model)


def _checked(picture: object, side: int) -> Image.Image:
    """What a model answered, in RGB."""
    if not isinstance(picture, Image.Image):
        raise ImageError(f"the result is a {type(picture).__name__}, not a PIL picture")
    if picture.size != (side, side):
        raise ImageError(f"the result is {picture.width} x {picture.height}, not {side} x {side}")
    return images.to_rgb(picture, name="the result")
