"""Data that cannot be trained on: one clear message, or portraits left out where asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from facemask_inpaint import data
from facemask_inpaint.cli import main
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


@pytest.fixture
def unlabelled(portraits: Path, tmp_path: Path) -> Path:
    """The portraits without the folder of label maps."""
    root = shutil.copytree(portraits, tmp_path / "unlabelled")
    shutil.rmtree(root / "labels")
    return root


def test_free_form_training_needs_no_label_maps(
    recipe: Recipe, unlabelled: Path, portraits: Path, tmp_path: Path
) -> None:
    short = recipe.changed(steps=2, validate_every=2)
    weights, logs = [], []
    for root in (unlabelled, portraits):
        out = tmp_path / f"run-{root.name}"
        train(
            short,
            root,
            out=out,
            masks="random",
            validation=data.open_faces(root, "test", label_maps=False),
            skip_unreadable=True,
            device="cpu",
            progress=False,
        )
        weights.append((out / "model" / "model.safetensors").read_bytes())
        logs.append((out / "log.jsonl").read_text())
    assert weights[0] == weights[1]
    assert ['"eyes"' in log for log in logs] == [False, True]
    assert all('"random"' in log for log in logs)


def test_free_form_training_on_the_command_line(
    recipe: Recipe, unlabelled: Path, tmp_path: Path
) -> None:
    file = tmp_path / "recipe.yaml"
    recipe.changed(steps=1).save(file)
    given = ["train", "--recipe", file, "--data", unlabelled, "--out", tmp_path / "run"]
    semantic = CliRunner().invoke(main, [str(word) for word in given])
    assert "labels: there is no such folder of label maps" in semantic.output
    assert "train --masks random" in semantic.output
    for more in (["--check"], ["--device", "cpu"]):
        words = [str(word) for word in (*given, "--masks", "random", *more)]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
    (unlabelled / "images" / "0.png").write_bytes(b"none")
    result = CliRunner().invoke(main, [str(w) for w in (*given, "--masks", "random", "--check")])
    assert "1 of 4 portraits cannot be used" in result.output


def test_semantic_training_without_label_maps_is_refused_at_once(
    recipe: Recipe, unlabelled: Path, tmp_path: Path
) -> None:
    faces = data.labelled_folder(unlabelled, label_maps=None)
    with pytest.raises(OptionError, match="has no label maps, which the recipe's masks"):
        train(recipe, faces, out=tmp_path / "run", device="cpu", progress=False)
    assert list((tmp_path / "run").rglob("*")) == []


def test_leaving_everything_out_is_no_advice(
    recipe: Recipe, portraits: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(portraits, tmp_path / "emptied")
    for file in (root / "labels").iterdir():
        file.write_bytes(b"none")
    with pytest.raises(DataSetError, match="4 of 4 portraits cannot be used") as caught:
        train(recipe, root, out=tmp_path / "run", device="cpu", progress=False)
    assert "--skip-unreadable" not in str(caught.value)
