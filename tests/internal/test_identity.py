"""What inputs were: any change on disk is noticed, and nothing else counts as one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from facemask_inpaint._internal.identity import Identity, stamp_of


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "data").mkdir()
    paths = [tmp_path / "data" / name for name in ("a.jpg", "a.png")]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 100)
    return paths


def with_its_old_times(path: Path, content: bytes) -> None:
    """Write a file of the same length, and set its times back: ``cp -p`` and archives do that."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files[1].write_bytes(b"\1" * 99 + b"\2"),
        lambda files: files[0].write_bytes(b"longer" * 100),
        lambda files: with_its_old_times(files[1], b"\1" * 50 + b"\2" * 50),
        lambda files: files[0].replace(files[1]),
        lambda files: files[0].unlink(),
        lambda files: files.pop(),
        lambda files: files.reverse(),
    ],
)
def test_a_change_is_noticed(files: list[Path], change: Callable[[list[Path]], object]) -> None:
    before = Identity.of(files)
    assert before.holds(files)
    change(files)
    assert not before.holds(files)


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files[0].touch(),
        lambda files: files[0].chmod(0o600),
        lambda files: files[1].write_bytes(files[1].read_bytes()),
    ],
)
def test_files_with_the_same_bytes_are_the_same(
    files: list[Path], change: Callable[[list[Path]], object]
) -> None:
    before = Identity.of(files)
    change(files)
    assert stamp_of(files) != before.stamp
    assert before.holds(files)


def test_a_data_set_that_moved_is_the_same(files: list[Path], tmp_path: Path) -> None:
    before = Identity.of(files)
    moved = shutil.copytree(files[0].parent, tmp_path / "elsewhere")
    assert before.holds([Path(moved) / path.name for path in files])


def test_stamps_below_a_folder_go_with_it(files: list[Path], tmp_path: Path) -> None:
    before = stamp_of(files, below=files[0].parent)
    moved = Path(shutil.copytree(files[0].parent, tmp_path / "elsewhere"))
    assert stamp_of([moved / path.name for path in files], below=moved) == before
    files[0].touch()
    assert stamp_of(files, below=files[0].parent) != before
