"""Data that cannot be trained on: one clear message, or portraits left out where asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from facemask_inpaint import data
from facemask_inpaint.errors import DataSetError, OptionError
from facemask_inpaint.training import Recipe, state, train


@pytest.fixture
def damaged(portraits: Path, tmp_path: Path) -> Path:
    """Four portraits for training: one cut short, one without a label map, one oblong."""
    root = shutil.copytree(portraits, tmp_path / "damaged")
    first = root / "images" / "0.png"
    first.write_bytes(first.read_bytes()[:2000])
    (root / "labels" / "1.png").unlink()
    Image.open(root / "images" / "2.png").crop((0, 0, 216, 100)).save(root / "images" / "2.png")
    return root


IN_A_WORKER = {
    "architecture": "migan",  # which reads nothing before the first step, as lite does
    "options": {"resolution": 64},
    "discriminator_options": {},
}


@pytest.mark.parametrize(("changes", "workers"), [({}, 0), (IN_A_WORKER, 1)])
def test_all_unusable_portraits_are_named_at_once(
    recipe: Recipe, damaged: Path, tmp_path: Path, changes: dict, workers: int
) -> None:
    changed = recipe.changed(**changes)
    with pytest.raises(DataSetError, match="3 of 4 portraits cannot be used") as caught:
        train(changed, damaged, out=tmp_path / "run", device="cpu", workers=workers, progress=False)
    for text in ("0.png", "1.png", "2.png", "--skip-unreadable"):
        assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unusable_portraits_are_left_out_where_asked_for(
    recipe: Recipe, damaged: Path, portraits: Path, tmp_path: Path, caplog
) -> None:
    shutil.copy(portraits / "images" / "2.png", damaged / "images" / "2.png")
    run = tmp_path / "run"
    for steps in (2, 3):  # and once more, going on
        train(
            recipe.changed(steps=steps),
            damaged,
            out=run,
            skip_unreadable=True,
            device="cpu",
            progress=False,
        )
    assert "2 of 4 portraits cannot be used and are left out (0, 1)" in caplog.text
    saved = next(state.usable(run / "checkpoints"), None)
    assert saved is not None
    assert saved["learner"]["step"] == 3


def test_validation_names_unusable_portraits_too(
    recipe: Recipe, damaged: Path, portraits: Path, tmp_path: Path
) -> None:
    watched = recipe.changed(validate_every=2)
    held_out = data.open_faces(damaged, "train")
    with pytest.raises(DataSetError, match="3 of 4 portraits"):
        train(
            watched,
            portraits,
            out=tmp_path / "run",
            validation=held_out,
            device="cpu",
            progress=False,
        )


def test_equal_portraits_are_refused_in_one_sentence(
    recipe: Recipe, portraits: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(portraits, tmp_path / "same")
    for folder in ("images", "labels"):
        for number in (1, 2, 3):
            shutil.copy(root / folder / "0.png", root / folder / f"{number}.png")
    with pytest.raises(OptionError, match="4 training images are the same") as caught:
        train(recipe, root, out=tmp_path / "run", device="cpu", progress=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
