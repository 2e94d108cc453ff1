from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
from PIL import Image

from facemask_inpaint import data
from facemask_inpaint.errors import DataSetError
from facemask_inpaint.masks import LABEL_IDS, MixedMaskSampler, Vocabulary
from facemask_inpaint.training import Augmentation
from facemask_inpaint.training.augmentation import augment
from facemask_inpaint.training.dataset import TrainingImages, read_square


@pytest.fixture
def images(portraits) -> TrainingImages:
    augmentation = Augmentation(flip=0.5, rotation=10, colour_jitter=0.2)
    faces = data.open_faces(portraits, "train")
    return TrainingImages(faces, 64, MixedMaskSampler(64, seed=3), augmentation, seed=3)


def test_an_image_depends_on_its_position_alone(images, portraits) -> None:
    again = TrainingImages(
        data.open_faces(portraits, "train"),
        64,
        MixedMaskSampler(64, seed=3),
        images.augmentation,
        seed=3,
    )
    for position in (9, 2, 5):
        first, second = images[position], again[position]
        assert torch.equal(first.image, second.image)
        assert torch.equal(first.hole, second.hole)
        assert first.keys == second.keys


def test_every_epoch_has_every_image_once_in_another_order(images) -> None:
    epochs = [[images[4 * e + i].keys[0] for i in range(4)] for e in range(4)]
    assert all(sorted(epoch) == sorted(epochs[0]) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_workers_change_nothing(images) -> None:
    positions = [[0, 1], [2, 3], [4, 5]]
    for alone, helped in zip(images.batches(positions), images.batches(positions, workers=2)):
        assert torch.equal(alone.image, helped.image)
        assert torch.equal(alone.hole, helped.hole)
        assert alone.classes == helped.classes


def test_a_mirrored_image_has_left_and_right_exchanged(portraits) -> None:
    image, labels = read_square(data.open_faces(portraits)[0], 64)
    always = Augmentation(flip=1.0)
    mirrored, swapped = augment(image, labels, always, np.random.default_rng(0))
    assert torch.equal(mirrored, image.flip(-1))
    left, right = LABEL_IDS["l_eye"], LABEL_IDS["r_eye"]
    assert np.array_equal(swapped == left, (labels == right)[:, ::-1])


def test_image_and_label_map_turn_together() -> None:
    side = 64
    labels = np.zeros((side, side), np.uint8)
    labels[10:20, 40:54] = LABEL_IDS["hair"]
    image = torch.from_numpy(labels > 0).float().expand(3, -1, -1)
    turned, ids = augment(
        image, labels, Augmentation(flip=0, rotation=40), np.random.default_rng(1)
    )
    assert not np.array_equal(ids, labels)
    agreement = ((turned[0].numpy() > 0.5) == (ids > 0)).mean()
    assert agreement > 0.99


def test_a_portrait_that_is_not_square_is_refused(tmp_path) -> None:
    path = tmp_path / "wide.png"
    Image.new("RGB", (40, 30)).save(path)
    with pytest.raises(DataSetError, match="40 x 30"):
        read_square(data.Face("wide", path), 32)


def test_a_label_map_of_another_shape_is_refused(portraits, tmp_path) -> None:
    face = data.open_faces(portraits)[0]
    path = tmp_path / "wide.png"
    Image.open(face.label_map).resize((216, 108), Image.Resampling.NEAREST).save(path)
    wide = dataclasses.replace(face, label_map=path)
    with pytest.raises(DataSetError, match="216 x 216, its label map 216 x 108: they do not show"):
        read_square(wide, 64)
    (problem,) = data.check(data.Faces("one", (wide,)), progress=False).problems
    with pytest.raises(DataSetError, match=re.escape(problem.message)):
        read_square(wide, 64)


def test_without_label_maps_any_vocabulary_will_do(portraits) -> None:
    numbered = Vocabulary("numbered", {"wing": 1, "beak": 2}, {})
    faces = data.labelled_folder(portraits, label_maps=None, vocabulary=numbered)
    sampler, always = MixedMaskSampler(64, semantic_probability=0), Augmentation(flip=1)
    batch = TrainingImages(faces, 64, sampler, always, seed=0, label_maps=False)[0]
    assert batch.hole.any()
    assert batch.classes == ("",)
