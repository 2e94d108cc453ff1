"""Files are whole or not there, and a killed write leaves nothing for good."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from facemask_inpaint._internal import files
from facemask_inpaint._internal.files import atomic_path, remove_abandoned

_WRITER = """
import sys, time
from facemask_inpaint._internal.files import atomic_path
with atomic_path(sys.argv[1]) as path:
    path.write_bytes(b"x" * 100_000)
    print("writing", flush=True)
    time.sleep(600)
"""

NAMES = ["model.safetensors", "step-000000010.pt", "no suffix", "a" * 251 + ".png", "ü" * 127]


@contextmanager
def writing(target: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of writing a file; killed afterwards at the latest."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(target)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def _kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("name", NAMES)
def test_next_write_takes_up_what_a_kill_left(name: str, tmp_path: Path) -> None:
    target = tmp_path / name
    target.write_bytes(b"old")
    with writing(target) as process:
        _kill(process)
    assert len(list(tmp_path.iterdir())) == 2
    assert target.read_bytes() == b"old"
    with atomic_path(target) as path:
        path.write_bytes(b"new")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [(name, b"new")]


@pytest.mark.parametrize("name", NAMES)
def test_only_what_the_dead_left_is_removed(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / ".somebody.part.png").touch()  # another program's
    with writing(folder / name) as process:
        (temporary,) = (one for one in folder.iterdir() if one.stat().st_size)
        remove_abandoned(tmp_path)
        assert temporary.exists()
        _kill(process)
        remove_abandoned(tmp_path)
        assert [one.name for one in folder.iterdir()] == [".somebody.part.png"]


def test_two_writers_of_one_target_do_not_mix(tmp_path: Path) -> None:
    target = tmp_path / "model.safetensors"
    with writing(target) as process:
        with atomic_path(target) as path:
            path.write_bytes(b"mine")
        assert target.read_bytes() == b"mine"
        _kill(process)
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == [target]


def test_many_threads_write_one_target(tmp_path: Path) -> None:
    target, gate = tmp_path / "page.html", threading.Barrier(12)

    def write(content: bytes) -> None:
        with atomic_path(target) as path:
            gate.wait()  # all are in the middle of writing at once
            path.write_bytes(content)
            remove_abandoned(tmp_path)

    contents = [bytes([65 + i]) * (1000 + i) for i in range(12)]
    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() in contents


@pytest.mark.parametrize("durable", [False, True])
def test_an_exception_leaves_the_old_file(durable: bool, tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def interrupted() -> None:
        with atomic_path(target, durable=durable) as path:
            path.write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "old")]


def test_durable_means_file_then_name_then_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order in which a power cut can do no harm."""
    target, seen = tmp_path / "a.txt", list[str]()
    sync: Callable[[int], None] = os.fsync

    def fsync(handle: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        seen.append(f"{'folder' if is_folder else 'file'}, {'new' if target.exists() else 'old'}")
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_path(target, durable=True) as path:
        path.write_text("x")
    assert seen == ["file, old", "folder, new"]


def test_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are then left to chance, and nothing is removed that may be alive."""

    def no_locks(handle: int, operation: int) -> None:
        raise OSError(files.errno.ENOLCK, "no locks available")

    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", no_locks)
    target = tmp_path / "a.txt"
    with atomic_path(target) as one, atomic_path(target) as two:
        assert one != two
        remove_abandoned(tmp_path)
        one.write_text("1")
        two.write_text("2")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "1")]


def test_a_file_that_somebody_laid_in_the_way(tmp_path: Path) -> None:
    """A link under the temporary name is not followed."""
    victim, target = tmp_path / "victim", tmp_path / "a.txt"
    victim.write_text("precious")
    (tmp_path / ".a.fmi.part.txt").symlink_to(victim)
    with atomic_path(target) as path:
        path.write_text("x")
    assert victim.read_text() == "precious"
    assert target.read_text() == "x"
    assert not target.is_symlink()


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "a.txt") as path:
            path.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_errors_name_the_target_and_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.mkdir()
    with pytest.raises(OSError, match="directory") as raised, atomic_path(target) as path:
        path.write_text("x")
    assert raised.value.filename == str(target)
    assert raised.value.filename2 is None
    assert list(tmp_path.iterdir()) == [target]
    deep = tmp_path / "gone" / "b.txt"

    def written_to_a_lost_folder() -> None:
        with atomic_path(deep) as path:
            path.unlink()
            path.parent.rmdir()
            path.write_text("x")

    with pytest.raises(FileNotFoundError) as lost:
        written_to_a_lost_folder()
    assert lost.value.filename == str(deep)


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), atomic_path(tmp_path / "file" / "a.txt"):
        raise AssertionError("there is nothing to write to")
