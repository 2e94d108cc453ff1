"""Predictions are never served for other inputs: made anew where that can be done, else refused."""

from __future__ import annotations

import functools
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from facemask_inpaint import Inpainter, benchmark, data
from facemask_inpaint.benchmark._functions import digest_of
from facemask_inpaint.data import Faces
from facemask_inpaint.errors import OptionError
from tests.models.reduced import build

from .runs import PORTRAITS, Counted, results, small_run, write_model

ONE = {"classes": "eyes", "metrics": ("psnr_hole",), "reader": None}


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Three portraits with label maps that may be changed."""
    for name in ("images", "labels"):
        (tmp_path / "faces" / name).mkdir(parents=True)
        for path in sorted((PORTRAITS / name).iterdir())[:3]:
            shutil.copy(path, tmp_path / "faces" / name)
    return tmp_path / "faces"


def mirror(path: Path) -> None:
    with Image.open(path) as image:
        turned = ImageOps.mirror(image)
    turned.save(path)


def first(folder: Path) -> Path:
    return sorted(folder.iterdir())[0]


def rename_pairs(folder: Path) -> None:
    """Swap the portraits of two keys, with their old times."""
    one, two, _ = sorted((folder / "images").iterdir())
    times = [(path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in (one, two)]
    one.rename(folder / "x")
    two.rename(one)
    (folder / "x").rename(two)
    for path, ns in zip((one, two), times):
        os.utime(path, ns=ns)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a portrait": lambda folder: mirror(first(folder / "images")),
    "a label map": lambda folder: mirror(first(folder / "labels")),
    "portraits change names": rename_pairs,
    "a label map is gone": lambda folder: first(folder / "labels").unlink(),
}


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("work", ["kept", "deleted"])
def test_changed_portraits_and_label_maps_are_refused(
    faces: Path, tmp_path: Path, kind: str, work: str
) -> None:
    out = tmp_path / "run"
    small_run(["harmonic"], out, data.open_faces(faces), **ONE)
    before = results(out) | {"run.json": (out / "run.json").read_bytes()}
    CHANGES[kind](faces)
    if work == "kept":
        with pytest.raises(OptionError, match="was begun with other portraits or label maps"):
            small_run({"new": Counted()}, out, data.open_faces(faces), **ONE)
        assert results(out) | {"run.json": (out / "run.json").read_bytes()} == before
        return
    shutil.rmtree(out / "work")  # the docs allow it, and then only the images can tell
    run = small_run(["harmonic"], out, data.open_faces(faces), **ONE)
    if kind != "a label map is gone":
        assert any("another file" in failure.message for failure in run.failures)
    assert len(run.cases) == (1 if kind == "portraits change names" else 2)


def test_another_data_set_of_the_same_name_is_refused(faces: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "run", tmp_path / "other" / "faces"
    small_run(["harmonic"], out, data.open_faces(faces), **ONE)
    shutil.copytree(faces, other)
    small_run(["harmonic"], out, data.open_faces(other), **ONE)  # the same, elsewhere
    for path in (other / "images").iterdir():
        mirror(path)
    with pytest.raises(OptionError, match=r"3 are not what they were"):
        small_run(["harmonic"], out, data.open_faces(other), **ONE)


def test_parts_of_a_portrait_count(tmp_path: Path) -> None:
    from tests.data.official import part_file, write_dataset

    write_dataset(tmp_path / "data", range(2))
    out = tmp_path / "run"
    small_run(["harmonic"], out, data.celebamask_hq(tmp_path / "data", "all"), **ONE)
    part_file(tmp_path / "data", 1, "nose").unlink()
    with pytest.raises(OptionError, match=r"\(1 are not what they were: 1\)"):
        small_run(["harmonic"], out, data.celebamask_hq(tmp_path / "data", "all"), **ONE)


@pytest.fixture
def made(faces: Path, tmp_path: Path) -> Path:
    """Images filled elsewhere, for the class eyes."""
    run = small_run({"grey": Counted()}, tmp_path / "made", data.open_faces(faces), **ONE)
    shutil.copytree(run.prediction(64, "grey", "eyes", "x").parents[1], tmp_path / "theirs")
    return tmp_path / "theirs"


def filled_by(run: benchmark.Run, method: str) -> dict[str, np.ndarray]:
    return {
        key: np.asarray(Image.open(run.prediction(64, method, "eyes", key)))
        for key in run.keys
        if run.prediction(64, method, "eyes", key).exists()
    }


def test_results_of_others_are_read_again_where_they_changed(
    faces: Path, made: Path, tmp_path: Path
) -> None:
    def again(folder: Path) -> benchmark.Run:
        methods = {"theirs": benchmark.PredictionFolder(folder)}
        return small_run(methods, tmp_path / "run", data.open_faces(faces), **ONE)

    before = again(made)
    old = {record.key: record.metrics for record in before.cases}
    untouched = {
        k: before.prediction(64, "theirs", "eyes", k).stat().st_mtime_ns for k in before.keys
    }
    mirror(first(made / "eyes"))
    run = again(made)
    new = {record.key: record.metrics for record in run.cases}
    key = first(made / "eyes").stem
    assert [name for name in new if new[name] != old[name]] == [key]
    same = [k for k in run.keys if k != key]
    for name in same:
        assert run.prediction(64, "theirs", "eyes", name).stat().st_mtime_ns == untouched[name]
    other = Path(shutil.copytree(made, tmp_path / "other folder"))
    for path in (other / "eyes").iterdir():
        Image.new("RGB", (64, 64), "red").save(path)
    filled = filled_by(again(other), "theirs")
    assert len(filled) == 3
    assert all((image == (255, 0, 0)).all() for image in filled.values())
    first(other / "eyes").unlink()
    run = again(other)
    assert len(run.cases) == 2
    assert any("holds no eyes" in failure.message for failure in run.failures)


def test_another_function_under_the_same_name(faces: Path, tmp_path: Path) -> None:
    def go(method: Any, **more: Any) -> benchmark.Run:
        return small_run({"ours": method}, tmp_path / "run", data.open_faces(faces), **(ONE | more))

    go(lambda image, mask: image)
    with pytest.warns(UserWarning, match="predictions of the function ours"):
        go(lambda image, mask: image)
    for other in (
        lambda image, mask: image.rotate(180),
        lambda image, mask: image.rotate(90),
        Counted(),
        functools.partial(_shaded, shade=3),
    ):
        with pytest.raises(OptionError, match="begun with function of method ours"):
            go(other)


def _shaded(image: Image.Image, mask: Image.Image, shade: int) -> Image.Image:
    return Image.new("RGB", image.size, (shade,) * 3)


class Versioned(Counted):
    version = "1"


def test_a_function_with_a_version_is_trusted(faces: Path, tmp_path: Path) -> None:
    method = Versioned()
    small_run({"ours": method}, tmp_path / "run", data.open_faces(faces), **ONE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small_run({"ours": method}, tmp_path / "run", data.open_faces(faces), **ONE)
    assert method.calls == 3
    method.version = "2"
    with pytest.raises(OptionError, match="function of method ours"):
        small_run({"ours": method}, tmp_path / "run", data.open_faces(faces), **ONE)


def test_functions_are_told_apart() -> None:
    def made(shade: int) -> Callable[..., Any]:
        count = 0

        def fill(image: Any, mask: Any) -> Any:
            nonlocal count
            count += 1
            return _shaded(image, mask, shade)

        return fill

    one, two = made(1), made(2)
    assert digest_of(one) != digest_of(two)
    before = digest_of(one)
    one(Image.new("RGB", (4, 4)), None)
    assert digest_of(one) == before == digest_of(made(1))
    assert digest_of(functools.partial(_shaded, shade=1)) != digest_of(
        functools.partial(_shaded, shade=2)
    )
    assert digest_of(Counted().__call__) == digest_of(Counted())
    assert digest_of(max) is None


def test_weights_and_options_are_looked_at(faces: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "run", write_model(tmp_path / "net", "migan")
    given: tuple[Any, Faces] = ([folder], data.open_faces(faces))
    small_run(given[0], out, given[1], **ONE)
    config = folder / "config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(OptionError, match="weights of method net"):
        small_run(given[0], out, given[1], **ONE)
    net = build("migan", seed=1)
    small_run({"live": Inpainter(net, device="cpu")}, tmp_path / "two", given[1], **ONE)
    half = Inpainter(net, device="cpu", dtype="bfloat16")
    with pytest.raises(OptionError, match="weights of method live"):
        small_run({"live": half}, tmp_path / "two", given[1], **ONE)
