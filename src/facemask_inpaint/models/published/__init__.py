"""Cards of all published models, as data: one module per family of networks."""

from __future__ import annotations

from facemask_inpaint.models._model_card import Card
from facemask_inpaint.models.published import (
    baseline,
    comodgan,
    convolutional,
    diffusion,
    lama,
    latent_categories,
    lite,
    mat,
    migan,
    transformers,
)

CARDS: tuple[Card, ...] = (
    *baseline.CARDS,
    *lite.CARDS,
    *mat.CARDS,
    *comodgan.CARDS,
    *migan.CARDS,
    *lama.CARDS,
    *convolutional.CARDS,
    *transformers.CARDS,
    *diffusion.CARDS,
    *latent_categories.CARDS,
)
