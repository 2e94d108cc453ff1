"""FID and KID: published values, closed forms, and statistics that stream, merge and travel."""

from __future__ import annotations

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
from facemask_inpaint.metrics import (
    FeatureSet,
    FeatureStatistics,
    fid,
    frechet_distance,
    kid,
)

from . import synth
from .conftest import DATA

CASES: dict[str, Any] = json.loads((DATA / "fid_cases.json").read_text())


def made(recipe: dict[str, Any]) -> np.ndarray:
    """The features that a case's recipe describes."""
    options = dict(recipe.get("kw", {}))
    if "pair_of" in recipe:
        options["pair_of"] = made(recipe["pair_of"])
    values = synth.features(recipe["n"], recipe["d"], recipe["seed"], **options)
    match recipe.get("edit"):
        case "zero_first_8":
            values[:, :8] = 0
        case "repeat_rows_8":
            values = np.repeat(values[: len(values) // 8], 8, axis=0)
        case "plus_100":
            values = values + np.float32(100)
    return values


def slow_if_large(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.slow) if name == "d2048_n_gt_d" else name


@pytest.mark.parametrize("name", [slow_if_large(name) for name in CASES])
def test_published_cases(name: str) -> None:
    case = CASES[name]
    x, y = made(case["x"]), made(case["y"])
    np.testing.assert_array_equal(x[0, :4], np.float32(case["first_x"]))
    np.testing.assert_array_equal(y[0, :4], np.float32(case["first_y"]))
    sides = FeatureStatistics.of(x), FeatureStatistics.of(y)
    exact = frechet_distance(*sides), frechet_distance(*sides, "n")
    assert exact[0] == pytest.approx(case["exact_ddof1"], rel=1e-9, abs=1e-12)
    assert exact[1] == pytest.approx(case["exact_ddof0"], rel=1e-9, abs=1e-12)
    tolerance = 1e-4 if "2048" in name else 3e-5 if "offset" in name else 1e-6
    for tool, value in case["tools"].items():
        ours = exact[1] if tool == "stylegan2_ada" else exact[0]
        assert ours == pytest.approx(value, abs=tolerance), tool


@pytest.mark.parametrize("name", ["d64_shift", "d64_n_lt_d", "d64_large_offset", "d64_n2_n3"])
def test_streaming_and_merging_change_nothing(name: str) -> None:
    case = CASES[name]
    sides = []
    for recipe in (case["x"], case["y"]):
        rows = torch.from_numpy(made(recipe))
        parts = [FeatureStatistics(), FeatureStatistics(), FeatureStatistics()]
        for index, chunk in enumerate(rows.split(7)):
            parts[index % 2].update(chunk)
        sides.append(parts[2].merge(parts[0]).merge(parts[1]))
        assert sides[-1].n == len(rows)
    assert frechet_distance(*sides) == pytest.approx(case["exact_ddof1"], rel=1e-9)


def test_moments_are_numpys() -> None:
    rows = synth.features(300, 40, 3)
    found = FeatureStatistics.of(rows)
    wide = rows.astype(np.float64)
    np.testing.assert_allclose(found.mean, wide.mean(0), rtol=1e-13)
    np.testing.assert_allclose(found.covariance(), np.cov(wide.T), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(found.covariance("n"), np.cov(wide.T, ddof=0), rtol=1e-9, atol=1e-15)


def test_singular_covariances_without_rows() -> None:
    """More rows than dimensions, yet both covariances are singular, in different directions."""
    x, y = synth.features(300, 48, 4), synth.features(300, 48, 5, shift=0.1)
    x[:, :9] = 0
    y[:, 5:20] = y[:, 4:5]
    x64, y64 = (side.astype(np.float64) - side.mean(0, dtype=np.float64) for side in (x, y))
    nuclear = np.linalg.svd(x64 @ y64.T / 299, compute_uv=False).sum()
    step = x.mean(0, dtype=np.float64) - y.mean(0, dtype=np.float64)
    traces = np.trace(np.cov(x64.T)) + np.trace(np.cov(y64.T))
    assert float(fid(x, y)) == pytest.approx(step @ step + traces - 2 * nuclear, rel=1e-9)


def spectra(d: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Eigenvalues of two covariances that share their eigenvectors, by name."""
    jitter = np.random.default_rng(3).uniform(0.5, 2, d)
    steep, dead = np.logspace(0, -14, d), np.arange(d) < d // 5
    return {
        "easy": (np.logspace(0, -3, d), jitter),
        "steep": (steep, steep * jitter),
        "opposed": (np.logspace(0, -8, d), np.logspace(-8, 0, d)),
        "one singular": (np.where(dead, 0, jitter), np.logspace(0, -4, d)),
        "both singular alike": (np.where(dead, 0, jitter), np.where(dead, 0, 1.0)),
        "both singular unlike": (np.where(dead, 0, jitter), np.where(dead[::-1], 0, 1.0)),
        "disjoint": (np.where(dead, 1.0, 0), np.where(dead, 0, 1.0)),
        "nothing varies": (np.zeros(d), np.zeros(d)),
    }


@pytest.mark.parametrize("name", spectra(2))
@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_closed_form_of_shared_eigenvectors(tmp_path: Path, name: str, scale: float) -> None:
    """``FID = sum (sqrt a - sqrt b)^2``, from well-conditioned to singular covariances."""
    a, b = (scale * side for side in spectra(96)[name])
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(96, 96)))
    for file, values in (("a.npz", a), ("b.npz", b)):
        np.savez(tmp_path / file, mu=np.zeros(96), sigma=(turn * values) @ turn.T)
    with pytest.warns(UserWarning, match="count"):
        found = float(fid(tmp_path / "a.npz", tmp_path / "b.npz"))
    expected = np.square(np.sqrt(a) - np.sqrt(b)).sum()
    assert found == pytest.approx(expected, rel=1e-9, abs=2e-8 * (a.sum() + b.sum()))


def test_agrees_with_scipys_square_root() -> None:
    x, y = synth.features(900, 32, 6), synth.features(800, 32, 7, scale=1.3)
    s1, s2 = np.cov(x.T.astype(float)), np.cov(y.T.astype(float))
    step = x.mean(0, np.float64) - y.mean(0, np.float64)
    root = scipy.linalg.sqrtm(s1 @ s2).real
    expected = step @ step + np.trace(s1) + np.trace(s2) - 2 * np.trace(root)
    assert float(fid(x, y)) == pytest.approx(expected, rel=1e-9)


@settings(deadline=None, max_examples=25)
@given(n=st.integers(2, 40), m=st.integers(2, 40), d=st.integers(1, 24), seed=st.integers(0, 999))
def test_properties(n: int, m: int, d: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(n, d)), random.normal(size=(m, d)) * random.uniform(0, 3, d)
    shift = random.normal(size=d)
    assert float(fid(x, x)) == pytest.approx(0, abs=1e-12)
    assert float(fid(x, x + shift)) == pytest.approx(shift @ shift, rel=1e-9, abs=1e-12)
    assert float(fid(x, y)) == pytest.approx(float(fid(y, x)), rel=1e-9, abs=1e-12)
    assert float(fid(x, 2 * x)) == pytest.approx(
        np.square(x.mean(0)).sum() + np.trace(np.atleast_2d(np.cov(x.T))), rel=1e-9
    )


def test_result_says_how_it_came_about() -> None:
    x, y = synth.features(30, 64, 8), synth.features(40, 64, 9)
    result = fid(x, y, convention="n")
    assert result.n == 30
    assert result.provenance["n_fake"] == 40
    assert result.provenance["convention"] == "n"
    assert any("30 images for 64 dimensions" in text for text in result.warnings)
    assert any("30 real and 40 fake" in text for text in result.warnings)
    assert json.loads(result.to_json())["value"] == float(result)
    assert str(result).startswith("FID ")


@pytest.mark.parametrize("n", [20, 300])
def test_save_and_load(tmp_path: Path, n: int) -> None:
    x, y = synth.features(n, 64, 10), synth.features(200, 64, 11)
    saved = FeatureStatistics.of(FeatureSet(torch.from_numpy(x), ("",) * n, (None,) * n, (), "net"))
    saved.save(tmp_path / "x.npz")
    loaded = FeatureStatistics.load(tmp_path / "x.npz")
    assert (loaded.n, loaded.dim, loaded.identity) == (n, 64, "net")
    assert float(fid(tmp_path / "x.npz", y)) == float(fid(x, y))
    assert loaded.merge(FeatureStatistics.of(y)).n == n + 200


def test_reads_files_of_pytorch_fid(tmp_path: Path) -> None:
    x, y = synth.features(200, 16, 12), synth.features(300, 16, 13)
    path = tmp_path / "theirs.npz"
    np.savez(path, mu=x.mean(0, np.float64), sigma=np.cov(x.T.astype(float)))
    with pytest.warns(UserWarning, match="neither its front end nor its count"):
        result = fid(path, y)
    assert float(result) == pytest.approx(float(fid(x, y)), rel=1e-9)
    assert result.n == 300
    assert "the number of real images is unknown" in result.warnings[0]
    with pytest.warns(UserWarning, match="count"):
        unknown = fid(path, path)
    assert unknown.n is None
    assert str(unknown).startswith("FID 0 (n unknown)\n  warning: the number of real and fake")
    with pytest.warns(UserWarning, match="count"):
        loaded = FeatureStatistics.load(path)
    assert loaded.n is None
    for refused in (
        lambda: loaded.covariance("n"),
        lambda: loaded.update(y),
        lambda: loaded.save(tmp_path / "again.npz"),
    ):
        with pytest.raises(OptionError, match="statistics"):
            refused()


def test_what_statistics_refuse(tmp_path: Path) -> None:
    x = synth.features(50, 16, 14)
    with pytest.raises(OptionError, match="at least two images; there are 1"):
        fid(x[:1], x)
    with pytest.raises(OptionError, match="widths 16 and 8"):
        fid(x, x[:, :8])
    with pytest.raises(OptionError, match="convention is 'n-1' or 'n'"):
        fid(x, x, convention="ddof=1")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="width 8 among rows of width 16"):
        FeatureStatistics.of(x).update(x[:, :8])
    with pytest.raises(OptionError, match="NaN"):
        FeatureStatistics.of(np.full((2, 2), np.nan))
    with pytest.raises(OptionError, match=r"\.npz"):
        FeatureStatistics.of(x).save(tmp_path / "x.pt")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(OptionError, match=r"bad\.npz"):
        fid(tmp_path / "bad.npz", x)


def test_extractors_do_not_mix() -> None:
    x = synth.features(50, 16, 15)
    one, other = FeatureStatistics("stylegan"), FeatureStatistics("clean")
    one.update(x)
    other.update(x)
    with pytest.raises(OptionError, match="do not mix"):
        fid(one, other)
    with pytest.raises(OptionError, match="do not mix"):
        one.merge(other)


def naive_kid(x: np.ndarray, y: np.ndarray) -> float:
    def mean(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        kernel = [
            (float(p @ q) / len(p) + 1) ** 3
            for i, p in enumerate(a)
            for j, q in enumerate(b)
            if not (same and i == j)
        ]
        return float(np.mean(kernel))

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


def test_kid_is_its_definition() -> None:
    x = synth.features(30, 8, 16).astype(np.float64)
    y = synth.features(25, 8, 17, shift=0.2).astype(np.float64)
    assert float(kid(x, y)) == pytest.approx(naive_kid(x, y), rel=1e-10)
    assert kid(x, y).std is None


def test_kid_of_subsets() -> None:
    x, y = synth.features(300, 8, 18), synth.features(280, 8, 19, shift=0.2)
    few = kid(x, y, subsets=20, subset_size=100)
    assert float(few) == float(kid(x, y, subsets=20, subset_size=100))
    assert few.std is not None
    assert abs(float(few) - float(kid(x, y))) < 4 * few.std / 20**0.5
    whole = kid(x[:280], y, subsets=1, subset_size=280)
    assert float(whole) == pytest.approx(float(kid(x[:280], y)), rel=1e-9)
    with pytest.raises(OptionError, match="1000 images out of 280"):
        kid(x, y, subsets=10)


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["d64_shift", "d64_n_lt_d", "d64_repeated_rows"])
def test_published_cases_on_cuda(name: str) -> None:
    sides = [torch.from_numpy(made(CASES[name][side])).cuda() for side in ("x", "y")]
    assert float(fid(*sides)) == pytest.approx(CASES[name]["exact_ddof1"], rel=1e-9)
    cpu = [side.cpu() for side in sides]
    assert float(kid(*sides)) == pytest.approx(float(kid(*cpu)), rel=1e-9)
