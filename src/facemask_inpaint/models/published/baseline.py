"""The baseline without learning that every table starts with."""

from __future__ import annotations

from facemask_inpaint.models._model_card import Card

CARDS = (
    Card(
        name="harmonic",
        architecture="harmonic",
        data="none",
        training_split="none",
        resolution=None,
        licence="Apache-2.0, as this library",
        commercial_use=True,
        paper="none: the function that solves Laplace's equation in the hole",
        default=True,
        needs_weights=False,
        note="Needs no weights and learns nothing: it continues the colours around the hole "
        "smoothly. Draws no eye, nose or mouth; a model that does not beat it is useless.",
    ),
)
