"""All metrics in one call: the same numbers as one by one, read once, told well."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from facemask_inpaint import metrics
from facemask_inpaint.errors import MissingDependencyError, OptionError, UnknownNameError
from facemask_inpaint.metrics import FeatureReader, PairReader, custom, evaluate
from facemask_inpaint.metrics.features.custom import CustomExtractor

from . import synth
from .conftest import means_and_spreads, write_folder

QUIET = PairReader("cpu", progress=False)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    masks = tmp_path / "masks"
    masks.mkdir()
    hole = np.zeros((24, 20), np.uint8)
    hole[6:15, 4:12] = 255
    for index in range(12):
        Image.fromarray(hole).save(masks / f"{index:03d}.png")
    return write_folder(tmp_path / "real", 12), write_folder(tmp_path / "fake", 12, "x"), masks


def test_same_numbers_as_one_by_one(
    folders: tuple[Path, Path, Path], reader: FeatureReader
) -> None:
    real, fake, masks = folders
    found = evaluate(real, fake, mask=masks, reader=reader)
    names = ["fid", "pids", "uids", "kid"]
    names += [f"{name}{ending}" for name in ("l1", "psnr", "ssim") for ending in ("", "_hole")]
    assert list(found) == names
    assert [result.name for result in found.values()] == names
    for name in ("fid", "kid", "pids", "uids"):
        assert float(found[name]) == float(getattr(metrics, name)(real, fake, reader=reader))
    for name in ("psnr", "ssim", "l1"):
        metric = getattr(metrics, name)
        assert float(found[name]) == float(metric(real, fake, reader=QUIET))
        assert float(found[f"{name}_hole"]) == float(metric(real, fake, masks, reader=QUIET))


def test_features_are_computed_once(folders: tuple[Path, Path, Path]) -> None:
    seen = 0

    def counting(pictures: Tensor) -> Tensor:
        nonlocal seen
        seen += len(pictures)
        return means_and_spreads(pictures)

    reader = FeatureReader(custom(counting, "counted"), progress=False)
    evaluate(*folders[:2], ("fid", "kid", "pids", "uids"), reader=reader)
    assert seen == 24


def test_tells_what_it_found(folders: tuple[Path, Path, Path], cheap: CustomExtractor) -> None:
    real, fake, masks = folders
    (fake / "007.png").write_bytes(b"no picture")
    reader = FeatureReader(cheap, on_error="skip", progress=False)
    found = evaluate(real, fake, ("fid", "uids", "psnr"), masks, convention="n", reader=reader)
    assert {result.n for result in found.values()} == {11}
    text = str(found)
    assert "FID " in text
    assert "PSNR (hole) " in text
    assert text.count("007.png (") == 1  # one warning for both metrics that concerns
    data = json.loads(found.to_json())
    assert list(data) == ["fid", "uids", "psnr", "psnr_hole"]
    assert data["fid"]["provenance"]["extractor"] == "means and spreads"
    assert data["fid"]["provenance"]["convention"] == "n"
    assert len(data["psnr_hole"]["values"]) == 11


def test_streams_and_batches(reader: FeatureReader) -> None:
    real, fake = synth.pictures(6, 24, 20), synth.pictures(6, 24, 20, "x")
    batch = torch.from_numpy(real).permute(0, 3, 1, 2)
    found = evaluate(iter(real), (one for one in fake), ("fid", "l1"), reader=reader)
    again = evaluate(batch, fake, ("fid", "l1"), reader=reader)
    assert {name: float(result) for name, result in found.items()} == {
        name: float(result) for name, result in again.items()
    }


def test_unequal_sides_where_pairs_do_not_matter(reader: FeatureReader) -> None:
    real, fake = synth.pictures(6, 24, 20), synth.pictures(4, 24, 20, "x")
    found = evaluate(real, fake, ("fid", "kid", "uids"), reader=reader)
    assert found["fid"].provenance["n_fake"] == 4
    with pytest.raises(OptionError, match="6 real images cannot be paired with 4 fake"):
        evaluate(real, fake, ("fid", "pids"), reader=reader)


def test_pictures_that_are_too_small_for_a_metric_are_measured_by_the_others() -> None:
    small, large = synth.pictures(3, 8, 9), synth.pictures(2, 32, 32)
    found = evaluate(list(small), list(small[::-1]), "l1,ssim,psnr", np.eye(8, 9))
    assert list(found) == ["l1", "l1_hole", "psnr", "psnr_hole"]
    assert found.left_out["ssim"] == "SSIM is not defined for 3 pairs: it needs 11 pixels each way"
    mixed = evaluate([*small, *large], [*small[::-1], *large[::-1]], "l1,ssim")
    assert np.isnan(mixed["ssim"].values).tolist() == [True, True, True, False, False]
    assert "SSIM is not defined for 3 pairs" in str(mixed)
    with pytest.raises(OptionError, match="SSIM is not defined for 3 pairs: it needs 11"):
        evaluate(small, small, "ssim")


def test_features_instead_of_pictures() -> None:
    x, y = synth.features(80, 16, 1), synth.features(80, 16, 2)
    found = evaluate(x, y, ("fid", "pids"))
    assert float(found["fid"]) == float(metrics.fid(x, y))
    with pytest.raises(OptionError, match="psnr need images"):
        evaluate(x, y, ("fid", "psnr"))


@pytest.mark.parametrize("names", ["fid", "fid,kid", " kid ,", ("kid", "fid", "kid")])
def test_a_string_is_a_name_and_not_its_letters(names: str | tuple[str, ...]) -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 30, 4))
    expected = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
    assert list(evaluate(first, second, names)) == [n for n in dict.fromkeys(expected) if n]


@pytest.mark.parametrize("nothing", [(), "", " , ", []])
def test_no_metric_at_all_is_refused(nothing: str | list[str]) -> None:
    with pytest.raises(OptionError, match="metrics= is empty: name at least one of fid, pids"):
        evaluate(np.zeros((3, 2)), np.zeros((3, 2)), nothing)


@pytest.mark.parametrize("wrong", [7, (b"fid",)])
def test_metrics_that_are_no_names_are_refused(wrong: object) -> None:
    with pytest.raises(OptionError, match="by their names"):
        evaluate(np.zeros((3, 2)), np.zeros((3, 2)), wrong)  # type: ignore[arg-type]


def test_unknown_metric() -> None:
    with pytest.raises(UnknownNameError, match="unknown metric 'fdi': did you mean 'fid'"):
        evaluate("a", "b", ("fid", "fdi"))


def test_no_public_name_is_hidden_by_a_module() -> None:
    assert not [name for name in metrics.__all__ if isinstance(getattr(metrics, name), ModuleType)]


def test_results_as_a_frame() -> None:
    pandas = pytest.importorskip("pandas")
    real, fake = np.random.default_rng(0).normal(size=(2, 40, 4))
    scores = evaluate(real, fake, "fid,uids")
    frame = scores.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.index) == ["fid", "uids"]
    assert frame.loc["fid", "value"] == float(scores["fid"])
    assert frame.loc["uids", ["label", "better", "n"]].tolist() == ["U-IDS", "higher", 40]


def test_a_frame_without_pandas_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    real, fake = np.random.default_rng(0).normal(size=(2, 40, 4))
    with pytest.raises(MissingDependencyError, match=r"facemask-inpaint\[pandas\]"):
        evaluate(real, fake, "fid").to_frame()
