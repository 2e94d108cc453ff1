"""Settings of ``train_lite.py``."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import click


@dataclass(frozen=True)
class Settings:
    """Of a run.

    Attributes:
        rate: of the generator's Adam.
        discriminator_rate: of the heads' on features; that of the discriminator of pixels is four
            times it.
        l1, deep, texture: weights of the distances to the truth.
        means: weight of the distance of mean features.
        pixels, heads: gradients of the discriminators as shares of that of ``deep``.
        true, any: shares of draws; the others are most probable.
        any_weight: how much the truth counts for images with any draw.
        whole: share of batches with crops over whole images.
        tail: share of the run at the end over which the rates fall to nothing.
        average: share of the averaged weights that stays at each step.
        save_every: seconds between checkpoints.
        steps: after which the run ends, if the time is not up before.
    """

    batch: int = 8
    rate: float = 2e-4
    discriminator_rate: float = 2e-4
    l1: float = 3.0
    deep: float = 1.5
    texture: float = 1.5
    means: float = 0.04
    pixels: float = 0.2
    heads: float = 0.35
    true: float = 0.4
    any: float = 0.35
    any_weight: float = 0.3
    whole: float = 0.35
    tail: float = 0.3
    average: float = 0.996
    save_every: float = 180.0
    steps: int = 10**9
    seed: int = 0


def settings_of(pairs: tuple[str, ...]) -> Settings:
    """Settings with those changed that are given as ``name=value``."""
    kinds = {field.name: type(field.default) for field in fields(Settings)}
    changed: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in kinds:
            raise click.UsageError(f"there is no setting {name!r}; there are {', '.join(kinds)}")
        changed[name] = kinds[name](float(value))
    return replace(Settings(), **changed)
