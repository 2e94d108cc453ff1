"""Mixed sampling: a pure function of seed, epoch and index, in the frequencies asked for."""

from __future__ import annotations

import pickle
import random
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from facemask_inpaint.errors import LabelMapError, OptionError, UnknownNameError
from facemask_inpaint.masks import (
    LABEL_IDS,
    Annotation,
    LinearSchedule,
    MaskClass,
    MixedMaskSampler,
    SemanticMasker,
    freeform,
    resize_hole,
)

SIZE = 64
BLANK = np.zeros((SIZE, SIZE), np.uint8)


def sampler_of(*, random="rectangle", **options):
    return MixedMaskSampler(SIZE, random=random, **options)


def draw(sampler, labels, count, epoch=0):
    return [sampler(labels, index=index, epoch=epoch) for index in range(count)]


def masks(samples):
    return np.stack([sample.mask for sample in samples])


@settings(deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 10**6), st.integers(0, 10**9))
def test_draws_depend_on_seed_epoch_and_index_alone(seed: int, epoch: int, index: int) -> None:
    labels = np.arange(SIZE * SIZE, dtype=np.uint8).reshape(SIZE, SIZE) % 19
    first = sampler_of(seed=seed)(labels, index=index, epoch=epoch)
    other = sampler_of(seed=seed)
    draw(other, labels, 3)
    again = other(labels, index=np.int64(index), epoch=epoch)
    assert (first.kind, first.mask_class) == (again.kind, again.mask_class)
    np.testing.assert_array_equal(first.mask, again.mask)


def test_seeds_epochs_and_indices_give_other_masks(labels: np.ndarray) -> None:
    variants = [
        masks(draw(sampler_of(random="mat"), labels, 40)),
        masks(draw(sampler_of(random="mat"), labels, 40, epoch=1)),
        masks(draw(sampler_of(random="mat", seed=1), labels, 40)),
    ]
    for number, one in enumerate(variants):
        assert len(np.unique(one.reshape(40, -1), axis=0)) > 15
        for other in variants[:number]:
            assert not np.array_equal(one, other)


def test_global_random_states_do_not_move(labels: np.ndarray) -> None:
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    draw(sampler_of(random="mat"), labels, 10)
    assert states() == before


def test_samplers_pickle(labels: np.ndarray) -> None:
    sampler = sampler_of(
        random=freeform.with_hole_ratio(freeform.mat, 0.1, 0.6),
        classes="A-D",
        schedule=(0.2, 0.8, 3),
        bank=[labels],
    )
    copy = pickle.loads(pickle.dumps(sampler))
    for epoch in range(3):
        np.testing.assert_array_equal(
            masks(draw(copy, None, 10, epoch)), masks(draw(sampler, None, 10, epoch))
        )


def test_semantic_masks_are_the_maskers(labels: np.ndarray) -> None:
    masker = SemanticMasker(2)
    for sample in draw(sampler_of(semantic_probability=1.0, masker=masker), labels, 40):
        assert sample.kind == "semantic"
        assert isinstance(sample.mask_class, MaskClass)
        np.testing.assert_array_equal(sample.mask, masker(labels, sample.mask_class))


@pytest.mark.parametrize("size", [40, 100])
def test_no_component_pixel_is_lost_in_another_size(labels: np.ndarray, size: int) -> None:
    sampler = MixedMaskSampler(size, 1.0, classes="A-H", masker=SemanticMasker(1))
    for sample in draw(sampler, labels, 20):
        exact = np.isin(labels, sample.mask_class.label_ids)
        assert sample.mask.shape == (size, size)
        assert sample.mask[resize_hole(exact, size)].all()


def test_random_masks_are_the_generators(labels: np.ndarray) -> None:
    samples = draw(sampler_of(semantic_probability=0.0, random="half"), labels, 20)
    assert {(sample.kind, sample.mask_class) for sample in samples} == {("random", None)}
    assert (masks(samples).mean(axis=(1, 2)) == 0.5).all()

    def corner(size, rng):
        hole = np.zeros((size, size), bool)
        hole[: 1 + rng.integers(4)] = True
        return hole

    own = masks(draw(sampler_of(semantic_probability=0.0, random=corner), labels, 20))
    assert set(own.sum(axis=(1, 2)) // SIZE) == {1, 2, 3, 4}


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_kinds_come_as_often_as_asked(labels: np.ndarray, probability: float) -> None:
    samples = draw(sampler_of(semantic_probability=probability), labels, 1000)
    semantic = sum(sample.kind == "semantic" for sample in samples)
    assert stats.binomtest(semantic, 1000, probability).pvalue > 0.01


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (None, {"eyes": 1, "nose": 1, "hair": 1, "face": 1}),
        ({"hair": 3, "A": 1, "nose": 2}, {"eyes": 1, "nose": 2, "hair": 3, "face": 1}),
        ({"hair": 3, "face": 0}, {"eyes": 1, "nose": 1, "hair": 3}),
    ],
)
def test_classes_come_in_their_frequencies(
    labels: np.ndarray, weights: dict[str, float] | None, expected: Any
) -> None:
    sampler = sampler_of(semantic_probability=1.0, classes="eyes,D,G,I", class_weights=weights)
    seen = Counter(sample.mask_class for sample in draw(sampler, labels, 1200))
    assert seen.keys() == expected.keys()
    share = np.array(list(expected.values())) / sum(expected.values())
    assert stats.chisquare([seen[name] for name in expected], 1200 * share).pvalue > 0.01


def without_ears_and_nose(labels):
    return np.where(np.isin(labels, (2, 8, 9)), LABEL_IDS["skin"], labels).astype(np.uint8)


def test_absent_classes_are_drawn_again_by_the_weights_of_the_others(labels: np.ndarray) -> None:
    sampler = sampler_of(
        semantic_probability=1.0,
        classes="eyes,nose,ears,hair",
        class_weights={"ears": 5, "hair": 3},
    )
    samples = draw(sampler, without_ears_and_nose(labels), 800)
    seen = Counter(sample.mask_class for sample in samples)
    assert seen.keys() == {"hair", "eyes"}
    assert stats.chisquare([seen["hair"], seen["eyes"]], [600, 200]).pvalue > 0.01


def test_absent_classes_may_give_random_masks_instead(labels: np.ndarray) -> None:
    sampler = sampler_of(semantic_probability=1.0, classes="F,G", missing="random")
    seen = Counter(s.mask_class for s in draw(sampler, without_ears_and_nose(labels), 800))
    assert seen.keys() == {"hair", None}
    assert stats.binomtest(seen["hair"], 800, 0.5).pvalue > 0.01


def test_images_without_any_class_get_random_masks_and_say_so() -> None:
    for missing in ("redraw", "random"):
        samples = draw(sampler_of(semantic_probability=1.0, missing=missing), BLANK, 20)
        assert {(sample.kind, sample.mask_class) for sample in samples} == {("random", None)}


def test_a_class_that_leaves_nothing_known_gives_a_random_mask() -> None:
    samples = draw(sampler_of(semantic_probability=1.0), np.full_like(BLANK, 13), 5)
    assert {sample.kind for sample in samples} == {"random"}
    assert not masks(samples).all(axis=(1, 2)).any()


def test_whether_a_mask_is_semantic_does_not_change_the_random_ones(labels: np.ndarray) -> None:
    """An image keeps its random mask whatever label map it has."""
    sampler = sampler_of(random="mat")
    for with_labels, without in zip(draw(sampler, labels, 30), draw(sampler, BLANK, 30)):
        if with_labels.kind == "random":
            np.testing.assert_array_equal(with_labels.mask, without.mask)


# The bank


def test_the_bank_lends_to_images_without_label_maps(labels: np.ndarray) -> None:
    bank = [np.where(BLANK == 0, 0, 0).astype(np.uint8) for _ in range(3)]
    for number, label_map in enumerate(bank):
        label_map[: 8 * (number + 1)] = LABEL_IDS["hair"]
    sampler = sampler_of(semantic_probability=1.0, bank=bank, masker=SemanticMasker(0))
    lent = Counter(int(hole.sum()) // (8 * SIZE) for hole in masks(draw(sampler, None, 600)))
    assert lent.keys() == {1, 2, 3}
    assert stats.chisquare(list(lent.values())).pvalue > 0.01
    own = draw(sampler, labels, 5)
    assert all(np.array_equal(s.mask, SemanticMasker(0)(labels, s.mask_class)) for s in own)


def test_the_bank_may_hold_paths(labels: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(labels).save(tmp_path / "a.png")
    sampler = sampler_of(semantic_probability=1.0, bank=[tmp_path / "a.png"])
    (sample,) = draw(sampler, None, 1)
    assert sample.kind == "semantic"
    assert isinstance(sample.mask, np.ndarray)


def test_no_label_map_and_no_bank_is_an_error_unless_all_masks_are_random() -> None:
    with pytest.raises(LabelMapError, match="bank"):
        sampler_of(semantic_probability=0.01)(None, index=0)
    assert sampler_of(semantic_probability=0.0)(None, index=0).kind == "random"


# Schedules


def test_linear_schedules_reach_their_end_and_stay() -> None:
    schedule = LinearSchedule(0.2, 0.8, 4)
    assert [schedule(epoch) for epoch in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
    assert LinearSchedule(0.2, 0.8, 1)(0) == 0.8


def test_schedules_decide_per_epoch(labels: np.ndarray) -> None:
    for schedule in ((0.0, 1.0, 2), lambda epoch: float(epoch > 0)):
        sampler = sampler_of(schedule=schedule)
        assert {sample.kind for sample in draw(sampler, labels, 50, epoch=0)} == {"random"}
        assert {sample.kind for sample in draw(sampler, labels, 50, epoch=1)} == {"semantic"}


def test_a_schedule_outside_the_unit_interval_is_refused(labels: np.ndarray) -> None:
    with pytest.raises(OptionError, match="probability"):
        sampler_of(schedule=lambda epoch: 1.5)(labels, index=0)


# Kinds and batches


def test_torch_label_maps_give_torch_masks(labels: np.ndarray) -> None:
    sampler = sampler_of()
    for tensor_sample, sample in zip(
        draw(sampler, torch.from_numpy(labels), 10), draw(sampler, labels, 10)
    ):
        assert tensor_sample.mask.dtype == torch.bool
        np.testing.assert_array_equal(tensor_sample.mask.numpy(), sample.mask)


def test_annotations_are_label_maps_too(labels: np.ndarray) -> None:
    annotation = Annotation((SIZE, SIZE), {label: labels == label for label in np.unique(labels)})
    sampler = sampler_of(semantic_probability=1.0)
    np.testing.assert_array_equal(
        masks(draw(sampler, annotation, 10)), masks(draw(sampler, labels, 10))
    )


@pytest.mark.parametrize("as_batch", [list, np.stack, lambda m: torch.from_numpy(np.stack(m))])
def test_batches_are_their_single_masks(labels: np.ndarray, as_batch: Callable) -> None:
    sampler = sampler_of(random="mat")
    batch = sampler.batch(as_batch([labels] * 4), indices=torch.tensor([5, 2, 9, 2]), epoch=3)
    assert batch.shape == (4, 1, SIZE, SIZE)
    assert batch.dtype == torch.float32
    for mask, index in zip(batch, (5, 2, 9, 2)):
        expected = sampler(labels, index=index, epoch=3).mask
        np.testing.assert_array_equal(mask[0].numpy(), expected)


def test_batches_need_an_index_each(labels: np.ndarray) -> None:
    with pytest.raises(OptionError, match="2 label maps and 1"):
        sampler_of().batch([labels, labels], indices=[0])


def test_own_classes_are_drawn_by_name(labels: np.ndarray) -> None:
    masker = SemanticMasker(0, classes={"upper": ["l_brow", "r_brow"], "lower": ["u_lip"]})
    sampler = sampler_of(semantic_probability=1.0, masker=masker)
    assert {sample.mask_class for sample in draw(sampler, labels, 40)} == {"upper", "lower"}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"semantic_probability": 1.1}, OptionError),
        ({"seed": -1}, OptionError),
        ({"missing": "skip"}, OptionError),
        ({"bank": []}, OptionError),
        ({"masker": SemanticMasker(feather=2)}, OptionError),
        ({"class_weights": {"hair": -1, "nose": 2}}, OptionError),
        ({"classes": "hair", "class_weights": {"hair": 0}}, OptionError),
        ({"classes": "A-C", "class_weights": {"hair": 1}}, OptionError),
        ({"classes": "beard"}, UnknownNameError),
        ({"random": "lines"}, UnknownNameError),
        ({"random": None}, OptionError),
        ({"semantic_probability": "0.5"}, OptionError),
        ({"semantic_probability": float("nan")}, OptionError),
        ({"schedule": (0, 1)}, OptionError),
        ({"schedule": (0.0, 5, 3)}, OptionError),
        ({"schedule": (0.0, 1.0, 0)}, OptionError),
        ({"schedule": 0.5}, OptionError),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        sampler_of(**options)


@pytest.mark.parametrize("size", [(64, 64), 63.5, "64", 0])
def test_a_size_is_one_whole_number(size: Any) -> None:
    with pytest.raises(OptionError, match="size"):
        MixedMaskSampler(size)


@pytest.mark.parametrize("numbers", [{"index": -1}, {"index": 0, "epoch": -1}])
def test_negative_numbers_are_refused(labels: np.ndarray, numbers: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="start at 0"):
        sampler_of()(labels, **numbers)


@pytest.mark.parametrize("options", [{}, {"classes": "hair"}, {"schedule": lambda epoch: 1.0}])
def test_random_masks_for_want_of_a_class_are_said(options: dict[str, Any]) -> None:
    sampler = sampler_of(**({"semantic_probability": 1.0} | options))
    with pytest.warns(UserWarning, match="gets a random mask although semantic_probability is 1"):
        assert sampler(BLANK, index=0).kind == "random"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler_of(semantic_probability=1.0, missing="random")(BLANK, index=0)
        sampler_of(semantic_probability=0.999)(BLANK, index=0)


@pytest.mark.parametrize("shape", [(64, 40), (40, 64), (128, 127)])
def test_oblong_label_maps_are_not_squashed_without_a_word(shape: tuple[int, int]) -> None:
    labels = np.zeros(shape, np.uint8)
    labels[10:20, 10:20] = LABEL_IDS["nose"]
    sampler = sampler_of(semantic_probability=1.0, classes="nose")
    with pytest.warns(UserWarning, match="squashed into a square"):
        assert sampler(labels, index=0).kind == "semantic"
    with pytest.warns(UserWarning, match=f"{shape[1]} x {shape[0]} pixels"):
        SemanticMasker()(labels, "nose", size=SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert SemanticMasker()(labels, "nose", size=(30, 20)).shape == (30, 20)
        assert SemanticMasker()(labels, "nose").shape == shape


def test_weights_may_name_several_classes_at_once() -> None:
    sampler = MixedMaskSampler(64, classes="A-D,hair", class_weights={"hair,eyes": 3, "D": 0})
    assert dict(zip(sampler.classes, sampler.class_weights)) == {
        "eyes": 3,
        "eyebrows": 1,
        "full_mouth": 1,
        "nose": 0,
        "hair": 3,
    }


def test_a_sampler_with_fixed_probabilities_has_no_state() -> None:
    sampler = MixedMaskSampler(64, class_weights={"hair": 2})
    before = list(sampler.class_weights)
    sampler.on_validation({"hair": 0.1, "eyes": 9.0})
    sampler.load_state_dict(sampler.state_dict())
    assert sampler.class_weights == before
