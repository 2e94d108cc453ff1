"""Filling every hole with every model, measuring each result while the next is being made."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint._internal.concurrency import BackgroundTasks, in_order
from facemask_inpaint._internal.distributed import Ranks
from facemask_inpaint._internal.identity import Identity
from facemask_inpaint._internal.progress import ProgressBar, progress_bar
from facemask_inpaint.benchmark.measures import measure_picture
from facemask_inpaint.benchmark.methods import Batch, Contender
from facemask_inpaint.benchmark.stages._calls import PATIENCE, Attempt
from facemask_inpaint.benchmark.stages.prepare import Index, labels_path, write_png
from facemask_inpaint.benchmark.store.failures import FaultLog
from facemask_inpaint.benchmark.store.journal import Journal, by_age
from facemask_inpaint.benchmark.store.layout import Layout
from facemask_inpaint.benchmark.store.records import PictureRecord
from facemask_inpaint.benchmark.store.settings import Settings
from facemask_inpaint.errors import FacemaskInpaintError, ImageError
from facemask_inpaint.masks.parsers import Parser

_AHEAD = 6
"""Chunks that are read while a model is at work."""


class Chunk(NamedTuple):
    """Pictures that go through a model together, whatever was finished before.

    Which they are depends on the data set and the batch size only, so that a run which was killed,
    or shared between processes, computes every batch as an undisturbed one would.
    """

    side: int
    mask_class: str
    keys: tuple[str, ...]


class _Item(NamedTuple):
    """A picture of a chunk, and what is left to do with it."""

    key: str
    original: Image.Image
    hole: np.ndarray
    labels: np.ndarray
    unfilled: bool
    unmeasured: bool
    source: Identity | None


class _Loaded(NamedTuple):
    """What of a chunk could be read."""

    chunk: Chunk
    items: list[_Item]


def picture_seed(seed: int, side: int, mask_class: str, key: str) -> int:
    """Seed of one picture, 63 bits: of nothing but the run's seed and what the picture is."""
    text = f"{seed}/{side}/{mask_class}/{key}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class Filling:
    """Fills and measures this rank's share of the pictures.

    Args:
        layout: of the run.
        settings: of the run.
        index: which portrait has which component.
        ranks: the processes of the run.
        faults: takes what fails.
        batch_size: pictures per call of a model.
        device: where models compute.
        parser: labels filled pictures.
    """

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        index: Index,
        ranks: Ranks,
        faults: FaultLog,
        *,
        batch_size: int,
        device: torch.device,
        parser: Parser | None,
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._index = index
        self._faults = faults
        self._device = device
        self._parser = parser
        self._label_ids = {one.name: one.label_ids for one in settings.classes}
        self._records = Journal(layout.work, "pictures", ranks.rank)
        self._timings = Journal(layout.work, "timings", ranks.rank)
        self._chunks = ranks.shard(_chunks(settings, index, batch_size))
        known = {
            (line["model"], line["side"], line["mask_class"], line["key"]): line.get("source")
            for line in by_age(self._records.read("model", "side", "mask_class", "key"))
        }
        self._measured = set(known)
        self._sources = {at: Identity(**source) for at, source in known.items() if source}

    def run(self, contenders: Sequence[Contender], *, progress: bool) -> None:
        """Fill what is not there yet, model after model."""
        for contender in contenders:
            self._forget_changed(contender)
            self._warn_of_unpinned(contender)
        pending = {one.entry.name: self._pending(one.entry.name) for one in contenders}
        total = sum(len(chunk.keys) for chunks in pending.values() for chunk in chunks)
        shown = progress and bool(total)
        with progress_bar(total=total, shown=shown, unit="picture") as bar:
            for contender in contenders:
                bar.set_description(contender.entry.name)
                chunks = pending[contender.entry.name]
                end = bar.n + sum(len(chunk.keys) for chunk in chunks)
                if chunks:
                    self._run_model(contender, chunks, bar)
                bar.update(end - bar.n)  # a model that was given up has left some out

    def _forget_changed(self, contender: Contender) -> None:
        """Remove results that were taken from files which have changed since, or are gone."""
        model = contender.entry.name
        for chunk in self._chunks:
            for key in chunk.keys:
                where = (chunk.side, chunk.mask_class, key)
                files = contender.source_files(*where)
                if files is not None and self._is_filled(model, chunk, key):
                    known = self._sources.get((model, *where))
                    if known is None or not known.holds(files):
                        self._layout.filled(chunk.side, model, chunk.mask_class, key).unlink()

    def _warn_of_unpinned(self, contender: Contender) -> None:
        """Say that earlier results of a function are taken for its own."""
        model = contender.entry.name
        if not contender.pinned and any(
            self._is_filled(model, chunk, key) for chunk in self._chunks for key in chunk.keys
        ):
            warnings.warn(
                f"results of the function {model} that are in {self._layout.folder} already are "
                "taken for its own: nothing tells whether what it calls or holds has changed; give "
                "the function an attribute version, and change that with it",
                stacklevel=2,
            )

    def _pending(self, model: str) -> list[Chunk]:
        """Chunks with a picture that is not filled, or not measured."""
        return [
            chunk
            for chunk in self._chunks
            if not all(self._is_done(model, chunk, key) for key in chunk.keys)
        ]

    def _is_done(self, model: str, chunk: Chunk, key: str) -> bool:
        known = (model, chunk.side, chunk.mask_class, key) in self._measured
        return known and self._is_filled(model, chunk, key)

    def _has_unmeasured(self, model: str, chunk: Chunk) -> bool:
        return any(
            self._is_filled(model, chunk, key) and not self._is_done(model, chunk, key)
            for key in chunk.keys
        )

    def _is_filled(self, model: str, chunk: Chunk, key: str) -> bool:
        return self._layout.filled(chunk.side, model, chunk.mask_class, key).exists()

    def _run_model(self, contender: Contender, chunks: list[Chunk], bar: ProgressBar) -> None:
        model = contender.entry.name
        filler = None
        if not all(self._is_filled(model, chunk, key) for chunk in chunks for key in chunk.keys):
            try:
                filler = contender.open(self._device, self._settings.dtype)
            except Exception as error:  # whatever a model raises is its own fault
                self._faults.add("load", error, model=model)
                chunks = [chunk for chunk in chunks if self._has_unmeasured(model, chunk)]
        attempt = Attempt(contender, filler, self._timings, self._faults, self._device)
        with BackgroundTasks() as background:
            for found in self._loaded(contender, chunks):
                self._finish_chunk(attempt, found, background)
                bar.update(len(found.chunk.keys))
                if max(attempt.failures, background.failures) >= PATIENCE:
                    last = f"gave up after {PATIENCE} failures in a row"
                    self._faults.add("fill", last, model=model, side=found.chunk.side)
                    break

    def _loaded(self, contender: Contender, chunks: Iterable[Chunk]) -> Iterator[_Loaded]:
        return in_order(partial(self._load, contender), chunks, None, ahead=_AHEAD)

    def _load(self, contender: Contender, chunk: Chunk) -> _Loaded:
        """In a worker thread: the chunk if anything of it is unfilled, else what is unmeasured."""
        side, name, model = chunk.side, chunk.mask_class, contender.entry.name
        whole = not all(self._is_filled(model, chunk, key) for key in chunk.keys)
        items = []
        for key in chunk.keys:
            done = self._is_done(model, chunk, key)
            if done and not whole:
                continue
            try:
                original = images.read_image(self._layout.original(side, key))
                mask = images.read_image(self._layout.mask(side, name, key))
                labels = images.read_image(labels_path(self._layout, side, key))
                files = contender.source_files(side, name, key)
                source = Identity.of(files) if files else None
            except (ImageError, OSError) as error:
                self._faults.add("read", error, mask_class=name, side=side, key=key)
                continue
            hole = np.asarray(mask) > 0
            unfilled = not self._is_filled(model, chunk, key)
            found = (key, original, hole, np.asarray(labels), unfilled, not done, source)
            items.append(_Item(*found))
        return _Loaded(chunk, items)

    def _finish_chunk(self, attempt: Attempt, found: _Loaded, background: BackgroundTasks) -> None:
        filled = {}
        if unfilled := [item for item in found.items if item.unfilled]:
            together = found.items if attempt.batched else unfilled
            wanted = [item.unfilled for item in together]
            filled = attempt.fill(self._batch(found.chunk, together), wanted)
        for item in found.items:
            if item.unmeasured and (item.key in filled or not item.unfilled):
                fresh = filled[item.key] if item.unfilled else None
                background.submit(partial(self._finish, attempt.model, found.chunk, item, fresh))

    def _batch(self, chunk: Chunk, items: Sequence[_Item]) -> Batch:
        side, mask_class, _ = chunk
        return Batch(
            side,
            mask_class,
            tuple(item.key for item in items),
            [item.original for item in items],
            [item.hole for item in items],
            [picture_seed(self._settings.seed, side, mask_class, item.key) for item in items],
        )

    def _finish(self, model: str, chunk: Chunk, item: _Item, fresh: Image.Image | None) -> bool:
        """In a worker thread: write a result if it is new, measure it, remember it."""
        side, name, key = chunk.side, chunk.mask_class, item.key
        path = self._layout.filled(side, model, name, key)
        stage = "write"
        try:
            if fresh is not None:
                write_png(fresh, path)
            stage = "measure"
            filled = images.read_image(path) if fresh is None else fresh
            record = self._measure(model, chunk, item, filled)
            stage = "write"
            line = asdict(record) | {"at": time.time_ns()}
            self._records.append(line | ({"source": asdict(item.source)} if item.source else {}))
        except (FacemaskInpaintError, OSError) as error:
            self._faults.add(stage, error, model=model, mask_class=name, side=side, key=key)
            return False
        return True

    def _measure(self, model: str, chunk: Chunk, item: _Item, filled: Image.Image) -> PictureRecord:
        name = chunk.mask_class
        measures = measure_picture(
            np.asarray(item.original),
            np.asarray(filled),
            item.hole,
            item.labels,
            self._label_ids[name],
            self._parser,
        )
        share = self._index.share(chunk.side, name, item.key)
        return PictureRecord(model, name, chunk.side, item.key, share, measures)


def _chunks(settings: Settings, index: Index, batch_size: int) -> list[Chunk]:
    return [
        Chunk(side, entry.name, keys[start : start + batch_size])
        for side in settings.sides
        for entry in settings.classes
        for keys in [index.present(side, entry.name)]
        for start in range(0, len(keys), batch_size)
    ]
