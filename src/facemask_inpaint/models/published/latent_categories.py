"""Moebius and PixelHacker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models._model_card import Card, WeightFile

_REVISIONS = {
    "hustvl/Moebius": "cd01f47fb648219d3fa605806c5ce00b713faa5e",
    "hustvl/PixelHacker": "012fd343158936a265b8a0ee38a791a7a2841f45",
}
_TABLE_OF_HASHES = {
    "hustvl/Moebius/ft_places2": (
        "6525afb888e55f9b5c74fa0a5d19ca0762d720d6c716fb0f8422fbeb6868a09a",
        905_298_356,
    ),
    "hustvl/PixelHacker/ft_places2": (
        "ef5e28199cd03344ac22a6e6ff456ba8b868e83fb90d8174cc2ad83d7ef4296c",
        None,
    ),
    "hustvl/PixelHacker/vae": (
        "a59d7ea697f2942d22002dc3469e8c53db807a6b78f7f5ec03bd4c1f70f98efe",
        167_395_094,
    ),
}
"""SHA-256 and bytes, where somebody has published them."""


def _file(role: str, repository: str, folder: str) -> WeightFile:
    sha256, size = _TABLE_OF_HASHES.get(f"{repository}/{folder}", (None, None))
    source = Source(
        "hf",
        repository,
        f"{folder}/diffusion_pytorch_model.bin",
        revision=_REVISIONS[repository],
        sha256=sha256,
        size=size,
    )
    return WeightFile(sources=(source,), container="torch", role=role)


_AUTOENCODER = _file("vae", "hustvl/PixelHacker", "vae")

_EDITIONS: Mapping[str, tuple[str, str, str]] = {
    "celebahq": ("ft_celebahq", "unknown", "Fine-tuned on CelebA-HQ, and expects such faces. "),
    "ffhq": (
        "ft_ffhq",
        "none",
        "Fine-tuned on FFHQ, and expects such faces; its authors report results at 256 x 256. ",
    ),
    "places": ("ft_places2", "none", "Scenes, not faces. "),
    "scenes14m": ("pretrained", "none", "Before any fine-tuning: objects and scenes. "),
}
"""Folder in the hub repository, what of CelebA-HQ was seen, and a note, by training data."""

_NOTE = (
    "Pluralistic; 20 steps, each of which calls the network twice. The official sampler starts "
    "from the hidden pixels too; this library's does not, so published figures may flatter. "
)
_moebius = partial(
    Card,
    architecture="moebius",
    resolution=512,
    licence="Apache-2.0 (code and README); the hub tags the weights MIT",
    paper="Moebius: 0.2B Lightweight Image Inpainting Framework, ECCV 2026",
    arxiv="2606.19195",
    repository="https://github.com/hustvl/Moebius",
)
_pixelhacker = partial(
    Card,
    architecture="pixelhacker",
    resolution=512,
    licence="Apache-2.0 (code); the hub tags the autoencoder MIT",
    paper="PixelHacker: Image Inpainting with Structural and Semantic Consistency, 2025",
    arxiv="2504.20438",
    repository="https://github.com/hustvl/PixelHacker",
)


def _cards(make: Callable[..., Card], name: str, repository: str, note: str) -> tuple[Card, ...]:
    return tuple(
        make(
            name=f"{name}-{data}-512",
            data=data,
            training_split=split,
            commercial_use=None,
            files=(_file("unet", repository, folder), _AUTOENCODER),
            default=data == "celebahq",
            note=_NOTE + edition + note,
        )
        for data, (folder, split, edition) in _EDITIONS.items()
    )


CARDS: tuple[Card, ...] = (
    *_cards(
        _moebius,
        "moebius",
        "hustvl/Moebius",
        "512 x 512 only. The U-Net's file has about 905 MB; the autoencoder's is PixelHacker's.",
    ),
    *_cards(
        _pixelhacker,
        "pixelhacker",
        "hustvl/PixelHacker",
        "Sides must be multiples of 64. The U-Net's file should have about 3.4 GB.",
    ),
)
