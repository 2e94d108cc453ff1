"""Second stage: every method predicts every hole, and each prediction is measured.

A kind of method is a class in ``benchmark.methods``; nothing here depends on which kinds there are.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint._internal.concurrency import BackgroundTasks, in_order
from facemask_inpaint._internal.distributed import Ranks
from facemask_inpaint._internal.identity import Identity
from facemask_inpaint._internal.progress import ProgressBar, progress_bar
from facemask_inpaint.benchmark.diagnostics import LabelledPair
from facemask_inpaint.benchmark.methods import Batch, Method
from facemask_inpaint.benchmark.metrics import image_rows, measure_image
from facemask_inpaint.benchmark.stages._calls import MOST_FAILURES_IN_A_ROW, MethodCalls
from facemask_inpaint.benchmark.stages.prepare import PreparedPortraits, write_png
from facemask_inpaint.benchmark.store.failures import FailureLog
from facemask_inpaint.benchmark.store.journal import Journal, by_age
from facemask_inpaint.benchmark.store.layout import Layout
from facemask_inpaint.benchmark.store.records import CaseLine, CaseRecord
from facemask_inpaint.benchmark.store.settings import Settings
from facemask_inpaint.errors import FacemaskInpaintError, ImageError
from facemask_inpaint.masks.label_maps import LabelSource, open_label_map
from facemask_inpaint.masks.parsers import Parser
from facemask_inpaint.masks.vocabularies import Vocabulary

_AHEAD = 6
"""Chunks that are read while a method is at work."""


class Chunk(NamedTuple):
    """Cases that go through a method together, whatever was finished before.

    Which they are depends on the data set and the batch size only, so that a run which was killed,
    or shared between processes, computes every batch as an undisturbed one would.
    """

    resolution: int
    mask_class: str
    keys: tuple[str, ...]


class _Case(NamedTuple):
    """One case of a chunk, and what is left to do with it."""

    key: str
    original: Image.Image
    hole: np.ndarray
    labels: LabelSource
    unpredicted: bool
    unmeasured: bool
    source: Identity | None


class _LoadedChunk(NamedTuple):
    """What of a chunk could be read."""

    chunk: Chunk
    cases: list[_Case]


def image_seed(seed: int, resolution: int, mask_class: str, key: str) -> int:
    """Return the seed of one image, 63 bits of the run's seed and of what the image is.

    Args:
        seed: of the run.
        resolution: height and width in pixels.
        mask_class: name of the class.
        key: the portrait's key in its data set.
    """
    text = f"{seed}/{resolution}/{mask_class}/{key}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class PredictionStage:
    """Predicts and measures this rank's share of the cases.

    Args:
        layout: of the run.
        settings: of the run.
        portraits: which portrait has which component.
        ranks: the processes of the run.
        failures: records what fails.
        batch_size: images per call of a method.
        device: where methods compute.
        parser: labels predictions.
        vocabulary: of the label maps.
    """

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        portraits: PreparedPortraits,
        ranks: Ranks,
        failures: FailureLog,
        *,
        batch_size: int,
        device: torch.device,
        parser: Parser | None,
        vocabulary: Vocabulary,
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._portraits = portraits
        self._failures = failures
        self._device = device
        self._parser = parser
        self._vocabulary = vocabulary
        self._label_ids = {entry.name: entry.label_ids for entry in settings.classes}
        self._records = Journal(layout.work, "cases", ranks.rank)
        self._timings = Journal(layout.work, "timings", ranks.rank)
        self._chunks = ranks.shard(_chunks(settings, portraits, batch_size))
        known = {
            (line["method"], line["resolution"], line["mask_class"], line["key"]): line
            for line in by_age(self._records.read(CaseLine))
        }
        self._metrics = image_rows(settings.metrics)
        self._metric_names = [metric.name for metric in self._metrics]
        self._measured = {
            case
            for case, line in known.items()
            if set(self._metric_names) <= set(line.get("measured", ()))
        }
        self._sources = {
            case: Identity(**line["source"]) for case, line in known.items() if line.get("source")
        }

    def run(self, methods: Sequence[Method], *, progress: bool) -> None:
        """Predict and measure what is not there yet, method after method."""
        for method in methods:
            self._forget_changed(method)
            self._warn_of_unpinned(method)
        pending = {method.entry.name: self._pending(method.entry.name) for method in methods}
        total = sum(len(chunk.keys) for chunks in pending.values() for chunk in chunks)
        shown = progress and bool(total)
        with progress_bar(total=total, shown=shown, unit="image") as bar:
            for method in methods:
                bar.set_description(method.entry.name)
                chunks = pending[method.entry.name]
                end = bar.n + sum(len(chunk.keys) for chunk in chunks)
                if chunks:
                    self._run_method(method, chunks, bar)
                bar.update(end - bar.n)  # a method that was given up has left some out

    def _forget_changed(self, method: Method) -> None:
        """Remove predictions that were taken from files which have changed since, or are gone."""
        name = method.entry.name
        for chunk in self._chunks:
            for key in chunk.keys:
                files = method.source_files(chunk.resolution, chunk.mask_class, key)
                if files is not None and self._is_predicted(name, chunk, key):
                    source = self._sources.get((name, chunk.resolution, chunk.mask_class, key))
                    if source is None or not source.holds(files):
                        self._path(name, chunk, key).unlink()

    def _warn_of_unpinned(self, method: Method) -> None:
        """Say that earlier predictions of a function are taken for its own."""
        name = method.entry.name
        if not method.pinned and any(
            self._is_predicted(name, chunk, key) for chunk in self._chunks for key in chunk.keys
        ):
            warnings.warn(
                f"predictions of the function {name} that are in {self._layout.folder} already are "
                "taken for its own: nothing tells whether what it calls or holds has changed; give "
                "the function an attribute version, and change that with it",
                stacklevel=2,
            )

    def _pending(self, name: str) -> list[Chunk]:
        """Chunks with a case that is not predicted, or not measured."""
        return [
            chunk
            for chunk in self._chunks
            if not all(self._is_done(name, chunk, key) for key in chunk.keys)
        ]

    def _path(self, name: str, chunk: Chunk, key: str) -> Path:
        return self._layout.prediction(chunk.resolution, name, chunk.mask_class, key)

    def _is_predicted(self, name: str, chunk: Chunk, key: str) -> bool:
        return self._path(name, chunk, key).exists()

    def _is_done(self, name: str, chunk: Chunk, key: str) -> bool:
        is_measured = (name, chunk.resolution, chunk.mask_class, key) in self._measured
        return is_measured and self._is_predicted(name, chunk, key)

    def _has_unmeasured(self, name: str, chunk: Chunk) -> bool:
        return any(
            self._is_predicted(name, chunk, key) and not self._is_done(name, chunk, key)
            for key in chunk.keys
        )

    def _run_method(self, method: Method, chunks: list[Chunk], bar: ProgressBar) -> None:
        name = method.entry.name
        predictor = None
        if not all(self._is_predicted(name, chunk, key) for chunk in chunks for key in chunk.keys):
            try:
                predictor = method.open(self._device, self._settings.dtype)
            except Exception as error:  # whatever a method raises is its own failure
                self._failures.add("load", error, method=name)
                chunks = [chunk for chunk in chunks if self._has_unmeasured(name, chunk)]
        calls = MethodCalls(method, predictor, self._timings, self._failures, self._device)
        with BackgroundTasks() as background:
            for loaded in self._loaded(method, chunks):
                self._predict_chunk(calls, loaded, background)
                bar.update(len(loaded.chunk.keys))
                if max(calls.failed_in_a_row, background.failed_in_a_row) >= MOST_FAILURES_IN_A_ROW:
                    last = f"gave up after {MOST_FAILURES_IN_A_ROW} failures in a row"
                    resolution = loaded.chunk.resolution
                    self._failures.add("predict", last, method=name, resolution=resolution)
                    break

    def _loaded(self, method: Method, chunks: Iterable[Chunk]) -> Iterator[_LoadedChunk]:
        return in_order(partial(self._load, method), chunks, None, ahead=_AHEAD)

    def _load(self, method: Method, chunk: Chunk) -> _LoadedChunk:
        """Read a whole chunk if anything of it is unpredicted, else what is unmeasured of it.

        Runs in a worker thread.
        """
        name = method.entry.name
        is_whole = not all(self._is_predicted(name, chunk, key) for key in chunk.keys)
        cases = []
        for key in chunk.keys:
            if is_whole or not self._is_done(name, chunk, key):
                try:
                    cases.append(self._load_case(method, chunk, key))
                except (ImageError, OSError) as error:
                    self._failures.add(
                        "read",
                        error,
                        mask_class=chunk.mask_class,
                        resolution=chunk.resolution,
                        key=key,
                    )
        return _LoadedChunk(chunk, cases)

    def _load_case(self, method: Method, chunk: Chunk, key: str) -> _Case:
        name, resolution = method.entry.name, chunk.resolution
        original = images.read_image(self._layout.original(resolution, key))
        mask = images.read_image(self._layout.mask(resolution, chunk.mask_class, key))
        labels = images.read_image(self._layout.label_map(resolution, key))
        files = method.source_files(resolution, chunk.mask_class, key)
        return _Case(
            key,
            original,
            np.asarray(mask) > 0,
            open_label_map(labels, self._vocabulary),
            unpredicted=not self._is_predicted(name, chunk, key),
            unmeasured=not self._is_done(name, chunk, key),
            source=Identity.of(files) if files else None,
        )

    def _predict_chunk(
        self, calls: MethodCalls, loaded: _LoadedChunk, background: BackgroundTasks
    ) -> None:
        predictions = {}
        if unpredicted := [case for case in loaded.cases if case.unpredicted]:
            together = loaded.cases if calls.batched else unpredicted
            wanted = [case.unpredicted for case in together]
            predictions = calls.predict(self._batch(loaded.chunk, together), wanted)
        for case in loaded.cases:
            if case.unmeasured and (case.key in predictions or not case.unpredicted):
                prediction = predictions[case.key] if case.unpredicted else None
                background.submit(
                    partial(self._finish, calls.method, loaded.chunk, case, prediction)
                )

    def _batch(self, chunk: Chunk, cases: Sequence[_Case]) -> Batch:
        resolution, mask_class, _ = chunk
        return Batch(
            resolution,
            mask_class,
            tuple(case.key for case in cases),
            [case.original for case in cases],
            [case.hole for case in cases],
            [image_seed(self._settings.seed, resolution, mask_class, case.key) for case in cases],
        )

    def _finish(
        self, method: str, chunk: Chunk, case: _Case, prediction: Image.Image | None
    ) -> bool:
        """Write a prediction if it is new, measure it, record it; runs in a worker thread.

        Returns:
            Whether that succeeded.
        """
        path = self._path(method, chunk, case.key)
        stage = "write"
        try:
            if prediction is not None:
                write_png(prediction, path)
            stage = "measure"
            image = images.read_image(path) if prediction is None else prediction
            record = self._measure(method, chunk, case, image)
            stage = "write"
            line = asdict(record) | {"measured": self._metric_names, "at": time.time_ns()}
            self._records.append(line | ({"source": asdict(case.source)} if case.source else {}))
        except (FacemaskInpaintError, OSError) as error:
            self._failures.add(
                stage,
                error,
                method=method,
                mask_class=chunk.mask_class,
                resolution=chunk.resolution,
                key=case.key,
            )
            return False
        return True

    def _measure(
        self, method: str, chunk: Chunk, case: _Case, prediction: Image.Image
    ) -> CaseRecord:
        pair = LabelledPair.of(
            np.asarray(case.original),
            np.asarray(prediction),
            case.hole,
            case.labels,
            self._label_ids[chunk.mask_class],
            self._parser,
        )
        values = measure_image(pair, self._metrics)
        share = self._portraits.share(chunk.resolution, chunk.mask_class, case.key)
        return CaseRecord(method, chunk.mask_class, chunk.resolution, case.key, share, values)


def _chunks(settings: Settings, portraits: PreparedPortraits, batch_size: int) -> list[Chunk]:
    return [
        Chunk(resolution, entry.name, keys[start : start + batch_size])
        for resolution in settings.resolutions
        for entry in settings.classes
        for keys in [portraits.present(resolution, entry.name)]
        for start in range(0, len(keys), batch_size)
    ]
