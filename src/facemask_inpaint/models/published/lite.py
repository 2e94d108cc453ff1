"""The network that ships with the library."""

from __future__ import annotations

from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models.model_card import Card, WeightFile

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
                        sha256="dd9696315bbada9c28ccdd38d6a3b83366617d81600169bb6ab6c1e109fe1c33",
                        size=10_930_410,
                    ),
                ),
            ),
        ),
        licence="Apache-2.0, as this library",
        commercial_use=True,
        paper="none: a design of this library, described in its documentation",
        default=True,
        note="Small and quick, for trying things out and for tests. Trained for an hour on two "
        "processor cores, on 680 portraits of people who are mostly older, mostly men, smiling in "
        "studio light. Hair and whole faces are soft; other faces, poses and light come out worse. "
        "Use the published networks for results.",
    ),
)
