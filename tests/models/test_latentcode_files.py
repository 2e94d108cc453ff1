"""The latent-code network's published files: four of one network, and what else they hold."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import facemask_inpaint as fmi
from facemask_inpaint.errors import CheckpointError
from facemask_inpaint.models import _registry
from facemask_inpaint.models.latentcode import LatentCode
from tests.parity import recipe

ROLES = ("vqgan", "encoder", "transformer", "decoder")


def test_the_published_sizes_are_read_off_the_tensors() -> None:
    tensors = {
        key.removeprefix("celeba_").replace(".ckpt::", "/"): torch.zeros(()).expand(shape)
        for key, shape in recipe.official_shapes("latentcode", "manifest.json").items()
    }
    assert LatentCode.official_options(tensors) == {
        "resolution": 256,
        "width": 128,
        "codes": 1024,
        "code_dim": 256,
        "transformer_width": 1408,
        "depth": 40,
    }


def test_four_files_make_one_network_that_survives_its_folder_form(tmp_path: Path) -> None:
    files = [write(tmp_path, role, tensors) for role, tensors in parts().items()]
    inpainter = fmi.Inpainter.from_checkpoint(files, "latentcode", heads=4)
    sample = fmi.data.sample(256)
    mask = np.zeros((256, 256), dtype=bool)
    mask[64:200, 48:208] = True
    first, second = pictures(inpainter, sample.image, mask)
    assert not np.array_equal(first, second)
    again = fmi.Inpainter.from_pretrained(inpainter.save_pretrained(tmp_path / "folder"))
    np.testing.assert_array_equal(pictures(again, sample.image, mask), [first, second])


def pictures(inpainter: fmi.Inpainter, image: Image.Image, mask: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(one) for one in inpainter(image, mask, seed=3, num_samples=2)]


def test_files_in_another_order_are_taken_by_role(tmp_path: Path) -> None:
    files = {role: write(tmp_path, role, tensors) for role, tensors in reversed(parts().items())}
    by_role = fmi.Inpainter.from_checkpoint(files, "latentcode", heads=4).network.state_dict()
    official = _registry.from_official("latentcode", joined(parts()), heads=4).state_dict()
    assert all(torch.equal(by_role[key], tensor) for key, tensor in official.items())
    with pytest.raises(CheckpointError, match=r"vqgan: 'quantize\.embedding\.weight'"):
        fmi.Inpainter.from_checkpoint(list(files.values()), "latentcode", heads=4)


def test_networks_of_scenes_come_in_five_files() -> None:
    faces = parts()
    ours = LatentCode.translate_official(joined(five_parts(faces)))
    expected = LatentCode.translate_official(joined(faces))
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[key], tensor) for key, tensor in expected.items())


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("vqgan/quantize.embedding.weight", r"vqgan: 'quantize\.embedding\.weight'"),
        ("transformer/transformer.blocks.2.attn.key.bias", r"blocks\.2\.key\.bias"),
        ("encoder/encoder.down.1.block.0.conv2.conv.bias", r"encoder\.levels\.1\.blocks\.0\.conv2"),
        ("decoder/decoder.up.4.upsample.conv.bias", r"refiner\.decoder\.levels\.0\.resample"),
    ],
)
def test_a_missing_tensor_is_named(key: str, message: str) -> None:
    tensors = joined(parts())
    del tensors[key]
    with pytest.raises(CheckpointError, match=message):
        _registry.from_official("latentcode", tensors, heads=4)


def test_a_tensor_without_a_place_is_named() -> None:
    tensors = joined(parts()) | {"encoder/encoder.down.1.block.7.conv1.conv.bias": torch.zeros(64)}
    with pytest.raises(CheckpointError, match=r"unexpected encoder\.levels\.1\.blocks\.7"):
        _registry.from_official("latentcode", tensors, heads=4)


def parts() -> dict[str, dict[str, Tensor]]:
    """Made-up tensors of all four files by role, for pictures of 64 x 64, and half as wide."""
    made: dict[str, dict[str, Tensor]] = {role: {} for role in ROLES}
    for key, shape in recipe.official_shapes("latentcode", "manifest.small.json").items():
        role, _, name = key.removeprefix("celeba_").partition(".ckpt::")
        made[role][name] = made_up(key, [narrow(side) for side in shape])
    return made


def five_parts(faces: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """The same numbers in the five files of the networks of scenes."""
    inner, decoder = "first_stage_model.", faces["decoder"]
    scenes = {role: faces[role] for role in ROLES[:3]}
    scenes["decoder"] = {
        k.removeprefix(inner): v for k, v in decoder.items() if k.startswith(inner)
    }
    scenes["unet"] = {k: v for k, v in decoder.items() if not k.startswith(inner)}
    return scenes


def narrow(side: int) -> int:
    """Half a width; 64 codes instead of 1024, and 16 cells instead of 256."""
    few = {1024: 64, 1025: 65, 257: 17}
    return few.get(side, side // 2 if side >= 64 else side)


def made_up(key: str, shape: list[int]) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    tensor = torch.randn(shape, generator=generator)
    if len(shape) == 1:
        return tensor / 10 + key.endswith("weight")
    equalised = ".conv.weight" in key and "celeba_encoder" in key
    return tensor if equalised or "emb" in key else tensor / tensor[0].numel() ** 0.5


def joined(made: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{role}/{key}": t for role, tensors in made.items() for key, t in tensors.items()}


def write(folder: Path, role: str, tensors: dict[str, Tensor]) -> Path:
    path = folder / f"celeba_{role}.ckpt"
    torch.save(checkpoint(role, tensors), path)
    return path


def checkpoint(role: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """What PyTorch Lightning saves, with all that the authors' files also hold."""
    companions = {
        "vqgan": ["loss.discriminator.weight"],
        "encoder": ["first_stage_model.encoder.conv_in.weight", "quantize.embedding.weight"],
        "transformer": ["first_stage_model.cls_head.weight", "transformer.blocks.0.attn.mask"],
        "decoder": [
            "loss.lin.weight",
            "loss_fstg.lin.weight",
            "first_stage_model.loss.lin.weight",
            "first_stage_model.first_stage_model.encoder.conv_in.weight",
        ],
    }
    state = {**tensors, **{key: torch.zeros(2, 3) for key in companions.get(role, [])}}
    moments = {0: {"step": 5, "exp_avg": torch.zeros(4), "exp_avg_sq": torch.zeros(4)}}
    return {
        "epoch": 3,
        "global_step": 1000,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": state,
        "optimizer_states": [{"state": moments, "param_groups": [{"lr": 4.5e-6, "params": [0]}]}],
        "lr_schedulers": [],
        "callbacks": {},
    }
