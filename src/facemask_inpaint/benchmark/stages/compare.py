"""Which differences between models are real: ``metrics.compare`` over the classes of a side."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from facemask_inpaint import __version__
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.benchmark.stages.score import Place, Scoring
from facemask_inpaint.errors import FacemaskInpaintError
from facemask_inpaint.metrics import FeatureReader, FeatureSet
from facemask_inpaint.metrics import compare as compare_features

REPLICATES = 400
"""Bootstrap resamples: the interval rests on influences, so these need only show the bias."""

Groups = dict[str, FeatureSet]


def compare_models(scoring: Scoring, exchanges: int | None, *, progress: bool) -> dict[int, Any]:
    """All pairs of models on each side, class by class, on the pictures that all of them filled.

    What was found before is kept while the features are the same.

    Args:
        scoring: where the features are.
        exchanges: of the test, see ``metrics.compare``; ``None`` takes enough for all models.
        progress: show a bar.

    Returns:
        ``Comparison.to_dict()`` by side; a side with fewer than two models is missing.
    """
    found = {}
    for side in scoring.settings.sides:
        try:
            reals, models = _groups(scoring, side)
            if len(models) > 1:
                found[side] = _compared(scoring, side, reals, models, exchanges, progress)
        except (FacemaskInpaintError, OSError) as error:
            scoring.faults.add("compare", error, side=side)
    return found


def _compared(
    scoring: Scoring,
    side: int,
    reals: Groups,
    models: Mapping[str, Groups],
    exchanges: int | None,
    progress: bool,
) -> Any:
    kept = scoring.layout.work / f"comparison-{side}.json"
    fingerprint = _fingerprint(reals, models, exchanges)
    if kept.exists():
        before = json.loads(kept.read_text(encoding="utf-8"))
        if before["fingerprint"] == fingerprint:
            return before["comparison"]
    result = compare_features(
        reals,
        models,
        replicates=REPLICATES,
        exchanges=exchanges,
        seed=scoring.settings.seed,
        reader=FeatureReader(progress=progress),
    )
    content = {"fingerprint": fingerprint, "comparison": result.to_dict()}
    with atomic_path(kept) as path:
        path.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
    return content["comparison"]


def _groups(scoring: Scoring, side: int) -> tuple[Groups, dict[str, Groups]]:
    """Features by class: of the portraits, and by model of their fillings."""
    places = [place for place in scoring.places if place.side == side]
    names = list(dict.fromkeys(place.model for place in places))
    by_class: dict[str, dict[str, Place]] = {}
    for place in places:
        by_class.setdefault(place.mask_class, {})[place.model] = place
    reals: Groups = {}
    models: dict[str, Groups] = {name: {} for name in names}
    for mask_class, by_model in by_class.items():
        shared = set.intersection(*(set(place.keys) for place in by_model.values()))
        if len(by_model) < len(names) or len(shared) < 2:
            continue  # a class that one model failed on altogether cannot be compared
        for name, place in by_model.items():
            rows = [row for row, key in enumerate(place.keys) if key in shared]
            real, fake = scoring.pair(place)
            reals[mask_class] = real.select(rows)
            models[name][mask_class] = fake.select(rows)
    return reals, models if reals else {}


def _fingerprint(reals: Groups, models: Mapping[str, Groups], exchanges: int | None) -> str:
    head = f"{__version__} {REPLICATES} {exchanges} max-T"
    total = hashlib.blake2b(head.encode(), digest_size=16)
    for name, groups in {"": reals, **models}.items():
        for mask_class, features in groups.items():
            total.update(f"{name}/{mask_class} {features.identity} {features.keys}".encode())
            total.update(features.values.cpu().numpy().tobytes())
    return total.hexdigest()
