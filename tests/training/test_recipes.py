from __future__ import annotations

import pytest

from facemask_inpaint.errors import OptionError, UnknownNameError
from facemask_inpaint.training import RECIPES, Recipe, open_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_yaml(name: str) -> None:
    assert Recipe.from_yaml(RECIPES[name].to_yaml()) == RECIPES[name]


def test_a_file_says_only_what_differs_from_the_defaults(tmp_path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("name: own\narchitecture: lite\nlosses: {r1: 1e-1}\nbatch: 2\n")
    recipe = open_recipe(file)
    assert (recipe.losses.r1, recipe.batch, recipe.losses.r1_every) == (0.1, 2, 16)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\narchitecture: lite\nbatchsize: 3", "did you mean 'batch'"),
        ("name: x\narchitecture: lite\nbatch: many", "batch is a number"),
        ("name: x\narchitecture: lite\nbatch: 1.5", "whole number"),
        ("name: x\narchitecture: lite\nmasks: {kind: mixd}", "random, semantic, mixed"),
        ("name: x\narchitecture: lite\nlosses: 3", "settings with values"),
        ("name: x", "architecture"),
        ("- x", "settings with values"),
        ("a: [", "YAML"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises((OptionError, UnknownNameError), match=said):
        Recipe.from_yaml(text)


def test_changes_reach_into_parts() -> None:
    changed = RECIPES["study-mat-512"].changed(**{"losses.perceptual": 0, "batch": 2})
    assert (changed.losses.perceptual, changed.batch, changed.losses.r1) == (0, 2, 10)
    with pytest.raises(UnknownNameError, match="r1"):
        changed.changed(**{"losses.r11": 1})
    with pytest.raises(UnknownNameError, match="losses"):
        changed.changed(**{"loss.r1": 1})


def test_the_studys_recipe_has_the_studys_numbers() -> None:
    recipe = RECIPES["study-mat-512"]
    assert recipe.length(24_000) == 300_000
    assert (recipe.side, recipe.batch, recipe.masks.kind) == (512, 8, "mixed")
    assert any("learning rate" in guess for guess in recipe.unknown)


def test_an_unknown_recipe_names_the_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="lite-smoke"):
        open_recipe("lite-smok")


@pytest.mark.parametrize(("name", "value"), [("batch", 0), ("passes", 3), ("precision", "int8")])
def test_numbers_that_make_no_sense_are_refused(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=name):
        RECIPES["lite-smoke"].changed(**{name: value})
