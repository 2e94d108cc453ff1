"""One run at a time in a folder: real processes that live, end, and are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from facemask_inpaint._internal import locks
from facemask_inpaint._internal.locks import LOCK_NAME, locked
from facemask_inpaint.errors import FolderInUseError
from tests.benchmark.runs import arguments

_OWNER = """
import os, sys, time
from facemask_inpaint._internal.locks import locked
with locked(sys.argv[1], "benchmark"):
    if len(sys.argv) > 2 and not os.fork():
        time.sleep(60)  # a reader of pictures, which a kill of its parent leaves behind
        os._exit(0)
    print("working", flush=True)
    sys.stdin.readline()
"""

_RANKS = """
import json, sys
import torch.distributed as dist
from facemask_inpaint.errors import FolderInUseError
from facemask_inpaint._internal.locks import locked
dist.init_process_group("gloo")
with locked(sys.argv[1], "benchmark"):
    said = {"first": "entered"}
    try:
        with locked(sys.argv[1], "benchmark"):
            pass
    except FolderInUseError as error:
        said["second"] = str(error)
    dist.barrier()
sys.stdout.write(json.dumps(said) + "\\n")
dist.destroy_process_group()
"""


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    """Another process that works in the folder until it reads a line or is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(folder), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        process_group=0,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    return process


def enter(folder: Path) -> None:
    with locked(folder, "train"):
        assert (folder / LOCK_NAME).exists()


def test_second_comes_to_know_who_is_there(tmp_path: Path) -> None:
    process = start(tmp_path)
    with pytest.raises(FolderInUseError) as refused:
        enter(tmp_path)
    assert f"process {process.pid} (benchmark, since " in str(refused.value)
    assert "\n" not in str(refused.value)
    process.communicate("go on\n")
    assert process.returncode == 0
    enter(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("child", [[], ["with a child"]])
def test_the_lock_of_a_killed_process_holds_nobody(tmp_path: Path, child: list[str]) -> None:
    process = start(tmp_path, *child)
    process.kill()
    process.wait()
    try:
        assert (tmp_path / LOCK_NAME).exists()
        enter(tmp_path)
        assert list(tmp_path.iterdir()) == []
    finally:
        os.killpg(process.pid, signal.SIGKILL) if child else None


@pytest.mark.parametrize("content", ["", "half a li", "[1, 2]", '{"pid": "x"}', '{"pid": 1}'])
def test_a_damaged_lock_file_is_no_lock(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK_NAME).write_text(content)
    enter(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_threads_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    refused = []

    def try_it() -> None:
        try:
            enter(tmp_path)
        except FolderInUseError as error:
            refused.append(str(error))

    with locked(tmp_path, "benchmark"):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert len(refused) == 1
    enter(tmp_path)


def test_a_folder_made_for_nothing_goes_again(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path / "a" / "b", "train"):
        raise RuntimeError
    assert list((tmp_path / "a").iterdir()) == []


def test_where_there_are_no_locks_the_owner_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
    alive = {"pid": os.getppid(), "work": "train", "since": "today", **locks._machine()}
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for owner in (alive, alive | {"host": "elsewhere", "pid": dead.pid}):
        (tmp_path / LOCK_NAME).write_text(json.dumps(owner))
        with pytest.raises(FolderInUseError, match="in use"):
            enter(tmp_path)
    (tmp_path / LOCK_NAME).write_text(json.dumps(alive | {"pid": dead.pid}))
    enter(tmp_path)


def test_two_commands_on_one_folder_do_the_work_once(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with locked(out, "train"):
        command = [sys.executable, "-m", "facemask_inpaint", "benchmark"]
        given = [*command, *arguments(out, ["harmonic"])]
        done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {out} is in use: process {os.getpid()} (train")
    assert done.stderr.count("\n") == 1
    assert not out.exists()


def test_ranks_of_one_run_share_the_lock(tmp_path: Path) -> None:
    script = tmp_path / "ranks.py"
    script.write_text(_RANKS)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, script, tmp_path], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == 2
    assert all("is in use" in one["second"] for one in said)
    assert [one["first"] for one in said] == ["entered", "entered"]
