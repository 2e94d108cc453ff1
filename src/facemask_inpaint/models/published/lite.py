"""The network that ships with the library."""

from __future__ import annotations

from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models._model_card import Card, WeightFile

CARDS = (
    Card(
        name="lite-portraits-256",
        architecture="lite",
        data="portraits",
        training_split="none",
        resolution=256,
        files=(
            WeightFile(
                container="safetensors",
                sources=(
                    Source(
                        "package",
                        "models/weights",
                        "lite.safetensors",
                        sha256="f91d470f0bdd5fd57ad5e72d4821575fab3995f24965a402f8e69408f4f2dfa3",
                        size=11_461_712,
                    ),
                ),
            ),
        ),
        licence="Apache-2.0, as this library",
        commercial_use=True,
        paper="none: a design of this library, described in its documentation",
        default=True,
        note="Small and quick, for trying things out and for tests. Trained for some hours on "
        "two processor cores and four minutes on a GPU, on 680 portraits of people who are mostly "
        "older, mostly men, smiling in studio light. Draws what it makes up: several samples "
        "differ. Hair and whole heads are of those people; other faces, poses and light come out "
        "worse. Use the published networks for results.",
    ),
)
