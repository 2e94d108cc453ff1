"""The table of metrics: every entry computes something, and one entry adds a metric."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from facemask_inpaint import metrics
from facemask_inpaint.cli import main
from facemask_inpaint.errors import OptionError, UnknownNameError
from facemask_inpaint.metrics import FeatureReader, ImagePair, custom, evaluate
from facemask_inpaint.metrics.features.custom import CustomExtractor
from facemask_inpaint.metrics.features.frontends import DEFAULT, FRONT_ENDS
from facemask_inpaint.metrics.features.vision_transformers import VISION_TRANSFORMERS
from facemask_inpaint.metrics.metric import _resolved
from facemask_inpaint.metrics.table import (
    EFFICIENTNET,
    EXTRACTORS,
    METRICS,
    RANDOM_CONVOLUTIONS,
    by_extractor,
)

from . import synth
from .conftest import write_folder

LARGEST = metrics.ImageMetric(
    name="largest_error",
    label="largest error",
    better="lower",
    meaning="largest difference of two samples, 0 to 1",
    function=lambda pair: float((pair.real - pair.fake).abs().max()),
)


@pytest.fixture
def largest() -> Iterator[metrics.ImageMetric]:
    metrics.register(LARGEST)
    yield LARGEST
    METRICS.pop(LARGEST.name)


def test_every_function_of_the_table_exists() -> None:
    for row in METRICS.values():
        assert callable(_resolved(row.function))
        for part in ("interval", "prepare"):
            assert callable(_resolved(getattr(row, part, None) or row.function))


def test_extractors_are_front_ends_transformers_and_two_without_a_download() -> None:
    free = {EFFICIENTNET, RANDOM_CONVOLUTIONS}
    assert {*EXTRACTORS} == {*FRONT_ENDS, *VISION_TRANSFORMERS, *free}
    assert EXTRACTORS[0] == DEFAULT
    with pytest.raises(UnknownNameError, match="unknown feature extractor 'styelgan'"):
        metrics.open_extractor("styelgan")


def test_the_table_is_read_without_torch() -> None:
    code = "import sys; import facemask_inpaint.metrics.table; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_are_found_with_hole_and_extractor() -> None:
    assert metrics.find_metric("lpips_hole").needs == {"pairs", "mask"}
    assert metrics.find_metric("kid@clean").name == "kid@clean"
    with pytest.raises(UnknownNameError, match="psnr_hole"):
        metrics.find_metric("psnr_hoel")


@pytest.mark.parametrize("name", ["fid", "two words", "edge_hole", "fid@x"])
def test_names_that_would_be_ambiguous_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match=name):
        metrics.register(replace(LARGEST, name=name))


def test_one_entry_is_a_metric_of_evaluate_and_its_command(
    tmp_path: Path, largest: metrics.ImageMetric
) -> None:
    real, fake = write_folder(tmp_path / "real", 3), write_folder(tmp_path / "fake", 3, "x")
    mask = np.zeros((24, 20), bool)
    mask[3:9, 4:8] = True
    results = evaluate(real, fake, largest.name, mask)
    assert list(results) == ["largest_error", "largest_error_hole"]
    assert results["largest_error"].label == "largest error"
    assert results["largest_error_hole"].label == "largest error (hole)"
    table = tmp_path / "table.csv"
    arguments = ["evaluate", real, fake, "--metrics", largest.name, "--csv", table]
    called = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert called.exit_code == 0, called.output
    assert f"largest error {float(results['largest_error']):.6g} (n = 3)" in called.output
    assert table.read_text().splitlines()[1].startswith("largest_error,")


def test_an_undefined_value_stays_out_of_the_mean() -> None:
    real, fake = synth.pictures(3, 16, 16), synth.pictures(3, 16, 16, "x")
    fake[1] = real[1]

    def ratio(pair: ImagePair) -> float | None:
        error = float((pair.real - pair.fake).abs().max())
        return 1 / error if error else None

    metric = replace(LARGEST, function=ratio)
    (result,) = metrics.PairReader("cpu", progress=False).measure(real, fake, [metric]).values()
    assert np.isnan(result.values[1])
    assert float(result) == pytest.approx((result.values[0] + result.values[2]) / 2)
    assert result.warnings == ("largest error is not defined for 1 pairs",)


def test_the_hole_alone_can_be_asked_for() -> None:
    real, fake = synth.pictures(3, 24, 20), synth.pictures(3, 24, 20, "x")
    mask = np.eye(24, 20) > 0
    assert list(evaluate(real, fake, "psnr_hole,l1", mask)) == ["psnr_hole", "l1", "l1_hole"]
    with pytest.raises(OptionError, match="psnr_hole needs masks"):
        evaluate(real, fake, "psnr_hole")


def test_what_only_a_benchmark_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(LARGEST, needs=frozenset({"pairs", "label map"}))
    monkeypatch.setitem(METRICS, LARGEST.name, row)
    images = synth.pictures(3, 24, 20)
    with pytest.raises(OptionError, match="largest_error needs a label map"):
        evaluate(images, images, LARGEST.name)


def test_several_extractors_name_their_results(cheap: CustomExtractor) -> None:
    real, fake = synth.pictures(9, 24, 20), synth.pictures(9, 24, 20, "x")
    middle = custom(lambda images: images[:, :, 8:12, 8:12].float().flatten(1), "the middle")
    readers = {
        "colour": FeatureReader(cheap, progress=False),
        "middle": FeatureReader(middle, progress=False),
    }
    results = evaluate(real, fake, "kid,l1,uids", reader=readers)
    assert list(results) == ["kid@colour", "kid@middle", "l1", "uids@colour", "uids@middle"]
    alone = evaluate(real, fake, "kid", reader=readers["middle"])
    assert float(results["kid@middle"]) == float(alone["kid"])
    assert results["kid@middle"].label == "KID (middle)"
    assert list(evaluate(real, fake, "kid", reader={"middle": readers["middle"]})) == ["kid"]


def test_a_metric_bound_to_an_extractor_keeps_to_it(cheap: CustomExtractor) -> None:
    def spread(pair: metrics.FeaturePair) -> metrics.MetricResult:
        assert pair.real.identity is not None
        assert pair.real.identity.startswith(RANDOM_CONVOLUTIONS)
        return metrics.MetricResult("spread", float(pair.fake.values.std()), pair.fake.n)

    row = metrics.FeatureMetric(
        name="spread",
        label="spread",
        better="higher",
        meaning="spread of the features",
        function=spread,
        extractor=RANDOM_CONVOLUTIONS,
    )
    assert by_extractor([row], ["a", "b"]) == {RANDOM_CONVOLUTIONS: [row]}
    metrics.register(row)
    try:
        images = synth.pictures(4, 24, 20)
        reader = FeatureReader(cheap, progress=False)
        results = evaluate(
            images, torch.from_numpy(images).movedim(-1, 1), "kid,spread", reader=reader
        )
        assert list(results) == ["kid", "spread"]
    finally:
        METRICS.pop("spread")
