"""MI-GAN: small inference networks as plain state dicts."""

from __future__ import annotations

from functools import partial

from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models._model_card import Card, WeightFile
from facemask_inpaint.models.published.pages import drive_folder

_FOLDER = "1xNtvN2lto0p5yFKOEEg9RioMjGrYM74w"
_TERMS_NOTE = (
    "The weights are MIT by a licence file added later; commercial use is disputed, since the "
    "teacher derives from NVIDIA's non-commercial code and by the terms of the images. "
)
_THIRD_PARTY_HASH = "The SHA-256 is quoted from third-party code. "
_MLX_NOTE = (
    "The file on the hub is a third party's half-precision copy for MLX without a known hash; that "
    "its keys are those of the authors is inferred from its number of values. "
)

_card = partial(
    Card,
    architecture="migan",
    training_split="none",
    licence="MIT",
    commercial_use=None,
    paper="MI-GAN: A Simple Baseline for Image Inpainting on Mobile Devices, ICCV 2023",
    repository="https://github.com/Picsart-AI-Research/MI-GAN",
)


def _mlx(name: str) -> WeightFile:
    """A copy for MLX, whose convolution kernels end in the input channels."""
    source = Source("hf", f"mlx-community/{name}", "model.safetensors")
    return WeightFile(sources=(source,), container="safetensors")


CARDS = (
    _card(
        name="migan-ffhq-256",
        data="ffhq",
        resolution=256,
        files=(
            WeightFile(
                sources=(drive_folder(_FOLDER, "migan_256_ffhq.pt"),),
                container="torch",
                alternatives=(_mlx("MI-GAN-256-ffhq-fp16"),),
            ),
        ),
        default=True,
        note=_TERMS_NOTE + "Deterministic. Fixed to 256 x 256 by its stored noise; no face model "
        "exists at 512. Users report artefacts in hair. " + _MLX_NOTE.rstrip(),
    ),
    _card(
        name="migan-places-256",
        data="places",
        resolution=256,
        files=(
            WeightFile(
                sources=(
                    drive_folder(
                        _FOLDER,
                        "migan_256_places2.pt",
                        sha256="8b82b2e82fc8e5a2e1f06827594aac1a5d66a9ca41e24199ddd969847788097f",
                    ),
                ),
                container="torch",
                alternatives=(_mlx("MI-GAN-256-places2-fp16"),),
            ),
        ),
        note=_TERMS_NOTE
        + _THIRD_PARTY_HASH
        + "Deterministic. Scenes, not faces. "
        + _MLX_NOTE.rstrip(),
    ),
    _card(
        name="migan-places-512",
        data="places",
        resolution=512,
        files=(
            WeightFile(
                sources=(
                    drive_folder(
                        _FOLDER,
                        "migan_512_places2.pt",
                        sha256="1d6087eee0aac8923ad2606be5d8caeb4824d3e4de331995e420c74e124a466a",
                    ),
                ),
                container="torch",
                alternatives=(
                    WeightFile(
                        sources=(
                            Source(
                                "url",
                                "https://github.com/Sanster/models/releases/download/migan/"
                                "migan_traced.pt",
                                "migan_traced.pt",
                                md5="76eb3b1a71c400ee3290524f7a11b89c",
                            ),
                        ),
                        container="torchscript",
                    ),
                    _mlx("MI-GAN-512-places2-fp16"),
                ),
            ),
        ),
        note=_TERMS_NOTE + _THIRD_PARTY_HASH + "Deterministic. Scenes, not faces. The TorchScript "
        "file is a third party's trace, whose keys were not seen. Should it lack the noise planes, "
        "as its size suggests, none is added. " + _MLX_NOTE.rstrip(),
    ),
)
