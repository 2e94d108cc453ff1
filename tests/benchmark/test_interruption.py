"""A run that is killed, or shared between processes, gives byte for byte what an undisturbed one
gives. The methods draw random numbers and compute in batches, so both have to be kept in order.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facemask_inpaint.benchmark import Run

from .runs import COMMAND, arguments, command, environment, results, tables, write_model


@pytest.fixture(scope="module")
def methods(tmp_path_factory: pytest.TempPathFactory) -> list[Path | str]:
    folder = tmp_path_factory.mktemp("methods")
    return ["harmonic", write_model(folder / "comodgan", "comodgan")]


@pytest.fixture(scope="module")
def straight(methods: list[Path | str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("straight")
    _complete(command(*arguments(out, methods)))
    run = Run.open(out)
    assert len(run.cases) == 2 * (7 * 8 - 3)
    assert not run.failures
    return out


def test_killed_at_three_random_moments(
    straight: Path, methods: list[Path | str], tmp_path: Path
) -> None:
    total = len(_files(straight))
    # The last tenth are tables, which are written faster than anyone can look.
    moments = sorted(random.SystemRandom().sample(range(1, 9 * total // 10), 3))
    for moment in moments:
        _kill_when(command(*arguments(tmp_path, methods)), tmp_path, moment)
    _complete(command(*arguments(tmp_path, methods)))
    assert tables(tmp_path) == tables(straight), f"killed at {moments} of {total} files"
    assert results(tmp_path) == results(straight), f"killed at {moments} of {total} files"


def test_two_ranks_are_one(straight: Path, methods: list[Path | str], tmp_path: Path) -> None:
    script = tmp_path / "benchmark.py"
    script.write_text(COMMAND)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    out = tmp_path / "out"
    _complete([*torchrun, "--nproc-per-node=2", str(script), *arguments(out, methods)])
    assert tables(out) == tables(straight)
    assert results(out) == results(straight)
    shares = [(out / "work" / f"cases-{rank}.jsonl").read_text() for rank in (0, 1)]
    assert all(shares)
    # One process can go on with what two began, and finds nothing left to do.
    before = {path: path.stat().st_mtime_ns for path in (out / "predictions").rglob("*.png")}
    _complete(command(*arguments(out, methods)))
    assert {
        path: path.stat().st_mtime_ns for path in (out / "predictions").rglob("*.png")
    } == before
    assert tables(out) == tables(straight)


def _complete(given: list[str]) -> None:
    done = subprocess.run(
        given, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def _kill_when(given: list[str], out: Path, moment: int) -> None:
    """Start the command and kill it as soon as it has written so many files."""
    with subprocess.Popen(given, env=environment(), stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and len(_files(out)) < moment:
            time.sleep(0.01)
        assert process.poll() is None, "the run ended before it could be killed"
        process.send_signal(signal.SIGKILL)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
