from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from facemask_inpaint import data
from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks import AdaptiveMaskSampler, MixedMaskSampler


def shares(sampler: MixedMaskSampler, draws: int = 400) -> dict[str, float]:
    labels = data.sample(256).label_map
    names = [str(sampler(labels, index=i).mask_class or "random") for i in range(draws)]
    return {name: names.count(name) / draws for name in set(names)}


def test_before_any_error_it_is_a_mixed_sampler() -> None:
    labels = data.sample(256).label_map
    plain, adaptive = MixedMaskSampler(64, seed=4), AdaptiveMaskSampler(64, seed=4)
    for index in range(20):
        first, second = plain(labels, index=index), adaptive(labels, index=index)
        assert np.array_equal(first.mask, second.mask)


def test_what_is_harder_is_drawn_more_often() -> None:
    sampler = AdaptiveMaskSampler(64, 0.5, classes="eyes,nose,hair")
    sampler.on_validation({"eyes": 0.05, "nose": 0.05, "hair": 0.2, "random": 0.1})
    found = shares(sampler)
    assert found["hair"] > 2.5 * found["nose"]
    assert sampler.semantic_probability == pytest.approx(0.5)
    sampler.on_validation({"eyes": 0.05, "nose": 0.05, "hair": 0.2, "random": 0.4})
    assert sampler.semantic_probability == pytest.approx(0.2)


def test_errors_act_on_the_first_weights_not_on_the_last() -> None:
    sampler = AdaptiveMaskSampler(64, classes="eyes,hair", class_weights={"eyes": 2, "hair": 1})
    for _ in range(3):
        sampler.on_validation({"eyes": 0.1, "hair": 0.1})
    assert sampler.class_weights == [2, 1]


def test_a_kind_that_is_never_drawn_stays_so() -> None:
    sampler = AdaptiveMaskSampler(64, 1.0)
    sampler.on_validation({"eyes": 0.1, "hair": 0.1, "random": 0.9})
    assert sampler.semantic_probability == 1.0


def test_the_state_comes_back() -> None:
    first, second = AdaptiveMaskSampler(64), AdaptiveMaskSampler(64)
    first.on_validation({"eyes": 0.3, "hair": 0.1, "random": 0.3})
    second.load_state_dict(first.state_dict())
    assert shares(first, 50) == shares(second, 50)


def test_a_state_goes_by_the_names_of_classes() -> None:
    first = AdaptiveMaskSampler(64, classes="eyes,hair")
    first.on_validation({"eyes": 0.3, "hair": 0.1})
    second = AdaptiveMaskSampler(64, classes="hair,eyes")
    second.load_state_dict(first.state_dict())
    assert second.class_weights == first.class_weights[::-1]


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"class_weights": {"eyes": 1.0}, "semantic_probability": 0.5},
        {"class_weights": {"eyes": 1.0, "nose": 1.0}, "semantic_probability": 0.5},
        {"class_weights": {"eyes": 1.0, "hair": -2.0}, "semantic_probability": 0.5},
        {"class_weights": {"eyes": 1.0, "hair": 3.0}, "semantic_probability": 5},
        {"class_weights": {"eyes": 1.0, "hair": 3.0}},
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(state: dict[str, Any]) -> None:
    sampler = AdaptiveMaskSampler(64, classes="eyes,hair")
    with pytest.raises(OptionError):
        sampler.load_state_dict(state)
    assert (sampler.class_weights, sampler.semantic_probability) == ([1.0, 1.0], 0.5)


@pytest.mark.parametrize("error", [0.0, -1.0, float("nan"), float("inf")])
def test_errors_must_be_positive(error: float) -> None:
    with pytest.raises(OptionError, match="positive"):
        AdaptiveMaskSampler(64).on_validation({"eyes": error})


def test_a_schedule_is_refused() -> None:
    with pytest.raises(OptionError, match="schedule"):
        AdaptiveMaskSampler(64, schedule=(0.0, 1.0, 5))
