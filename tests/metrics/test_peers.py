"""The published tools themselves, on the same pictures and features, where they are installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from facemask_inpaint.metrics import InceptionExtractor, fid, kid

from . import synth

X = synth.features(1500, 64, 1)
Y = synth.features(1300, 64, 2, shift=0.1)


def peer(module: str) -> ModuleType:
    # They need torchvision, which raises RuntimeError when it does not fit its PyTorch.
    try:
        return pytest.importorskip(module, reason=f"{module} is not usable here")
    except RuntimeError as error:
        pytest.skip(f"{module} is not usable here: {error}")


def pictures() -> Tensor:
    return torch.from_numpy(synth.pictures(2, 218, 178)).permute(0, 3, 1, 2)


def ours(front_end: str, weights: Path) -> Tensor:
    extractor = InceptionExtractor(front_end, weights=weights, device="cpu")
    return extractor(extractor.prepare(pictures()))


def test_features_of_pytorch_fid(
    inception_tensors: Mapping[str, Tensor],
    inception_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = peer("pytorch_fid.inception")
    monkeypatch.setattr(
        module, "load_state_dict_from_url", lambda *_, **__: dict(inception_tensors)
    )
    network = module.InceptionV3([3]).eval()
    with torch.inference_mode():
        expected = network(pictures() / 255)[0].flatten(1)
    torch.testing.assert_close(ours("pytorch_fid", inception_file), expected, rtol=0, atol=1e-4)


def test_features_of_torch_fidelity(inception_file: Path) -> None:
    module = peer("torch_fidelity.feature_extractor_inceptionv3")
    network = module.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(inception_file)
    )
    with torch.inference_mode():
        (expected,) = network(pictures())
    torch.testing.assert_close(ours("torch_fidelity", inception_file), expected, rtol=0, atol=1e-4)


def test_fid_of_pytorch_fid() -> None:
    module = peer("pytorch_fid.fid_score")
    moments = [part for side in (X, Y) for part in (side.mean(0, np.float64), np.cov(side.T))]
    assert float(fid(X, Y)) == pytest.approx(module.calculate_frechet_distance(*moments), rel=1e-9)


def test_fid_and_kid_of_torch_fidelity() -> None:
    module = peer("torch_fidelity.metric_fid")
    sides = [module.fid_features_to_statistics(torch.from_numpy(side)) for side in (X, Y)]
    theirs = module.fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"]
    assert float(fid(X, Y)) == pytest.approx(theirs, abs=1e-6)
    kernel = peer("torch_fidelity.metric_kid").kid_features_to_metric(
        torch.from_numpy(X), torch.from_numpy(Y), kid_subsets=10, verbose=False
    )
    found = kid(X, Y, subsets=10)
    # Their kernel is in float32.
    assert float(found) == pytest.approx(kernel["kernel_inception_distance_mean"], rel=1e-4)
    assert found.std == pytest.approx(kernel["kernel_inception_distance_std"], rel=1e-2)
