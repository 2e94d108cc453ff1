"""BiSeNet and SegFormer answer what the official code answers, with the same made-up weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facemask_inpaint.checkpoints import Source
from facemask_inpaint.errors import CheckpointError, UnknownNameError, WeightsNotFoundError
from facemask_inpaint.labels import LABEL_ORDERS
from facemask_inpaint.masks import LABEL_NAMES, reorder_label_map
from facemask_inpaint.parsing import LabelNetwork, bisenet, load_parser, segformer
from facemask_inpaint.parsing.crops import Crop
from facemask_inpaint.parsing.photos import PhotoParser, ScoredCrop
from tests.parity import recipe
from tests.parity.cases import Case

AGREEMENT = 0.998
TOLERANCE = 1e-3
SMALL: dict[str, Any] = {
    "depths": (1, 2, 3, 1),
    "widths": (32, 64, 160, 256),
    "heads": (1, 2, 5, 8),
    "head_width": 128,
}


def _bisenet(salt: str = "") -> LabelNetwork:
    tensors = recipe.official_tensors("face_parsing_bisenet", "manifest.json", salt)
    channels = LABEL_ORDERS[bisenet.ORDER].labels
    return LabelNetwork(bisenet.from_official(tensors), bisenet.RESOLUTION, channels)


def _segformer(case: Case) -> LabelNetwork:
    reduced = "small" in case.archive.name
    manifest = "manifest.small.json" if reduced else "manifest.json"
    tensors = recipe.official_tensors(case.network, manifest, case.salt)
    small = segformer.SegFormer(**SMALL) if reduced else None
    module = segformer.from_official(tensors, small)
    return LabelNetwork(module, segformer.RESOLUTION, segformer.CHANNELS)


def _answer(network: LabelNetwork, case: Case) -> tuple[ScoredCrop, tuple[int, int]]:
    photo = Image.fromarray(case.arrays["image"])
    crop = Crop.whole(photo.size)
    return ScoredCrop(crop, network.scores(crop.extract(photo, network.resolution))), photo.size


def test_bisenet_equals_the_official_answers(bisenet_case: Case) -> None:
    network = _bisenet(bisenet_case.salt)
    scored, _ = _answer(network, bisenet_case)
    expected = bisenet_case.arrays
    difference = np.abs(scored.scores[:, ::8, ::8] - expected["raw"]).max()
    assert difference <= TOLERANCE, difference
    labels = scored.scores.argmax(axis=0).astype(np.uint8)
    assert np.mean(labels == expected["labels"]) >= AGREEMENT
    reordered = reorder_label_map(expected["labels"], bisenet.ORDER)
    assert np.mean(network.ids[labels] == reordered) >= AGREEMENT


def test_segformer_equals_the_official_answers(segformer_case: Case) -> None:
    network = _segformer(segformer_case)
    scored, size = _answer(network, segformer_case)
    expected = segformer_case.arrays
    photo = Image.fromarray(expected["image"])
    pixels = network.prepare(scored.crop.extract(photo, network.resolution))[
        0, :, ::16, ::16
    ].numpy()
    assert np.abs(pixels - expected["pixels"]).max() <= 1e-5
    difference = np.abs(scored.scores[:, ::2, ::2] - expected["raw"]).max()
    assert difference <= TOLERANCE, difference
    seen = scored.crop.uncrop(scored.scores, size)
    assert seen.inside.all()
    assert np.mean(seen.channels == expected["labels"]) >= AGREEMENT


def test_bisenet_opens_its_published_form(tmp_path: Path) -> None:
    tensors = recipe.official_tensors("face_parsing_bisenet", "manifest.json")
    counters = {
        f"{key.removesuffix('.running_mean')}.num_batches_tracked": torch.tensor(7)
        for key in tensors
        if key.endswith(".running_mean")
    }
    published = tmp_path / "79999_iter.pth"
    torch.save({**tensors, **counters}, published, _use_new_zipfile_serialization=False)
    parser = load_parser("bisenet", weights=published, device="cpu")
    assert isinstance(parser, PhotoParser)
    assert parser.labels == LABEL_NAMES
    state = parser.network.module.state_dict()
    torch.testing.assert_close(state["cp.resnet.conv1.weight"], tensors["cp.resnet.conv1.weight"])


@pytest.mark.parametrize("wrapper", ["module.", "model.", "state_dict:net."])
def test_bisenet_is_found_behind_wrappers(wrapper: str, tmp_path: Path) -> None:
    tensors = recipe.official_tensors("face_parsing_bisenet", "manifest.json")
    nesting, _, prefix = wrapper.rpartition(":")
    state: dict[str, object] = {prefix + key: value for key, value in tensors.items()}
    torch.save({nesting: state} if nesting else state, tmp_path / "w.pth")
    parser = load_parser("bisenet", weights=tmp_path / "w.pth", device="cpu")
    state = parser.network.module.state_dict()
    key = "cp.resnet.conv1.weight"
    torch.testing.assert_close(state[key], tensors[key])


def test_a_file_of_another_network_is_refused() -> None:
    tensors = recipe.official_tensors("face_parsing_bisenet", "manifest.json")
    shorter = {key: value for key, value in tensors.items() if "ffm.conv1" not in key}
    with pytest.raises(CheckpointError, match=r"ffm\.conv1\.weight"):
        bisenet.from_official(shorter)
    with pytest.raises(CheckpointError, match="'strange'"):
        bisenet.from_official({**tensors, "strange": torch.zeros(1)})


def test_names_and_missing_weights_are_told_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="bisenet"):
        load_parser("bisnet")
    nowhere = (Source("manual", "https://example.org/page", "x.pth", sha256="0" * 64),)
    monkeypatch.setattr(bisenet, "load", replace(bisenet.PARSER, sources=nowhere).load)
    with pytest.raises(WeightsNotFoundError, match=r"load_parser\('bisenet', weights=FILE\)"):
        load_parser("bisenet", progress=False)


def test_the_published_file_is_pinned() -> None:
    assert {source.sha256 for source in bisenet.SOURCES} == {
        "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567"
    }
