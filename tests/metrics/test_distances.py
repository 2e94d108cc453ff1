"""Newer distances of features: beside independent computations and the official code's numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from scipy.spatial.distance import cdist

from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics import (
    METRICS,
    FeatureMetric,
    FeaturePair,
    FeatureSet,
    cmmd,
    evaluate,
    fid,
    fid_infinity,
    precision_recall,
)
from facemask_inpaint.metrics.features.custom import CustomExtractor
from facemask_inpaint.metrics.features.reader import FeatureReader

from . import synth
from .conftest import write_folder
from .test_peers import peer

X = synth.features(300, 24, 1)
Y = synth.features(260, 24, 2, shift=0.1, scale=1.3)
OFFICIAL = {
    "neighbours": {
        "precision": 0.5807692307692308,
        "recall": 0.9866666666666667,
        "density": 0.34769230769230774,
        "coverage": 0.6733333333333333,
    },
    "cmmd": 0.07187124763485819,
    "fid_infinity": 0.1437627709107102,
}
SCORES = ("precision", "recall", "density", "coverage")


def unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def naive_cmmd(x: np.ndarray, y: np.ndarray) -> float:
    means = [np.exp(-cdist(a, b, "sqeuclidean") / 200).mean() for a, b in ((x, x), (y, y), (x, y))]
    return 1000 * float(means[0] + means[1] - 2 * means[2])


def naive_neighbours(x: np.ndarray, y: np.ndarray, k: int) -> dict[str, float]:
    own = [np.sort(cdist(side, side), axis=1)[:, k] for side in (x, y)]
    across = cdist(x, y)
    in_real = across < own[0][:, None]
    return {
        "precision": in_real.any(axis=0).mean(),
        "recall": (across < own[1]).any(axis=1).mean(),
        "density": in_real.sum() / (k * len(y)),
        "coverage": in_real.any(axis=1).mean(),
    }


def neighbour_values(x: np.ndarray, y: np.ndarray, k: int = 5) -> dict[str, float]:
    scores = precision_recall(x, y, k=k)
    return {name: float(getattr(scores, name)) for name in SCORES}


@pytest.mark.parametrize("prepare", [unit, lambda rows: rows.astype(np.float64)])
def test_cmmd_beside_its_definition(prepare: Callable[[np.ndarray], np.ndarray]) -> None:
    x, y = prepare(X), prepare(Y)
    assert float(cmmd(x, y)) == pytest.approx(naive_cmmd(x, y), abs=1e-9)
    assert float(cmmd(x, x)) == 0


def test_cmmd_of_two_points_in_closed_form() -> None:
    x, y = np.array([[0.0, 0.0], [0.0, 0.0]]), np.array([[3.0, 4.0], [3.0, 4.0]])
    assert float(cmmd(x, y)) == pytest.approx(2000 * (1 - math.exp(-25 / 200)), rel=1e-12)


def test_cmmd_says_how_large_its_bias_is() -> None:
    first, second = unit(synth.features(60, 24, 5)), unit(synth.features(60, 24, 6))
    (warning,) = cmmd(first, second).warnings
    others = [float(cmmd(*sample)) for sample in _samples_of_one_law(60)]
    assert float(warning.split()[-1]) == pytest.approx(np.mean(others), rel=0.3)


def _samples_of_one_law(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rows = unit(synth.features(40 * count, 24, 7)).reshape(20, 2, count, 24)
    return [(first, second) for first, second in rows]


@pytest.mark.parametrize("k", [1, 5, 12])
def test_neighbours_beside_their_definition(k: int) -> None:
    assert neighbour_values(X, Y, k) == pytest.approx(naive_neighbours(X, Y, k), abs=1e-12)


def test_neighbours_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facemask_inpaint.metrics.neighbours._BLOCK", 37)
    assert neighbour_values(X, Y) == pytest.approx(naive_neighbours(X, Y, 5), abs=1e-12)


def test_a_distance_that_equals_the_radius_is_outside() -> None:
    # On a line, the k-th neighbours of each point lie exactly on its radius.
    line = np.arange(40.0)[:, None]
    scores = neighbour_values(line, line, 4)
    inside = sum(min(row, 1) + min(39 - row, 1) + 1 for row in range(2, 38))
    assert scores["density"] == pytest.approx((inside + 2 * (4 + 4)) / (4 * 40))
    far = neighbour_values(line, line + 1000)
    assert far == dict.fromkeys(SCORES, 0.0)


def test_neighbours_of_the_authors_package() -> None:
    theirs = peer("prdc").compute_prdc(X.astype(np.float64), Y.astype(np.float64), 5)
    assert neighbour_values(X, Y) == pytest.approx(theirs, abs=1e-12)


def test_numbers_of_the_official_code() -> None:
    # By generative-evaluation-prdc, cmmd-pytorch and dgm-eval (generator seeded with 7).
    assert neighbour_values(X, Y) == pytest.approx(OFFICIAL["neighbours"], abs=1e-12)
    assert float(cmmd(unit(X), unit(Y))) == pytest.approx(OFFICIAL["cmmd"], abs=1e-9)
    assert float(fid_infinity(X, Y, seed=7)) == pytest.approx(OFFICIAL["fid_infinity"], abs=1e-8)


def test_fid_infinity_is_the_intercept_of_its_line() -> None:
    result = fid_infinity(X, Y)
    assert len(result.sizes) == 15
    assert result.sizes[0] == 26
    assert result.sizes[-1] == 260
    assert result.distances[-1] == pytest.approx(float(fid(X, Y)), rel=1e-9)
    slope, intercept = np.polyfit(1 / np.array(result.sizes), result.distances, 1)
    assert float(result) == pytest.approx(intercept, rel=1e-9)
    residuals = np.array(result.distances) - slope / np.array(result.sizes) - intercept
    inverse = 1 / np.array(result.sizes)
    spread = np.sum((inverse - inverse.mean()) ** 2)
    error = math.sqrt(residuals @ residuals / 13 * (1 / 15 + inverse.mean() ** 2 / spread))
    low, high = result.confidence_interval(0.9)
    assert high - low == pytest.approx(2 * scipy.stats.t.ppf(0.95, 13) * error, rel=1e-9)


def test_fid_infinity_removes_the_bias_of_few_images() -> None:
    real = synth.features(4000, 16, 1)
    for seed in range(3):
        fake = synth.features(400, 16, 10 + seed)
        assert abs(float(fid_infinity(real, fake))) < 0.25 * float(fid(real, fake))


@pytest.mark.parametrize(
    ("compute", "words"),
    [
        (lambda: cmmd(X[:1], Y), "CMMD needs at least two images"),
        (lambda: precision_recall(X[:5], Y), "k = 5"),
        (lambda: precision_recall(X, Y, k=0), "k = 0"),
        (lambda: precision_recall(X, Y[:, :8]), "widths 24 and 8"),
        (lambda: fid_infinity(X, Y[:19]), "19 fake images are too few"),
    ],
)
def test_refusals(compute: Callable[[], object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        compute()


def test_all_are_metrics_of_evaluate(tmp_path: Path, cheap: CustomExtractor) -> None:
    real, fake = write_folder(tmp_path / "real", 24), write_folder(tmp_path / "fake", 24, "x")
    reader = FeatureReader(cheap, progress=False)
    names = ("fid_infinity", *SCORES)
    results = evaluate(real, fake, names, reader=reader)
    assert tuple(results) == names
    sides = reader.read(real).values.numpy(), reader.read(fake).values.numpy()
    assert float(results["density"]) == neighbour_values(*sides)["density"]
    pair = FeaturePair(*map(FeatureSet.from_array, sides))
    row = METRICS["fid_infinity"]
    assert isinstance(row, FeatureMetric)
    limits = row.confidence_interval(pair, 0.95)
    assert limits is not None
    assert limits[0] < float(results["fid_infinity"]) < limits[1]


@pytest.mark.parametrize(("name", "extractor"), [("fd_dinov2", "dinov2"), ("cmmd", "clip")])
def test_published_networks_are_bound_to_their_metrics(name: str, extractor: str) -> None:
    row = METRICS[name]
    assert isinstance(row, FeatureMetric)
    assert row.extractor == extractor
