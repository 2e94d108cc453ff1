"""Whatever happens to the newest checkpoint, a run goes on from it as it was or the one before."""

from __future__ import annotations

import json
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image

from facemask_inpaint.training import state
from tests.checkpoints import hostile


def _content(step: int) -> dict:
    """Every kind of value that a run keeps."""
    generator = torch.Generator().manual_seed(step)
    weight = torch.randn(3, 4, generator=generator)
    optimiser = torch.optim.Adam([torch.nn.Parameter(weight.clone())], lr=1e-3, betas=(0.5, 0.99))
    optimiser.param_groups[0]["params"][0].grad = weight
    optimiser.step()
    return {
        "step": step,
        "recipe": "name: x\n",
        "pair": {"generator.w": weight, "generator.n": torch.tensor(3), "t": weight.t()},
        "optimisers": {"generator": optimiser.state_dict()},
        "log": {"hole_l1": [0.1, 2.0], "nothing": []},
        "seconds": 1.25,
        "flag": torch.tensor([True, False]),
        "half": weight.bfloat16(),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for step in (4, 8, 12):
        state.save(tmp_path / "checkpoints", _content(step))
    return tmp_path / "checkpoints"


def _newest(folder: Path) -> Path:
    return folder / "step-000000012.pt"


def _step(folder: Path) -> int:
    found = next(state.usable(folder), None)
    assert found is not None
    assert state.digest(found) == state.digest(_content(found["step"]))
    return found["step"]


def test_a_state_comes_back_as_it_was(folder: Path) -> None:
    assert _step(folder) == 12
    assert [path.name for path in sorted(folder.iterdir())] == [
        "step-000000008.pt",
        "step-000000012.pt",
    ]
    found = next(state.usable(folder), None)
    assert found is not None
    torch.optim.Adam([torch.nn.Parameter(torch.ones(3, 4))]).load_state_dict(
        found["optimisers"]["generator"]
    )
    assert found["pair"]["t"].stride() == (1, 4)


def test_bytes_flipped_anywhere(folder: Path) -> None:
    """One bit in every part of the file: read is the state itself, or the one before."""
    whole = _newest(folder).read_bytes()
    chance, steps = random.Random(0), []
    for start in range(0, len(whole), 23):
        damaged = bytearray(whole)
        damaged[min(start + chance.randrange(23), len(whole) - 1)] ^= 1 << chance.randrange(8)
        _newest(folder).write_bytes(damaged)
        steps.append(_step(folder))
    assert set(steps) == {8, 12}
    assert len(steps) > 150


@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"PK\x03\x04"])
def test_ranges_overwritten(fill: bytes, folder: Path) -> None:
    whole = _newest(folder).read_bytes()
    for start in range(0, len(whole), 97):
        length = min(97, len(whole) - start)
        damaged = bytearray(whole)
        damaged[start : start + length] = (fill * length)[:length]
        _newest(folder).write_bytes(damaged)
        assert _step(folder) in (8, 12)
    _newest(folder).write_bytes((fill * len(whole))[: len(whole)])
    assert _step(folder) == 8


def test_cut_off_anywhere(folder: Path) -> None:
    whole = _newest(folder).read_bytes()
    for length in (*range(0, 200, 9), *range(200, len(whole), 147), len(whole) - 1):
        _newest(folder).write_bytes(whole[:length])
        assert _step(folder) == 8


def test_parts_exchanged_with_those_of_another_state(folder: Path) -> None:
    """A file whose blocks are of two writes, as a disk may leave it."""
    whole, other = _newest(folder).read_bytes(), (folder / "step-000000008.pt").read_bytes()
    for start in range(0, len(whole), 512):
        mixed = whole[:start] + other[start : start + 512] + whole[start + 512 :]
        _newest(folder).write_bytes(mixed)
        assert _step(folder) in (8, 12)
    _newest(folder).write_bytes(other)
    assert _step(folder) == 8


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "no checkpoint")


def _pipe(path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes here")
    os.mkfifo(path)


def _script(path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


OTHERS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.touch(),
    "folder": lambda path: path.mkdir(),
    "folder with content": lambda path: (path / "data.pkl").mkdir(parents=True),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "pipe": _pipe,
    "text": lambda path: path.write_text("step: 12\n"),
    "json": lambda path: path.write_text(json.dumps({"step": 12})),
    "web page": lambda path: path.write_text("<!DOCTYPE html>"),
    "zip archive": _zip,
    "image": lambda path: Image.new("RGB", (4, 4)).save(path, "PNG"),
    "safetensors": lambda path: safetensors.torch.save_file({"w": torch.ones(2)}, path),
    "torchscript": _script,
    "tensor": lambda path: torch.save(torch.ones(2), path),
    "list": lambda path: torch.save([1, 2], path),
    "number": lambda path: torch.save(12, path),
    "nothing": lambda path: torch.save(None, path),
    "state dict": lambda path: torch.save(torch.nn.Linear(2, 2).state_dict(), path),
    "step alone": lambda path: torch.save({"step": 12}, path),
    "state without a hash": lambda path: torch.save({"step": 12, **_content(12)}, path),
    "state with a wrong hash": lambda path: torch.save(
        {"sha256": "0" * 64, "step": 12, **_content(12)}, path
    ),
    "state with a hash of another type": lambda path: torch.save(
        {"sha256": torch.ones(2), "step": 12, **_content(12)}, path
    ),
    "older format": lambda path: torch.save(
        {"step": 12}, path, _use_new_zipfile_serialization=False
    ),
    "sparse tensor in a state": lambda path: torch.save(
        {"sha256": "0" * 64, "step": 12, "w": torch.eye(2).to_sparse()}, path
    ),
    "lists of lists in a state": lambda path: hostile.archive(
        hostile.P2
        + b"}"
        + hostile.text("sha256")
        + hostile.text("0")
        + b"s"
        + hostile.text("w")
        + b"]"
        + b"q\x000]h\x00ah\x00a" * 60
        + b"s.",
        path,
    ),
    "list in itself": lambda path: hostile.archive(hostile.P2 + b"]q\x00h\x00a.", path),
    "lists of lists": lambda path: hostile.archive(
        hostile.P2 + b"]" + b"q\x000]h\x00ah\x00a" * 60 + b".", path
    ),
    "bare pickle": lambda path: path.write_bytes(hostile.P2 + b"}."),
}


@pytest.mark.parametrize("name", OTHERS)
def test_something_else_under_the_name(name: str, folder: Path) -> None:
    _newest(folder).unlink()
    OTHERS[name](_newest(folder))
    assert _step(folder) == 8
    # The run goes on; what was in its way is set aside, and never counts as one of those kept.
    state.save(folder, _content(10))
    assert _step(folder) == 10
    assert sorted(path.name for path in folder.iterdir() if not path.name.endswith(".bad")) == [
        "step-000000008.pt",
        "step-000000010.pt",
    ]


@pytest.mark.parametrize("attack", hostile.EXECUTING)
def test_nothing_in_a_state_is_executed(attack: str, folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    hostile.archive(hostile.EXECUTING[attack](marker) + hostile.STOP, _newest(folder))
    assert _step(folder) == 8
    assert not marker.exists()


def test_all_damaged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"")
    assert next(state.usable(folder), None) is None
    assert caplog.text.count("trying the checkpoint before") == 2
    assert next(state.usable(folder / "nowhere"), None) is None
