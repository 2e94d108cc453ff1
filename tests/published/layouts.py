"""Writers of published layouts: official tensors in, the file's bytes out.

Each writer also tells which tensors under official keys its file amounts to, where it is not the
ones it was given: half precision rounds, and some files leave tensors out.
"""

from __future__ import annotations

import io
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import diffusers
import numpy as np
import omegaconf
import safetensors.torch
import torch
from torch import Tensor

from facemask_inpaint.models import _registry
from facemask_inpaint.models.layers import kl_autoencoder
from facemask_inpaint.models.ldm import LDM
from tests.checkpoints import writers
from tests.models import comodgan_layouts
from tests.models import test_latentcode_files as latentcode

Tensors = dict[str, Tensor]


class Written(NamedTuple):
    """A file, and the official tensors that it amounts to."""

    content: bytes
    amounts_to: Tensors


def torch_saved(value: Any, *, legacy: bool = False) -> bytes:
    """What ``torch.save`` writes now, or wrote before version 1.6."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """The same tensors deeper inside a module, as its ``state_dict`` gives them.

    That is a dictionary with an attribute: the version of every module on the way to a tensor.
    """
    state = OrderedDict((prefix + key, tensor) for key, tensor in tensors.items())
    paths = [key.split(".")[:-1] for key in state]
    names = {".".join(path[:end]): None for path in paths for end in range(len(path) + 1)}
    versions = OrderedDict((name, {"version": 1}) for name in names)
    state._metadata = versions  # type: ignore[attr-defined]
    return state


# Plain state dicts and what training scripts put around them


def state_dict(tensors: Tensors, *, prefix: str = "", legacy: bool = False) -> Written:
    """``torch.save(network.state_dict())``."""
    return Written(torch_saved(prefixed(prefix, tensors), legacy=legacy), tensors)


def madf(tensors: Tensors) -> Written:
    """MADF's training script: network and loss network in a data-parallel wrapper."""
    state = prefixed("module.model.", tensors)
    state["module.extractor.enc_1.0.weight"] = torch.zeros(8, 3, 3, 3)
    return Written(torch_saved({"n_iter": 350_000, "model": state, **_adam()}), tensors)


def deepfillv2(tensors: Tensors) -> Written:
    """The PyTorch port: generator and discriminator."""
    critic = {"conv1.conv.weight_orig": torch.zeros(4, 5, 5, 5)}
    return Written(torch_saved({"G": tensors, "D": critic, "n_iter": 1}), tensors)


def cmt(tensors: Tensors) -> Written:
    """CMT's training script, whose wrapper shows inside the keys."""
    state = prefixed("module.", tensors)
    return Written(torch_saved({"state_dict": state, "disc": _critic(), **_adam()}), tensors)


def _adam() -> dict[str, Any]:
    moments = {0: {"step": 5, "exp_avg": torch.zeros(4), "exp_avg_sq": torch.zeros(4)}}
    return {"gen_optimizer": {"state": moments, "param_groups": [{"lr": 2e-4, "params": [0]}]}}


def _critic() -> Tensors:
    return {"conv.0.weight": torch.zeros(4, 3, 5, 5)}


# Lightning


def lightning(state: Mapping[str, Tensor], **entries: Any) -> bytes:
    """The dictionary of Lightning 1.2 to 1.5 around the tensors of a module."""
    return torch_saved(
        {
            "epoch": 39,
            "global_step": 1_000_000,
            "pytorch-lightning_version": "1.2.9",
            "state_dict": state,
            "callbacks": {},
            "optimizer_states": [_adam()["gen_optimizer"]],
            "lr_schedulers": [],
            **entries,
        }
    )


def lama_lightning(tensors: Tensors) -> Written:
    """LaMa's trainer; the configuration is a container of the real omegaconf."""
    configuration = omegaconf.OmegaConf.create(LAMA_CONFIGURATION)
    state = prefixed("generator.", tensors)
    state["discriminator.model0.0.weight"] = torch.zeros(8, 3, 4, 4)
    state["loss_resnet_pl.impl.conv1.weight"] = torch.zeros(8, 3, 3, 3)
    content = lightning(
        state,
        hparams_name="config",
        hparams_type=type(configuration),
        hyper_parameters=configuration,
    )
    return Written(content, tensors)


LAMA_CONFIGURATION = {
    "run_title": "b18_ffc075_batch8x15",
    "training_model": {"kind": "default", "visualize_each_iters": 1000, "concat_mask": True},
    "losses": {"l1": {"weight_missing": 0, "weight_known": 10}, "adversarial": {"weight": 10}},
    "generator": {
        "kind": "ffc_resnet",
        "ngf": 64,
        "n_blocks": "${generator.depth}",
        "depth": 9,
        "init_conv_kwargs": {"ratio_gin": 0, "ratio_gout": 0, "enable_lfu": False},
        "resnet_conv_kwargs": {"ratio_gin": 0.75, "ratio_gout": "${generator.ratio}"},
        "ratio": 0.75,
        "spatial_transform_layers": None,
    },
    "optimizers": {"generator": {"kind": "adam", "lr": 0.001}},
    "visualizer": {"key_order": ["image", "predicted_image", "inpainted"], "rescale_keys": []},
    "trainer": {"kwargs": {"gpus": -1, "precision": 32, "limit_val_batches": 1.0}},
    "image_size": [256, 256],
}
"""Values of every kind that LaMa's configurations hold: whole numbers, fractions, texts, lists,
nothing, references to other values."""


def ldm_lightning(tensors: Tensors) -> Written:
    """The trainer of latent diffusion: the averaged U-Net beside the other one."""
    state = {**tensors, "model_ema.decay": torch.tensor(0.9999), "betas": torch.zeros(1000)}
    for key, tensor in tensors.items():
        if key.startswith("first_stage_model."):
            state[key.replace("first_stage", "cond_stage")] = tensor + 1
    state["first_stage_model.loss.discriminator.main.0.weight"] = torch.zeros(2)
    return Written(lightning(prefixed("", state)), tensors)


def latentcode_part(tensors: Tensors, role: str) -> Written:
    """One of the four or five trainings behind the latent-code network."""
    return Written(torch_saved(latentcode.checkpoint(role, tensors)), tensors)


# Diffusers


def diffusers_parts(tensors: Tensors) -> dict[str, bytes]:
    """Files by role, written by diffusers' own models after they were given the tensors."""
    network = cast(LDM, _registry.from_official("ldm", tensors))
    autoencoder = network.autoencoder
    vqvae = diffusers.VQModel(**autoencoder.net.config)
    codebook = {"quantize.embedding.weight": autoencoder.codebook.vectors.weight}
    vqvae.load_state_dict({**autoencoder.net.state_dict(), **codebook})
    return {"unet": _saved_pretrained(network.unet.net), "vqvae": _saved_pretrained(vqvae)}


def half_autoencoder(tensors: Tensors) -> Written:
    """Diffusers' own autoencoder after it was given the tensors, in half precision."""
    vae = diffusers.AutoencoderKL(
        block_out_channels=kl_autoencoder.official_widths(tensors),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
    )
    vae.load_state_dict(tensors)
    half = {key: tensor.float() for key, tensor in vae.half().state_dict().items()}
    return Written(_saved_pretrained(vae), half)


def _saved_pretrained(model: diffusers.ModelMixin) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, safe_serialization=False)
        return Path(folder, "diffusion_pytorch_model.bin").read_bytes()


# TorchScript


def traced(tensors: Tensors, prefix: str = "") -> Written:
    """``torch.jit.trace`` of a module with these tensors."""
    module = writers.module_tree(prefixed(prefix, tensors))
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(module, torch.zeros(1)), buffer)
    return Written(buffer.getvalue(), tensors)


def migan_traced(tensors: Tensors, *, without: str) -> Written:
    """A trace that has lost constants: the file is too small to hold all of them."""
    kept = {key: tensor for key, tensor in tensors.items() if not key.endswith(without)}
    lost = "noise_const" if without == "noise_const" else "nothing"
    silent = {k: torch.zeros_like(t) if k.endswith(lost) else t for k, t in tensors.items()}
    return Written(traced(kept).content, silent)


# Safetensors


def safetensors_file(
    tensors: Tensors, *, prefix: str = "", metadata: dict[str, str] | None = None
) -> Written:
    """``safetensors.torch.save``."""
    state = {key: tensor.contiguous() for key, tensor in prefixed(prefix, tensors).items()}
    return Written(safetensors.torch.save(state, metadata), tensors)


def mat_half(tensors: Tensors, *, metadata: dict[str, str] | None = None) -> Written:
    """Half precision, of the generator without noise."""
    half = {key: tensor.half() for key, tensor in without_noise(tensors).items()}
    rounded = {key: tensor.half().float() for key, tensor in tensors.items()}
    return Written(safetensors.torch.save(half, metadata), silenced(rounded))


def mat_noiseless(tensors: Tensors) -> Written:
    """A state dict of the generator without noise."""
    return Written(state_dict(without_noise(tensors)).content, silenced(tensors))


def without_noise(tensors: Tensors) -> Tensors:
    """What is left when a generator was built with ``use_noise=False``."""
    return {k: t for k, t in tensors.items() if not k.endswith(("noise_const", "noise_strength"))}


def silenced(tensors: Tensors) -> Tensors:
    """The same generator with noise of strength 0."""
    noisy = ("noise_const", "noise_strength")
    return {k: torch.zeros_like(t) if k.endswith(noisy) else t for k, t in tensors.items()}


def migan_mlx(tensors: Tensors) -> Written:
    """Half precision with the channels of the input last, as MLX keeps its convolutions."""
    rounded = {key: tensor.half() for key, tensor in tensors.items()}
    state = {
        k: t.permute(0, 2, 3, 1).contiguous() if t.ndim == 4 else t for k, t in rounded.items()
    }
    amounts_to = {key: tensor.float() for key, tensor in rounded.items()}
    return Written(safetensors.torch.save(state), amounts_to)


# Pickles that hold source

_SOURCE = "raise SystemExit('the embedded source ran')"


def stylegan2_ada(tensors: Tensors) -> Written:
    """A snapshot of the official training loop, whose source must not run."""
    writers.Persistent.source = _SOURCE
    average, other = (
        writers.module_tree(state, writers.Persistent) for state in (tensors, _critic())
    )
    return Written(writers.stylegan2_ada_snapshot(other, other, average), tensors)


def stylegan_tensorflow(tensors: Tensors) -> Written:
    """``(G, D, Gs)`` of the TensorFlow original."""
    trained, critic, average = (writers.Network(name, [], _SOURCE) for name in ("G", "D", "Gs"))
    parts = {name: writers.Network(f"G_{name}", [], _SOURCE) for name in ("synthesis", "mapping")}
    average.state["components"] = parts
    owners = {f"G_{name}": part for name, part in parts.items()}
    for key, tensor in tensors.items():
        first, _, rest = key.partition("/")
        # Variables without dimensions come as NumPy scalars.
        value = tensor.numpy() if tensor.ndim else np.float32(tensor.item())
        owners.get(first, average).state["variables"].append((rest or key, value))
    return Written(writers.tensorflow_pickle((trained, critic, average)), tensors)


def comodgan_conversion(tensors: Tensors, *, prefix: str = "") -> Written:
    """The PyTorch conversion of the TensorFlow original."""
    side = max(int(key.split("_")[2].partition("x")[0]) for key in tensors if "/E_" in key)
    converted = comodgan_layouts.conversion(tensors, side)
    return Written(state_dict(converted, prefix=prefix).content, converted)


LAYOUTS: dict[str, Callable[..., Written]] = {
    "state dict": state_dict,
    "autoencoder in half": half_autoencoder,
    "state dict in a wrapper": lambda tensors: state_dict(tensors, prefix="module."),
    "state dict of an old torch": lambda tensors: state_dict(tensors, legacy=True),
    "madf snapshot": madf,
    "deepfillv2 snapshot": deepfillv2,
    "cmt snapshot": cmt,
    "lama lightning": lama_lightning,
    "ldm lightning": ldm_lightning,
    "lama torchscript": lambda tensors: traced(tensors, "model.generator."),
    "lama safetensors": lambda tensors: safetensors_file(
        tensors, prefix="generator.", metadata={"format": "pt"}
    ),
    "migan torchscript without filters": lambda tensors: migan_traced(
        tensors, without="filter_const"
    ),
    "migan torchscript without noise": lambda tensors: migan_traced(tensors, without="noise_const"),
    "migan mlx": migan_mlx,
    "mat half": mat_half,
    "mat half with metadata": lambda tensors: mat_half(tensors, metadata={"format": "pt"}),
    "hub safetensors": lambda tensors: safetensors_file(tensors, metadata={"format": "pt"}),
    "mat state dict": mat_noiseless,
    "stylegan2-ada snapshot": stylegan2_ada,
    "tensorflow pickle": stylegan_tensorflow,
    "comodgan conversion": comodgan_conversion,
    "comodgan conversion in a wrapper": lambda tensors: comodgan_conversion(
        tensors, prefix="module."
    ),
}
"""Writers by the names of ``replicas.toml``."""


def write(layout: str, tensors: Tensors, role: str = "network") -> Written:
    """A part's file in a layout of the table."""
    if layout == "latentcode lightning":
        return latentcode_part(tensors, role)
    return LAYOUTS[layout](tensors)
