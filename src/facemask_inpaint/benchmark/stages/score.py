"""From filled pictures to scores per model, class and side."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.stats
import torch

from facemask_inpaint import __version__
from facemask_inpaint._internal.distributed import Ranks
from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint.benchmark.diagnostics import DIAGNOSTICS
from facemask_inpaint.benchmark.measures import FEATURE_METRICS, MEASURES, rounded
from facemask_inpaint.benchmark.random_features import WARNING, is_stand_in
from facemask_inpaint.benchmark.stages.prepare import Index
from facemask_inpaint.benchmark.store.failures import FaultLog
from facemask_inpaint.benchmark.store.features import FeatureStore, blocks
from facemask_inpaint.benchmark.store.journal import Journal
from facemask_inpaint.benchmark.store.layout import Layout
from facemask_inpaint.benchmark.store.records import ModelEntry, PictureRecord, Score, from_dict
from facemask_inpaint.benchmark.store.settings import Settings
from facemask_inpaint.errors import FacemaskInpaintError
from facemask_inpaint.metrics import FeatureSet
from facemask_inpaint.metrics.comparison.paired import influences
from facemask_inpaint.metrics.evaluation import feature_scores
from facemask_inpaint.models import TRAINING_SPLITS

CONFIDENCE = 0.95


class Place(NamedTuple):
    """Where a score belongs, and the portraits behind it."""

    side: int
    model: str
    mask_class: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Scoring:
    """Scores of a run.

    Attributes:
        layout: of the run.
        settings: of the run.
        index: which portrait has which component.
        ranks: the processes of the run.
        faults: takes what fails.
        store: features; ``None`` without feature metrics.
    """

    layout: Layout
    settings: Settings
    index: Index
    ranks: Ranks
    faults: FaultLog
    store: FeatureStore | None

    @cached_property
    def places(self) -> list[Place]:
        """Every combination with filled pictures, in the order of the tables."""
        return [
            Place(side, model.name, entry.name, keys)
            for side in self.settings.sides
            for model in self.settings.models
            for entry in self.settings.classes
            if (keys := self._filled(side, model.name, entry.name))
        ]

    def extract(self, *, progress: bool) -> None:
        """Compute this rank's share of the features."""
        if self.store is None:
            return
        work: list[Sequence[Path]] = []
        for side in self.settings.sides:
            keys = self.index.readable(side)
            work += blocks([self.layout.original(side, key) for key in keys])
        for place in self.places:
            work += blocks(self._fillings(place))
        mine = self.ranks.shard(work)
        for block in progress_bar(mine, "features", shown=progress and bool(mine), unit="block"):
            with suppress(FacemaskInpaintError, OSError):  # score() says what could not be read
                self.store.compute(block)

    def score(self, *, progress: bool) -> None:
        """Compute this rank's share of the feature scores that are not known yet."""
        if self.store is None:
            return
        journal = Journal(self.layout.work, "scores", self.ranks.rank)
        known = {line["fingerprint"] for line in journal.read("fingerprint", "scores")}
        mine = self.ranks.shard(self.places)
        for place in progress_bar(mine, "scores", shown=progress and bool(mine), unit="score"):
            where = {"model": place.model, "mask_class": place.mask_class, "side": place.side}
            try:
                real, fake = self.pair(place)
                fingerprint = self._fingerprint(place, real, fake)
                if fingerprint not in known:
                    scores = [asdict(one) for one in self._feature_scores(place, real, fake)]
                    journal.append({"fingerprint": fingerprint, "scores": scores})
            except (FacemaskInpaintError, OSError) as error:
                self.faults.add("score", error, **where)

    def collect(self, records: Sequence[PictureRecord]) -> list[Score]:
        """All scores of all ranks with their warnings, by side, metric, model and class."""
        found = self._from_features() + self._from_records(records)
        order = {place[:3]: row for row, place in enumerate(self.places)}
        names = list(MEASURES)
        found.sort(
            key=lambda one: (
                one.side,
                names.index(one.metric),
                order[one.side, one.model, one.mask_class],
            )
        )
        return [replace(one, warnings=self._warnings(one)) for one in found]

    def pair(self, place: Place) -> tuple[FeatureSet, FeatureSet]:
        """Features of the portraits and of their fillings, row by row."""
        assert self.store is not None  # asked for only with feature metrics
        originals = self._originals(place.side)
        row = {key: number for number, key in enumerate(originals.keys)}
        real = originals.select([row[key] for key in place.keys])
        return real, self.store.load(self._fillings(place))

    def _originals(self, side: int) -> FeatureSet:
        """Features of all portraits of a side, read once."""
        if side not in self._by_side:
            assert self.store is not None  # as above
            paths = [self.layout.original(side, key) for key in self.index.readable(side)]
            self._by_side[side] = self.store.load(paths)
        return self._by_side[side]

    @cached_property
    def _by_side(self) -> dict[int, FeatureSet]:
        return {}

    @cached_property
    def _counts(self) -> dict[tuple[int, str, str], int]:
        return {
            (place.side, place.model, place.mask_class): len(place.keys) for place in self.places
        }

    def _filled(self, side: int, model: str, mask_class: str) -> tuple[str, ...]:
        return tuple(
            key
            for key in self.index.present(side, mask_class)
            if self.layout.filled(side, model, mask_class, key).exists()
        )

    def _fillings(self, place: Place) -> list[Path]:
        where = (place.side, place.model, place.mask_class)
        return [self.layout.filled(*where, key) for key in place.keys]

    def _fingerprint(self, place: Place, real: FeatureSet, fake: FeatureSet) -> str:
        wanted = [name for name in self.settings.metrics if name in FEATURE_METRICS]
        head = f"{__version__} {place[:3]} {sorted(wanted)} {real.identity}"
        total = hashlib.blake2b(head.encode(), digest_size=16)
        for side in (real, fake):
            total.update(side.values.cpu().numpy().tobytes())
        return total.hexdigest()

    def _feature_scores(self, place: Place, real: FeatureSet, fake: FeatureSet) -> Iterator[Score]:
        wanted = [name for name in self.settings.metrics if name in FEATURE_METRICS]
        if len(real) < 2:
            wanted = [name for name in wanted if name in ("pids", "uids")]
        where = (place.model, place.mask_class, place.side)
        for name, result in feature_scores(real, fake, wanted).items():
            low, high = _fid_interval(real, fake) if name == "fid" else (None, None)
            value = rounded(result.value)
            yield Score(*where, name, value, result.n, low, high, result.warnings)

    def _from_features(self) -> list[Score]:
        """Known feature scores of the pictures as they are now."""
        if self.store is None:
            return []
        lines = Journal(self.layout.work, "scores", self.ranks.rank).read("fingerprint", "scores")
        known = {line["fingerprint"]: line["scores"] for line in lines}
        found: list[Score] = []
        for place in self.places:
            try:
                real, fake = self.pair(place)
            except (FacemaskInpaintError, OSError):
                continue  # a fault of score() already
            scores = known.get(self._fingerprint(place, real, fake), [])
            found += [from_dict(Score, content) for content in scores]
        return found

    def _from_records(self, records: Sequence[PictureRecord]) -> list[Score]:
        """Means of what every picture has its own of, with their intervals."""
        wanted = {*self.settings.metrics, *DIAGNOSTICS} - set(FEATURE_METRICS)
        values: dict[tuple[str, str, int, str], list[float]] = defaultdict(list)
        for record in records:
            for name, value in record.measures.items():
                if name in wanted:
                    values[record.model, record.mask_class, record.side, name].append(value)
        return [
            Score(*where, rounded(math.fsum(each) / len(each)), len(each), *mean_interval(each))
            for where, each in values.items()
        ]

    def _warnings(self, score: Score) -> tuple[str, ...]:
        """A score's own warnings, and those of its run, model and class."""
        found = list(score.warnings)
        entry = next(one for one in self.settings.models if one.name == score.model)
        if score.metric in FEATURE_METRICS and self.store and is_stand_in(self.store.identity):
            found.append(WARNING)
        if leak := leakage(self.settings.dataset, entry):
            found.append(leak)
        if few := self.index.enlarged(score.side):
            found.append(f"{few} portraits were smaller than {score.side} pixels and enlarged")
        asked = len(self.index.present(score.side, score.mask_class))
        filled = self._counts[score.side, score.model, score.mask_class]
        if filled < asked:
            found.append(
                f"{score.model} filled {filled} of {asked} pictures: its score is of fewer than "
                "the other models'"
            )
        return tuple(dict.fromkeys(found))


def leakage(dataset: str, entry: ModelEntry) -> str | None:
    """What a model may have seen of a data set that is CelebA-HQ."""
    if "celeba" not in dataset.lower() or entry.training_split == "none":
        return None
    return f"{entry.name} and CelebA-HQ: {TRAINING_SPLITS[entry.training_split]}"


def mean_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Student's 95 % interval of a mean; none of a single value."""
    if len(values) < 2:
        return None, None
    centre, error = float(np.mean(values)), float(scipy.stats.sem(values))
    reach = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return rounded(centre - reach), rounded(centre + reach)


def _fid_interval(real: FeatureSet, fake: FeatureSet) -> tuple[float | None, float | None]:
    """Normal 95 % interval by the influence function; none where FID is mostly bias (n <= d)."""
    if len(real) <= real.values.shape[1]:
        return None, None
    fids, psi = influences(torch.stack([real.values.double(), fake.values.double()]))
    error = float(psi[0].std()) / math.sqrt(len(real))
    reach = float(scipy.stats.norm.ppf((1 + CONFIDENCE) / 2)) * error
    return rounded(max(0.0, float(fids[0]) - reach)), rounded(float(fids[0]) + reach)
