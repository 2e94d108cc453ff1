from __future__ import annotations

import math

import pytest
import yaml
from click.testing import CliRunner

from facemask_inpaint import SemanticMasker
from facemask_inpaint.cli import main
from facemask_inpaint.errors import OptionError, SizeError, UnknownNameError
from facemask_inpaint.training import (
    RECIPES,
    Augmentation,
    Losses,
    Masks,
    Optimiser,
    Recipe,
    open_recipe,
    train,
)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_yaml(name: str) -> None:
    assert Recipe.from_yaml(RECIPES[name].to_yaml()) == RECIPES[name]


def test_a_file_says_only_what_differs_from_the_defaults(tmp_path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("name: own\narchitecture: lite\nlosses: {r1: 1e-1}\nbatch_size: 2\n")
    recipe = open_recipe(file)
    assert (recipe.losses.r1, recipe.batch_size, recipe.losses.r1_every) == (0.1, 2, 16)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\narchitecture: lite\nbatchsize: 3", "did you mean 'batch_size'"),
        ("name: x\narchitecture: lite\nbatch_size: many", "batch_size is a number"),
        ("name: x\narchitecture: lite\nbatch_size: 1.5", "whole number"),
        ("name: x\narchitecture: lite\nmasks: {kind: mixd}", "random, semantic, mixed"),
        ("name: x\narchitecture: lite\nlosses: 3", "settings with values"),
        ("name: x", "recipe: 'architecture' is missing"),
        ("seed: 1", "recipe: 'name' and 'architecture' are missing"),
        ("- x", "settings with values"),
        ("a: [", "YAML"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises((OptionError, UnknownNameError), match=said):
        Recipe.from_yaml(text)


def test_changes_reach_into_parts() -> None:
    changed = RECIPES["study-mat-512"].changed(**{"losses.perceptual": 0, "batch_size": 2})
    assert (changed.losses.perceptual, changed.batch_size, changed.losses.r1) == (0, 2, 10)
    with pytest.raises(UnknownNameError, match="r1"):
        changed.changed(**{"losses.r11": 1})
    with pytest.raises(UnknownNameError, match="losses"):
        changed.changed(**{"loss.r1": 1})


def test_the_studys_recipe_has_the_studys_numbers() -> None:
    recipe = RECIPES["study-mat-512"]
    assert recipe.length(24_000) == 300_000
    assert (recipe.resolution, recipe.batch_size, recipe.masks.kind) == (512, 8, "mixed")
    assert any("learning rate" in guess for guess in recipe.assumptions)


def test_an_unknown_recipe_names_the_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="lite-smoke"):
        open_recipe("lite-smok")


NAN, INF = math.nan, math.inf

NONSENSE: dict[str, tuple[object, ...]] = {
    "steps": (-1, 0, 1.5, True, "many", "4", [4], NAN, INF, 10**12),
    "epochs": (-1.0, 0, NAN, INF, "x", None),
    "minutes": (-1.0, 0, NAN, INF, False),
    "batch_size": (0, -4, True, 10**9, None),
    "gradient_accumulation": (0, 3, -1),
    "resolution": (0, 4, -256, 10**6, 256.5, True),
    "ema_half_life": (0.0, -5.0, NAN, INF, None, "long"),
    "validate_every": (-1, 0.5, NAN),
    "save_every": (0, -1, NAN),
    "seed": (-1, 0.5, 2**63, 2**5000, "0x10", True),
    "precision": ("int8", "bfloat", 16, None),
    "architecture": ("lit", "", 3, None),
    "name": ("", "../up", "a/b", "a\\b", "x" * 200, 3, "a\nb", ".hidden"),
    "initial_weights": (3, True),
    "assumptions": ("text", [1], 3),
    "options": ([1], "depth=1", {1: 2}, 3),
    "discriminator_options": ([1], None),
    "losses": (3, None, [], {"r": 1}),
    "losses.hole_l1": (-1.0, NAN, INF, "1", True, None),
    "losses.adversarial": (-1.0, NAN),
    "losses.feature_matching": (-0.1, INF),
    "losses.perceptual": (-0.1, NAN),
    "losses.r1": (-10.0, NAN, INF),
    "losses.r1_every": (0, -16, 1.5, NAN),
    "losses.adversarial_from": (-1, NAN),
    "losses.class_weights": (
        {"hairs": 5.0}, {"hair": -5.0}, {"hair": NAN}, {"hair": INF}, {"hair": "x"},
        {"hair": True}, {"A-C": 1}, {"": 1}, {"all": 2}, [1], "hair", {3: 1},
    ),
    "augmentation.flip": (5.0, -0.1, NAN, True),
    "augmentation.rotation": (-10.0, 181, NAN, INF),
    "augmentation.colour_jitter": (-0.1, 1.5, NAN),
    "generator.learning_rate": (0, -1e-3, NAN, INF, "fast"),
    "generator.betas": ([0.0, 5.0], [1.0, 0.9], [0.5], [0.5, 0.5, 0.5], "ab", 0.5, [NAN, 0.9]),
    "generator.lazy_ratio": (0, -1, 1.5, NAN),
    "generator.warmup_steps": (-3, 0.5, NAN),
    "generator.decay_start": (-1.0, 1.5, NAN),
    "discriminator.learning_rate": (0, NAN),
    "discriminator.betas": ([-0.1, 0.9],),
    "masks.kind": ("mixd", None, 3, ["mixed"]),
    "masks.semantic_probability": (-0.1, 1.1, NAN, True),
    "masks.random": ("matt", "", None, 3),
    "masks.classes": ("hairs", "", "A-", "Z", 3, None),
    "masks.class_weights": (
        {"hairs": 5.0}, {"hair": -5.0}, {"hair": NAN}, {"hair": "x"}, [1], "hair",
    ),
    "masks.vocabulary": ("facess", "", 3, None),
    "masks.instances": ("two", 1, None),
    "masks.dilate": (-0.1, NAN, INF, True, 10**6),
    "masks.adaptive": (-1.0, NAN, INF, True, 100),
    "stepps": (4,), "losses.": (1,), "": (1,), "loss.r1": (1,), "losses.r1.x": (1,), "self": (1,),
    "to_yaml": (1,), "__class__": (1,), "losses.__class__": (1,), "name.x": (1,),
}  # fmt: skip
"""Setting to values that make no sense there."""


@pytest.mark.parametrize("name", NONSENSE)
def test_what_makes_no_sense_is_refused_by_name(name: str) -> None:
    for value in NONSENSE[name]:
        with pytest.raises((OptionError, UnknownNameError)) as caught:
            RECIPES["lite-smoke"].changed(**{name: value})
        part, _, last = name.rpartition(".")
        assert last in str(caught.value) or (part and part in str(caught.value)), value
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", [n for n in NONSENSE if n.count(".") < 2])
def test_what_makes_no_sense_is_refused_in_a_file_too(name: str) -> None:
    part, _, last = name.rpartition(".")
    for value in NONSENSE[name]:
        data: dict = {"name": "x", "architecture": "lite"}
        data |= {part: {last: value}} if part else {last: value}
        with pytest.raises((OptionError, UnknownNameError)):
            Recipe.from_yaml(yaml.dump(data))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Losses(hole_l1=-1),
        lambda: Losses(hole_l1=0, adversarial=0),
        lambda: Recipe(name="x", architecture="lite", losses=Losses(class_weights={"hairs": 1})),
        lambda: Masks(classes="hair", class_weights={"eyes": 2}),
        lambda: Masks(classes="hair,eyes", class_weights={"hair": 0, "eyes": 0}),
        lambda: Masks(random="matt"),
        lambda: Optimiser(betas=(0.5, 1.0)),
        lambda: Augmentation(flip=2),
        lambda: Recipe(name="x", architecture="lite", batch_size=True),
        lambda: Recipe(name="x", architecture="lite", losses=None),
    ],
)
def test_what_makes_no_sense_is_refused_in_python_too(make) -> None:
    with pytest.raises((OptionError, UnknownNameError)):
        make()


def test_settings_that_only_make_sense_together() -> None:
    split = RECIPES["lite-smoke"].changed(batch_size=8, gradient_accumulation=4)
    assert split.changed(batch_size=2, gradient_accumulation=2).gradient_accumulation == 2
    with pytest.raises(OptionError, match="no multiple of gradient_accumulation 4"):
        split.changed(batch_size=2)


def test_classes_that_a_network_is_told_are_checked_and_named() -> None:
    recipe = RECIPES["lite-smoke"]
    told = recipe.changed(options={"mask_classes": ["A", "Hair", "C-D"]})
    assert told.options["mask_classes"] == ["eyes", "hair", "full_mouth", "nose"]
    assert Recipe.from_yaml(told.to_yaml()) == told
    with pytest.raises(UnknownNameError, match=r"options\.mask_classes: .*did you mean 'eyes'"):
        recipe.changed(options={"mask_classes": ["eyse"]})
    with pytest.raises(OptionError, match=r"options\.mask_classes is a list"):
        recipe.changed(options={"mask_classes": 3})


def test_letters_of_classes_mean_their_names() -> None:
    recipe = RECIPES["lite-smoke"].changed(**{"losses.class_weights": {"A": 2, "hair": 3}})
    assert recipe.losses.class_weights.keys() == {str(SemanticMasker().select("A")[0]), "hair"}
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe


@pytest.mark.parametrize("text", ["a: &a [1]\nb: *a", "[" * 3000, "x: " + "9" * 100_000])
def test_a_file_that_is_no_recipe_is_refused_with_its_name(text: str, tmp_path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(OptionError, match=r"own\.yaml"):
        open_recipe(file)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": {"detph": 1}}, "did you mean 'depth'"),
        ({"options": {"depth": "1"}}, "depth is a number"),
        ({"options": {"depth": 10**9}}, "depth must be at"),
        ({"options": {"depth": 10**6}}, "larger than any network"),
        ({"options": {"resolution": 128, "widths": [0, 0, 0]}}, "widths are positive"),
        ({"options": {"resolution": -128}}, "resolution"),
        ({"options": {"resolution": 256}}, "256x256"),
        ({"discriminator_options": {"width": -1}}, "discriminator has a width"),
        ({"discriminator_options": {"foo": 1}}, "option of the discriminator 'foo'"),
        ({"discriminator_options": {"levels": 10**7}}, "the discriminator"),
        ({"discriminator_options": {"levels": 10**5}}, "levels"),
        ({"architecture": "harmonic", "options": {}}, "cannot be trained"),
        (
            {
                "architecture": "migan",
                "options": {"resolution": 128},
                "discriminator_options": {"resolution": 8},
            },
            "the resolution of the recipe",
        ),
    ],
)
def test_networks_that_cannot_be_are_refused_before_anything_is_written(
    changes: dict, said: str, portraits, tmp_path
) -> None:
    recipe = RECIPES["lite-smoke"].changed(**changes)
    with pytest.raises((OptionError, UnknownNameError, SizeError), match=said):
        train(recipe, portraits, out=tmp_path / "run", device="cpu", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("steps=-1", "steps must be at least 1"),
        ("steps=nan", "steps is a number"),
        ("losses.r1=[", "--set losses.r1: not readable"),
        ("losses.class_weights={hairs: 2}", "hair"),
        ("stepss=4", "did you mean 'steps'"),
        ("batch_size=*a", "--set batch_size"),
        ("options={a: &a 1, b: *a}", "aliases"),
        ("=4", "setting"),
    ],
)
def test_nonsense_on_the_command_line(setting: str, said: str, tmp_path) -> None:
    result = CliRunner().invoke(main, ["train", "--set", setting, "--show"])
    assert result.exit_code != 0
    text = result.output + str(result.exception or "")
    assert said in text
    assert "Traceback" not in result.output
