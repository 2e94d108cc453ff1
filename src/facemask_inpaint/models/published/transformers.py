"""T-former, CMT and the latent-code network."""

from __future__ import annotations

from functools import partial

from facemask_inpaint.models._model_card import Card, WeightFile
from facemask_inpaint.models.published.pages import drive_file, drive_folder

_cmt = partial(
    Card,
    architecture="cmt",
    resolution=256,
    licence="none stated",
    commercial_use=None,
    paper="Continuously Masked Transformer for Image Inpainting, ICCV 2023",
    repository="https://github.com/keunsoo-ko/CMT",
)
_CMT_NOTE = (
    "Deterministic; 256 x 256 only; works on BGR. The published file name and hash are not known: "
    "save the file under the name given here. "
)


def _cmt_files(file_id: str, filename: str) -> tuple[WeightFile, ...]:
    source = drive_file(file_id, filename)
    return (
        WeightFile(sources=(source,), container="torch", section="state_dict", prefix="module."),
    )


_latentcode = partial(
    Card,
    architecture="latentcode",
    resolution=256,
    licence="MIT (licence file); the README restricts code and models to research purposes",
    commercial_use=False,
    paper="Don't Look into the Dark: Latent Codes for Pluralistic Image Inpainting, CVPR 2024",
    arxiv="2403.18186",
    repository="https://github.com/nintendops/latent-code-inpainting",
)
_LATENTCODE_NOTE = (
    "Pluralistic; 256 x 256 only. Published in several files that are all needed; most of their "
    "bytes are training state, so keep a converted copy. Thin holes may leave every latent cell "
    "visible; then nothing is sampled and all seeds give one image. No hash is known. "
)


def _latentcode_files(
    folder_id: str, filenames: dict[str, tuple[str, int]]
) -> tuple[WeightFile, ...]:
    return tuple(
        WeightFile(
            role=role,
            sources=(drive_folder(folder_id, filename, size=size),),
            container="lightning",
            section="state_dict",
        )
        for role, (filename, size) in filenames.items()
    )


CARDS = (
    Card(
        name="tformer-celebahq-256",
        architecture="tformer",
        data="celebahq",
        training_split="unknown",
        resolution=256,
        licence="none stated",
        commercial_use=None,
        paper="T-former: An Efficient Transformer for Image Inpainting, ACM MM 2022",
        arxiv="2305.07239",
        repository="https://github.com/dengyecode/T-former_image_inpainting",
        default=True,
        note="No weights are published for any data set: the authors' repository has code only. "
        "What you can do: ask the authors for a *_net_G.pth file and open it with "
        "Inpainter.from_checkpoint(path, 'tformer'); train the network yourself from "
        "models.create('tformer'); or take another face model at 256, such as "
        "'lama-celebahq-256'. A file from before 27 November 2022 belongs to an older block with "
        "a second residual and gives garbage in the newer one although all keys fit.",
    ),
    _cmt(
        name="cmt-celebahq-256",
        data="celebahq",
        training_split="unknown",
        files=_cmt_files("1e6EbwGnMGgGXAn4QLffT_Zx_BbidBSbR", "cmt-celebahq-256.pth"),
        default=True,
        note=_CMT_NOTE + "The README calls its data CelebA; whether that is CelebA-HQ is not "
        "verified.",
    ),
    _cmt(
        name="cmt-places-256",
        data="places",
        training_split="none",
        files=_cmt_files("1zLkKixPnuoAY1k4fdq6JjidlRafKMhXN", "cmt-places-256.pth"),
        note=_CMT_NOTE + "Scenes, not faces.",
    ),
    _latentcode(
        name="latentcode-celebahq-256",
        data="celebahq",
        training_split="unknown",
        files=_latentcode_files(
            "1-o9KefXQb7R8qE70luYU58u-ksXOgmBh",
            {
                "vqgan": ("celeba_vqgan.ckpt", 958_211_422),
                "encoder": ("celeba_encoder.ckpt", 643_647_807),
                "transformer": ("celeba_transformer.ckpt", 11_766_897_373),
                "decoder": ("celeba_decoder.ckpt", 2_198_906_965),
            },
        ),
        default=True,
        note=_LATENTCODE_NOTE + "Sizes are the authors' own list.",
    ),
    _latentcode(
        name="latentcode-places-256",
        data="places",
        training_split="none",
        files=_latentcode_files(
            "1ZchB85kuUjLpxcz-WSgPDbkfeFcPRjZL",
            {
                "vqgan": ("places256_vqgan1024_BASE.ckpt", 958_141_493),
                "encoder": ("places256_partialencoder.ckpt", 643_625_933),
                "transformer": ("places256_transformer.ckpt", 11_766_897_437),
                "decoder": ("places256_decoder.ckpt", 1_243_793_995),
                "unet": ("places256_unet.ckpt", 1_531_450_677),
            },
        ),
        note=_LATENTCODE_NOTE + "Scenes, not faces. A U-Net that predicts at 512 lies in the same "
        "folder as places_unet_512.ckpt; there is none for faces.",
    ),
)
