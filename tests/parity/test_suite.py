"""The parity suite's own parts: bundled cases are the full ones made slim, and it can fail."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.parity import adapters, bundle, recipe
from tests.parity.adapter import Answer, Levels, subsample
from tests.parity.cases import Case, indices

BUNDLED = sorted(recipe.DATA.glob("*/cases*.npz"))


@pytest.mark.parametrize("archive", BUNDLED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_bundled_cases_equal_the_full_ones(archive: Path) -> None:
    full = recipe.SHARED / archive.parent.name / archive.name
    if not full.exists():
        pytest.skip("the full fixtures are not beside this checkout")
    for index in indices(archive):
        slim = Case(archive.parent.name, archive, index).arrays
        whole = Case(archive.parent.name, full, index).arrays
        for name, array in slim.items():
            expected = bundle.thinned(whole[name]) if name == "raw" else whole[name]
            np.testing.assert_array_equal(array, expected, err_msg=name)


@pytest.mark.parametrize("network", adapters.names())
def test_every_adapter_has_a_bundled_case_and_its_manifest(network: str) -> None:
    adapter = adapters.adapter(network)
    archives = [path for path in BUNDLED if path.parent.name == network]
    cases = [case for archive in archives for case in adapter.cases(archive, "")]
    assert cases
    for case in cases:
        assert recipe.manifest_path(network, adapter.manifest(case)).exists()


def test_the_recipe_depends_on_key_and_salt() -> None:
    # First draw of RandomState(crc32(b"key")), scaled and shifted.
    value = recipe.fill_tensor("key", [1], "normal:2:1")
    np.testing.assert_allclose(value, [1 + 2 * _first_normal("key")], rtol=1e-6)
    salted = recipe.fill_tensor("key", [1], "normal:2:1", salt="x:")
    np.testing.assert_allclose(salted, [1 + 2 * _first_normal("x:key")], rtol=1e-6)
    assert recipe.fill_tensor("v", [5], "absnormal:0.5:1").min() >= 1
    assert recipe.fill_tensor("c", [], "const:3").item() == 3
    with pytest.raises(ValueError, match="unknown fill rule"):
        recipe.fill_tensor("key", [1], "uniform:1")


def test_a_float16_answer_counts_as_the_interval_that_rounds_to_it() -> None:
    exact = np.float32([0.1, -0.7, 1.3])
    rounded = exact.astype(np.float16)
    assert Answer("raw", exact, rounded, 1e-4).difference == 0
    assert Answer("raw", exact + np.float32(1e-2), rounded, 1e-4).difference > 8e-3
    assert Answer("raw32", exact + np.float32(1e-3), exact, 1e-4).difference > 9e-4


def test_levels_forgive_a_rounding_flip_but_no_more() -> None:
    expected = np.full(2000, 7, dtype=np.uint8)
    ours = expected.astype(int)
    ours[0] = 8
    assert Levels("composited", ours, expected, 1e-3).difference == 1 / 2000
    ours[1] = 9
    assert Levels("composited", ours, expected, 1e-3).difference == np.inf


def test_subsample_finds_stride_and_offset() -> None:
    whole = np.arange(3 * 250 * 181).reshape(3, 250, 181)
    np.testing.assert_array_equal(subsample(whole, (3, 63, 46)), whole[:, ::4, ::4])
    np.testing.assert_array_equal(subsample(whole, (3, 31, 23), 3), whole[:, 3::8, 3::8])
    with pytest.raises(ValueError, match="no regular subsample"):
        subsample(whole, (3, 62, 40))


def _first_normal(key: str) -> float:
    return float(np.random.RandomState(zlib.crc32(key.encode())).standard_normal())
