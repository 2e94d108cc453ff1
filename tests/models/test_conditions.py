"""What networks can be told: declared, checked before work, refused where it is not taken."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

import facemask_inpaint as fmi
from facemask_inpaint.errors import OptionError, UnknownNameError
from facemask_inpaint.models._conditions import Condition, check_conditions
from tests.models.reduced import build

SPEC = {
    "steps": Condition(value_type=int, meaning="steps", default=20, minimum=1, maximum=1000),
    "guidance_scale": Condition(value_type=float, meaning="guidance", default=4.5, minimum=0),
    "mask_class": Condition(
        value_type=str, meaning="class", choices=("hair", "eyes"), per_image=True
    ),
    "prompt": Condition(value_type=str, meaning="text", per_image=True),
}


def test_defaults_and_single_values_are_spread_over_the_batch() -> None:
    assert check_conditions(SPEC, {"prompt": "eyes"}, 2, "net") == {
        "steps": 20,
        "guidance_scale": 4.5,
        "mask_class": [None, None],
        "prompt": ["eyes", "eyes"],
    }


def test_a_default_may_be_left_to_the_network() -> None:
    spec = {"steps": Condition(value_type=int, meaning="steps")}
    assert check_conditions(spec, {}, 1, "net") == {"steps": None}
    with pytest.raises(OptionError, match="whole number, not None"):
        check_conditions(spec, {"steps": None}, 1, "net")


def test_every_image_may_be_told_something_else() -> None:
    told = check_conditions(SPEC, {"mask_class": ["hair", None]}, 2, "net")
    assert told["mask_class"] == ["hair", None]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": 1}, "net does not take seed; it takes steps, guidance_scale"),
        ({"steps": 0}, "steps must be 1 to 1000, not 0"),
        ({"steps": 2.5}, "steps must be a whole number, not 2.5"),
        ({"steps": True}, "steps must be a whole number, not True"),
        ({"guidance_scale": float("nan")}, "guidance_scale must be 0 to inf, not nan"),
        ({"guidance_scale": "high"}, "guidance_scale must be a number"),
        ({"prompt": 3}, "prompt must be a text"),
        ({"prompt": ["a"]}, "prompt has 1 values for 2 images"),
    ],
)
def test_nonsense_is_refused_by_name(given: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        check_conditions(SPEC, given, 2, "net")


def test_an_unknown_choice_names_the_near_one() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'hair'"):
        check_conditions(SPEC, {"mask_class": "hare"}, 2, "net")


def test_a_network_without_conditions_refuses_all_of_them() -> None:
    inpainter = fmi.Inpainter.from_pretrained("harmonic", device="cpu")
    sample = fmi.data.sample(256)
    mask = fmi.SemanticMasker()(sample.label_map, "nose")
    for told in ({"mask_class": "nose"}, {"prompt": "a nose"}, {"steps": 4}):
        (name,) = told
        with pytest.raises(OptionError, match=f"harmonic does not take {name}; it takes no"):
            inpainter(sample.image, mask, **told)


@pytest.mark.parametrize("architecture", ["ldm", "latentpaint"])
def test_steps_of_latent_diffusion_change_only_their_call(architecture: str) -> None:
    network = build(architecture)
    network.eta = 1.0
    inpainter = fmi.Inpainter(network, device="cpu")
    image = fmi.data.sample(256).image.resize((64, 64))
    mask = np.zeros((64, 64), dtype=bool)
    mask[24:48, 16:40] = True
    counts: list[int] = []
    network.on_step = lambda done, total: counts.append(total)
    usual = inpainter(image, mask, strategy="pad")
    quick = inpainter(image, mask, strategy="pad", steps=2)
    assert counts == [3, 3, 3, 2, 2]
    assert usual.tobytes() != quick.tobytes()
    assert inpainter(image, mask, strategy="pad").tobytes() == usual.tobytes()
    with pytest.raises(OptionError, match="does not take guidance_scale; it takes steps"):
        inpainter(image, mask, guidance_scale=2)


@pytest.mark.parametrize("architecture", ["moebius", "pixelhacker"])
def test_steps_and_guidance_reach_the_network_and_change_only_their_call(architecture: str) -> None:
    network = build(architecture)
    inpainter = fmi.Inpainter(network, device="cpu")
    image = fmi.data.sample(256).image.resize((64, 64))
    mask = np.zeros((64, 64), dtype=bool)
    mask[24:48, 16:40] = True
    fill = partial(inpainter, image, mask, strategy="pad")
    counts: list[int] = []
    network.on_step = lambda done, total: counts.append(total)
    usual = fill()
    assert counts == [network.steps] * network.steps
    counts.clear()
    quick = fill(steps=1)
    assert counts == [1]
    guided = fill(guidance_scale=8)
    again = fill()
    assert len({one.tobytes() for one in (usual, quick, guided)}) == 3
    assert again.tobytes() == usual.tobytes()


def test_lite_takes_a_mask_class_only_if_it_was_made_so() -> None:
    assert not build("lite").condition_spec()
    told = fmi.models.create(
        "lite", resolution=64, widths=(8, 16, 64), depth=1, detail=8, mask_classes=["eyes", "hair"]
    )
    with torch.no_grad():
        told.class_embedding.weight.normal_(generator=torch.Generator().manual_seed(0))
        told.coarse.to_pixels.weight.normal_(generator=torch.Generator().manual_seed(0))
    image, mask = torch.zeros(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    with torch.inference_mode():
        same = told(image, mask, conditions={"mask_class": "hair"})
        mixed = told(image, mask, conditions={"mask_class": ["hair", None]})
        unknown = told(image, mask, conditions={"mask_class": "a class of another day"})
    assert torch.equal(unknown[1], mixed[1])
    assert torch.allclose(same[0], mixed[0], atol=1e-6)
    assert not torch.allclose(same[1], mixed[1], atol=1e-3)


def test_repaint_samples_in_as_many_steps_as_it_is_asked_for() -> None:
    network = build("repaint")
    inpainter = fmi.Inpainter(network, device="cpu")
    image = fmi.data.sample(256).image.resize((32, 32))
    mask = np.zeros((32, 32), dtype=bool)
    mask[8:20, 8:20] = True
    totals: list[int] = []
    network.on_step = lambda done, total: totals.append(total)
    usual = inpainter(image, mask)
    assert totals[-1] == len(network.sampling.moves)
    quick = inpainter(image, mask, steps=10)
    assert totals[-1] == len(network.sampling.with_steps(10).moves) < totals[0]
    assert usual.tobytes() != quick.tobytes()
    assert inpainter(image, mask).tobytes() == usual.tobytes()
    assert network.condition_spec()["steps"].default == network.sampling.steps
    with pytest.raises(OptionError, match="steps must be 2 to 1000, not 1"):
        inpainter(image, mask, steps=1)
