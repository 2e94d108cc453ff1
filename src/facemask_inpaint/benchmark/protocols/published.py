"""The protocols that come with the library: what is published of each, and what was decided."""

from __future__ import annotations

from facemask_inpaint.benchmark.mask_sources import FreeFormMasks, SemanticMasks
from facemask_inpaint.benchmark.protocols.files import read_protocol
from facemask_inpaint.benchmark.protocols.records import Protocol, Split
from facemask_inpaint.errors import unknown_name
from facemask_inpaint.masks import MaskClass

_CELEBAMASK_HQ = "CelebAMask-HQ"
_MAT_VAL = Split(
    data=_CELEBAMASK_HQ,
    partition="celeba",
    part="val",
    count=2993,
    held_out_from=("celeba-train",),
)
_MAT_MASKS = FreeFormMasks(generators=(("large", "mat"), ("small", "mat_small")))
_OWN_DRAWS = (
    "The published mask files cannot be had without a browser, and their draws cannot be repeated: "
    "the masks are drawn here by the published recipe, from seed 0 and the portrait's key"
)
_RESIZE = "Portraits of 1024 pixels are reduced by Lanczos resampling"

PROTOCOLS: tuple[Protocol, ...] = (
    Protocol(
        name="study-celebamaskhq-512",
        version=1,
        title="Twelve semantic masks at 512 pixels, as in the study of facial components",
        split=Split(
            data=_CELEBAMASK_HQ,
            partition="first-24000",
            part="test",
            count=6000,
            keys_sha256="a1f4d3ae03b66e5f271535e4b28d898668650bc3d392bdd305d9d792a4af0a73",
        ),
        masks=SemanticMasks(classes=tuple(str(mask_class) for mask_class in MaskClass)),
        resolutions=(512,),
        metrics=("fid", "pids", "uids"),
        extractors=("stylegan",),
        published=(
            "24,000 images to train and 6,000 to test, twelve mask classes, 512 pixels, FID, P-IDS "
            "and U-IDS (Sharadga, Hayajneh and Serpedin, AI 2026, 7(4), 119, "
            "doi.org/10.3390/ai7040119)",
        ),
        choices=(
            "Which 6,000 images are tested is not published: the last 6,000 by number",
            "How masks are cut and dilated is not published: the default of SemanticMasker, 1 % of "
            "the side",
            "Of the twelve classes, C, G and I are the study's; the others are this library's",
            "The Inception network's front end is not published: that of StyleGAN2-ADA, which the "
            "code of P-IDS and U-IDS uses",
            _RESIZE,
        ),
        probe="04fb3e4ae4bd1da38c28a13813f5c45b2145db3aa144714264225a2f7f75ac44",
    ),
    Protocol(
        name="mat-celeba512",
        version=1,
        title="MAT's large and small free-form masks on the CelebA validation part at 512 pixels",
        split=_MAT_VAL,
        masks=_MAT_MASKS,
        resolutions=(512,),
        metrics=("fid", "pids", "uids"),
        extractors=("stylegan",),
        published=(
            "CelebA's partition, label 1, is what is evaluated (MAT's author, "
            "github.com/fenglinglwb/MAT/issues/3)",
            "Large masks come from datasets/mask_generator_512.py and small ones from "
            "datasets/mask_generator_512_small.py (the same issue)",
            "FID, P-IDS and U-IDS by evaluatoin/cal_fid_pids_uids.py; the released model on small "
            "masks should have 2.86, 21.15 % and 32.56 % (github.com/fenglinglwb/MAT/issues/86)",
        ),
        choices=(_OWN_DRAWS, _RESIZE),
        probe="fae60a07b995cd0598ff046ecad447570a6ce6bd44e0e58e54657a27048f8b89",
    ),
    Protocol(
        name="lama-celebahq-256",
        version=1,
        title="LaMa's thin, medium and thick masks on its 2,000 held-out images at 256 pixels",
        split=Split(
            data=_CELEBAMASK_HQ,
            partition="listed",
            part="test",
            count=2000,
            keys_sha256="73c912fa8daf92eb5a7af29a0ea89dbf317adb57273bdc2d5d7892ffe1be8b68",
            held_out_from=("lama-train",),
        ),
        masks=FreeFormMasks(
            generators=(
                ("thin", "lama_thin"),
                ("medium", "lama_medium"),
                ("thick", "lama_thick"),
            )
        ),
        resolutions=(256,),
        metrics=("fid", "lpips"),
        extractors=("pytorch_fid",),
        published=(
            "The 2,000 images of fetch_data/val_shuffled.flist are set aside, and predicted in the "
            "README's example of an evaluation (github.com/advimman/lama, "
            "fetch_data/celebahq_dataset_prepare.sh and README)",
            "Masks follow configs/data_gen/random_thin_256.yaml, random_medium_256.yaml and "
            "random_thick_256.yaml, at most half of the image",
            "FID by the network of pytorch-fid, and LPIPS (saicinpainting/evaluation)",
        ),
        choices=(
            "Images are numbered there from 0 in the order of CelebA-HQ: taken to be the keys of "
            "CelebAMask-HQ",
            "The masks are drawn here by the published recipe, from seed 0 and the portrait's key",
            _RESIZE + "; LaMa's authors downloaded images of 256 pixels",
        ),
        probe="af7ae2b04be877492adafda28f9a1526953c15c845d07606bf7354b5f85b6cd4",
    ),
    Protocol(
        name="pixelhacker-celebahq-512",
        version=1,
        title="PixelHacker's comparison on CelebA-HQ at 512 pixels, by MAT's protocol",
        split=_MAT_VAL,
        masks=FreeFormMasks(generators=(("large", "mat"),)),
        resolutions=(512,),
        metrics=("fid", "lpips"),
        extractors=("stylegan",),
        published=(
            "512 pixels, FID and LPIPS (4.75 and 0.115 for PixelHacker; README of "
            "github.com/hustvl/PixelHacker)",
            "The comparison on CelebA-HQ follows MAT's protocol, as a reader quotes the paper; "
            "whether with MAT's mask files was asked and not answered "
            "(github.com/hustvl/PixelHacker/issues/21)",
        ),
        choices=(
            "One row per method is published, and not whether masks are large or small: large",
            "Which images, and which front end of the Inception network: as in MAT's protocol",
            _OWN_DRAWS,
            _RESIZE,
        ),
        probe="84cd6cef6d0957c51b4a776f7bbc8315cda5dfdb81bc3430f27d2f206c685c10",
    ),
)
"""The protocols that come with the library."""


def list_protocols() -> list[str]:
    """Return the names of the protocols that come with the library.

    Example:
        >>> from facemask_inpaint import benchmark
        >>> benchmark.protocols.list_protocols()[0]
        'study-celebamaskhq-512'
    """
    return [protocol.name for protocol in PROTOCOLS]


def find_protocol(name: str) -> Protocol:
    """Return a protocol by its name, or from a file of your own.

    Args:
        name: one of :func:`list_protocols`, or the path of a YAML file.

    Raises:
        UnknownNameError: there is none of this name.
        OptionError: the file is missing or damaged.

    Example:
        >>> from facemask_inpaint import benchmark
        >>> benchmark.protocols.find_protocol("lama-celebahq-256").masks.classes
        ('thin', 'medium', 'thick')
    """
    for protocol in PROTOCOLS:
        if protocol.name == name:
            return protocol
    if name.endswith((".yaml", ".yml")):
        return read_protocol(name)
    raise unknown_name("protocol", name, list_protocols())
