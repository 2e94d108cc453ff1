"""Co-Mod-GAN: TensorFlow pickles by its authors, PyTorch models by the authors of MI-GAN."""

from __future__ import annotations

from functools import partial

from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models._model_card import Card, WeightFile
from facemask_inpaint.models.published.pages import drive_file, drive_folder

_TEACHER_FOLDER = "1VATyNQQJW2VpuHND02bc-3_4ukJMHQ44"
_CONVERSION = "https://github.com/zengxianyu/co-mod-gan-pytorch"
_OFFICIAL_NOTE = (
    "As the authors sample, half of the global code is dropped out at every call "
    "(code_dropout=False turns that off). The conversion's own code omits one addition at 4 x 4 "
    "(its weights are complete; skip_innermost=False repeats that), and the conversion has lost "
    "the mean style, which truncation needs. No hash is known. "
)
_TEACHER_NOTE = (
    "Trained by the authors of MI-GAN as its teacher, not a copy of the original weights; "
    "dropout is off. Its MIT licence is disputed because its code derives from NVIDIA's "
    "non-commercial StyleGAN2. No hash is known. "
)

_card = partial(
    Card,
    architecture="comodgan",
    paper="Large Scale Image Completion via Co-Modulated Generative Adversarial Networks, "
    "ICLR 2021",
    arxiv="2103.10428",
)
_official = partial(
    _card,
    licence="authors' part BSD-2-style, StyleGAN2 part NVIDIA Source Code License-NC; the "
    "weights carry none of their own",
    commercial_use=False,
    repository="https://github.com/zsyzzsoft/co-mod-gan",
    options={"code_dropout": True},
    traits={"activation_clamp": None},
)
_teacher = partial(
    _card,
    licence="MIT, by a licence file added later",
    traits={"activation_clamp": 256.0},
    commercial_use=None,
    repository="https://github.com/Picsart-AI-Research/MI-GAN",
)


def _official_file(file_id: str, stem: str) -> tuple[WeightFile, ...]:
    converted = tuple(
        Source("manual", _CONVERSION, name) for name in (f"{stem}_net_G_ema.pth", f"{stem}.pth")
    )
    return (
        WeightFile(
            sources=(drive_file(file_id, f"{stem}.pkl"),),
            container="stylegan-tf",
            section="Gs",
            alternatives=(WeightFile(sources=converted, container="torch", prefix="module."),),
        ),
    )


def _teacher_file(filename: str) -> tuple[WeightFile, ...]:
    return (WeightFile(sources=(drive_folder(_TEACHER_FOLDER, filename),), container="torch"),)


CARDS = (
    _official(
        name="comodgan-ffhq-512",
        data="ffhq",
        training_split="none",
        resolution=512,
        files=_official_file("1b3XxfAmJ9k2vd73j-3nPMr_lvNMQOFGE", "co-mod-gan-ffhq-9-025000"),
        default=True,
        note=_OFFICIAL_NOTE + "10,000 images of FFHQ were split off for validation.",
    ),
    _official(
        name="comodgan-ffhq-1024",
        data="ffhq",
        training_split="none",
        resolution=1024,
        files=_official_file("1M2dSxlJnCFNM6LblpB2nQCnaimgwaaKu", "co-mod-gan-ffhq-10-025000"),
        note=_OFFICIAL_NOTE + "The only face model here that was trained at 1024.",
    ),
    _official(
        name="comodgan-places-512",
        data="places",
        training_split="none",
        resolution=512,
        files=_official_file("1dJa3DRWIkx6Ebr8Sc0v1FdvWf6wkd010", "co-mod-gan-places2-050000"),
        note=_OFFICIAL_NOTE + "Scenes, not faces.",
    ),
    _teacher(
        name="comodgan-ffhq-256",
        data="ffhq",
        training_split="none",
        resolution=256,
        files=_teacher_file("comodgan_256_ffhq.pt"),
        note=_TEACHER_NOTE.rstrip(),
    ),
    _teacher(
        name="comodgan-places-256",
        data="places",
        training_split="none",
        resolution=256,
        files=_teacher_file("comodgan_256_places2.pt"),
        note=_TEACHER_NOTE + "Scenes, not faces.",
    ),
    _teacher(
        name="comodgan-places-512-teacher",
        data="places",
        training_split="none",
        resolution=512,
        files=_teacher_file("comodgan_512_places2.pt"),
        note=_TEACHER_NOTE + "Scenes, not faces.",
    ),
)
