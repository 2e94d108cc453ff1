"""MADF, AOT-GAN and DeepFill v2."""

from __future__ import annotations

from functools import partial

from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models._model_card import Card, WeightFile
from facemask_inpaint.models.published.pages import drive_file, drive_folder

_madf = partial(
    Card,
    architecture="madf",
    resolution=512,
    licence="GPL-3.0 (repository; none stated for the weights)",
    commercial_use=None,
    paper="Image Inpainting by End-to-End Cascaded Refinement with Mask Awareness, "
    "IEEE Transactions on Image Processing 2021",
    arxiv="2104.13743",
    repository="https://github.com/MADF-inpainting/Pytorch-MADF",
)
_MADF_NOTE = (
    "Deterministic; sides must be multiples of 128. Trained without an adversary, so large holes "
    "turn out soft. The published file name and hash are not known: save the file under the name "
    "given here. Nobody has reported a strict load; keys that do not fit are named in an error. "
)


def _madf_files(file_id: str, filename: str) -> tuple[WeightFile, ...]:
    source = drive_file(file_id, filename)
    return (
        WeightFile(sources=(source,), container="torch", section="model", prefix="module.model."),
    )


_aotgan = partial(
    Card,
    architecture="aotgan",
    resolution=512,
    licence="Apache-2.0",
    commercial_use=None,
    paper="Aggregated Contextual Transformations for High-Resolution Image Inpainting",
    arxiv="2104.01431",
    repository="https://github.com/researchmm/AOT-GAN-for-Inpainting",
)
_AOTGAN_NOTE = (
    "Deterministic. Trained on thin to medium irregular strokes: whole facial features are out "
    "of its range, expect blur there. The images it was trained on are for research only. "
)


_AOTGAN_FACES_SHA256 = "5cfbf8e545e75adc1be66682741d22b4e5288f734971cc896b795e7e137f42f9"


def _aotgan_files(*sources: Source) -> tuple[WeightFile, ...]:
    return (WeightFile(sources=sources, container="torch"),)


_deepfillv2 = partial(
    Card,
    architecture="deepfillv2",
    resolution=256,
    licence="CC BY-NC 4.0 (original weights); the port that converted them states none",
    commercial_use=False,
    paper="Free-Form Image Inpainting with Gated Convolution, ICCV 2019",
    arxiv="1806.03589",
    repository="https://github.com/JiahuiYu/generative_inpainting",
)
_DEEPFILL_NOTE = (
    "Deterministic; sides must be multiples of 8. Poor on holes much larger than 128 x 128. "
    "No hash is known. OpenMMLab retrained this network on CelebA and on Places under keys "
    "of its own, which are not read here. "
)
_CONVERTED_NOTE = (
    "The authors' TensorFlow weights, converted by a third party, and run here as the authors did: "
    "scores fused, the mask reduced in two steps, blue first. The port's own defaults (fuse=False, "
    "mask_steps=1, bgr=False) give other images. Should the conversion have swapped the colours, "
    "which nobody has settled, fills are tinted: then load the file with bgr=False. "
)
_AS_THE_AUTHORS = {"fuse": True, "mask_steps": 2, "bgr": True}
_CONVERTED, _TUNED = {"padding": "same"}, {"padding": "symmetric"}
_TUNED_NOTE = "The converted weights, fine-tuned by a third party for symmetric padding and RGB. "


def _deepfill_files(file_id: str, filename: str) -> tuple[WeightFile, ...]:
    return (WeightFile(sources=(drive_file(file_id, filename),), container="torch", section="G"),)


CARDS = (
    _madf(
        name="madf-celeba-512",
        data="celeba",
        training_split="unknown",
        files=_madf_files("1kWV_RT6xTXuyIh7Oj3OnoZGOB9h4ZP0Z", "madf-celeba-512.pth"),
        default=True,
        note=_MADF_NOTE + "The README says aligned and cropped CelebA, later papers CelebA-HQ; "
        "CelebA holds every face of CelebA-HQ.",
    ),
    _madf(
        name="madf-places-512",
        data="places",
        training_split="none",
        files=_madf_files("10iXhPEiOiNzTbM-Yc1GRy2-D9Xjmd1cI", "madf-places-512.pth"),
        note=_MADF_NOTE + "Scenes, not faces.",
    ),
    _madf(
        name="madf-psv-512",
        data="psv",
        training_split="none",
        files=_madf_files("1cmrj_zod5eCsMavLVC4BGr9KavHXizkw", "madf-psv-512.pth"),
        note=_MADF_NOTE + "House fronts, not faces.",
    ),
    _aotgan(
        name="aotgan-celebahq-512",
        data="celebahq",
        training_split="unknown",
        files=_aotgan_files(
            Source("hf", "NimaBoscarino/aot-gan-celebahq", "pytorch_model.bin"),
            Source(
                "url",
                "https://drive.google.com/uc?export=download&id=1T7Xkv09pvf6gy-R2Cn0RN5V-Pq0vSFPw",
                "celebahq/G0000000.pt",
                sha256=_AOTGAN_FACES_SHA256,
                size=60_829_150,
            ),
            drive_folder(
                "1Zks5Hyb9WAEpupbTdBqsCafmb25yqsGJ",
                "celebahq/G0000000.pt",
                sha256=_AOTGAN_FACES_SHA256,
                size=60_829_150,
            ),
        ),
        default=True,
        note=_AOTGAN_NOTE
        + "The downloaded file is a third party's copy without a known hash, or the "
        "authors' own from Google Drive, whose hash is a third party's record.",
    ),
    _aotgan(
        name="aotgan-places-512",
        data="places",
        training_split="none",
        files=_aotgan_files(
            Source(
                "hf",
                "NimaBoscarino/aot-gan-places2",
                "pytorch_model.bin",
                sha256="bccbee30d45e8682abfa803f2c7b1268a637d5b9d7f5fb0048765ffd542e8843",
                size=60_846_567,
            ),
            drive_folder("1bSOH-2nB3feFRyDEmiX81CEiWkghss3i", "places2/G0000000.pt"),
        ),
        note=_AOTGAN_NOTE + "Scenes, not faces. The downloaded file is a third party's copy.",
    ),
    _deepfillv2(
        name="deepfillv2-celebahq-256",
        data="celebahq",
        training_split="unknown",
        files=_deepfill_files("1fTQVSKWwWcKYnmeemxKWImhVtFQpESmm", "states_tf_celebahq.pth"),
        options=_AS_THE_AUTHORS,
        traits=_CONVERTED,
        default=True,
        note=(_DEEPFILL_NOTE + _CONVERTED_NOTE).rstrip(),
    ),
    _deepfillv2(
        name="deepfillv2-celebahq-256-tuned",
        data="celebahq",
        training_split="unknown",
        traits=_TUNED,
        files=_deepfill_files("17oJ1dJ9O3hkl2pnl8l2PtNVf2WhSDtB7", "states_pt_celebahq.pth"),
        note=(_DEEPFILL_NOTE + _TUNED_NOTE).rstrip(),
    ),
    _deepfillv2(
        name="deepfillv2-places-256",
        data="places",
        training_split="none",
        files=_deepfill_files("1tvdQRmkphJK7FYveNAKSMWC6K09hJoyt", "states_tf_places2.pth"),
        options=_AS_THE_AUTHORS,
        traits=_CONVERTED,
        note=_DEEPFILL_NOTE + _CONVERTED_NOTE + "Scenes, not faces.",
    ),
    _deepfillv2(
        name="deepfillv2-places-256-tuned",
        data="places",
        training_split="none",
        traits=_TUNED,
        files=_deepfill_files("1L63oBNVgz7xSb_3hGbUdkYW1IuRgMkCa", "states_pt_places2.pth"),
        note=_DEEPFILL_NOTE + _TUNED_NOTE + "Scenes, not faces.",
    ),
)
