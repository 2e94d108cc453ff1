"""``config.json`` + ``model.safetensors``: whole or not there, and exact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from facemask_inpaint import checkpoints
from facemask_inpaint.checkpoints import folders
from facemask_inpaint.errors import CheckpointError

CONFIG = {"architecture": "mat", "options": {"resolution": 512}, "note": "für Gesichter"}


def test_round_trip_is_exact(tmp_path: Path) -> None:
    shared = torch.randn(3, 4)
    tensors = {
        "a": shared,
        "b": shared.t(),
        "half": torch.randn(5).half(),
        "count": torch.tensor(3),
        "flag": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(torch.randn(2)),
        "empty": torch.empty(0, 2),
        "slice": torch.arange(10.0)[2:8:2],
    }
    folder = checkpoints.save_folder(tmp_path / "new" / "folder", CONFIG, tensors)
    assert checkpoints.is_folder(folder)
    config, loaded = checkpoints.load_folder(folder)
    assert config == CONFIG
    assert loaded.keys() == tensors.keys()
    for key, value in tensors.items():
        assert loaded[key].dtype == value.dtype
        assert torch.equal(loaded[key], value)


def test_same_content_same_bytes(tmp_path: Path) -> None:
    tensors = {"b": torch.ones(2), "a": torch.zeros(3)}
    one, two = (checkpoints.save_folder(tmp_path / name, CONFIG, tensors) for name in "xy")
    for name in ("config.json", "model.safetensors"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_nothing_but_the_two_files(tmp_path: Path) -> None:
    for name in (".config.fmi.part.json", ".model.fmi.part.safetensors"):
        (tmp_path / name).write_bytes(b"left by a save that was killed")
    checkpoints.save_folder(tmp_path, CONFIG, {"w": torch.ones(1)})
    assert sorted(one.name for one in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("existing", [True, False])
def test_failed_write_leaves_things_as_they_were(
    existing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    if existing:
        checkpoints.save_folder(folder, CONFIG, {"w": torch.ones(2)})
        (folder / "README.md").write_text("mine")
    before = {one.name: one.read_bytes() for one in folder.glob("*")}

    def half_a_file(tensors: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(folders, "save_file", half_a_file)
    with pytest.raises(OSError, match="disk full"):
        checkpoints.save_folder(folder, {"architecture": "other"}, {"w": torch.zeros(2)})
    assert {one.name: one.read_bytes() for one in folder.glob("*")} == before
    assert checkpoints.is_folder(folder) is existing


@pytest.mark.parametrize("config", [{"x": float("nan")}, {"x": torch.ones(1)}, {"x": {1, 2}}])
def test_config_that_is_no_json(config: dict, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="JSON"):
        checkpoints.save_folder(tmp_path / "folder", config, {"w": torch.ones(1)})
    assert not (tmp_path / "folder").exists()


def test_refusals(tmp_path: Path) -> None:
    empty = checkpoints.save_folder(tmp_path / "none", CONFIG, {})
    assert checkpoints.load_folder(empty) == (CONFIG, {})  # networks without weights have none
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="is a file"):
        checkpoints.save_folder(tmp_path / "file", CONFIG, {"w": torch.ones(1)})


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": NaN', "[" * 100_000])
def test_damaged_config(text: str, tmp_path: Path) -> None:
    checkpoints.save_folder(tmp_path, CONFIG, {"w": torch.ones(1)})
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        checkpoints.load_folder(tmp_path)


def test_damaged_tensors(tmp_path: Path) -> None:
    checkpoints.save_folder(tmp_path, CONFIG, {"w": torch.ones(100)})
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        checkpoints.load_folder(tmp_path)


def test_absent_and_absurd(tmp_path: Path) -> None:
    assert not checkpoints.is_folder(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="holds no"):
        checkpoints.load_folder(tmp_path / "nothing")
    checkpoints.save_folder(tmp_path, CONFIG, {"w": torch.ones(1)})
    (tmp_path / "config.json").write_text(json.dumps({"x": "y" * 2_000_000}))
    with pytest.raises(CheckpointError, match="absurdly large"):
        checkpoints.load_folder(tmp_path)
