"""RePaint, latent diffusion and LatentPaint."""

from __future__ import annotations

from functools import partial

from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models._model_card import Card, WeightFile
from facemask_inpaint.models.published.pages import drive_file

_repaint = partial(
    Card,
    architecture="repaint",
    resolution=256,
    licence="CC BY-NC-SA 4.0, academic use; the network's code is MIT (guided-diffusion)",
    commercial_use=False,
    paper="RePaint: Inpainting using Denoising Diffusion Probabilistic Models, CVPR 2022",
    arxiv="2201.09865",
    repository="https://github.com/andreas128/RePaint",
)
_REPAINT_NOTE = (
    "A sampler around an unconditional diffusion model; pluralistic. The official schedule calls "
    "the network 2,410 times, minutes per image on a GPU; the preset 'balanced' calls it 295 and "
    "'fast' 57 times. No hash is known. "
)
_ldm = partial(
    Card,
    architecture="ldm",
    licence="MIT (code; none stated for the weights)",
    commercial_use=None,
    paper="High-Resolution Image Synthesis with Latent Diffusion Models, CVPR 2022",
    arxiv="2112.10752",
    repository="https://github.com/CompVis/latent-diffusion",
)
_lightning = partial(WeightFile, container="lightning", section="state_dict")


def _converted(role: str) -> WeightFile:
    """One network of the faces' model as the hub repository holds it."""
    name = f"{role}/diffusion_pytorch_model.bin"
    source = Source("hf", "CompVis/ldm-celebahq-256", name)
    return WeightFile(sources=(source,), container="torch", role=role)


CARDS = (
    _repaint(
        name="repaint-celebahq-256",
        data="celebahq",
        training_split="unknown",
        files=(
            WeightFile(
                sources=(drive_file("1norNWWGYP3EZ_o05DmoW1ryKuKMmhlCX", "celeba256_250000.pt"),),
                container="torch",
            ),
        ),
        default=True,
        note=_REPAINT_NOTE + "Expects faces aligned as in CelebA-HQ. That this Drive file has "
        "this name is third parties' record. google/ddpm-ema-celebahq-256 on the hub is another "
        "network and does not fit.",
    ),
    _repaint(
        name="repaint-places-256",
        data="places",
        training_split="none",
        files=(
            WeightFile(
                sources=(drive_file("1QEl-btGbzQz6IwkXiFGd49uQNTUtTHsk", "places256_300000.pt"),),
                container="torch",
            ),
        ),
        note=_REPAINT_NOTE + "Scenes, not faces. The authors' script fetches this file without "
        "saying what it is; that it is the Places2 model is inferred.",
    ),
    _ldm(
        name="ldm-places-512",
        traits={"conditioned": True},
        data="places",
        training_split="none",
        resolution=512,
        files=(
            _lightning(
                sources=(
                    Source(
                        "url",
                        "https://heibox.uni-heidelberg.de/f/4d9ac7ea40c64582b7c9/?dl=1",
                        "last.ckpt",
                    ),
                    Source(
                        "url",
                        "https://huggingface.co/spaces/OpenGVLab/InternGPT/resolve/main/"
                        "model_zoo/ldm_inpainting_big.ckpt",
                        "ldm_inpainting_big.ckpt",
                    ),
                    Source(
                        "manual",
                        "https://ommer-lab.com/files/latent-diffusion/inpainting_big.zip",
                        "inpainting_big/last.ckpt",
                    ),
                )
            ),
        ),
        default=True,
        note="Scenes, not faces: the one latent diffusion model trained to inpaint; 50 steps; "
        "pluralistic. Trained on 256 x 256 crops and, as far as is known, tuned at 512. Sides "
        "must be multiples of 32. The first link dates from 2022 and may be dead; no hash is "
        "known. The file should be about 3.3 GB: its U-Net is there twice, and the averaged copy "
        "counts.",
    ),
    _ldm(
        name="ldm-celebahq-256",
        traits={"conditioned": False},
        data="celebahq",
        training_split="unknown",
        resolution=256,
        files=(
            _lightning(
                sources=(
                    Source(
                        "manual",
                        "https://ommer-lab.com/files/latent-diffusion/celeba.zip",
                        "celeba256/model.ckpt",
                    ),
                )
            ),
        ),
        note="An unconditional model of faces, not trained to inpaint: known latents are put back "
        "at every step; 50 steps; pluralistic. Expects faces aligned as in CelebA-HQ. Unpack "
        "model.ckpt from the zip; no hash is known. 'ldm-celebahq-256-diffusers' is the same "
        "model without a browser.",
    ),
    _ldm(
        name="ldm-celebahq-256-diffusers",
        data="celebahq",
        training_split="unknown",
        resolution=256,
        licence="Apache-2.0 (tag of the hub repository)",
        files=(_converted("unet"), _converted("vqvae")),
        note="The model of 'ldm-celebahq-256' converted for diffusers, as the group that trained "
        "it put it on the hub: two files, named as diffusers names them. No hash is known.",
    ),
    Card(
        name="latentpaint-celebahq-256",
        architecture="latentpaint",
        data="celebahq",
        training_split="unknown",
        resolution=256,
        licence="none: nothing was published",
        commercial_use=None,
        paper="LatentPaint: Image Inpainting in Latent Space with Diffusion Models, WACV 2024",
        default=True,
        note="Neither code nor weights were ever published, and no official result to compare "
        "with. The method adds a small trained propagation module to a frozen latent diffusion "
        "model; nobody published such a module. What you can do: use it without one on the face "
        "prior 'ldm-celebahq-256', whose model.ckpt Inpainter.from_checkpoint(path, "
        "'latentpaint') opens; train the module yourself; or take 'latentcode-celebahq-256' or "
        "'mat-celebahq-256'.",
    ),
)
