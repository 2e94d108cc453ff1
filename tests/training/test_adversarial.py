"""One training step of each network that can be trained, at reduced width."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facemask_inpaint import Inpainter, SemanticMasker, checkpoints, data, models, training
from facemask_inpaint.errors import OptionError, UnknownNameError
from facemask_inpaint.training import Losses, Recipe
from facemask_inpaint.training.adversarial import TRAINABLE, create_pair
from facemask_inpaint.training.dataset import Batch

STEPS: dict[str, Recipe] = {
    "mat": Recipe(
        name="mat",
        architecture="mat",
        options={
            "resolution": 256,
            "width": 24,
            "channel_base": 2048,
            "channel_max": 64,
            "noise_mode": "random",
            "latent_dim": 32,
        },
        discriminator_options={"channel_base": 1024, "channel_max": 32},
        resolution=256,
        batch_size=2,
        steps=1,
        losses=Losses(adversarial=1, r1=10),
        validate_every=0,
    ),
    "migan": Recipe(
        name="migan",
        architecture="migan",
        options={"resolution": 64, "channel_base": 4096, "channel_max": 64},
        discriminator_options={"channel_base": 1024, "channel_max": 32},
        resolution=64,
        batch_size=2,
        steps=1,
        losses=Losses(hole_l1=1, adversarial=1, r1=10),
        validate_every=0,
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_moves_generator_and_discriminator(name, portraits, tmp_path) -> None:
    recipe = STEPS[name]
    before = create_pair(
        recipe.architecture,
        recipe.options,
        resolution=recipe.resolution,
        discriminator_options=recipe.discriminator_options,
    )
    faces = data.open_faces(portraits, "train")
    trained = training.train(recipe, faces, out=tmp_path, device="cpu", progress=False)
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    saved = checkpoints.read_all(checkpoint)["learner"]["pair"]
    start = before.state_dict()
    for part in ("generator", "discriminator"):
        keys = [key for key in saved if key.startswith(part) and "weight" in key]
        assert any(not torch.equal(saved[key], start[key]) for key in keys)
    assert trained.network.architecture == name
    if name == "mat":
        assert float(saved["generator.mapping.w_avg"].abs().sum()) > 0


def test_mat_draws_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    recipe = STEPS["mat"]
    pair = create_pair(
        "mat", recipe.options, resolution=256, discriminator_options=recipe.discriminator_options
    ).eval()
    image, hole = torch.rand(2, 3, 256, 256) * 2 - 1, torch.zeros(2, 1, 256, 256)
    hole[..., 60:180, 60:180] = 1
    batch = Batch(image, hole, (0, 1), ("a", "b"), ("", ""))
    second_alone = Batch(image[1:], hole[1:], (1,), ("b",), ("",))

    def draws(*seeds: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    with torch.inference_mode():
        both = pair.predict(batch, draws(5, 6))[0]
        second = pair.predict(second_alone, draws(6))[0]
    assert float((both[1:] - second).abs().max()) < 1e-4


def test_networks_that_cannot_be_trained_are_refused_with_a_way_out() -> None:
    with pytest.raises(OptionError, match="MixedMaskSampler"):
        create_pair("lama", {}, resolution=64, discriminator_options={})
    assert set(TRAINABLE) <= set(models.list_architectures())


def test_a_class_conditional_network(recipe, portraits, tmp_path) -> None:
    options = {**recipe.options, "mask_classes": ["eyes", "nose", "hair"]}
    conditional = recipe.changed(options=options, steps=6)
    faces = data.open_faces(portraits, "train")
    inpainter = training.train(conditional, faces, out=tmp_path, device="cpu", progress=False)
    sample = data.sample(256)
    mask = SemanticMasker()(sample.label_map, "nose")
    inpainter.network.class_embedding.weight.data.normal_(
        generator=torch.Generator().manual_seed(0)
    )
    answers = [
        np.asarray(inpainter(sample.image, mask, mask_class=name, seed=0))
        for name in (None, "nose", "hair")
    ]
    assert len({answer.tobytes() for answer in answers}) == 3
    for spelling in ("Nose", "D"):
        spelt = np.asarray(inpainter(sample.image, mask, mask_class=spelling, seed=0))
        assert spelt.tobytes() == answers[1].tobytes()
    untold = np.asarray(inpainter(sample.image, mask, mask_class="ears", seed=0))
    assert untold.tobytes() == answers[0].tobytes()  # the network was trained without ears
    cut = [
        inpainter.inpaint(sample.image, mask_class=name, label_map=sample.label_map, seed=0)
        for name in ("D", "nose")
    ]
    assert cut[0].images.tobytes() == cut[1].images.tobytes()
    told = [
        inpainter(
            sample.image,
            cut[0].masks[0],
            mask_class=name,
            strategy="face",
            label_map=sample.label_map,
            seed=0,
        )
        for name in ("nose", None)
    ]
    assert [image.tobytes() == cut[0].images.tobytes() for image in told] == [True, False]
    with pytest.raises(UnknownNameError, match="unknown mask class 'nonsense'"):
        inpainter(sample.image, mask, mask_class="nonsense")
    with pytest.raises(OptionError, match="2 values for 1 images"):
        inpainter(sample.image, mask, mask_class=["nose", "hair"])
    with pytest.raises(OptionError, match="does not take mask_class"):
        Inpainter.from_pretrained("harmonic")(sample.image, mask, mask_class="nose")
