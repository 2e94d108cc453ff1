"""Comparison of models: golden values, derivatives, exchange test, shared weights, Holm."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics import FeatureReader, PairedFrechet, compare, fid
from facemask_inpaint.metrics.comparison import paired

from . import synth
from .conftest import DATA, write_folder

STATISTICS: dict[str, Any] = json.loads((DATA / "stats_cases.json").read_text())
CASES = [name for name, case in STATISTICS.items() if "real" in case]
QUIET = FeatureReader(progress=False)


def made(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Real features and those of the fillings a and b."""
    case = STATISTICS[name]
    real = synth.features(case["n"], case["d"], **case["real"])
    a, b = (synth.features(case["n"], case["d"], pair_of=real, **case[side]) for side in "ab")
    return real, a, b


def prepared(*sides: np.ndarray, **options: Any) -> PairedFrechet:
    real, *fakes = map(torch.from_numpy, sides)
    return PairedFrechet(real, torch.stack(fakes), **options)


def dirichlet(count: int, n: int, seed: int) -> torch.Tensor:
    weights = np.random.RandomState(seed).standard_exponential((count, n))
    return torch.from_numpy(weights / weights.sum(1, keepdims=True))


def weighted_fid(real: np.ndarray, fake: np.ndarray, weights: np.ndarray) -> float:
    """The definition, through the matrix square root."""
    moments = [
        (weights @ rows, np.cov(rows, rowvar=False, aweights=weights)) for rows in (real, fake)
    ]
    (first, one), (second, other) = moments
    root = scipy.linalg.sqrtm(one @ other).real
    step = first - second
    return float(step @ step + np.trace(one) + np.trace(other) - 2 * np.trace(root))


def nuclear_fid(real: np.ndarray, fake: np.ndarray, weights: np.ndarray) -> float:
    """The definition for any n, through singular values of the weighted rows."""
    means = weights @ real, weights @ fake
    scale = np.sqrt(weights / (1 - weights @ weights))[:, None]
    x, y = scale * (real - means[0]), scale * (fake - means[1])
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    step = means[0] - means[1]
    return float(step @ step + (x**2).sum() + (y**2).sum() - 2 * cross)


@pytest.mark.parametrize("name", CASES)
def test_golden_influence_and_standard_error(name: str) -> None:
    case = STATISTICS[name]
    found = prepared(*made(name))
    np.testing.assert_allclose(found.fids, [case["fid_a"], case["fid_b"]], rtol=1e-9)
    for psi, side in zip(found.influence.numpy(), "ab"):
        np.testing.assert_allclose(psi[:8], case[f"psi_{side}_first8"], rtol=1e-9)
        assert (psi**2).sum() == pytest.approx(case[f"psi_{side}_square_sum"], rel=1e-9)
        assert psi.sum() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_golden_bootstrap(name: str) -> None:
    golden = STATISTICS[name]["bayes"]
    found = prepared(*made(name))
    fids = found.resample(dirichlet(golden["B"], STATISTICS[name]["n"], golden["seed"])).numpy()
    differences = fids[:, 0] - fids[:, 1]
    np.testing.assert_allclose(differences[:5], golden["first5"], rtol=1e-9)
    assert differences.std(ddof=1) == pytest.approx(golden["sd"], rel=1e-9)
    assert differences.mean() == pytest.approx(golden["mean"], rel=1e-9)
    quantiles = np.quantile(differences, [0.025, 0.975])
    np.testing.assert_allclose(quantiles, [golden["q025"], golden["q975"]], rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_golden_exchange_test(name: str) -> None:
    """The reference takes both FIDs of really exchanged rows; signed scores come close to that."""
    case = STATISTICS[name]
    golden = case["exchange"]
    shape = golden["P"], case["n"]
    keep = np.random.RandomState(golden["seed"]).randint(0, 2, shape) == 1
    scores = prepared(*made(name)).exchange_scores(0, 1).numpy()
    exchanged = np.where(keep, 1, -1) @ scores / case["n"]
    np.testing.assert_allclose(exchanged[:5], golden["first5"], atol=0.15 * exchanged.std())
    p = (1 + (np.abs(exchanged) >= abs(scores.mean())).sum()) / (1 + golden["P"])
    assert p == pytest.approx(golden["p"], abs=0.03)


@pytest.mark.parametrize("name", CASES)
def test_compare_reports_the_golden_numbers(name: str) -> None:
    case = STATISTICS[name]
    real, a, b = made(name)
    found = compare(real, {"a": a, "b": b}, replicates=60, exchanges=99, reader=QUIET)["all"]
    assert found.difference == pytest.approx(case["difference"], rel=1e-9)
    assert found.standard_error == pytest.approx(case["se_jackknife"], rel=1e-9)
    assert found.interval.high - found.interval.low == pytest.approx(
        2 * 1.959964 * case["se_jackknife"], rel=1e-6
    )
    assert (found.p_value < 0.05) == (case["exchange"]["p"] < 0.05)
    shift = case["bayes"]["mean"] - case["difference"]
    assert found.corrected == pytest.approx(
        case["difference"] - shift, abs=4 * case["bayes"]["sd"] / np.sqrt(case["bayes"]["B"])
    )


@pytest.mark.cuda
def test_golden_numbers_on_cuda() -> None:
    name = CASES[0]
    golden = STATISTICS[name]["bayes"]
    real, a, b = (torch.from_numpy(side).cuda() for side in made(name))
    found = PairedFrechet(real, torch.stack([a, b]))
    fids = found.resample(dirichlet(5, STATISTICS[name]["n"], golden["seed"]).cuda()).cpu()
    np.testing.assert_allclose(fids[:, 0] - fids[:, 1], golden["first5"], rtol=1e-9)


@pytest.mark.parametrize(("n", "d"), [(60, 8), (12, 30), (31, 30)])
def test_resamples_follow_the_definition(n: int, d: int) -> None:
    rng = np.random.default_rng(n)
    real, a, b = rng.normal(size=(3, n, d)) + 5
    weights = dirichlet(4, n, 0)
    found = prepared(real, a, b).resample(weights).numpy()
    expected = [[nuclear_fid(real, fake, w) for fake in (a, b)] for w in weights.numpy()]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    if n == 60:
        by_root = [[weighted_fid(real, fake, w) for fake in (a, b)] for w in weights.numpy()]
        np.testing.assert_allclose(found, by_root, rtol=1e-8)


@pytest.mark.parametrize("kind", ["tall", "wide", "constant columns", "repeated columns"])
def test_influence_is_the_derivative(kind: str) -> None:
    n, d = (15, 40) if kind == "wide" else (80, 10)
    rng = np.random.default_rng(1)
    real, fake = rng.normal(size=(2, n, d)) * 1.5 + 2
    if kind == "constant columns":
        real[:, :2], fake[:, 1:3] = 0, 0
    if kind == "repeated columns":
        real[:, 5], fake[:, 5] = real[:, 4], fake[:, 4]
    psi = prepared(real, fake).influence[0].numpy()
    even = np.full(n, 1 / n)
    for row in (0, 7, n - 1):
        step = 1e-5 * (np.eye(n)[row] - even)
        slope = nuclear_fid(real, fake, even + step) - nuclear_fid(real, fake, even - step)
        assert psi[row] == pytest.approx(slope / 2e-5, rel=1e-6, abs=1e-6)


def test_fids_agree_with_the_metric() -> None:
    for n, d in ((90, 12), (20, 33)):
        real, a, b = np.random.default_rng(n).normal(size=(3, n, d))
        found = prepared(real, a, b).fids
        assert found.tolist() == pytest.approx([float(fid(real, a)), float(fid(real, b))], rel=1e-9)


def low_rank(n: int, d: int, rank: int, noise: float) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(rank, d))
    common = rng.normal(size=(n, rank))
    sides = [common + s * rng.normal(size=(n, rank)) for s in (0.0, 0.5, 0.4)]
    return [side @ directions + noise * rng.normal(size=(n, d)) for side in sides]


def test_reduced_basis_keeps_value_influence_and_replicates() -> None:
    sides = low_rank(150, 100, 12, 1e-3)
    full, small = prepared(*sides, tolerance=0), prepared(*sides)
    assert (full.basis_size, small.basis_size) == (100, 12)
    assert torch.equal(full.fids, small.fids)
    assert torch.equal(full.influence, small.influence)
    weights = dirichlet(10, 150, 3)
    gap = (full.resample(weights) - small.resample(weights)).abs().max()
    assert 0 < gap < 1e-4 * full.fids.max()
    scores = full.exchange_scores(0, 1)
    torch.testing.assert_close(
        small.exchange_scores(0, 1), scores, rtol=0, atol=float(scores.std()) / 100
    )


def test_reduced_basis_leaves_out_no_more_than_allowed() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 80)) * np.logspace(0, -4, 80)
    for tolerance in (1e-2, 1e-4, 1e-6):
        basis = paired._basis(torch.from_numpy(rows), tolerance, 0, limit=300)
        assert basis is not None
        kept = ((rows @ basis.numpy()) ** 2).sum()
        assert 1 - kept / (rows**2).sum() <= tolerance
        spectrum = np.linalg.svd(rows, compute_uv=False) ** 2
        best = int((spectrum.sum() - spectrum.cumsum() > tolerance * spectrum.sum()).sum()) + 1
        assert best <= basis.shape[1] <= best + 2


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), wide=st.booleans())
def test_scores_change_signs_with_the_fillings_and_nothing_else(seed: int, wide: bool) -> None:
    rng = np.random.default_rng(seed)
    n, d = (9, 14) if wide else (30, 5)
    real, a, b = rng.normal(size=(3, n, d)) + rng.normal(size=(3, 1, d))
    keep = rng.random(n) < 0.5
    swapped = [np.where(keep[:, None], *pair) for pair in ((a, b), (b, a))]
    scores = prepared(real, a, b, tolerance=0).exchange_scores(0, 1).numpy()
    found = prepared(real, *swapped, tolerance=0).exchange_scores(0, 1).numpy()
    np.testing.assert_allclose(
        found, np.where(keep, scores, -scores), atol=1e-9 * abs(scores).max()
    )


@pytest.mark.parametrize(
    ("n", "d", "closeness"), [(200, 12, 0.995), (60, 60, 0.97), (40, 120, 0.97)]
)
def test_signed_scores_follow_the_fids_of_really_exchanged_rows(
    n: int, d: int, closeness: float
) -> None:
    rng = np.random.default_rng(n)
    scale = np.logspace(0, -1.5, d)
    real = rng.normal(size=(n, d)) * scale
    a, b = (real + noise * rng.normal(size=(n, d)) * scale for noise in (0.5, 0.4))
    keep = rng.random((25, n)) < 0.5
    keep[0] = True
    expected = [
        float(fid(real, np.where(row[:, None], a, b)))
        - float(fid(real, np.where(row[:, None], b, a)))
        for row in keep
    ]
    found = np.where(keep, 1, -1) @ prepared(real, a, b).exchange_scores(0, 1).numpy() / n
    assert np.corrcoef(expected[1:], found[1:])[0, 1] > closeness
    assert found[0] == pytest.approx(expected[0], rel=0.1)


def test_equal_models_differ_by_nothing() -> None:
    real, a, _ = made("h0_d64_n300")
    found = compare(real, {"one": a, "same": a}, replicates=10, exchanges=19, reader=QUIET)["all"]
    assert (found.difference, found.corrected, found.standard_error) == (0, 0, 0)
    assert found.p_value == found.p_adjusted == 1


def test_correction_removes_the_bias_of_the_difference() -> None:
    def draw(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        real = synth.features(n, 24, seed, rank=8)
        noisy = synth.features(n, 24, seed + 1, pair_of=real, pair_noise=1.0)
        clean = synth.features(n, 24, seed + 2, pair_of=real, pair_noise=0.5)
        return real, noisy, clean

    real, noisy, clean = draw(40_000, 1)
    truth = float(fid(real, noisy)) - float(fid(real, clean))
    found = []
    for seed in range(100, 115):
        real, noisy, clean = draw(150, 3 * seed)
        models = {"noisy": noisy, "clean": clean}
        found.append(compare(real, models, replicates=50, exchanges=1, reader=QUIET)["all"])
    plain = np.mean([one.difference for one in found]) - truth
    corrected = np.mean([one.corrected for one in found]) - truth
    assert plain > 0
    assert abs(corrected) < 0.3 * plain
    inside = [one.interval.low <= truth <= one.interval.high for one in found]
    assert sum(inside) >= 12


def test_weights_belong_to_pictures() -> None:
    real, a, b = made("h1_d64_n500")
    options: dict[str, Any] = {"replicates": 100, "exchanges": 19, "reader": QUIET}
    groups = "eyes", "hair"
    everywhere = {"a": dict.fromkeys(groups, a), "b": dict.fromkeys(groups, b)}
    same = compare(real, everywhere, **options)
    apart = compare(
        real,
        everywhere,
        images={"eyes": [f"e{i}" for i in range(500)], "hair": [f"h{i}" for i in range(500)]},
        **options,
    )
    each = same["eyes"]
    assert same["hair"].row() | {"group": "eyes"} == each.row()
    assert same.overall[0].standard_error == pytest.approx(each.standard_error, rel=1e-9)
    assert same.overall[0].corrected == pytest.approx(each.corrected, rel=1e-9)
    assert same.overall[0].basic_interval == pytest.approx(each.basic_interval, rel=1e-9)
    halved = each.standard_error / np.sqrt(2)
    assert apart.overall[0].standard_error == pytest.approx(halved, rel=2e-3)
    assert same.provenance["images"] == 500
    assert apart.provenance["images"] == 1000


def test_three_models_give_three_pairs_and_friedman() -> None:
    real, a, b = (side[:80, :12] for side in made("h1_d64_n500"))
    groups = {"eyes": slice(0, 50), "nose": slice(20, 80), "hair": slice(0, 80)}
    models = {
        name: {group: side[rows] for group, rows in groups.items()}
        for name, side in {"a": a, "b": b, "perfect": real}.items()
    }
    names = {group: [str(i) for i in range(80)][rows] for group, rows in groups.items()}
    reals = {group: real[rows] for group, rows in groups.items()}
    found = compare(reals, models, images=names, replicates=20, exchanges=49, reader=QUIET)
    assert len(found.differences) == 9
    assert len(found.overall) == 3
    assert found.friedman_p is not None
    assert found.adjustment == (
        "Westfall-Young step-down max-T over 3 classes, Holm over 3 pairs of methods"
    )
    against = [item for item in found.differences if item.second == "perfect"]
    assert all(item.fid_second == pytest.approx(0, abs=1e-9) for item in against)
    assert {item.p_value for item in against} == {1 / 50}
    assert {item.p_adjusted for item in against} == {3 / 50}
    with pytest.raises(KeyError, match="3 differences"):
        found["hair"]
    with pytest.raises(OptionError, match="different sizes"):
        compare(reals, models, replicates=20, exchanges=9, reader=QUIET)


def test_pictures_that_make_the_difference_are_found() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 6))
    good = real + 0.1 * rng.normal(size=(200, 6))
    bad = good.copy()
    bad[[17, 90]] += 8
    found = compare(real, {"bad": bad, "good": good}, replicates=10, exchanges=9, reader=QUIET)
    worst = found["all"].influential(2)
    assert {one.image for one in worst} == {"17", "90"}
    assert all(one.amount > 0 for one in worst)
    without = np.delete(np.arange(200), 17)
    rest = compare(
        real[without],
        {"bad": bad[without], "good": good[without]},
        replicates=10,
        exchanges=9,
        reader=QUIET,
    )
    fall = found["all"].difference - rest["all"].difference
    amount = next(one.amount for one in worst if one.image == "17")
    assert amount == pytest.approx(fall, rel=0.4)


def test_same_seed_same_result_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    real, a, b = (side[:40, :10] for side in made("h0_d64_n300"))
    options: dict[str, Any] = {"replicates": 30, "exchanges": 29, "reader": QUIET}
    first = compare(real, {"a": a, "b": b}, **options)
    monkeypatch.setattr(paired, "_BLOCK_NUMBERS", 1)
    again = compare(real, {"a": a, "b": b}, **options)
    for name, value in first["all"].row().items():
        expected = value if isinstance(value, str) else pytest.approx(value, rel=1e-9)
        assert again["all"].row()[name] == expected
    other = compare(real, {"a": a, "b": b}, seed=1, **options)
    assert other["all"].corrected != first["all"].corrected


def test_report_is_readable_by_people_and_programs() -> None:
    real, a, b = (side[:30, :40] for side in made("h0_d64_n300"))
    found = compare(real, {"random": a, "mixed": b}, replicates=10, exchanges=9, reader=QUIET)
    text = str(found)
    assert "30*" in text
    assert "n < d" in text
    assert "95 % interval" in text
    record = json.loads(found.to_json())
    assert record["differences"][0]["n"] == 30
    assert len(record["differences"][0]["influential"]) == 10
    assert record["provenance"]["replicates"] == 10
    (row,) = csv.DictReader(io.StringIO(found.to_csv()))
    assert (row["first"], row["second"]) == ("random", "mixed")
    assert float(row["difference"]) == found["all"].difference


def test_folders_are_paired_by_stem_and_name_the_pictures(
    reader: FeatureReader, tmp_path: Path
) -> None:
    real, a, b = (write_folder(tmp_path / side, 12, side) for side in ("real", "a", "b"))
    found = compare(real, {"a": a, "b": b}, replicates=5, exchanges=9, reader=reader)["all"]
    assert found.n == 12
    assert "007" in found.images
    values = [reader.read(folder).values.numpy() for folder in (real, a, b)]
    direct = compare(
        values[0], {"a": values[1], "b": values[2]}, replicates=5, exchanges=9, reader=reader
    )["all"]
    assert found.row() == direct.row()
    (b / "007.png").write_bytes(b"not a picture")
    patient = FeatureReader(reader.extractor, on_error="skip", progress=False)
    short = compare(real, {"a": a, "b": b}, replicates=5, exchanges=9, reader=patient)
    assert short["all"].n == 11
    assert "007" not in short["all"].images
    assert "007.png" in str(short)
    (a / "003.png").unlink()
    with pytest.raises(OptionError, match="003"):
        compare(real, {"a": a, "b": b}, replicates=5, exchanges=9, reader=reader)
