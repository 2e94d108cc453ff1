"""Checkpoint folders to and from a hub on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from facemask_inpaint import Inpainter, checkpoints
from facemask_inpaint.checkpoints import _transfer
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


@pytest.mark.parametrize("progress", [False, True])
def test_bars_appear_only_where_they_are_wanted(
    site: Site,
    folder: Path,
    progress: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoints.push_folder(folder, "someone/mine", token="hf_test")
    monkeypatch.setattr(_transfer, "is_visible", lambda: True)
    capsys.readouterr()
    with pytest.raises(CheckpointError):  # its tensors are not LaMa's; the files are fetched first
        Inpainter.from_pretrained("someone/mine", progress=progress)
    assert ("%" in capsys.readouterr().err) == progress


@pytest.mark.parametrize("name", ["harmonic", "lite"])
def test_what_was_saved_loads_and_answers_alike(name: str, tmp_path: Path) -> None:
    first = Inpainter.from_pretrained(name, device="cpu")
    again = Inpainter.from_pretrained(first.save_pretrained(tmp_path / name), device="cpu")
    picture = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    hole = np.zeros((64, 48), bool)
    hole[20:40, 10:30] = True
    np.testing.assert_array_equal(again(picture, hole), first(picture, hole))


def test_an_inpainter_without_weights_goes_to_the_hub_and_back(site: Site) -> None:
    address = Inpainter.from_pretrained("harmonic").push_to_hub("someone/none", token="hf_test")
    assert COMMIT in address
    assert Inpainter.from_pretrained("someone/none", progress=False).network.architecture


def test_missing_repository(site: Site) -> None:
    with pytest.raises(WeightsNotFoundError, match="nobody/nothing"):
        checkpoints.load_hub("nobody/nothing")


def test_repository_of_another_kind(site: Site) -> None:
    site.files["someone/other/config.json"] = b"{}"
    with pytest.raises(WeightsNotFoundError, match=r"holds no config\.json \+ model\.safetensors"):
        checkpoints.load_hub("someone/other")
