"""MAT: StyleGAN2-ADA pickles by its authors, and conversions of their generators."""

from __future__ import annotations

from functools import partial

from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models._model_card import Card, WeightFile

_REPOSITORY = "https://github.com/fenglinglwb/MAT"
_HALF_REPOSITORY = "spacepxl/MAT-inpainting-fp16"
_HALF_REVISION = "2f1d2ffb3df0b3834227a6e41cca6112f9b9258e"
_HALF_NOTE = (
    "The downloaded file is a third party's half-precision copy of the averaged generator, "
    "without guarantee; it is computed in float32, yet its values are rounded. It has lost the "
    "trained noise: neither planes nor strengths are in it, and none is added. "
)
_DRAWS_NOTE = (
    "Stochastic: style code and feature dropout follow the seed; noise planes are those of the "
    "file, unless noise_mode='random'. "
)
_LINKS_NOTE = (
    "The authors' pickles in full precision, with noise, are linked from their README (OneDrive); "
    "by public reports the links answer 404. A pickle that you have loads. "
)

_card = partial(
    Card,
    architecture="mat",
    licence="CC BY-NC 4.0, research purposes only; parts derive from NVIDIA StyleGAN2-ADA",
    commercial_use=False,
    paper="MAT: Mask-Aware Transformer for Large Hole Image Inpainting, CVPR 2022",
    arxiv="2203.15270",
    repository=_REPOSITORY,
)


def _pickle(*sources: Source) -> WeightFile:
    return WeightFile(sources=sources, container="stylegan2-ada", section="G_ema")


def _readme(filename: str) -> Source:
    return Source("manual", _REPOSITORY, filename)


def _half(filename: str, sha256: str, size: int) -> Source:
    return Source("hf", _HALF_REPOSITORY, filename, _HALF_REVISION, sha256=sha256, size=size)


CARDS = (
    _card(
        name="mat-celebahq-512",
        data="celebahq",
        training_split="celeba-train",
        resolution=512,
        files=(
            WeightFile(
                sources=(
                    _half(
                        "MAT_CelebA-HQ_512_fp16.safetensors",
                        "72bff281486d34aa0c13d2191311255742c77d7b27dce90695d5714be4db711d",
                        125_280_246,
                    ),
                ),
                container="safetensors",
                alternatives=(
                    WeightFile(
                        sources=(Source("hf", "not-lain/MAT-CelebA-HQ_512", "model.safetensors"),),
                        container="safetensors",
                    ),
                    _pickle(_readme("CelebA-HQ_512.pkl")),
                ),
            ),
        ),
        default=True,
        note=_HALF_NOTE + _DRAWS_NOTE + "The authors retrained these weights for release and "
        "warn of small differences to the paper. " + _LINKS_NOTE + "Expects faces aligned as in "
        "CelebA-HQ.",
    ),
    _card(
        name="mat-ffhq-512",
        data="ffhq",
        training_split="none",
        resolution=512,
        files=(
            WeightFile(
                sources=(
                    _half(
                        "MAT_FFHQ_512_fp16.safetensors",
                        "eedb8504aef8a07feda7e89ef34e53344eaf3039cb1543615bf1092439ce3d98",
                        125_280_246,
                    ),
                ),
                container="safetensors",
                alternatives=(_pickle(_readme("FFHQ_512.pkl")),),
            ),
        ),
        note=_HALF_NOTE + _DRAWS_NOTE + "Not trained on CelebA-HQ, so the fairer of the two "
        "face models on a CelebA-HQ test set. Its own training split is not documented. "
        + _LINKS_NOTE.rstrip(),
    ),
    _card(
        name="mat-celebahq-256",
        data="celebahq",
        training_split="celeba-train",
        resolution=256,
        files=(
            _pickle(
                _readme("CelebA-HQ_256.pkl"),
                Source(
                    "manual",
                    "https://drive.google.com/file/d/1M3AFy7x9DqXaI-fINSynW7FJSXYROfv-/view",
                    "CelebA-HQ_256.pkl",
                ),
            ),
        ),
        note=_DRAWS_NOTE + "The authors lost the original and retrained it; the split is taken to "
        "be that of the 512 model. " + _LINKS_NOTE + "The Google Drive copy is a third party's and "
        "unverified. The network is another one than at 512.",
    ),
    _card(
        name="mat-places-512",
        data="places",
        training_split="none",
        resolution=512,
        files=(
            WeightFile(
                sources=tuple(
                    Source(
                        "hf",
                        repository,
                        filename,
                        revision,
                        sha256="309dd6ce6e04034dc4b6b15c7bd2a4844d158e03eb2a139e0eca6b366e40c0de",
                        size=125_280_278,
                    )
                    for repository, filename, revision in (
                        (_HALF_REPOSITORY, "MAT_Places_512_fp16.safetensors", _HALF_REVISION),
                        ("Acly/MAT", "MAT_Places512_G_fp16.safetensors", None),
                    )
                ),
                container="safetensors",
            ),
        ),
        note=_HALF_NOTE + _DRAWS_NOTE + "Scenes, not faces: for what surrounds a face. Not stated "
        "which of the authors' two Places models was copied.",
    ),
    _card(
        name="mat-places-512-full",
        data="places",
        training_split="none",
        resolution=512,
        files=(
            WeightFile(
                sources=(
                    Source(
                        "url",
                        "https://github.com/Sanster/models/releases/download/add_mat/"
                        "Places_512_FullData_G.pth",
                        "Places_512_FullData_G.pth",
                        sha256="0512e37ebba3986b0355130b2e2c1f95736d0778ac82e91b1212b4b21c231312",
                        md5="8ca927835fa3f5e21d65ffcb165377ed",
                        size=250_619_359,
                    ),
                ),
                container="torch",
                alternatives=(_pickle(_readme("Places_512_FullData.pkl")),),
            ),
        ),
        note=_DRAWS_NOTE + "Trained on all eight million images of Places; scenes, not faces. "
        "The downloaded file is a third party's conversion in full precision, and its SHA-256 is "
        "quoted from third-party code. It has lost the trained noise, as half-precision copies "
        "have. " + _LINKS_NOTE.rstrip(),
    ),
)
