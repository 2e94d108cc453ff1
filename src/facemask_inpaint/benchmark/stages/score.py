"""Third stage: from predictions to scores per method, class and resolution."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np

from facemask_inpaint import __version__
from facemask_inpaint._internal.distributed import Ranks
from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint.benchmark.diagnostics import DIAGNOSTICS
from facemask_inpaint.benchmark.metrics import in_table_order, metric_row
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
from facemask_inpaint.metrics import FeatureMetric, FeaturePair, FeatureSet, pair_means
from facemask_inpaint.metrics.evaluation import feature_scores
from facemask_inpaint.metrics.table import by_extractor, needs_features
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


class _ScoreLine(TypedDict):
    fingerprint: str
    scores: list[dict[str, object]]


@dataclass(frozen=True)
class ScoringStage:
    """Scores of a run.

    Attributes:
        layout: of the run.
        settings: of the run.
        portraits: which portrait has which component.
        ranks: the processes of the run.
        failures: records what fails.
        stores: features by name of their extractor; empty without feature metrics.
        chosen: names of the extractors of the metrics of any features; the other stores are those
            of metrics that are bound to an extractor.
    """

    layout: Layout
    settings: Settings
    portraits: PreparedPortraits
    ranks: Ranks
    failures: FailureLog
    stores: Mapping[str, FeatureStore]
    chosen: tuple[str, ...]

    @cached_property
    def feature_metrics(self) -> dict[str, list[FeatureMetric]]:
        """Metrics of features, by the extractor that makes them."""
        rows = [metric_row(name) for name in self.settings.metrics]
        features = [row for row in rows if isinstance(row, FeatureMetric)]
        return by_extractor(features, self.chosen)

    @cached_property
    def compared_extractor(self) -> str | None:
        """Name of the extractor by whose FID methods are compared; ``None`` without one."""
        chosen = (
            name
            for name, rows in self.feature_metrics.items()
            if needs_features(row.name.partition("@")[0] for row in rows)
        )
        return next(chosen, None)

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
        work: list[Sequence[Path]] = []
        for resolution in self.settings.resolutions:
            keys = self.portraits.readable(resolution)
            work += blocks([self.layout.original(resolution, key) for key in keys])
        for group in self.groups:
            work += blocks(self._predictions(group))
        jobs = [(store, block) for store in self.stores.values() for block in work]
        mine = self.ranks.shard(jobs)
        bar = progress_bar(mine, "features", shown=progress and bool(mine), unit="block")
        for store, block in bar:
            with suppress(FacemaskInpaintError, OSError):  # score() says what could not be read
                store.compute(block)

    def score(self, *, progress: bool) -> None:
        """Compute this rank's share of the feature scores that are not known yet."""
        journal = Journal(self.layout.work, "scores", self.ranks.rank)
        known = {line["fingerprint"] for line in journal.read(_ScoreLine)}
        mine = self.ranks.shard([(group, name) for name in self.stores for group in self.groups])
        bar = progress_bar(mine, "scores", shown=progress and bool(mine), unit="score")
        for group, extractor in bar:
            names = {
                "method": group.method,
                "mask_class": group.mask_class,
                "resolution": group.resolution,
            }
            try:
                pair = self.pair(group, extractor)
                fingerprint = self._fingerprint(group, extractor, pair)
                if fingerprint not in known:
                    scores = self._feature_scores(group, extractor, pair)
                    content = [asdict(score) for score in scores]
                    journal.append({"fingerprint": fingerprint, "scores": content})
            except (FacemaskInpaintError, OSError) as error:
                self.failures.add("score", error, **names)

    def collect(self, cases: Sequence[CaseRecord]) -> list[Score]:
        """Return all scores with their warnings, by resolution, metric, method and class."""
        scores = self._from_features() + self._from_cases(cases)
        order = {group[:3]: row for row, group in enumerate(self.groups)}
        names = in_table_order(score.metric for score in scores)
        scores.sort(
            key=lambda score: (
                score.resolution,
                names.index(score.metric),
                order[score.resolution, score.method, score.mask_class],
            )
        )
        return [replace(score, warnings=self._warnings(score)) for score in scores]

    def pair(self, group: CaseGroup, extractor: str) -> FeaturePair:
        """Return the features of the portraits and of their predictions, row by row."""
        originals = self._originals(group.resolution, extractor)
        row = {key: number for number, key in enumerate(originals.keys)}
        real = originals.select([row[key] for key in group.keys])
        return FeaturePair(real, self.stores[extractor].load(self._predictions(group)))

    def _originals(self, resolution: int, extractor: str) -> FeatureSet:
        """Return the features of all portraits of a resolution, read once."""
        if (resolution, extractor) not in self._read_originals:
            paths = [
                self.layout.original(resolution, key) for key in self.portraits.readable(resolution)
            ]
            self._read_originals[resolution, extractor] = self.stores[extractor].load(paths)
        return self._read_originals[resolution, extractor]

    @cached_property
    def _read_originals(self) -> dict[tuple[int, str], FeatureSet]:
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

    def _fingerprint(self, group: CaseGroup, extractor: str, pair: FeaturePair) -> str:
        names = sorted(metric.name for metric in self.feature_metrics[extractor])
        head = f"{__version__} {group[:3]} {names} {pair.real.identity}"
        total = hashlib.blake2b(head.encode(), digest_size=16)
        for features in (pair.real, pair.fake):
            total.update(features.values.cpu().numpy().tobytes())
        return total.hexdigest()

    def _feature_scores(
        self, group: CaseGroup, extractor: str, pair: FeaturePair
    ) -> Iterator[Score]:
        metrics = {metric.name: metric for metric in self.feature_metrics[extractor]}
        names = (group.method, group.mask_class, group.resolution)
        for name, result in feature_scores(pair, list(metrics.values())).items():
            limits = metrics[name].confidence_interval(pair, CONFIDENCE)
            low, high = map(rounded, limits) if limits else (None, None)
            count = len(pair.real) if result.n is None else result.n
            yield Score(*names, name, rounded(result.value), count, low, high, result.warnings)

    def _from_features(self) -> list[Score]:
        """Return known feature scores of the predictions as they are now."""
        lines = Journal(self.layout.work, "scores", self.ranks.rank).read(_ScoreLine)
        known = {line["fingerprint"]: line["scores"] for line in lines}
        collected: list[Score] = []
        for group, extractor in [(group, name) for name in self.stores for group in self.groups]:
            try:
                pair = self.pair(group, extractor)
            except (FacemaskInpaintError, OSError):
                continue  # a failure of score() already
            scores = known.get(self._fingerprint(group, extractor, pair), [])
            collected += [from_dict(Score, content) for content in scores]
        return collected

    def _from_cases(self, cases: Sequence[CaseRecord]) -> list[Score]:
        """Return means of the metrics that every case has its own of, with their intervals."""
        wanted = {*self.settings.metrics, *DIAGNOSTICS}
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
    limits = pair_means.mean_interval(np.array(values), CONFIDENCE)
    return (rounded(limits[0]), rounded(limits[1])) if limits else (None, None)
