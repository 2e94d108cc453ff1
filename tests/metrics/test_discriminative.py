"""P-IDS and U-IDS: golden optima, scikit-learn beside it, ties, symmetries, small samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.svm import LinearSVC

from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics import (
    ConvergenceError,
    FeatureReader,
    FeatureSet,
    _svm,
    discriminative_scores,
    explain_ids,
    pids,
    uids,
)
from facemask_inpaint.metrics._newton_systems import _BorderedKernel, exact_step
from facemask_inpaint.metrics._svm import Hyperplane, SquaredHingeSVM

from . import synth
from .conftest import DATA, write_folder

CASES: dict[str, Any] = json.loads((DATA / "ids_cases.json").read_text())
LARGE = {"same_law_n_near_d_d2048", "large_n_paired_d2048"}
SMALL = ["separable_d64", "overlap_d64", "half_identical_pairs_d128", "unpaired_sizes_d64"]


def made(recipe: dict[str, Any]) -> np.ndarray:
    """The features that a case's recipe describes."""
    options = dict(recipe.get("kw", {}))
    if "pair_of" in recipe:
        options["pair_of"] = made(recipe["pair_of"])
    values = synth.features(recipe["n"], recipe["d"], recipe["seed"], **options)
    if recipe.get("edit") == "first_half_equals_pair":
        half = len(values) // 2
        values[:half] = options["pair_of"][:half]
    return values


def both(name: str) -> tuple[np.ndarray, np.ndarray]:
    case = CASES[name]
    real, fake = made(case["real"]), made(case["fake"])
    assert real[0, :4].tolist() == case["first_real"]
    assert fake[0, :4].tolist() == case["first_fake"]
    return real, fake


def slow_if_large(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name


def labelled(real: np.ndarray, fake: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.from_numpy(np.concatenate([real, fake]).astype(np.float64))
    labels = torch.ones(len(rows), dtype=torch.float64)
    labels[len(real) :] = -1
    return rows, labels


def weights_of(plane: Hyperplane) -> np.ndarray:
    return np.append(plane.weight.cpu().numpy(), plane.bias)


def objective(weights: np.ndarray, rows: np.ndarray, signs: np.ndarray, cost: float) -> float:
    slack = np.maximum(0, 1 - signs * (rows @ weights[:-1] + weights[-1]))
    return 0.5 * weights @ weights + cost * slack @ slack


def check_golden(name: str, device: str) -> None:
    exact = CASES[name]["exact"]
    real, fake = (torch.from_numpy(side).to(device) for side in both(name))
    found = discriminative_scores(real, fake)
    assert found.uids.value == exact["u_ids"]
    assert (found.pids and found.pids.value) == exact["p_ids"]
    assert found.plane.objective == pytest.approx(exact["objective"], rel=1e-10)
    norm = np.linalg.norm(weights_of(found.plane))
    assert norm == pytest.approx(exact["w_norm"], rel=1e-7)
    assert found.plane.bias == pytest.approx(exact["bias"], rel=1e-7, abs=1e-12)
    for side, name in ((found.real_decisions, "real"), (found.fake_decisions, "fake")):
        np.testing.assert_allclose(side[:8], exact[f"{name}_scores_first8"], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", [slow_if_large(name) for name in CASES])
def test_golden_optimum_and_scores(name: str) -> None:
    check_golden(name, "cpu")


@pytest.mark.cuda
@pytest.mark.parametrize("name", [slow_if_large(name) for name in CASES])
def test_golden_optimum_and_scores_on_cuda(name: str) -> None:
    check_golden(name, "cuda")


@pytest.mark.parametrize("name", ["separable_d64", "unpaired_sizes_d64", "paired_n_lt_d_d2048"])
def test_primal_and_kernel_form_agree(name: str) -> None:
    rows, labels = labelled(*both(name))
    primal, kernel = (SquaredHingeSVM(rows, form=form).fit(labels) for form in ("primal", "kernel"))
    assert (primal.form, kernel.form) == ("primal", "kernel")
    np.testing.assert_allclose(weights_of(primal), weights_of(kernel), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("cost", [1.0, 0.05])
def test_scikit_learn_has_the_same_optimum(name: str, cost: float) -> None:
    rows, labels = labelled(*both(name))
    ours = SquaredHingeSVM(rows, cost=cost).fit(labels)
    theirs = LinearSVC(dual=False, C=cost, tol=1e-10).fit(rows.numpy(), labels.numpy() > 0)
    expected = np.append(theirs.coef_[0], theirs.intercept_)
    gap = np.linalg.norm(weights_of(ours) - expected)
    assert gap <= 1e-6 * np.linalg.norm(expected)
    sloppy = LinearSVC(dual=False, C=cost).fit(rows.numpy(), labels.numpy() > 0)
    at_default = np.append(sloppy.coef_[0], sloppy.intercept_)
    assert ours.objective < objective(at_default, rows.numpy(), labels.numpy(), cost)


@pytest.mark.parametrize("name", SMALL)
def test_scores_are_those_of_the_published_procedure(name: str) -> None:
    real, fake = both(name)
    rows, labels = np.concatenate([real, fake]), np.r_[np.ones(len(real)), np.zeros(len(fake))]
    classifier = LinearSVC(dual=False).fit(rows, labels)
    found = discriminative_scores(real, fake)
    assert found.uids.value == pytest.approx(1 - classifier.score(rows, labels), abs=1e-12)
    if len(real) == len(fake):
        higher = classifier.decision_function(fake) > classifier.decision_function(real)
        assert float(pids(real, fake)) == higher.mean()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_real=st.integers(1, 12),
    n_fake=st.integers(1, 12),
    width=st.integers(1, 15),
    cost=st.floats(0.01, 100),
)
def test_gradient_vanishes_at_the_optimum(
    seed: int, n_real: int, n_fake: int, width: int, cost: float
) -> None:
    rng = np.random.default_rng(seed)
    rows, labels = labelled(rng.normal(size=(n_real, width)), rng.normal(size=(n_fake, width)))
    extended = np.c_[rows.numpy(), np.ones(len(rows))]
    signs = labels.numpy()
    start = np.linalg.norm(2 * cost * extended.T @ signs)
    for form in ("primal", "kernel"):
        weights = weights_of(SquaredHingeSVM(rows, cost=cost, form=form).fit(labels))
        slack = np.maximum(0, 1 - signs * (extended @ weights))
        gradient = weights - 2 * cost * extended.T @ (signs * slack)
        assert np.linalg.norm(gradient) <= 1e-9 * max(start, 1.0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 30), cost=st.floats(0.1, 10))
def test_line_search_finds_the_minimum(seed: int, count: int, cost: float) -> None:
    rng = np.random.default_rng(seed)
    slack, speed = rng.normal(size=(2, count)) * 3
    active = slack > 0
    curvature = float(rng.uniform(0.1, 2))
    slope = -float(rng.uniform(0.1, 50))
    constant = slope + 2 * cost * (speed * slack)[active].sum()

    def value(t: float) -> float:
        losses = np.maximum(0, slack - t * speed)
        return constant * t + 0.5 * curvature * t * t + cost * (losses**2).sum()

    arguments = [torch.tensor(x, dtype=torch.float64) for x in (slope, curvature, slack, speed)]
    found = float(exact_step(*arguments, cost))
    bound = 2 * abs(slope) / curvature + 1
    best = minimize_scalar(value, bounds=(0, max(bound, 2 * found)), method="bounded")
    assert found > 0
    assert value(found) <= best.fun + 1e-9 * (1 + abs(best.fun))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_order_does_not_matter(seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    real, fake = rng.normal(size=(2, 25, 6))
    pairs = data.draw(st.permutations(range(25)))
    columns = data.draw(st.permutations(range(6)))
    first = discriminative_scores(real, fake)
    other = discriminative_scores(real[pairs][:, columns], fake[pairs][:, columns])
    np.testing.assert_allclose(other.real_decisions, first.real_decisions[pairs], atol=1e-9)
    assert (float(first.pids), float(first.uids)) == (float(other.pids), float(other.uids))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_exchanging_the_sides_mirrors_the_classifier(seed: int) -> None:
    real, fake = np.random.default_rng(seed).normal(size=(2, 30, 5))
    forward, backward = discriminative_scores(real, fake), discriminative_scores(fake, real)
    np.testing.assert_allclose(backward.fake_decisions, -forward.real_decisions, atol=1e-9)
    assert float(forward.pids) == float(backward.pids)
    assert float(forward.uids) == float(backward.uids)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), copied=st.sets(st.integers(0, 29)))
def test_copied_pictures_are_exact_ties_and_lose(seed: int, copied: set[int]) -> None:
    real, fake = np.random.default_rng(seed).normal(size=(2, 30, 5)).astype(np.float32)
    rows = sorted(copied)
    fake[rows] = real[rows]
    found = discriminative_scores(real, fake)
    assert found.pids is not None
    assert found.pids.ties == len(rows)
    assert found.pids.value <= 1 - len(rows) / 30
    assert np.array_equal(found.real_decisions[rows], found.fake_decisions[rows])


def test_identical_sets_score_zero_and_half() -> None:
    real, fake = both("identical_d64")
    found = discriminative_scores(real, fake)
    assert found.pids is not None
    assert (found.pids.value, found.uids.value, found.pids.ties) == (0.0, 0.5, 500)
    assert not found.real_decisions.any()


def test_zero_scores_from_size_alone_are_explained() -> None:
    real, fake = both("same_law_n_lt_d_d2048")
    found = discriminative_scores(real[:200], fake[:200])
    assert found.separated
    assert float(found.pids) == 0
    assert "n + n' = 400 <= d + 1 = 2049" in str(found)
    assert not discriminative_scores(*both("overlap_d64")).uids.warnings


@pytest.mark.parametrize(("n", "words"), [(4, "says nothing"), (10, "equal n"), (18, None)])
def test_separability_warning_follows_n_and_d(n: int, words: str | None) -> None:
    real, fake = np.random.default_rng(0).normal(size=(2, n, 8))
    warnings = uids(real, fake).warnings
    assert words in warnings[0] if words else not warnings


@pytest.mark.parametrize(("n", "scale"), [(8, 0.01), (20, 0.05), (8, 0.3), (8, 1.0), (8, 1e4)])
def test_only_what_a_perfect_method_scores_is_claimed_to_be_zero(n: int, scale: float) -> None:
    # Ten pairs of samples of one law, and refits with exchanged pairs.
    samples = scale * np.random.default_rng(0).normal(size=(10, 2, n, 64))
    found = [uids(*sample, null_swaps=3) for sample in samples]
    reached = np.mean([[score.value, *score.null] for score in found])
    claimed = "would score 0 here" in found[0].warnings[0]
    assert claimed is (scale > 0.1)
    assert reached == 0 if claimed else reached > 0.01
    assert ("scale of the features" in found[0].warnings[0]) is not claimed
    assert claimed is (explain_ids(*samples[0]).expected_uids < 0.01)


def test_equal_images_are_not_said_to_be_separated_by_their_number() -> None:
    copies = 1e3 * np.random.default_rng(0).normal(size=(8, 64))
    assert "would score 0" not in str(uids(copies, copies))


def test_null_reference_is_the_score_of_exchangeable_pairs() -> None:
    rng = np.random.default_rng(5)
    picture = rng.normal(size=(400, 1, 20))
    real, fake = (picture + rng.normal(size=(400, 2, 20))).transpose(1, 0, 2)
    found = pids(real, fake, null_swaps=20, seed=1)
    spread = np.std(found.null)
    assert found.null_mean is not None
    assert abs(found.value - found.null_mean) < 4 * spread
    shifted = pids(real, fake + 0.5, null_swaps=20, seed=1)
    assert shifted.null_mean is not None
    assert shifted.value < shifted.null_mean - 4 * np.std(shifted.null)
    assert found.null == pids(real, fake, null_swaps=20, seed=1).null
    assert "null" in str(found)


def test_null_reference_refits_as_a_fresh_fit_would() -> None:
    rows, labels = labelled(*both("overlap_d64"))
    other = labels[torch.from_numpy(np.random.default_rng(0).permutation(len(labels)))]
    machine = SquaredHingeSVM(rows)
    machine.fit(labels)
    again, fresh = machine.fit(other), SquaredHingeSVM(rows).fit(other)
    np.testing.assert_allclose(weights_of(again), weights_of(fresh), atol=1e-10)


def test_ill_conditioned_features_still_reach_the_optimum() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(400, 30)) * np.logspace(-3, 4, 30)
    rows[:, 7] = rows[:, 22] + 1e-6 * rng.normal(size=400)
    labels = torch.from_numpy(np.sign(rng.normal(size=400)))
    plane = SquaredHingeSVM(torch.from_numpy(rows)).fit(labels)
    expected = LinearSVC(dual=False, tol=1e-12, max_iter=100_000).fit(rows, labels.numpy() > 0)
    reference = np.append(expected.coef_[0], expected.intercept_)
    assert plane.relative_gradient <= 1e-8
    assert plane.objective <= objective(reference, rows, labels.numpy(), 1.0) * (1 + 1e-12)


def test_running_out_of_steps_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_svm, "MAX_NEWTON_STEPS", 2)
    with pytest.raises(ConvergenceError, match="relative gradient"):
        discriminative_scores(*both("separable_d64"))


def test_bad_input_is_refused() -> None:
    real, fake = np.random.default_rng(0).normal(size=(2, 10, 4))
    with pytest.raises(OptionError, match="paired"):
        pids(real, fake[:9])
    with pytest.raises(OptionError, match="widths 4 and 3"):
        uids(real, fake[:, :3])
    with pytest.raises(OptionError, match="NaN"):
        uids(real, np.full_like(fake, np.nan))
    with pytest.raises(OptionError, match="both sides need images"):
        uids(real, fake[:0])
    with pytest.raises(OptionError, match="at least 0, not -3"):
        pids(real, fake, null_swaps=-3)
    with pytest.raises(ValueError, match="form"):
        SquaredHingeSVM(torch.from_numpy(real), form="dual")
    values = torch.from_numpy(real)
    names, keys = tuple("0123456789"), (None,) * 10
    sides = (FeatureSet(values, names, keys, identity=identity) for identity in "ab")
    with pytest.raises(OptionError, match="do not mix"):
        discriminative_scores(*sides)


def test_result_serialises_with_its_provenance() -> None:
    real, fake = np.random.default_rng(0).normal(size=(2, 30, 4))
    record = json.loads(uids(real, fake, null_swaps=2).to_json())
    assert record["dimension"] == 4
    assert len(record["null"]) == 2
    assert record["provenance"]["relative_gradient"] < 1e-8
    assert record["provenance"]["n_real"] == 30
    both_scores = discriminative_scores(real, fake[:20]).to_dict()
    assert both_scores["pids"] is None


def test_folders_pair_by_stem(reader: FeatureReader, tmp_path: Path) -> None:
    real = write_folder(tmp_path / "real", 12, "real")
    fake = write_folder(tmp_path / "fake", 12, "fake")
    sides = reader.read_pair(real, fake)
    expected = discriminative_scores(*(side.values.numpy() for side in sides))
    assert float(pids(real, fake, reader=reader)) == float(expected.pids)
    (fake / "011.png").rename(fake / "extra.png")
    with pytest.raises(OptionError, match="extra"):
        pids(real, fake, reader=reader)
    assert uids(real, fake, reader=reader).n == 12


def test_pids_and_uids_share_one_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    fit = SquaredHingeSVM.fit
    monkeypatch.setattr(
        SquaredHingeSVM, "fit", lambda *args, **more: fits.append(1) or fit(*args, **more)
    )
    real, fake = np.random.default_rng(77).normal(size=(2, 60, 8))
    first, second = pids(real, fake), uids(real, fake)
    assert len(fits) == 1
    assert float(second) == discriminative_scores(real, fake).uids.value
    fake[3] += 5  # the same array with other content is fitted anew
    assert float(pids(real, fake)) != float(first)
    assert len(fits) == 2


def test_what_is_remembered_cannot_be_changed() -> None:
    real, fake = np.random.default_rng(78).normal(size=(2, 60, 8))
    before = discriminative_scores(real, fake).real_decisions
    before[:] = 0
    assert discriminative_scores(real, fake).real_decisions.any()


@pytest.mark.parametrize("shift", [0.0, 0.05, 1.0])
def test_sizes_around_the_width_reach_the_optimum(shift: float) -> None:
    # Many rows enter and leave where there are about as many rows as columns.
    rows = np.concatenate([synth.features(120, 256, 1), synth.features(120, 256, 2, shift=shift)])
    signs = np.repeat([1.0, -1.0], 120)
    theirs = LinearSVC(dual=False, tol=1e-11, max_iter=10_000).fit(rows, signs > 0)
    expected = np.append(theirs.coef_[0], theirs.intercept_)
    for form in ("kernel", "primal"):
        svm = SquaredHingeSVM(torch.from_numpy(rows), form=form)
        plane = svm.fit(torch.from_numpy(signs))
        gap = np.linalg.norm(weights_of(plane) - expected)
        assert gap <= 1e-5 * np.linalg.norm(expected)
        assert plane.relative_gradient <= 1e-11


def test_rows_that_enter_and_leave_border_a_factor() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(80, 100, generator=generator, dtype=torch.float64)
    system = _BorderedKernel(rows @ rows.T, 0.5)
    active = torch.rand(80, generator=generator) < 0.8
    vector = torch.randn(80, generator=generator, dtype=torch.float64)
    for _ in range(12):
        assert system.factorise(active)
        part = active.nonzero()[:, 0]
        matrix = system.matrix[part][:, part] + 0.5 * torch.eye(len(part))
        expected = torch.zeros(80, dtype=torch.float64)
        expected[part] = torch.linalg.solve(matrix, vector[part])
        torch.testing.assert_close(system.solve(vector), expected, rtol=0, atol=1e-12)
        active = active ^ (torch.rand(80, generator=generator) < 0.03)
