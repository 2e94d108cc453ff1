"""Reading needs little more memory than the tensors that are asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.checkpoints.writers import write_lightning, write_stylegan2_ada, write_tensorflow

MEGABYTE = 1 << 20
SIZE = 48 * MEGABYTE

_PROGRAM = """
import sys
import torch
from facemask_inpaint import checkpoints

def status(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

warm, *cases = sys.argv[1:]
checkpoints.read(warm)
for path, section in zip(cases[::2], cases[1::2]):
    open("/proc/self/clear_refs", "w").write("5")  # forget the highest mark so far
    before = status("VmRSS")
    tensors = checkpoints.read(path, section=section).tensors
    print(status("VmHWM") - before, sum(t.nbytes for t in tensors.values()))
    del tensors
"""


def _lightning(path: Path) -> None:
    # The optimizer's copies must not be read along.
    write_lightning(path, {f"w{i}": torch.randn(SIZE // 32) for i in range(8)})


def _legacy(path: Path) -> None:
    tensors = {f"w{i}": torch.randn(SIZE // 32) for i in range(8)}
    torch.save({"G": tensors, "D": dict(tensors)}, path, _use_new_zipfile_serialization=False)


def _stylegan2_ada(path: Path) -> None:
    width = round((SIZE / 4 / 40) ** 0.5)
    write_stylegan2_ada(path, width, path.with_name("marker"), 4)


def _tensorflow(path: Path) -> None:
    arrays = {f"w{i}": np.random.default_rng(i).random(SIZE // 32, "f4") for i in range(8)}
    write_tensorflow(path, arrays, path.with_name("marker"))


CASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "lightning": (_lightning, "state_dict"),
    "legacy": (_legacy, "G"),
    "stylegan2-ada": (_stylegan2_ada, "G_ema"),
    "stylegan-tf": (_tensorflow, "Gs"),
}


@pytest.fixture(scope="module")
def peaks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, int]]:
    """Bytes at the peak and bytes of tensors for each kind of file, taken in a fresh process."""
    folder = tmp_path_factory.mktemp("memory")
    torch.save({"w": torch.ones(3)}, folder / "warm.pt")
    arguments = [str(folder / "warm.pt")]
    for name, (write, section) in CASES.items():
        write(folder / name)
        arguments += [str(folder / name), section]
    finished = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = finished.stdout.splitlines()
    return {name: tuple(map(int, line.split())) for name, line in zip(CASES, lines)}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", CASES)
def test_peak_is_at_most_twice_the_tensors(name: str, peaks: dict[str, tuple[int, int]]) -> None:
    peak, tensors = peaks[name]
    print(f"{name}: peak {peak / MEGABYTE:.0f} MB for {tensors / MEGABYTE:.0f} MB of tensors")
    assert tensors > SIZE / 2
    assert peak <= 2 * tensors
