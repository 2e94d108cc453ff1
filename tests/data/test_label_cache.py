"""Label maps merged once: right, whole after a kill, and made anew when their source changes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask_inpaint import data
from facemask_inpaint.errors import ImageError, OptionError
from tests.data.official import part_file, sample_labels, write_dataset

_COMMAND = """
import sys
from facemask_inpaint import data
data.cache_label_maps(data.celebamask_hq(sys.argv[1], "all"), sys.argv[2], 1, progress=False)
"""


def states(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Inode and content of every cached map: a map made anew has another inode."""
    found = folder.glob("[!.]*.png")
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in found}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: content for name, (_, content) in states(folder).items()}


def test_cached_maps_are_the_merged_ones(celebamask: Path, tmp_path: Path) -> None:
    faces = data.celebamask_hq(celebamask, "all")
    cached = data.cache_label_maps(faces, tmp_path / "maps", progress=False)
    assert cached.name == faces.name
    for before, after in zip(faces, cached):
        assert (after.key, after.image) == (before.key, before.image)
        assert after.label_map == tmp_path / "maps" / f"{before.key}.png"
        np.testing.assert_array_equal(after.read_label_map().ids, before.read_label_map().merged())


def test_a_second_call_writes_nothing(celebamask: Path, tmp_path: Path) -> None:
    faces = data.celebamask_hq(celebamask, "all")
    data.cache_label_maps(faces, tmp_path / "maps", progress=False)
    before = states(tmp_path / "maps")
    data.cache_label_maps(faces, tmp_path / "maps", workers=3, progress=False)
    assert states(tmp_path / "maps") == before


def test_a_changed_part_renews_its_map_alone(celebamask: Path, tmp_path: Path) -> None:
    faces = data.celebamask_hq(celebamask, "all")
    data.cache_label_maps(faces, tmp_path / "maps", progress=False)
    before = states(tmp_path / "maps")
    part_file(celebamask, 2000, "hair").unlink()
    cached = data.cache_label_maps(faces, tmp_path / "maps", progress=False)
    after = states(tmp_path / "maps")
    assert {name for name in after if after[name] != before[name]} == {"2000.png"}
    face = cached.select(["2000"])[0]
    np.testing.assert_array_equal(face.read_label_map().ids, faces[4].read_label_map().merged())


def test_the_maps_of_another_data_set_are_not_taken_for_its_own(
    celebamask: Path, tmp_path: Path
) -> None:
    data.cache_label_maps(data.celebamask_hq(celebamask, "all"), tmp_path / "maps", progress=False)
    write_dataset(tmp_path / "other", [0])
    Image.new("RGB", (64, 64), "white").save(part_file(tmp_path / "other", 0, "cloth"))
    other = data.celebamask_hq(tmp_path / "other", "all")
    cached = data.cache_label_maps(other, tmp_path / "maps", progress=False)
    assert (cached[0].read_label_map().ids == 18).all()


def test_half_a_map_is_made_anew(celebamask: Path, tmp_path: Path) -> None:
    faces = data.celebamask_hq(celebamask)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    cached = data.cache_label_maps(faces, tmp_path / "maps", progress=False)
    assert cached[0].read_label_map().shape == (64, 64)


def test_what_cannot_be_read_keeps_failing_where_it_is_used(
    celebamask: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    part_file(celebamask, 1, "nose").write_bytes(b"no image")
    faces = data.celebamask_hq(celebamask, "all")
    with caplog.at_level(logging.WARNING):
        cached = data.cache_label_maps(faces, tmp_path / "maps", progress=False)
    assert "cannot be read and are not cached: 1 (1)" in caplog.text
    assert cached[1] == faces[1]
    with pytest.raises(ImageError, match="00001_nose"):
        cached[1].read_label_map()
    assert len(contents(tmp_path / "maps")) == 5


def test_the_source_itself_is_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, image in (("images", data.sample(256).image), ("labels", sample_labels())):
        (tmp_path / name).mkdir()
        (Image.fromarray(np.asarray(image))).save(tmp_path / name / "a.png")
    faces = data.labelled_folder(tmp_path)
    with pytest.raises(OptionError, match="holds the labels themselves"):
        data.cache_label_maps(faces, tmp_path / "labels", progress=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match="holds the labels themselves"):
        data.cache_label_maps(faces, "labels", progress=False)
    cached = data.cache_label_maps(faces, "maps", progress=False)
    np.testing.assert_array_equal(cached[0].read_label_map().ids, sample_labels())


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    root, killed, straight = tmp_path / "data", tmp_path / "killed", tmp_path / "straight"
    write_dataset(root, range(120))
    process = subprocess.Popen([sys.executable, "-c", _COMMAND, str(root), str(killed)])
    deadline = time.monotonic() + 60
    while len(contents(killed)) < 5 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = states(killed)
    assert 5 <= len(before) < 120
    faces = data.celebamask_hq(root, "all")
    data.cache_label_maps(faces, killed, progress=False)
    data.cache_label_maps(faces, straight, progress=False)
    assert contents(killed) == contents(straight)
    assert len(contents(killed)) == 120
    assert {name: states(killed)[name] for name in before} == before
