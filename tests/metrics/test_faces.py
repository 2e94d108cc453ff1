"""Scores of face recognisers and landmark finders: formulas, and dlib itself where it is there."""

from __future__ import annotations

import itertools
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy.spatial.distance import cdist

from facemask_inpaint import checkpoints, metrics
from facemask_inpaint.errors import (
    CheckpointError,
    MissingDependencyError,
    OptionError,
    UnknownNameError,
)
from facemask_inpaint.metrics import FACE_NETWORKS, FeaturePair, FeatureReader, FeatureSet
from facemask_inpaint.metrics.faces import dlib_networks, facenet
from facemask_inpaint.metrics.faces.scores import compare_faces
from facemask_inpaint.metrics.pair_means import share_interval
from facemask_inpaint.metrics.table import IDENTITY_METRICS, LANDMARK_METRICS, find_metric

PORTRAITS = sorted((Path(__file__).parents[1] / "data_portraits" / "images").iterdir())
EUCLIDEAN = "made up distance=euclidean threshold=0.6"

needs_dlib = pytest.mark.skipif(
    not dlib_networks.installed(), reason="dlib is not installed: the extra [identity]"
)


def embeddings(values: NDArray[np.float64], identity: str = EUCLIDEAN) -> FeatureSet:
    names = tuple(f"{row}" for row in range(len(values)))
    return FeatureSet(torch.from_numpy(values), names, names, identity=identity)


def of_pair(name: str, real: FeatureSet, fake: FeatureSet) -> metrics.MetricResult | None:
    row = find_metric(name)
    assert isinstance(row, metrics.FeatureMetric)
    return row(FeaturePair(real, fake))


@pytest.fixture
def pair() -> FeaturePair:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(50, 8))
    fake = real + rng.normal(size=(50, 8))
    fake[3] = 0  # no face found in a prediction
    real[7] = 0  # nor in an original
    return FeaturePair(embeddings(real), embeddings(fake))


def test_identity_scores_are_those_of_scipy(pair: FeaturePair) -> None:
    real, fake = (side.values.numpy() for side in (pair.real, pair.fake))
    compared = compare_faces(pair)
    kept = [row for row in range(50) if row not in (3, 7)]
    apart = cdist(fake, real)
    assert np.allclose(compared.distance[kept], np.diagonal(apart)[kept], atol=1e-12)
    assert np.allclose(compared.cosine[kept], np.diagonal(cdist(fake, real, "cosine"))[kept])
    assert np.isnan(compared.distance[[3, 7]]).all()
    apart[:, 7] = np.inf
    nearest = apart.argmin(axis=1) == np.arange(50)
    assert (compared.reidentified[kept] == nearest[kept]).all()
    assert compared.reidentified[3] == compared.recognised[3] == 0
    assert np.isnan(compared.reidentified[7])
    result = of_pair("reidentified", pair.real, pair.fake)
    assert result is not None
    assert result.n == 49
    assert result.value == pytest.approx(nearest[kept].sum() / 49)
    assert len(result.warnings) == 2


def test_the_interval_of_a_share_is_wilsons() -> None:
    low, high = share_interval(5, 10, 0.95) or (0, 0)
    assert (low, high) == pytest.approx((0.2366, 0.7634), abs=1e-4)  # Newcombe 1998, method 3
    assert share_interval(0, 0, 0.95) is None
    row = find_metric("recognised")
    assert isinstance(row, metrics.FeatureMetric)
    same = embeddings(np.eye(10))
    assert row.confidence_interval(FeaturePair(same, same), 0.95) == share_interval(10, 10, 0.95)


def test_a_cosine_threshold_of_ones_own_is_used() -> None:
    real = embeddings(np.array([[1.0, 0], [0, 2]]), "net distance=cosine threshold=0.2")
    fake = embeddings(np.array([[3.0, 1], [1, 1]]), "net distance=cosine threshold=0.2")
    compared = compare_faces(FeaturePair(real, fake))
    assert compared.distance == pytest.approx([1 - 3 / 10**0.5, 1 - 0.5**0.5])
    assert compared.recognised.tolist() == [1, 0]


def test_parts_of_a_stream_join_to_the_same_numbers(pair: FeaturePair) -> None:
    """As two ranks share a set: the features of both halves, joined, are those of the whole."""
    function = torch.nn.Flatten()
    recogniser = metrics.embedder(function, "pixels", threshold=1.0, distance="euclidean")
    reader = FeatureReader(recogniser, progress=False)
    images = np.random.default_rng(1).integers(0, 256, (2, 9, 4, 4, 3), np.uint8)
    whole = metrics.identity(*images, recogniser)
    halves = [
        [reader.read(iter(side[start:stop])) for start, stop in ((0, 4), (4, 9))] for side in images
    ]
    joined = [
        FeatureSet(
            torch.cat([part.values for part in parts]),
            tuple(map(str, range(9))),
            (None,) * 9,
            identity=parts[0].identity,
        )
        for parts in halves
    ]
    again = metrics.identity(*joined, recogniser)
    assert {name: float(result) for name, result in again.items()} == {
        name: float(result) for name, result in whole.items()
    }


def test_landmark_errors_are_in_distances_of_the_outer_eye_corners() -> None:
    rng = np.random.default_rng(0)
    real = rng.uniform(0, 256, (4, 68, 2))
    fake = real.copy()
    fake[:, 48:68] += (3, 4)  # the mouth by 5 pixels
    fake[2] = 0
    sides = [
        embeddings(points.reshape(4, 136), "landmarks of a network") for points in (real, fake)
    ]
    scale = np.linalg.norm(real[:, 36] - real[:, 45], axis=1)[[0, 1, 3]]
    mouth, overall, eyes, found = (
        of_pair(name, *sides)
        for name in ("landmark_error_mouth", "landmark_error", "landmark_error_eyes", "faces_found")
    )
    assert mouth is not None
    assert overall is not None
    assert float(mouth) == pytest.approx((5 / scale).mean())
    assert float(overall) == pytest.approx((5 / scale * 20 / 68).mean())
    assert eyes is not None
    assert found is not None
    assert (float(eyes), float(found), found.n) == (0, 0.75, 4)


def test_five_points_have_no_mouth() -> None:
    points = embeddings(np.random.default_rng(0).uniform(0, 9, (2, 10)), "five points")
    assert of_pair("landmark_error_mouth", points, points) is None
    assert of_pair("landmark_error_nose", points, points) is not None


def test_features_of_other_networks_are_refused(pair: FeaturePair) -> None:
    other = embeddings(np.eye(4), "inception-2015")
    with pytest.raises(OptionError, match="no embeddings of faces"):
        of_pair("recognised", other, other)
    with pytest.raises(OptionError, match="no landmarks"):
        of_pair("landmark_error", other, other)
    with pytest.raises(OptionError, match="different extractors"):
        of_pair("recognised", other, pair.fake)


def test_bad_arguments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="above 0"):
        metrics.embedder(torch.flatten, "net", threshold=0)
    with pytest.raises(UnknownNameError, match="dlib"):
        metrics.open_extractor("dlibb")
    monkeypatch.setattr(dlib_networks, "installed", lambda: False)
    with pytest.raises(MissingDependencyError, match=r"facemask-inpaint\[identity\]"):
        metrics.open_extractor("dlib")


def test_cards_say_what_a_user_has_to_know() -> None:
    for card in FACE_NETWORKS.values():
        assert card.licence
        assert card.framing
        assert all(source.sha256 for source in card.files) or "no hash" in card.note
        assert (card.threshold is not None) == (card.task == "embedding")
    assert not FACE_NETWORKS["dlib-68"].commercial_use


@needs_dlib
def test_a_face_is_itself_its_mirror_is_near_and_another_person_is_far() -> None:
    images = [Image.open(path).convert("RGB") for path in PORTRAITS[:4]]
    itself = metrics.identity(images, images)
    mirrored = metrics.identity(images, [ImageOps.mirror(image) for image in images])
    others = metrics.identity(images, images[1:] + images[:1])
    assert set(itself) == set(IDENTITY_METRICS)
    assert float(itself["identity_distance"]) == float(itself["identity_cosine"]) == 0
    assert float(mirrored["identity_distance"]) < 0.25
    assert float(mirrored["reidentified"]) == float(mirrored["recognised"]) == 1
    assert float(others["identity_distance"]) > 0.6
    assert float(others["reidentified"]) == 0


@needs_dlib
def test_embeddings_are_dlibs_own() -> None:
    dlib = pytest.importorskip("dlib")
    extractor = metrics.open_extractor("dlib")
    recogniser, five_points = (
        str(dlib_networks._checked_file(source)) for source in FACE_NETWORKS["dlib"].files
    )
    pixels = np.asarray(Image.open(PORTRAITS[0]).convert("RGB"))
    box = dlib.get_frontal_face_detector()(pixels, 0)[0]
    shape = dlib.shape_predictor(five_points)(pixels, box)
    network = dlib.face_recognition_model_v1(recogniser)
    expected = np.array(network.compute_face_descriptor(pixels, shape))
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
    grey = torch.full_like(image, 128)
    found, nothing = extractor(extractor.prepare(torch.cat([image, grey])))
    assert np.allclose(found.numpy(), expected, atol=1e-6)
    assert not nothing.any()


@needs_dlib
@pytest.mark.skipif(
    find_spec("facenet_pytorch") is None,
    reason="facenet-pytorch is not installed: pip install --no-deps facenet-pytorch",
)
def test_facenet_is_the_packages_network_without_torchvision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = FACE_NETWORKS["facenet-vggface2"]
    torch.manual_seed(0)
    network = facenet.architecture(card.install)().eval()
    weights = network.state_dict() | {"logits.weight": torch.zeros(3, 512)}
    torch.save(weights, tmp_path / "facenet.pt")
    monkeypatch.setattr(checkpoints, "fetch", lambda sources: tmp_path / "facenet.pt")
    extractor = metrics.open_extractor("facenet-vggface2", "cpu")
    image = torch.from_numpy(np.array(Image.open(PORTRAITS[0]).convert("RGB")))
    batch = image.permute(2, 0, 1)[None]
    prepared = extractor.prepare(torch.cat([batch, torch.full_like(batch, 128)]))
    found, nothing = extractor(prepared)
    with torch.no_grad():
        expected = network((prepared[:1] - 127.5) / 128)[0]
    assert torch.allclose(found, expected, atol=1e-5)
    assert not nothing.any()
    assert "torchvision" not in sys.modules
    torch.save({"other": torch.zeros(1)}, tmp_path / "facenet.pt")
    with pytest.raises(CheckpointError, match="not the weights of FaceNet"):
        metrics.open_extractor("facenet-vggface2", "cpu")


@needs_dlib
def test_both_landmark_finders_agree_on_the_corners_of_the_eyes() -> None:
    image = torch.from_numpy(np.array(Image.open(PORTRAITS[0]).convert("RGB")))
    batch = image.permute(2, 0, 1)[None]
    points = {
        name: metrics.open_extractor(name).prepare(batch).reshape(-1, 2)
        for name in ("dlib-68", "dlib-5")
    }
    corners = points["dlib-68"][[45, 42, 36, 39]]
    scale = float((corners[0] - corners[2]).norm())
    assert float((points["dlib-5"][:4] - corners).norm(dim=1).max()) < 0.1 * scale
    left_of = itertools.pairwise(points["dlib-68"][[36, 39, 42, 45], 0].tolist())
    assert all(first < second for first, second in left_of)
    scores = metrics.landmarks([image.numpy()], [image.numpy()], "dlib-5")
    assert set(scores) < set(LANDMARK_METRICS)
    assert float(scores["landmark_error"]) == 0
