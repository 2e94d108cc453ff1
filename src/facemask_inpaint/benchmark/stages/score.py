"""Third stage: from predictions to scores per method, class and resolution."""

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
from facemask_inpaint.benchmark.measures import FEATURE_METRICS, MEASURES
from facemask_inpaint.benchmark.random_features import WARNING, is_stand_in
from facemask_inpaint.benchmark.stages.prepare import PreparedPortraits
from facemask_inpaint.benchmark.store.failures import FailureLog
from facemask_inpaint.benchmark.store.features import FeatureStore, blocks
from facemask_inpaint.benchmark.store.journal import Journal
from facemask_inpaint.benchmark.store.layout import Layout
from facemask_inpaint.benchmark.store.records import (
    CaseRecord,
    MethodEntry,
    Score,
    from_dict,
    rounded,
)
from facemask_inpaint.benchmark.store.settings import Settings
from facemask_inpaint.errors import FacemaskInpaintError
from facemask_inpaint.metrics import FeatureSet
from facemask_inpaint.metrics.comparison.paired import influences
from facemask_inpaint.metrics.evaluation import feature_scores
from facemask_inpaint.models import TRAINING_SPLITS

CONFIDENCE = 0.95


class CaseGroup(NamedTuple):
    """The cases of one method, class and resolution: those behind a score.

    Attributes:
        resolution: height and width in pixels.
        method: name of the method.
        mask_class: name of the class.
        keys: of the portraits with a prediction, in order.
    """

    resolution: int
    method: str
    mask_class: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class ScoringStage:
    """Scores of a run.

    Attributes:
        layout: of the run.
        settings: of the run.
        portraits: which portrait has which component.
        ranks: the processes of the run.
        failures: records what fails.
        store: features; ``None`` without feature metrics.
    """

    layout: Layout
    settings: Settings
    portraits: PreparedPortraits
    ranks: Ranks
    failures: FailureLog
    store: FeatureStore | None

    @cached_property
    def groups(self) -> list[CaseGroup]:
        """Every group that has predictions, in the order of the tables."""
        return [
            CaseGroup(resolution, method.name, entry.name, keys)
            for resolution in self.settings.resolutions
            for method in self.settings.methods
            for entry in self.settings.classes
            if (keys := self._predicted(resolution, method.name, entry.name))
        ]

    def extract(self, *, progress: bool) -> None:
        """Compute this rank's share of the features."""
        if self.store is None:
            return
        work: list[Sequence[Path]] = []
        for resolution in self.settings.resolutions:
            keys = self.portraits.readable(resolution)
            work += blocks([self.layout.original(resolution, key) for key in keys])
        for group in self.groups:
            work += blocks(self._predictions(group))
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
        mine = self.ranks.shard(self.groups)
        for group in progress_bar(mine, "scores", shown=progress and bool(mine), unit="score"):
            names = {
                "method": group.method,
                "mask_class": group.mask_class,
                "resolution": group.resolution,
            }
            try:
                real, fake = self.pair(group)
                fingerprint = self._fingerprint(group, real, fake)
                if fingerprint not in known:
                    scores = [asdict(score) for score in self._feature_scores(group, real, fake)]
                    journal.append({"fingerprint": fingerprint, "scores": scores})
            except (FacemaskInpaintError, OSError) as error:
                self.failures.add("score", error, **names)

    def collect(self, cases: Sequence[CaseRecord]) -> list[Score]:
        """Return all scores with their warnings, by resolution, metric, method and class."""
        scores = self._from_features() + self._from_cases(cases)
        order = {group[:3]: row for row, group in enumerate(self.groups)}
        names = list(MEASURES)
        scores.sort(
            key=lambda score: (
                score.resolution,
                names.index(score.metric),
                order[score.resolution, score.method, score.mask_class],
            )
        )
        return [replace(score, warnings=self._warnings(score)) for score in scores]

    def pair(self, group: CaseGroup) -> tuple[FeatureSet, FeatureSet]:
        """Return the features of the portraits and of their predictions, row by row."""
        assert self.store is not None  # asked for only with feature metrics
        originals = self._originals(group.resolution)
        row = {key: number for number, key in enumerate(originals.keys)}
        real = originals.select([row[key] for key in group.keys])
        return real, self.store.load(self._predictions(group))

    def _originals(self, resolution: int) -> FeatureSet:
        """Return the features of all portraits of a resolution, read once."""
        if resolution not in self._by_resolution:
            assert self.store is not None  # as above
            paths = [
                self.layout.original(resolution, key) for key in self.portraits.readable(resolution)
            ]
            self._by_resolution[resolution] = self.store.load(paths)
        return self._by_resolution[resolution]

    @cached_property
    def _by_resolution(self) -> dict[int, FeatureSet]:
        return {}

    @cached_property
    def _counts(self) -> dict[tuple[int, str, str], int]:
        return {
            (group.resolution, group.method, group.mask_class): len(group.keys)
            for group in self.groups
        }

    def _predicted(self, resolution: int, method: str, mask_class: str) -> tuple[str, ...]:
        return tuple(
            key
            for key in self.portraits.present(resolution, mask_class)
            if self.layout.prediction(resolution, method, mask_class, key).exists()
        )

    def _predictions(self, group: CaseGroup) -> list[Path]:
        names = (group.resolution, group.method, group.mask_class)
        return [self.layout.prediction(*names, key) for key in group.keys]

    def _fingerprint(self, group: CaseGroup, real: FeatureSet, fake: FeatureSet) -> str:
        wanted = [name for name in self.settings.metrics if name in FEATURE_METRICS]
        head = f"{__version__} {group[:3]} {sorted(wanted)} {real.identity}"
        total = hashlib.blake2b(head.encode(), digest_size=16)
        for features in (real, fake):
            total.update(features.values.cpu().numpy().tobytes())
        return total.hexdigest()

    def _feature_scores(
        self, group: CaseGroup, real: FeatureSet, fake: FeatureSet
    ) -> Iterator[Score]:
        wanted = [name for name in self.settings.metrics if name in FEATURE_METRICS]
        if len(real) < 2:
            wanted = [name for name in wanted if name in ("pids", "uids")]
        names = (group.method, group.mask_class, group.resolution)
        for name, result in feature_scores(real, fake, wanted).items():
            low, high = _fid_interval(real, fake) if name == "fid" else (None, None)
            value = rounded(result.value)
            yield Score(*names, name, value, result.n, low, high, result.warnings)

    def _from_features(self) -> list[Score]:
        """Return known feature scores of the predictions as they are now."""
        if self.store is None:
            return []
        lines = Journal(self.layout.work, "scores", self.ranks.rank).read("fingerprint", "scores")
        known = {line["fingerprint"]: line["scores"] for line in lines}
        collected: list[Score] = []
        for group in self.groups:
            try:
                real, fake = self.pair(group)
            except (FacemaskInpaintError, OSError):
                continue  # a failure of score() already
            scores = known.get(self._fingerprint(group, real, fake), [])
            collected += [from_dict(Score, content) for content in scores]
        return collected

    def _from_cases(self, cases: Sequence[CaseRecord]) -> list[Score]:
        """Return means of the metrics that every case has its own of, with their intervals."""
        wanted = {*self.settings.metrics, *DIAGNOSTICS} - set(FEATURE_METRICS)
        values: dict[tuple[str, str, int, str], list[float]] = defaultdict(list)
        for case in cases:
            for name, value in case.metrics.items():
                if name in wanted:
                    values[case.method, case.mask_class, case.resolution, name].append(value)
        return [
            Score(*names, rounded(math.fsum(each) / len(each)), len(each), *mean_interval(each))
            for names, each in values.items()
        ]

    def _warnings(self, score: Score) -> tuple[str, ...]:
        """Return a score's own warnings, and those of its run, method and class."""
        texts = list(score.warnings)
        entry = next(entry for entry in self.settings.methods if entry.name == score.method)
        if score.metric in FEATURE_METRICS and self.store and is_stand_in(self.store.identity):
            texts.append(WARNING)
        if leak := leakage(self.settings.dataset, entry):
            texts.append(leak)
        if small := self.portraits.upsampled(score.resolution):
            texts.append(
                f"{small} portraits were smaller than {score.resolution} pixels and upsampled"
            )
        asked = len(self.portraits.present(score.resolution, score.mask_class))
        predicted = self._counts[score.resolution, score.method, score.mask_class]
        if predicted < asked:
            texts.append(
                f"{score.method} predicted {predicted} of {asked} cases: its score is of fewer "
                "than the other methods'"
            )
        return tuple(dict.fromkeys(texts))


def leakage(dataset: str, entry: MethodEntry) -> str | None:
    """Return what a method may have seen of a data set that is CelebA-HQ.

    Args:
        dataset: name of the data set.
        entry: of the method.
    """
    if "celeba" not in dataset.lower() or entry.training_split == "none":
        return None
    return f"{entry.name} and CelebA-HQ: {TRAINING_SPLITS[entry.training_split]}"


def mean_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return Student's 95 % interval of a mean; none of a single value."""
    if len(values) < 2:
        return None, None
    centre, error = float(np.mean(values)), float(scipy.stats.sem(values))
    reach = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return rounded(centre - reach), rounded(centre + reach)


def _fid_interval(real: FeatureSet, fake: FeatureSet) -> tuple[float | None, float | None]:
    """Return the normal 95 % interval by the influence function.

    There is none where FID is mostly bias (n <= d).
    """
    if len(real) <= real.values.shape[1]:
        return None, None
    fids, psi = influences(torch.stack([real.values.double(), fake.values.double()]))
    error = float(psi[0].std()) / math.sqrt(len(real))
    reach = float(scipy.stats.norm.ppf((1 + CONFIDENCE) / 2)) * error
    return rounded(max(0.0, float(fids[0]) - reach)), rounded(float(fids[0]) + reach)
