"""The authors' own code of the networks: how it is imported, built and called.

Used by ``against_official.py``. The official modules are imported from clones on the user's disk,
each network's in a process of its own: several repositories call their packages the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import torch
from stand_ins import StandIns
from torch import Tensor, nn

from facemask_inpaint import models


@dataclass(frozen=True)
class Rival:
    """How the official code of a network is built and called.

    Attributes:
        repository: owner and name on GitHub; the name is that of the clone's folder.
        side: side of the square image.
        build: makes the official network, once its modules can be imported.
        call: from the official network, image and hole to the prediction in [-1, 1].
        architecture: this library's name of the network.
        ours: the same for this library's network; ``None`` calls it as ``Inpainter`` does. Only
            networks of many steps need it, of which one call of the denoiser is measured.
        folders: where modules are looked for, from the clone's own folder.
    """

    repository: str
    side: int
    build: Callable[[], nn.Module]
    call: Callable[[nn.Module, Tensor, Tensor], Tensor]
    architecture: str
    ours: Callable[[models.InpaintingNetwork, Tensor], Tensor] | None = None
    folders: tuple[str, ...] = ("",)


class Files(nn.ModuleDict):
    """The parts of a network that was published as several files, by the files' roles."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return all tensors under the keys that ``models.from_official`` takes."""
        return {
            f"{role}/{key}": tensor
            for role, part in self.items()
            for key, tensor in part.state_dict().items()
        }


def lama(blocks: int) -> Rival:
    """LaMa with 9 or 18 blocks."""

    def build() -> nn.Module:
        from saicinpainting.training.modules.ffc import FFCResNetGenerator

        plain = {"ratio_gin": 0, "ratio_gout": 0, "enable_lfu": False}
        return FFCResNetGenerator(
            *(4, 3),
            n_blocks=blocks,
            add_out_act="sigmoid",
            init_conv_kwargs=plain,
            downsample_conv_kwargs=plain,
            resnet_conv_kwargs={"ratio_gin": 0.75, "ratio_gout": 0.75, "enable_lfu": False},
        )

    def call(network: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
        black_hole = (image + 1) / 2 * (1 - hole)
        return 2 * network(torch.cat([black_hole, hole], 1)) - 1

    return Rival("advimman/lama", 256, build, call, "lama")


def aotgan() -> Rival:
    """AOT-GAN."""

    def build() -> nn.Module:
        from model.aotgan import InpaintGenerator

        return InpaintGenerator(SimpleNamespace(rates=[1, 2, 4, 8], block_num=8))

    def call(network: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
        return network(image * (1 - hole) + hole, hole)

    repository = "researchmm/AOT-GAN-for-Inpainting"
    return Rival(repository, 512, build, call, "aotgan", folders=("src",))


def mat() -> Rival:
    """MAT at 512; both sides draw which features to keep, so the predictions differ."""

    def build() -> nn.Module:
        from networks.mat import Generator

        return Generator(z_dim=512, c_dim=0, w_dim=512, img_resolution=512, img_channels=3)

    def call(network: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
        z, label = torch.zeros(1, 512).add_(1), torch.zeros(1, 0)
        return network(image, 1 - hole, z, label, noise_mode="const")

    return Rival("fenglinglwb/MAT", 512, build, call, "mat")


def comodgan(side: int) -> Rival:
    """Co-Mod-GAN, as the authors of MI-GAN trained it again."""

    def build() -> nn.Module:
        from lib.model_zoo.comodgan import Encoder, Generator, Mapping, Synthesis

        rows = 2 * (side.bit_length() - 2)
        encoder = Encoder(resolution=side, use_dropout=False)
        return Generator(Mapping(num_ws=rows), encoder, Synthesis(resolution=side))

    def call(network: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
        x = torch.cat([0.5 - hole, image * (1 - hole)], 1)
        return network(x, torch.ones(1, 512), noise_mode="const")

    return Rival("Picsart-AI-Research/MI-GAN", side, build, call, "comodgan")


def migan(side: int) -> Rival:
    """MI-GAN in its inference form."""

    def build() -> nn.Module:
        from lib.model_zoo.migan_inference import Generator

        return Generator(resolution=side)

    def call(network: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
        return network(torch.cat([0.5 - hole, image * (1 - hole)], 1))

    return Rival("Picsart-AI-Research/MI-GAN", side, build, call, "migan")


def deepfillv2() -> Rival:
    """DeepFillv2, in the conversion to PyTorch that keeps TensorFlow's behaviour."""

    def build() -> nn.Module:
        from model.networks_tf import Generator

        return Generator(cnum_in=5, cnum=48)

    def call(network: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
        ones = torch.ones_like(hole)
        return network(torch.cat([image * (1 - hole), ones, ones * hole], 1), hole)[1]

    return Rival("nipponjo/deepfillv2-pytorch", 256, build, call, "deepfillv2")


def madf() -> Rival:
    """MADF, which sees colours normalised as for ImageNet."""
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

    def build() -> nn.Module:
        from net import MADFNet

        return MADFNet(SimpleNamespace(n_refinement_D=2))

    def call(network: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
        known = (1 - hole).expand_as(image)
        seen = ((image + 1) / 2 - mean) / deviation * known
        return 2 * (network(seen, known)[-1] * deviation + mean) - 1

    return Rival("MADF-inpainting/Pytorch-MADF", 512, build, call, "madf")


def cmt() -> Rival:
    """CMT, which sees blue first."""

    def build() -> nn.Module:
        from network.network_pro import Inpaint

        return Inpaint()

    def call(network: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
        return network(image.flip(1), hole).flip(1)

    return Rival("keunsoo-ko/CMT", 256, build, call, "cmt")


def tformer() -> Rival:
    """T-former."""

    def build() -> nn.Module:
        from model.network import Generator

        return Generator()

    def call(network: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
        return network(image * (1 - hole), 1 - hole)

    repository = "dengyecode/T-former_image_inpainting"
    return Rival(repository, 256, build, call, "tformer")


def repaint() -> Rival:
    """One call of RePaint's network; a prediction takes hundreds."""

    def build() -> nn.Module:
        from guided_diffusion.script_util import create_model

        return create_model(
            *(256, 256, 2),
            learn_sigma=True,
            attention_resolutions="32,16,8",
            num_head_channels=64,
            use_scale_shift_norm=True,
            resblock_updown=True,
            conf=SimpleNamespace(diffusion_steps=1000, use_value_logger=False),
        )

    def call(network: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
        return network(image, torch.tensor([500]))[:, :3]

    def ours(network: models.InpaintingNetwork, image: Tensor) -> Tensor:
        return network.unet(image, 500)[:, :3]

    return Rival("andreas128/RePaint", 256, build, call, "repaint", ours)


def ldm() -> Rival:
    """One call of the inpainting LDM's network, on the latents of a 256 x 256 image."""
    side, colours = 64, {"in_channels": 3, "out_ch": 3, "z_channels": 3, "double_z": False}
    sizes = {"resolution": 256, "ch": 128, "ch_mult": (1, 2, 4), "num_res_blocks": 2}
    attention = {"attn_type": "none", "attn_resolutions": [], "dropout": 0.0}

    def build() -> nn.Module:
        from ldm.models.autoencoder import VQModelInterface
        from ldm.modules.diffusionmodules.openaimodel import UNetModel

        whole = nn.Module()
        whole.model = nn.Module()
        whole.model.diffusion_model = UNetModel(
            *(side, 7, 256, 3, 2, [8, 4, 2]),
            channel_mult=(1, 2, 3, 4),
            num_heads=8,
            resblock_updown=True,
        )
        loss = {"target": "torch.nn.Identity"}
        whole.first_stage_model = VQModelInterface(3, colours | sizes | attention, loss, 8192)
        return whole

    def seen(image: Tensor) -> Tensor:
        latent = image[:, :, ::4, ::4]
        return torch.cat([latent, latent, latent[:, :1]], 1)

    def call(network: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
        return network.model.diffusion_model(seen(image), torch.tensor([500]))

    def ours(network: models.InpaintingNetwork, image: Tensor) -> Tensor:
        return network.epsilon(seen(image), 500)

    folders = ("", "../taming-transformers")
    return Rival("CompVis/latent-diffusion", 256, build, call, "ldm", ours, folders)


def latentcode() -> Rival:
    """The latent-code network, without the passes of the demonstration that nothing depends on."""
    shape = {"ch": 128, "ch_mult": (1, 1, 2, 2, 4), "num_res_blocks": 2, "attn_resolutions": [16]}
    shape |= {"resolution": 256, "in_channels": 3, "out_ch": 3, "z_channels": 256}
    shape |= {"double_z": False, "dropout": 0.0}
    size = {"n_embed": 1024, "embed_dim": 256}

    def build() -> nn.Module:
        sys.modules["transformers"] = MagicMock()  # a version that still has what is imported
        from core.models.decoder.decoder import PartialDecoder
        from core.models.decoder.unet import RefinementUNet
        from core.models.encoder import MaskPartialEncoderModel
        from core.models.transformer import Transformer
        from core.modules.vqvae.quantize import VectorQuantizer2

        nothing = {"target": "torch.nn.Identity"}
        widths = {"n_layer": 40, "n_head": 16, "n_embd": 1408}
        gpt = {"target": "core.modules.transformer.mingpt.GPT"}
        gpt |= {"params": {"vocab_size": 1025, "block_size": 257} | widths}
        vqgan = nn.Module()
        vqgan.quantize = VectorQuantizer2(1024, 256, beta=0.25)
        return Files(
            {
                "vqgan": vqgan,
                "encoder": MaskPartialEncoderModel(shape | {"clamp_ratio": 0.25}, **size),
                "transformer": Transformer(gpt, "__is_unconditional__"),
                "decoder": PartialDecoder(shape, nothing, **size, first_stage_model_type="none"),
                "unet": RefinementUNet(shape, **size),
            }
        )

    def call(network: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
        known, seen = 1 - hole, image * (1 - hole)
        scores, clear = network["encoder"].encode_logits(seen, known, clamp_ratio=0.25)
        codes = torch.where(clear > 0, scores.argmax(1, keepdim=True), -1).flatten(1)
        codes = network["transformer"].sample(codes, torch.zeros_like(codes[:, :1]), sample=False)
        vectors = network["vqgan"].quantize.get_codebook_entry(codes.flatten(), (1, 16, 16, 256))
        composed, _ = network["decoder"](
            {"image": seen.permute(0, 2, 3, 1)},
            quant=vectors,
            mask_in=known,
            mask_out=clear,
            return_fstg=False,
        )
        return network["unet"].refine(composed, known, recomp=False)

    return Rival("nintendops/latent-code-inpainting", 256, build, call, "latentcode")


def moebius() -> Rival:
    """One call of Moebius's U-Net, on the latents of a 512 x 512 image."""

    def build() -> nn.Module:
        from diffusers import AutoencoderKL
        from removal.v1_2 import removal_model

        config = Path(removal_model.__file__).parents[2] / "config/model_cfg/moebius.yaml"
        autoencoder = AutoencoderKL(
            down_block_types=4 * ["DownEncoderBlock2D"],
            up_block_types=4 * ["UpDecoderBlock2D"],
            block_out_channels=[128, 256, 512, 512],
            layers_per_block=2,
        )
        unet = removal_model.build_removal_model(str(config))
        return Files({"unet": unet, "vae": autoencoder})

    def seen(image: Tensor) -> Tensor:
        return image[:, :, ::8, ::8].repeat(1, 3, 1, 1)

    def call(network: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
        return network["unet"](seen(image), torch.tensor([500]), torch.arange(10)[None])[0]

    def ours(network: models.InpaintingNetwork, image: Tensor) -> Tensor:
        return network.epsilon(seen(image), 500, torch.arange(10)[None])

    return Rival("hustvl/Moebius", 512, build, call, "moebius", ours)


RIVALS: dict[str, Rival] = {
    "aotgan": aotgan(),
    "cmt": cmt(),
    "comodgan-256": comodgan(256),
    "comodgan-512": comodgan(512),
    "deepfillv2": deepfillv2(),
    "lama": lama(9),
    "lama-big": lama(18),
    "latentcode": latentcode(),
    "ldm": ldm(),
    "madf": madf(),
    "mat": mat(),
    "migan-256": migan(256),
    "migan-512": migan(512),
    "moebius": moebius(),
    "repaint": repaint(),
    "tformer": tformer(),
}


def official_network(rival: Rival, clones: Path) -> nn.Module:
    """Build the official network with made-up weights, in inference mode."""
    clone = clones / rival.repository.partition("/")[2]
    if not clone.is_dir():
        raise FileNotFoundError(f"no clone of {rival.repository}")
    here = str(Path(__file__).parent)
    sys.path[:] = [str(clone / folder) for folder in rival.folders] + [
        folder for folder in sys.path if folder != here
    ]
    sys.meta_path.append(StandIns())
    torch.manual_seed(0)
    with redirect_stdout(StringIO()):
        network = rival.build()
    network.eval()
    return network
