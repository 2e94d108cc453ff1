"""Calls of one method: batches, single images where a batch fails, seconds and peak memory."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint.benchmark.methods import Batch, Method, Predictor
from facemask_inpaint.benchmark.stages._memory import PeakMemory
from facemask_inpaint.benchmark.store.failures import FailureLog
from facemask_inpaint.benchmark.store.journal import Journal
from facemask_inpaint.benchmark.store.records import TimingLine
from facemask_inpaint.errors import ImageError

MOST_FAILURES_IN_A_ROW = 16
"""Images in a row that may fail before a method is given up."""


class MethodCalls:
    """Calls one method with batches, and with single images where a batch fails.

    Attributes:
        method: name of the method.
        failed_in_a_row: how many of the latest images in a row failed.
        batched: whether images go through the method together.

    Args:
        method: to be called.
        predictor: the method, opened; ``None`` where it could not be, and nothing is predicted.
        timings: takes seconds and memory of every batch.
        failures: records what fails.
        device: where the method computes.
    """

    def __init__(
        self,
        method: Method,
        predictor: Predictor | None,
        timings: Journal,
        failures: FailureLog,
        device: torch.device,
    ) -> None:
        self.method = method.entry.name
        self.failed_in_a_row = 0
        self.batched = method.batched
        self._timed = method.timed
        self._predictor = predictor
        self._timings = timings
        self._failures = failures
        self._memory = PeakMemory(device)
        self._first = True

    def predict(self, batch: Batch, wanted: Sequence[bool]) -> dict[str, Image.Image]:
        """Return the predictions of a batch by key; what fails is recorded and missing.

        Args:
            batch: images and holes.
            wanted: which of them are needed, should the batch fail and each be tried alone.
        """
        if self._predictor is None:
            return {}
        try:
            predictions = dict(zip(batch.keys, self._call(batch)))
        except Exception as error:  # whatever a method raises is its own failure
            if len(batch.keys) > 1:
                return self._one_by_one(batch, wanted)
            self._fail(batch, error)
            return {}
        self.failed_in_a_row = 0
        return predictions

    def _one_by_one(self, batch: Batch, wanted: Sequence[bool]) -> dict[str, Image.Image]:
        predictions: dict[str, Image.Image] = {}
        for row, asked in enumerate(wanted):
            if asked and self.failed_in_a_row < MOST_FAILURES_IN_A_ROW:
                predictions |= self.predict(batch.row(row), [True])
        return predictions

    def _fail(self, batch: Batch, error: Exception) -> None:
        self.failed_in_a_row += 1
        self._failures.add(
            "predict",
            error,
            method=self.method,
            mask_class=batch.mask_class,
            resolution=batch.resolution,
            key=batch.keys[0],
        )

    def _call(self, batch: Batch) -> list[Image.Image]:
        assert self._predictor is not None  # predict() looked
        self._memory.start()
        begin = time.perf_counter()
        predictions = [_checked(image, batch.resolution) for image in self._predictor(batch)]
        seconds = time.perf_counter() - begin
        if len(predictions) != len(batch.keys):
            raise ImageError(f"{len(predictions)} predictions for {len(batch.keys)} images")
        if self._timed:
            self._note(batch, seconds)
        return predictions

    def _note(self, batch: Batch, seconds: float) -> None:
        line: TimingLine = {
            "method": self.method,
            "resolution": batch.resolution,
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
            self._failures.add("write", error, method=self.method)


def _checked(image: object, resolution: int) -> Image.Image:
    """Return a prediction in RGB, or raise where it is no image of the size."""
    if not isinstance(image, Image.Image):
        raise ImageError(f"the prediction is a {type(image).__name__}, not a PIL image")
    if image.size != (resolution, resolution):
        raise ImageError(
            f"the prediction is {image.width} x {image.height}, not {resolution} x {resolution}"
        )
    return images.to_rgb(image, name="the prediction")
