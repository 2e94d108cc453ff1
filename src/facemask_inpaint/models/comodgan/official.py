"""Co-Mod-GAN's three key layouts: TensorFlow original, PyTorch conversion, MI-GAN's teacher.

The first two are brought to the keys of the third, whose modules correspond to those here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor

from facemask_inpaint.errors import CheckpointError
from facemask_inpaint.models.layers.official import OfficialTensors
from facemask_inpaint.models.layers.stylegan2 import MappingNetwork

Layout = Literal["tensorflow", "conversion", "teacher"]

TEACHER_CLAMP = 256.0
_STARTS: dict[Layout, str] = {
    "tensorflow": "G_synthesis/",
    "conversion": "G_synthesis.",
    "teacher": "synthesis.",
}
_ENCODER = {"FromRGB": "fromrgb", "Conv0": "conv0", "Conv1_down": "conv1"}
_ENCODER |= {"Conv": "conv", "Dense0": "fc"}
_DECODER = {"Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb", "Conv": "conv", "Dense": "fc"}
"""Layers of the original: its names to the teacher's."""

_HALVES = {"E": ("encoder", _ENCODER), "G": ("synthesis", _DECODER)}
_ORIGINAL = re.compile(
    r"G_mapping/Dense(?P<mapping>\d+)/(?P<own>\w+)|"
    r"G_synthesis/(?P<half>[EG])_(?P<side>\d+)x\d+/(?P<layer>\w+)/(?P<leaf>.+)"
)

_LEAVES = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
}
"""Tensors of a modulated layer: the conversion's names to the teacher's."""


def options(tensors: Mapping[str, Tensor]) -> dict[str, object]:
    """Return the constructor arguments of ``CoModGAN`` read off the shapes of its tensors.

    Raises:
        CheckpointError: these are no tensors of a Co-Mod-GAN generator.
    """
    resolution = _resolution(tensors)
    teacher = OfficialTensors(_teacher_keys(tensors), "Co-Mod-GAN")
    return {
        "resolution": resolution,
        "channel_base": teacher.take(f"encoder.b{resolution}.conv0.weight").shape[0] * resolution,
        "channel_max": teacher.take("encoder.b4.conv.weight").shape[0],
        "latent_dim": teacher.take("mapping.fc0.weight").shape[0],
        "code_dim": teacher.take("encoder.b4.fc.weight").shape[0],
        "activation_clamp": TEACHER_CLAMP if layout(tensors) == "teacher" else None,
    }


def translate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of ``CoModGAN`` from tensors in any of the three layouts.

    The conversion has lost the average latent, which is estimated here, and the noise planes,
    which are drawn from a fixed seed: the original's are just such draws, and never trained.

    Raises:
        CheckpointError: these are no tensors of a Co-Mod-GAN generator.
    """
    resolution, keyed = _resolution(tensors), _teacher_keys(tensors)
    if layout(tensors) == "conversion":
        keyed |= _lost_by_conversion(keyed)
    teacher = OfficialTensors(keyed, "Co-Mod-GAN")
    state = {"mapping.w_avg": teacher.take("mapping.w_avg")}
    state |= teacher.move_all(dict(_modules(resolution)))
    teacher.finish()
    return state


def layout(tensors: Mapping[str, Tensor]) -> Layout:
    """Return which of the three layouts the keys are in.

    Raises:
        CheckpointError: in none of them.
    """
    for name, start in _STARTS.items():
        if any(key.startswith(start) for key in tensors):
            return name
    raise CheckpointError(
        "these are no tensors of a Co-Mod-GAN generator: no key starts with "
        + ", ".join(map(repr, _STARTS.values()))
    )


def _modules(resolution: int) -> Iterator[tuple[str, str]]:
    """Each module's place under the teacher's keys, and here."""
    for i in range(8):
        yield f"mapping.fc{i}", f"mapping.layers.{i}"
    levels = resolution.bit_length() - 3  # scales above 4 x 4
    yield f"encoder.b{resolution}.fromrgb", "encoder.enter"
    for i in range(levels):
        yield f"encoder.b{resolution >> i}.conv0", f"encoder.convs.{i}"
        yield f"encoder.b{resolution >> i}.conv1", f"encoder.downsamples.{i}"
    yield "encoder.b4.conv", f"encoder.convs.{levels}"
    yield "encoder.b4.fc", "encoder.code"
    yield "synthesis.b4.fc", "expand"
    yield "synthesis.b4.conv", "decoder.inner"
    yield "synthesis.b4.torgb", "decoder.inner_to_rgb"
    for i in range(levels):
        theirs, ours = f"synthesis.b{8 << i}", f"decoder.blocks.{i}"
        yield f"{theirs}.conv0", f"{ours}.upsample"
        yield f"{theirs}.conv1", f"{ours}.merge"
        yield f"{theirs}.torgb", f"{ours}.to_rgb"


def _resolution(tensors: Mapping[str, Tensor]) -> int:
    matches = (re.search(r"[/.](?:E_|E\.|b)(\d+)[x./]", key) for key in tensors)
    return max((int(match[1]) for match in matches if match), default=0)


def _teacher_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the teacher's keys and in its shapes, without constant filters."""
    form = layout(tensors)
    if form == "teacher":
        return {key: t for key, t in tensors.items() if not key.endswith("resample_filter")}
    rename = _from_tensorflow if form == "tensorflow" else _from_conversion
    renamed = (rename(key, tensor) for key, tensor in tensors.items())
    return dict(pair for pair in renamed if pair is not None)


def _from_tensorflow(key: str, tensor: Tensor) -> tuple[str, Tensor] | None:
    """Key and tensor as the teacher has them; ``None`` for the training-progress counter."""
    if key == "lod":
        return None
    if key == "dlatent_avg":
        return "mapping.w_avg", tensor
    if match := re.fullmatch(r"G_synthesis/noise(\d+)", key):
        number = int(match[1])
        level = f"b{4 << (number + 1) // 2}"
        layer = "conv" if number == 0 else f"conv{(number + 1) % 2}"
        return f"synthesis.{level}.{layer}.noise_const", tensor[0, 0]
    place, layer, leaf = _placed(key)
    return f"{place}.{leaf.replace('mod_', 'affine.')}", _tensorflow_shape(leaf, layer, tensor)


def _tensorflow_shape(leaf: str, layer: str, tensor: Tensor) -> Tensor:
    if leaf == "mod_bias":
        return tensor + 1
    if tensor.ndim == 2:
        return tensor.T
    if tensor.ndim == 4:
        kernel = tensor.permute(3, 2, 0, 1)
        # The original correlates where a transposed convolution convolves.
        return kernel.flip(2, 3) if layer == "Conv0_up" else kernel
    return tensor


def _from_conversion(key: str, tensor: Tensor) -> tuple[str, Tensor] | None:
    """Key and tensor as the teacher has them; ``None`` for constant filters."""
    if key.endswith(".kernel"):
        return None
    path = key.replace("G_synthesis.E.", "G_synthesis.E_").replace("_0.FromRGB", ".FromRGB")
    path = path.replace("G_mapping.G_mapping", "G_mapping")
    place, _, leaf = _placed("/".join(path.split(".", 3)))
    # Convolution and bias are numbered members of a sequence.
    leaf = _LEAVES.get(leaf, leaf.split(".")[-1])
    if leaf == "noise_strength":
        tensor = tensor.reshape(())
    elif leaf == "bias":
        tensor = tensor.flatten()
    elif tensor.ndim == 5:
        tensor = tensor[0]
    return f"{place}.{leaf}", tensor


def _placed(path: str) -> tuple[str, str, str]:
    """A tensor's module under the teacher's keys, its layer and its own name in the original."""
    match = _ORIGINAL.fullmatch(path)
    if match and match["mapping"]:
        return f"mapping.fc{match['mapping']}", "Dense", match["own"]
    half, names = _HALVES[match["half"]] if match else ("", {})
    if match is None or match["layer"] not in names:
        raise CheckpointError(f"{path!r} has no place in Co-Mod-GAN")
    return f"{half}.b{match['side']}.{names[match['layer']]}", match["layer"], match["leaf"]


def _lost_by_conversion(teacher: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An average latent over 4,096 draws, and noise planes, from a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    restored: dict[str, Tensor] = {}
    for key in teacher:
        if key.endswith(".noise_strength"):
            side = int(key.split(".")[1].removeprefix("b"))
            plane = torch.randn(side, side, generator=generator)
            restored[key.replace("noise_strength", "noise_const")] = plane
    mapping = MappingNetwork(teacher["mapping.fc0.weight"].shape[0])
    state = {
        key.replace("mapping.fc", "layers."): tensor
        for key, tensor in teacher.items()
        if key.startswith("mapping.fc")
    }
    mapping.load_state_dict(state, strict=False)
    with torch.no_grad():
        z = torch.randn(4096, mapping.w_avg.shape[0], generator=generator)
        restored["mapping.w_avg"] = mapping(z).mean(0)
    return restored
