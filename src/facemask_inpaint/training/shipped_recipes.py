"""The recipes that ship with the library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from facemask_inpaint._internal.settings import read_text
from facemask_inpaint.errors import OptionError, UnknownNameError, unknown_name
from facemask_inpaint.training.recipes import Augmentation, Losses, Masks, Optimiser, Recipe

_MAT_GENERATOR = Optimiser(learning_rate=1e-3, betas=(0.0, 0.99), lazy_ratio=4 / 5)
_MAT_DISCRIMINATOR = Optimiser(learning_rate=1e-3, betas=(0.0, 0.99), lazy_ratio=16 / 17)

_LITE_COARSE = Recipe(
    name="lite-coarse-128",
    architecture="lite",
    options={"resolution": 128, "detail": 0},
    resolution=128,
    batch_size=16,
    steps=4900,
    masks=Masks(
        kind="mixed",
        semantic_probability=0.75,
        random="mat",
        class_weights={"eyes": 3, "eyes_and_eyebrows": 2},
    ),
    augmentation=Augmentation(flip=0.5, rotation=6, colour_jitter=0.15),
    losses=Losses(hole_l1=10, adversarial=0),
    generator=Optimiser(learning_rate=6e-4, betas=(0.9, 0.99), warmup_steps=100, decay_start=0.6),
    ema_half_life=4_000,
    precision="bfloat16",
    validate_every=1000,
    save_every=100,
)
"""First stage of how ``lite`` was made: its U-Net alone, on small images."""

_LITE = replace(
    _LITE_COARSE,
    name="lite-portraits-256",
    options={},
    initial_weights="runs/lite-coarse-128/model",
    resolution=256,
    batch_size=8,
    steps=700,
    losses=Losses(hole_l1=10, adversarial=0.5, feature_matching=5, r1=0.1, adversarial_from=100),
    generator=Optimiser(learning_rate=2e-4, betas=(0.5, 0.99), warmup_steps=50),
    discriminator=Optimiser(learning_rate=4e-4, betas=(0.5, 0.99)),
    discriminator_options={"patch_limit": 24},
    ema_half_life=4_000,
    validate_every=700,
)
"""Second stage: all of it, at full resolution, against a discriminator that sees softness."""

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _LITE,
        _LITE_COARSE,
        _LITE_COARSE.changed(
            name="lite-smoke",
            minutes=2,
            batch_size=8,
            validate_every=0,
            save_every=50,
            ema_half_life=400,
            **{"generator.warmup_steps": 10},
        ),
        Recipe(
            name="study-mat-512",
            architecture="mat",
            options={"resolution": 512, "noise_mode": "random", "truncation": 0.5},
            resolution=512,
            batch_size=8,
            epochs=100,
            masks=Masks(kind="mixed", semantic_probability=0.5, random="mat"),
            augmentation=Augmentation(flip=0.5, rotation=10),
            losses=Losses(adversarial=1, perceptual=0.1, r1=10, r1_every=16),
            generator=_MAT_GENERATOR,
            discriminator=_MAT_DISCRIMINATOR,
            ema_half_life=10_000,
            validate_every=5000,
            save_every=1000,
            assumptions=(
                "learning rate and betas: the study's were lost; here those of MAT's own recipe",
                "angle of the rotation: here 10 degrees",
                "share of semantic masks: here one half",
                "which class a semantic mask has: here drawn among those the image has",
                "dilation of semantic masks: here 1 % of the resolution",
                "which 24,000 of the 30,000 images: the first",
                "perceptual loss: whether the study kept MAT's",
                "half-life of the weights' moving average: here MAT's",
            ),
        ),
        Recipe(
            name="migan-256",
            architecture="migan",
            options={"resolution": 256},
            resolution=256,
            batch_size=32,
            epochs=200,
            masks=Masks(kind="mixed", random="comodgan"),
            losses=Losses(hole_l1=1, adversarial=1, r1=10, r1_every=16),
            generator=_MAT_GENERATOR,
            discriminator=_MAT_DISCRIMINATOR,
            discriminator_options={"channel_base": 16384, "group_size": 4},
            ema_half_life=20_000,
            assumptions=(
                "MI-GAN learns from a Co-Mod-GAN teacher, with branches fused afterwards; this "
                "trains the fused form without a teacher, with an L1 loss in its place",
            ),
        ),
    )
}
"""Recipes by name."""


def open_recipe(recipe: str | Path | Recipe) -> Recipe:
    """Return a recipe by name, from a YAML file, or as it is.

    Args:
        recipe: key of :data:`RECIPES`, YAML file, or :class:`Recipe`.

    Raises:
        UnknownNameError: There is neither such a recipe nor such a file.
        OptionError: The file is no recipe.

    Example:
        >>> from facemask_inpaint import training
        >>> training.open_recipe("study-mat-512").masks.kind
        'mixed'
    """
    if isinstance(recipe, Recipe):
        return recipe
    if str(recipe) in RECIPES:
        return RECIPES[str(recipe)]
    if Path(recipe).is_file():
        try:
            return Recipe.from_yaml(read_text(recipe))
        except (OptionError, UnknownNameError) as error:
            raise type(error)(f"{recipe}: {error}") from None
    raise unknown_name("recipe", str(recipe), RECIPES)
