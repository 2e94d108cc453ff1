"""Metrics that grow batch by batch, alone and as metrics of torchmetrics."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import torch

from facemask_inpaint.errors import OptionError, UnknownNameError
from facemask_inpaint.metrics import FeatureReader, accumulation, discriminative, evaluate
from facemask_inpaint.metrics.features.custom import CustomExtractor

from . import synth

REAL, FAKE = synth.features(90, 8, 1), synth.features(90, 8, 2, shift=0.1)


@pytest.fixture(params=["alone", "torchmetrics"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The classes, made without torchmetrics or with it."""
    if request.param == "torchmetrics":
        pytest.importorskip("torchmetrics")
    else:
        monkeypatch.setitem(sys.modules, "torchmetrics", None)
    yield importlib.reload(accumulation)
    monkeypatch.undo()
    importlib.reload(accumulation)


def filled(score: accumulation.FeatureScore, size: int = 40) -> accumulation.FeatureScore:
    for start in range(0, 90, size):
        score.update(torch.from_numpy(REAL[start : start + size]), real=True)
        score.update(FAKE[start : start + size], real=False)
    return score


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("FrechetInceptionDistance", "fid"),
        ("KernelInceptionDistance", "kid"),
        ("PairedInceptionDiscriminativeScore", "pids"),
        ("UnpairedInceptionDiscriminativeScore", "uids"),
    ],
)
def test_batches_give_what_all_images_give(module: ModuleType, name: str, metric: str) -> None:
    score = filled(getattr(module, name)())
    expected = evaluate(REAL, FAKE, metric)[metric]
    assert float(score.compute()) == pytest.approx(float(expected), rel=1e-12)
    assert score.result is not None
    assert score.result.warnings == expected.warnings
    assert score.higher_is_better is (metric in ("pids", "uids"))
    score.reset()
    with pytest.raises(OptionError, match="no real images yet"):
        score.compute()


def test_any_metric_of_features(module: ModuleType) -> None:
    for metric in ("precision", "density", "cmmd", "fid_infinity"):
        expected = float(evaluate(REAL, FAKE, metric, reader=FeatureReader())[metric])
        assert float(filled(module.FeatureScore(metric)).compute()) == pytest.approx(expected)


def test_images_become_features(module: ModuleType, cheap: CustomExtractor) -> None:
    images = torch.from_numpy(synth.pictures(6, 24, 20)).movedim(-1, 1)
    reader = FeatureReader(cheap, progress=False)
    score = module.KernelInceptionDistance(reader=reader)
    score.update(images, real=True)
    score.update(images.flip(-1)[:4], real=False)
    expected = evaluate(images, images.flip(-1)[:4], "kid", reader=reader)["kid"]
    assert float(score.compute()) == pytest.approx(float(expected))
    assert score.result is not None
    assert score.result.provenance["extractor"] == cheap.identity


def test_refusals(module: ModuleType) -> None:
    with pytest.raises(OptionError, match="psnr is computed from pairs of images"):
        module.FeatureScore("psnr")
    with pytest.raises(UnknownNameError, match="fid"):
        module.FeatureScore("fidd")
    score = module.FeatureScore("precision")
    score.update(REAL[:3], real=True)
    score.update(FAKE[:3], real=False)
    with pytest.raises(OptionError, match="precision needs 6 images a side"):
        score.compute()
    with pytest.raises(OptionError, match="features of width 5 among features of width 8"):
        score.update(FAKE[:3, :5], real=False)


@pytest.mark.parametrize("metric", ["pids", "recognised", "landmark_error"])
def test_pairs_that_are_none_are_refused_by_their_numbers(module: ModuleType, metric: str) -> None:
    score = module.FeatureScore(metric, reader=FeatureReader(progress=False))
    score.update(REAL[:60], real=True)
    score.update(FAKE[:50], real=False)
    with pytest.raises(OptionError, match="60 real images cannot be paired with 50 fake"):
        score.compute()


def test_pictures_do_not_mix_with_features_of_another_width(
    module: ModuleType, cheap: CustomExtractor
) -> None:
    score = module.FrechetInceptionDistance(reader=FeatureReader(cheap, progress=False))
    score.update(REAL, real=True)
    with pytest.raises(OptionError, match="give all batches as images, or as features of one"):
        score.update(synth.pictures(6, 24, 20), real=False)


def test_a_collection_computes_features_and_fits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torchmetrics = pytest.importorskip("torchmetrics")
    read, fits = [], []

    class Counting(FeatureReader):
        def read(self, *args: object, **more: object) -> object:  # type: ignore[override]
            read.append(1)
            return super().read(*args, **more)  # type: ignore[arg-type]

    fit = discriminative._fit
    monkeypatch.setattr(discriminative, "_fit", lambda *args: fits.append(1) or fit(*args))
    reader = Counting(progress=False)
    collection = torchmetrics.MetricCollection(
        [
            accumulation.FrechetInceptionDistance(reader=reader),
            accumulation.PairedInceptionDiscriminativeScore(reader=reader),
            accumulation.UnpairedInceptionDiscriminativeScore(reader=reader),
        ]
    )
    noisy = FAKE + np.float32(0.01)
    for start in range(0, 90, 30):
        collection.update(torch.from_numpy(REAL[start : start + 30]), real=True)
        collection.update(torch.from_numpy(noisy[start : start + 30]), real=False)
    scores = collection.compute()
    expected = evaluate(REAL, noisy, "fid,pids,uids")
    assert [float(score) for score in scores.values()] == pytest.approx(
        [float(result) for result in expected.values()]
    )
    assert len(fits) == 1
    assert len(read) < 3 * 6
    collection.reset()
