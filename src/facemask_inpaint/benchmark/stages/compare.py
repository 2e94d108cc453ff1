"""Fourth stage: which differences between methods are real, by ``metrics.compare``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TypedDict

from facemask_inpaint import __version__
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.benchmark.stages.score import CaseGroup, ScoringStage
from facemask_inpaint.errors import FacemaskInpaintError
from facemask_inpaint.metrics import FeatureReader, FeatureSet
from facemask_inpaint.metrics import compare as compare_features
from facemask_inpaint.metrics.comparison.results import ComparisonDict

REPLICATES = 400
"""Bootstrap resamples: the interval rests on influences, so these need only show the bias."""

Groups = dict[str, FeatureSet]


class _KeptComparison(TypedDict):
    fingerprint: str
    comparison: ComparisonDict


def compare_methods(
    scoring: ScoringStage, exchanges: int | None, *, progress: bool
) -> dict[int, ComparisonDict]:
    """Compare all pairs of methods at each resolution, class by class.

    Only cases count that all methods predicted, and with several extractors the features of the
    first. What was found before is kept while the features are the same.

    Args:
        scoring: where the features are.
        exchanges: of the test, see ``metrics.compare``; ``None`` takes enough for all methods.
        progress: whether to show a progress bar.

    Returns:
        ``Comparison.to_dict()`` by resolution; a resolution with fewer than two methods is missing.
    """
    comparisons: dict[int, ComparisonDict] = {}
    for resolution in scoring.settings.resolutions:
        try:
            reals, methods = _groups(scoring, resolution)
            if len(methods) > 1:
                comparisons[resolution] = _compared(
                    scoring, resolution, reals, methods, exchanges, progress
                )
        except (FacemaskInpaintError, OSError) as error:
            scoring.failures.add("compare", error, resolution=resolution)
    return comparisons


def _compared(
    scoring: ScoringStage,
    resolution: int,
    reals: Groups,
    methods: Mapping[str, Groups],
    exchanges: int | None,
    progress: bool,
) -> ComparisonDict:
    kept = scoring.layout.work / f"comparison-{resolution}.json"
    fingerprint = _fingerprint(reals, methods, exchanges)
    if kept.exists():
        before: _KeptComparison = json.loads(kept.read_text(encoding="utf-8"))
        if before["fingerprint"] == fingerprint:
            return before["comparison"]
    result = compare_features(
        reals,
        methods,
        replicates=REPLICATES,
        exchanges=exchanges,
        seed=scoring.settings.seed,
        reader=FeatureReader(progress=progress),
    )
    comparison = result.to_dict()
    content: _KeptComparison = {"fingerprint": fingerprint, "comparison": comparison}
    with atomic_path(kept) as path:
        path.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
    return comparison


def _groups(scoring: ScoringStage, resolution: int) -> tuple[Groups, dict[str, Groups]]:
    """Return features by class: of the portraits, and by method of their predictions."""
    extractor = scoring.compared_extractor
    if extractor is None:
        return {}, {}
    groups = [group for group in scoring.groups if group.resolution == resolution]
    names = list(dict.fromkeys(group.method for group in groups))
    by_class: dict[str, dict[str, CaseGroup]] = {}
    for group in groups:
        by_class.setdefault(group.mask_class, {})[group.method] = group
    reals: Groups = {}
    methods: dict[str, Groups] = {name: {} for name in names}
    for mask_class, by_method in by_class.items():
        shared = set.intersection(*(set(group.keys) for group in by_method.values()))
        if len(by_method) < len(names) or len(shared) < 2:
            continue  # a class that one method failed on altogether cannot be compared
        for name, group in by_method.items():
            rows = [row for row, key in enumerate(group.keys) if key in shared]
            pair = scoring.pair(group, extractor)
            reals[mask_class] = pair.real.select(rows)
            methods[name][mask_class] = pair.fake.select(rows)
    return reals, methods if reals else {}


def _fingerprint(reals: Groups, methods: Mapping[str, Groups], exchanges: int | None) -> str:
    head = f"{__version__} {REPLICATES} {exchanges} max-T"
    total = hashlib.blake2b(head.encode(), digest_size=16)
    for name, groups in {"": reals, **methods}.items():
        for mask_class, features in groups.items():
            total.update(f"{name}/{mask_class} {features.identity} {features.keys}".encode())
            total.update(features.values.cpu().numpy().tobytes())
    return total.hexdigest()
