"""Checkpoint folders to and from a hub on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from facemask_inpaint import checkpoints
from facemask_inpaint.errors import CheckpointError, WeightsNotFoundError
from tests.checkpoints.hub_server import COMMIT, Site

CONFIG = {"architecture": "lama", "options": {"blocks": 9}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return checkpoints.save_folder(tmp_path / "mine", CONFIG, {"w": torch.arange(6.0)})


def test_push_and_load(site: Site, folder: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: mit\n---\nA card.\n")
    (folder / "notes.txt").write_text("private")
    address = checkpoints.push_folder(folder, "someone/mine", token="hf_test")
    assert COMMIT in address
    (sent,) = site.commits
    assert sorted(sent) == ["README.md", "config.json", "model.safetensors"]
    loaded = checkpoints.load_hub("someone/mine", progress=False)
    config, tensors = checkpoints.load_folder(loaded)
    assert config == CONFIG
    assert torch.equal(tensors["w"], torch.arange(6.0))
    assert not (loaded / "README.md").exists()


def test_pinned_copy_needs_no_network_twice(site: Site, folder: Path) -> None:
    checkpoints.push_folder(folder, "someone/mine", token="hf_test")
    loaded = checkpoints.load_hub("someone/mine", COMMIT)
    asked = len(site.requests)
    assert checkpoints.load_hub("someone/mine", COMMIT, local_files_only=True) == loaded
    assert len(site.requests) == asked


def test_only_checkpoint_folders_are_pushed(site: Site, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no config\.json"):
        checkpoints.push_folder(tmp_path, "someone/mine", token="hf_test")
    assert not site.requests


def test_missing_repository(site: Site) -> None:
    with pytest.raises(WeightsNotFoundError, match="nobody/nothing"):
        checkpoints.load_hub("nobody/nothing")


def test_repository_of_another_kind(site: Site) -> None:
    site.files["someone/other/config.json"] = b"{}"
    with pytest.raises(WeightsNotFoundError, match=r"holds no config\.json \+ model\.safetensors"):
        checkpoints.load_hub("someone/other")
