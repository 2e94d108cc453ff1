"""P-values of many exchange tests at once: closed testing by brute force, simulations, floors."""

from __future__ import annotations

import json
from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics import FeatureReader, PairedFrechet, compare, holm
from facemask_inpaint.metrics.comparison.multiplicity import (
    exchange_test,
    holm_over_families,
    step_down,
    sufficient_exchanges,
)
from facemask_inpaint.metrics.comparison.results import p_text
from facemask_inpaint.metrics.comparison.significance import signed_rank_p_value

from .conftest import DATA

QUIET = FeatureReader(progress=False)
MODELS, CLASSES, WIDTH = 6, 12, 3


def subsets(items: range) -> list[tuple[int, ...]]:
    return list(chain.from_iterable(combinations(items, size) for size in range(1, len(items) + 1)))


def largest_reached(statistics: np.ndarray, tests: list[int]) -> float:
    """P-value of "all of these hypotheses hold" by their largest statistic."""
    largest = statistics[:, tests].max(1)
    return float((largest >= largest[0]).mean())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(0, 3))
def test_step_down_is_the_closed_test_of_the_largest_statistic(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    statistics = np.abs(rng.normal(size=(40, 5)) + rng.normal(size=(40, 1)))
    statistics[0, :2] += shift
    expected = [
        max(largest_reached(statistics, list(s)) for s in subsets(range(5)) if test in s)
        for test in range(5)
    ]
    assert step_down(statistics).tolist() == pytest.approx(expected)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(0, 4))
def test_holm_over_pairs_is_the_closed_test_of_bonferroni_over_them(
    seed: int, shift: float
) -> None:
    rng = np.random.default_rng(seed)
    families = np.abs(rng.normal(size=(3, 60, 2)))
    families[0, 0] += shift
    families[1, 0, 0] += shift

    def together(tests: tuple[int, ...]) -> float:
        by_family = [[test % 2 for test in tests if test // 2 == family] for family in range(3)]
        found = [largest_reached(families[k], some) for k, some in enumerate(by_family) if some]
        return min(1.0, len(found) * min(found))

    expected = [max(together(s) for s in subsets(range(6)) if test in s) for test in range(6)]
    adjusted = np.concatenate(holm_over_families([step_down(each) for each in families]))
    assert adjusted.tolist() == pytest.approx(expected)


def features(rng: np.random.Generator, n: int, planted: float) -> tuple[np.ndarray, np.ndarray]:
    """Real ``(classes, n, d)``, and fillings ``(classes, models, n, d)`` of one law but for one.

    Classes share portraits, and what a model does to a portrait is alike in all classes. The last
    model strays further in the first class if ``planted`` is above 0.5.
    """
    portraits = rng.normal(size=(n, WIDTH))
    habits = rng.normal(size=(MODELS, n, WIDTH))
    real = portraits + 0.3 * rng.normal(size=(CLASSES, n, WIDTH))
    noise = (habits + rng.normal(size=(CLASSES, MODELS, n, WIDTH))) / 2**0.5
    strength = np.full((CLASSES, MODELS), 0.5)
    strength[0, -1] = planted
    return real, real[:, None] + strength[..., None, None] * noise


def adjusted(rng: np.random.Generator, n: int, planted: float = 0.5) -> np.ndarray:
    """Adjusted p-values ``(classes, pairs)`` of one simulated comparison."""
    real, fakes = features(rng, n, planted)
    pairs = list(combinations(range(MODELS), 2))
    scores = []
    for one, many in zip(torch.from_numpy(real), torch.from_numpy(fakes)):
        frechet = PairedFrechet(one, many, tolerance=0)
        scores.append(torch.stack([frechet.exchange_scores(*pair) for pair in pairs], dim=1))
    found = exchange_test(torch.stack(scores, dim=1).numpy(), 1499, rng)
    assert (found.raw <= found.adjusted).all()
    return found.adjusted


def test_six_equal_models_on_twelve_classes_differ_in_at_most_five_percent_of_runs() -> None:
    rng = np.random.default_rng(1)
    false = sum(adjusted(rng, 14).min() < 0.05 for _ in range(200))
    assert false <= 10


def test_a_planted_difference_is_found_among_six_models_and_twelve_classes() -> None:
    rng = np.random.default_rng(2)
    pairs = list(combinations(range(MODELS), 2))
    planted = [column for column, pair in enumerate(pairs) if MODELS - 1 in pair]
    others = [column for column in range(len(pairs)) if column not in planted]
    p = np.stack([adjusted(rng, 60, planted=1.5) for _ in range(5)])
    assert (p[:, 0, planted] < 0.05).mean() > 0.8
    assert (p[:, 1:] >= 0.05).all()
    assert (p[:, :, others] >= 0.05).all()


def groups(rng: np.random.Generator, n: int, classes: int, models: int) -> tuple[Any, Any]:
    """Real features and those of models that get worse and worse, by class."""
    names = [f"class {index}" for index in range(classes)]
    real = {name: rng.normal(size=(n, 4)) for name in names}
    fakes = {
        f"model {index}": {
            name: side + 0.5 * index * rng.normal(size=(n, 4)) for name, side in real.items()
        }
        for index in range(models)
    }
    return real, fakes


def test_by_default_all_of_seventy_two_differences_can_be_significant() -> None:
    real, fakes = groups(np.random.default_rng(0), 200, 12, 4)
    found = compare(real, fakes, replicates=2, reader=QUIET)
    against = [one.p_adjusted for one in found.differences if one.first == "model 0"]
    assert len(found.differences) == 72
    assert set(against) == {found.smallest_p_adjusted}
    assert found.smallest_p_adjusted == pytest.approx(6 / 10_000)
    assert "≤ 0.0006" in str(found)
    assert "Westfall-Young step-down max-T over 12 classes, Holm over 6 pairs" in str(found)
    assert (
        found.to_csv()
        .splitlines()[1]
        .endswith('max-T over 12 classes, Holm over 6 pairs of methods"')
    )
    assert not any("exchanges" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("exchanges", "models", "smallest"), [(999, 5, None), (998, 5, "0.01"), (99, 3, "0.03")]
)
def test_too_few_exchanges_are_warned_of(exchanges: int, models: int, smallest: str | None) -> None:
    real, fakes = groups(np.random.default_rng(0), 20, 2, models)
    found = compare(real, fakes, replicates=2, exchanges=exchanges, reader=QUIET)
    told = [text for text in found.warnings if "exchanges" in text]
    assert bool(told) == (smallest is not None)
    if smallest:
        assert f"no adjusted p-value can be below {smallest}: 9999 exchanges would do" in told[0]


@pytest.mark.parametrize("n", [3, 4, 5])
def test_too_few_pictures_for_a_small_p_value_are_warned_of(n: int) -> None:
    real = np.random.default_rng(0).normal(size=(n, 4))
    fakes = {"exact": {"class 0": real}, "far": {"class 0": real + 9}}
    found = compare({"class 0": real}, fakes, replicates=2, reader=QUIET)
    assert any(f"class 0: {n} images can be exchanged" in text for text in found.warnings)
    assert found["class 0"].p_adjusted == pytest.approx(2.0 ** (1 - n), rel=0.1)


@pytest.mark.parametrize("exchanges", [0, -5])
def test_a_number_of_exchanges_that_makes_no_sense_is_refused(exchanges: int) -> None:
    real, fakes = groups(np.random.default_rng(0), 5, 1, 2)
    with pytest.raises(OptionError, match="exchange"):
        compare(real, fakes, exchanges=exchanges, reader=QUIET)


@pytest.mark.parametrize(("pairs", "needed"), [(1, 9_999), (15, 9_999), (190, 18_999)])
def test_exchanges_suffice_for_any_number_of_models(pairs: int, needed: int) -> None:
    assert sufficient_exchanges(pairs) == needed
    assert pairs / (1 + needed) <= 0.01


def test_one_test_is_not_adjusted_and_one_class_only_over_pairs() -> None:
    rng = np.random.default_rng(3)
    real, a, b, c = rng.normal(size=(4, 30, 3))
    options: dict[str, Any] = {"replicates": 2, "exchanges": 999, "reader": QUIET}
    one = compare(real, {"a": a, "b": b}, **options)
    assert one["all"].p_adjusted == one["all"].p_value
    assert one.adjustment == "not needed for one test"
    three = compare(real, {"a": a, "b": b, "c": c}, **options)
    p = [item.p_value for item in three.differences]
    assert [item.p_adjusted for item in three.differences] == pytest.approx(holm(p))
    assert three.adjustment == "Holm over 3 pairs of methods"


def test_only_p_values_at_their_floor_are_bounds() -> None:
    assert [p_text(p, 0.001) for p in (0.001, 0.002, 1.0)] == ["≤ 0.001", "0.002", "1"]
    assert p_text(1.0, 1.0) == "1"


@pytest.mark.parametrize(
    "numbers",
    [
        {"exchanges": 99.5},
        {"exchanges": "99"},
        {"exchanges": True},
        {"seed": -1},
        {"replicates": 2.5},
    ],
)
def test_numbers_that_are_no_counts_are_refused(numbers: dict[str, Any]) -> None:
    real, fakes = groups(np.random.default_rng(0), 5, 1, 2)
    with pytest.raises(OptionError, match=f"{next(iter(numbers))} is a whole number"):
        compare(real, fakes, reader=QUIET, **numbers)
    with pytest.raises(OptionError, match="mapping from names"):
        compare(real, list(fakes.values()), reader=QUIET)  # type: ignore[arg-type]


def _golden(name: str) -> dict[str, Any]:
    cases: dict[str, Any] = json.loads((DATA / "stats_cases.json").read_text())
    return cases[name]


def test_holm_golden() -> None:
    golden = _golden("holm")
    assert holm(golden["p"]) == pytest.approx(golden["adjusted"], abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=15), st.randoms())
def test_holm_lies_between_the_raw_and_the_bonferroni_values(p: list[float], random: Any) -> None:
    adjusted = holm(p)
    for raw, value in zip(p, adjusted):
        assert raw <= value <= min(1, len(p) * raw) + 1e-15
    order = random.sample(range(len(p)), len(p))
    assert holm([p[i] for i in order]) == [adjusted[i] for i in order]


def test_signed_rank_golden() -> None:
    golden = _golden("wilcoxon")
    assert signed_rank_p_value(golden["differences"]) == golden["p_two_sided_exact"]
    assert signed_rank_p_value([1.0] * 12) == 2 / 2**12
    assert signed_rank_p_value([0.0, 0.0]) == 1


def test_bad_input_is_refused() -> None:
    real, a, b = np.random.default_rng(0).normal(size=(3, 10, 4))
    with pytest.raises(OptionError, match="two methods"):
        compare(real, {"a": a}, reader=QUIET)
    with pytest.raises(OptionError, match="groups of b"):
        compare(real, {"a": {"eyes": a}, "b": {"nose": b}}, reader=QUIET)
    with pytest.raises(OptionError, match="widths"):
        compare(real, {"a": a, "b": b[:, :3]}, reader=QUIET)
    with pytest.raises(OptionError, match="9 different names"):
        compare(real, {"a": a, "b": b}, images=["x"] * 2 + list("abcdefgh"), reader=QUIET)
    with pytest.raises(OptionError, match="replicates"):
        compare(real, {"a": a, "b": b}, replicates=1, reader=QUIET)
    with pytest.raises(OptionError, match="confidence"):
        compare(real, {"a": a, "b": b}, confidence=95, reader=QUIET)
    with pytest.raises(OptionError, match="two images"):
        compare(real[:1], {"a": a[:1], "b": b[:1]}, reader=QUIET)
