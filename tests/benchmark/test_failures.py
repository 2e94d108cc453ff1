"""What is planted to fail is recorded by name, and costs nothing else."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from facemask_inpaint import data
from facemask_inpaint.benchmark import Failure, Run, runner
from facemask_inpaint.data import Faces
from facemask_inpaint.errors import FacemaskInpaintError

from .runs import PORTRAITS, Counted, environment, portraits, results, small_run, tables

TRUNCATED, UNLABELLED, OBLONG = "B000490", "C001049", "R000581"


@pytest.fixture
def damaged(tmp_path: Path) -> Faces:
    """The portraits, three of them spoilt."""
    folder = tmp_path / "faces"
    shutil.copytree(PORTRAITS, folder)
    image = folder / "images" / f"{TRUNCATED}.jpg"
    image.write_bytes(image.read_bytes()[:5000])
    (folder / "labels" / f"{UNLABELLED}.png").unlink()
    oblong = folder / "images" / f"{OBLONG}.jpg"
    Image.open(oblong).crop((0, 0, 256, 200)).save(oblong)
    return data.open_faces(folder)


def test_bad_portraits_are_named_and_cost_nothing_else(damaged: Faces, tmp_path: Path) -> None:
    run = small_run(["harmonic"], tmp_path / "out", damaged)
    failures = {one.key: one for one in run.failures}
    assert set(failures) == {TRUNCATED, UNLABELLED, OBLONG}
    assert {one.stage for one in run.failures} == {"read"}
    assert "truncated or damaged" in failures[TRUNCATED].message
    assert "label" in failures[UNLABELLED].message
    assert "256 x 200" in failures[OBLONG].message
    spared = [key for key in run.keys if key not in failures]
    alone = small_run(["harmonic"], tmp_path / "alone", damaged.select(spared))
    assert run.cases == alone.cases
    assert run.scores == alone.scores


def test_repaired_portraits_join_the_run(damaged: Faces, tmp_path: Path) -> None:
    method = Counted()
    out = tmp_path / "out"
    small_run({"grey": method}, out, damaged)
    assert method.calls == 8
    for name in ("images", "labels"):
        shutil.copytree(PORTRAITS / name, tmp_path / "faces" / name, dirs_exist_ok=True)
    run = small_run({"grey": method}, out, damaged)
    assert not run.failures
    assert method.calls == 14
    assert run.scores == small_run({"grey": Counted()}, tmp_path / "straight").scores


def test_a_method_that_raises_now_and_then_loses_those_cases_only(tmp_path: Path) -> None:
    # The batch of eight fails at its third image, and then that image alone.
    failing = Counted(fails_at=frozenset({3, 6}))
    run = small_run({"failing": failing, "grey": Counted()}, tmp_path / "out", classes="eyes")
    (failure,) = run.failures
    key = run.keys[2]
    message = "call 6 was told to fail"
    assert failure == Failure("predict", message, "failing", "eyes", 64, key)
    done = {one.key for one in run.cases if one.method == "failing"}
    assert done == set(run.keys) - {key}
    counts = {(s.method, s.metric): s.n for s in run.scores}
    assert counts["failing", "fid"] == 7
    assert counts["grey", "fid"] == 8
    short = [s for s in run.scores if s.method == "failing"]
    assert all(any("7 of 8" in text for text in one.warnings) for one in short)
    # Nothing else is affected, and the next call fills the gap.
    alone = small_run({"grey": Counted()}, tmp_path / "alone", classes="eyes")
    assert [s for s in run.scores if s.method == "grey"] == list(alone.scores)
    run = small_run({"failing": failing, "grey": Counted()}, tmp_path / "out", classes="eyes")
    assert not run.failures
    assert len(run.cases) == 16


def test_a_method_that_always_raises_is_given_up(tmp_path: Path) -> None:
    failing = Counted(fails_at=frozenset(range(1000)))
    methods = {"failing": failing, "grey": Counted()}
    run = small_run(methods, tmp_path, classes="all", metrics=["psnr_hole"])
    mine = [one for one in run.failures if one.method == "failing"]
    assert len(mine) == 17
    assert "gave up after 16" in next(one for one in mine if one.key is None).message
    assert len(run.cases) == 93
    assert {one.method for one in run.scores} == {"grey"}


def test_a_method_that_cannot_be_loaded_costs_the_others_nothing(tmp_path: Path) -> None:
    class Broken(Counted):
        def __call__(self, image: Image.Image, mask: Image.Image) -> Image.Image:
            return image.resize((10, 10))

    run = small_run({"no-weights": "tformer", "wrong-size": Broken(), "grey": Counted()}, tmp_path)
    by_method = {one.method: one for one in run.failures}
    assert by_method["no-weights"].stage == "load"
    assert "weights" in by_method["no-weights"].message
    assert "10 x 10" in by_method["wrong-size"].message
    assert {one.method for one in run.scores} == {"grey"}


def test_the_page_counts_what_was_filled(tmp_path: Path) -> None:
    failing = {"failing": Counted(fails_at=frozenset(range(1000)))}
    run = small_run(failing, tmp_path, portraits(2), report=True, metrics="psnr_hole")
    assert "Nothing was filled" in run.layout.report.read_text(encoding="utf-8")
    methods = {**failing, "grey": Counted()}
    run = small_run(methods, tmp_path, portraits(2), report=True, metrics="psnr_hole")
    filled = "1 of 2 methods filled 2 classes of facial components in 2 portraits at 64 pixels."
    assert filled in run.layout.report.read_text(encoding="utf-8")


def test_failures_of_methods_that_are_not_tried_again_stay(tmp_path: Path) -> None:
    small_run({"no-weights": "tformer", "grey": Counted()}, tmp_path)
    run = small_run({"grey": Counted()}, tmp_path)
    assert [one.method for one in run.failures] == ["no-weights"]


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    run = small_run({"grey": Counted()}, tmp_path, classes="eyes")
    path = run.prediction(64, "grey", "eyes", run.keys[0])
    path.write_bytes(path.read_bytes()[:200])
    (tmp_path / "work" / "cases-0.jsonl").unlink()
    run = small_run({"grey": Counted()}, tmp_path, classes="eyes", metrics=["psnr_hole"])
    (failure,) = run.failures
    assert (failure.stage, failure.key) == ("measure", run.keys[0])
    assert len(run.cases) == 7


NOISY = """
import numpy as np
import resource
import sys
from pathlib import Path
from PIL import Image
from tests.benchmark.runs import small_run

def noise(image, mask):
    grain = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return Image.composite(Image.fromarray(grain), image, mask)

limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
small_run(
    {"noise": noise, "harmonic": "harmonic"}, Path(sys.argv[1]), classes="head,eyes",
    metrics=["psnr_hole"], report=bool(limit),
)
"""


def _noisy_run(out: Path, limit: int) -> Run:
    """In a process of its own, which can write files up to ``limit`` bytes only; 0 for any."""
    root = str(Path(__file__).parents[2])
    given = [sys.executable, "-c", NOISY, str(out), str(limit)]
    done = subprocess.run(
        given, env=environment(), cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Run.open(out)


def test_a_full_disk_costs_what_did_not_fit_and_nothing_else(tmp_path: Path) -> None:
    # Noise does not compress, so on the largest holes its files outgrow the portraits' own.
    straight = _noisy_run(tmp_path / "straight", 0)
    sizes = [straight.prediction(64, "noise", "head", key).stat().st_size for key in straight.keys]
    originals = [straight.original(64, key).stat().st_size for key in straight.keys]
    limit = max(*originals, min(sizes))
    run = _noisy_run(tmp_path / "out", limit)
    too_large = {key for key, size in zip(straight.keys, sizes) if size > limit}
    assert too_large
    written = [one for one in run.failures if one.stage == "write"]
    lost = {("noise", "head", key) for key in too_large}
    assert {(one.method, one.mask_class, one.key) for one in written} == lost
    assert all("File too large" in one.message for one in written)
    assert list(run.cases) == [
        one for one in straight.cases if (one.method, one.mask_class, one.key) not in lost
    ]
    # The page did not fit either; the numbers are there, and space brings back the rest.
    assert [one.stage for one in run.failures if one not in written] == ["report"]
    again = _noisy_run(tmp_path / "out", 0)
    assert not again.failures
    assert tables(again.folder) == tables(straight.folder)
    assert results(again.folder) == results(straight.folder)


def test_results_that_do_not_fit_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(runner, "write_records", full)
        with pytest.raises(FacemaskInpaintError, match=r"No space left .*same command again"):
            small_run(["harmonic"], tmp_path, portraits(2))
    assert small_run(["harmonic"], tmp_path, portraits(2)).scores
