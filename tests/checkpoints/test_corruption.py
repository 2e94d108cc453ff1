"""Files with flipped bytes are read or refused, with no other outcome."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch import nn

from facemask_inpaint import checkpoints
from facemask_inpaint.errors import CheckpointError
from tests.checkpoints.writers import write_lightning, write_stylegan2_ada, write_tensorflow

ROUNDS = 150


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    weights = nn.Conv2d(2, 2, 1).state_dict()
    write_lightning(folder / "zip", weights)
    torch.save({"G": weights}, folder / "legacy", _use_new_zipfile_serialization=False)
    write_stylegan2_ada(folder / "stylegan2-ada", 1, folder / "marker", 4)
    write_tensorflow(folder / "stylegan-tf", {"w": weights["weight"].numpy()}, folder / "marker")
    checkpoints.save_folder(folder, {}, weights)
    names = ("zip", "legacy", "stylegan2-ada", "stylegan-tf", "model.safetensors")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize(
    "name", ["zip", "legacy", "stylegan2-ada", "stylegan-tf", "model.safetensors"]
)
def test_flipped_bytes(name: str, originals: dict[str, bytes], tmp_path: Path) -> None:
    chance = random.Random(name)
    refusals = []
    for turn in range(ROUNDS):
        content = bytearray(originals[name])
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path = tmp_path / f"{turn}.bin"
        path.write_bytes(content)
        try:
            checkpoints.read(path)
        except CheckpointError as error:
            refusals.append((path.name, str(error)))
    assert len(refusals) > ROUNDS // 20
    assert all(file in message for file, message in refusals)
