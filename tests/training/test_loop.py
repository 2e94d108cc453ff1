"""Runs as a whole: what they leave behind, and that an interruption changes nothing."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import facemask_inpaint as fmi
from facemask_inpaint import data, training
from facemask_inpaint.checkpoints import _transfer
from facemask_inpaint.errors import DivergedError, OptionError, WeightsNotFoundError
from facemask_inpaint.masks import GENERATORS
from facemask_inpaint.training import state
from facemask_inpaint.training.validation import Validation

COMMAND = (sys.executable, "-m", "facemask_inpaint", "train")


def run(recipe, portraits: Path, out: Path, **options):
    faces = data.open_faces(portraits, "train")
    return training.train(recipe, faces, out=out, device="cpu", progress=False, **options)


def same(first: object, second: object) -> bool:
    """Whether two nested states are equal to the last bit."""
    if isinstance(first, torch.Tensor):
        return isinstance(second, torch.Tensor) and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def final_state(out: Path, folder: str = "checkpoints") -> dict:
    found = next(state.usable(out / folder), None)
    assert found is not None
    return {k: v for k, v in found.items() if k not in ("seconds", "recipe")}


def test_a_run_leaves_a_model_that_fills(recipe, portraits, tmp_path) -> None:
    half = [
        tmp_path / "checkpoints" / ".step-000000999.fmi.part.pt",
        tmp_path / "model" / ".model.fmi.part.safetensors",
    ]
    for path in half:  # what a killed run left in the middle of writing
        path.parent.mkdir()
        path.write_bytes(b"half")
    run(recipe, portraits, tmp_path, validation=None)
    assert not any(path.exists() for path in half)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 10
    terms = {"hole_l1", "adversarial", "feature_matching", "discriminator_real", "r1"}
    assert terms <= lines[-1].keys()
    inpainter = fmi.Inpainter.from_pretrained(tmp_path / "model")
    sample = data.sample(256)
    mask = fmi.SemanticMasker()(sample.label_map, "nose")
    filled = inpainter(sample.image, mask)
    assert filled.size == (256, 256)
    assert len(list((tmp_path / "checkpoints").iterdir())) == state.KEPT


def test_it_learns(recipe, portraits, tmp_path) -> None:
    quiet = recipe.changed(
        # No draws, whose spread would be in the error; and a detail stage that is wide enough.
        options={**recipe.options, "temperature": 0, "detail": 24},
        **{"losses.adversarial": 0, "generator.decay_start": 1.0, "augmentation.flip": 0},
    )
    seen = Validation(data.open_faces(portraits, "train"), 64, quiet.masks)
    errors = {}
    for steps in (1, 120):
        trained = run(quiet.changed(steps=steps), portraits, tmp_path / str(steps))
        scores = seen.measure(trained.network)
        errors[steps] = sum(one["l1"] for one in scores.values())
    assert errors[120] < 0.8 * errors[1]


@pytest.mark.parametrize("changes", [{}, {"gradient_accumulation": 2, "precision": "bfloat16"}])
def test_resumed_equals_uninterrupted_bit_for_bit(recipe, portraits, tmp_path, changes) -> None:
    recipe = recipe.changed(**changes)
    run(recipe, portraits, tmp_path / "straight")
    # The rate's schedule knows the whole length, so the interruption must not change it.
    (tmp_path / "resumed").mkdir()
    interrupted = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER_SEVEN, str(portraits), str(tmp_path / "resumed")],
        input=recipe.to_yaml(),
        text=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert interrupted.returncode == -signal.SIGKILL, interrupted.stderr
    run(recipe, portraits, tmp_path / "resumed")
    assert same(final_state(tmp_path / "straight"), final_state(tmp_path / "resumed"))
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("straight", "resumed")]
    assert logs[0] == logs[1]
    weights = [
        (tmp_path / name / "model" / "model.safetensors").read_bytes()
        for name in ("straight", "resumed")
    ]
    assert weights[0] == weights[1]


KILLED_AFTER_SEVEN = """
import os, signal, sys
from facemask_inpaint import data, training
from facemask_inpaint.training.learner import Learner
step = Learner.train_step
def dies(self, batches):
    if self.step == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batches)
Learner.train_step = dies
recipe = training.Recipe.from_yaml(sys.stdin.read())
faces = data.open_faces(sys.argv[1], "train")
training.train(recipe, faces, out=sys.argv[2], device="cpu", progress=False)
"""


def start(recipe, portraits: Path, out: Path, *more: str) -> subprocess.Popen:
    file = out.with_suffix(".yaml")
    recipe.save(file)
    return subprocess.Popen(
        [*COMMAND, "--recipe", file, "--data", portraits, "--out", out, "--device", "cpu", *more],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_step(out: Path, step: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not any(int(p.stem[5:]) >= step for p in (out / "checkpoints").glob("step-*.pt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGTERM, 0), (signal.SIGTERM, 1), (signal.SIGINT, 1)]
)
def test_a_signal_to_the_group_saves_and_ends_cleanly(
    recipe, portraits, tmp_path, number: signal.Signals, workers: int
) -> None:
    endless = recipe.changed(steps=100_000, save_every=3)
    process = start(endless, portraits, tmp_path / "run", "--workers", str(workers))
    wait_for_step(tmp_path / "run", 3, process)
    os.killpg(process.pid, number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert errors.count("saving after this step") == 1
    assert "Exception" not in errors
    with pytest.raises(ProcessLookupError):  # workers have ended too
        os.killpg(process.pid, 0)
    assert output.startswith("stopped before the end, after ")
    saved = next(state.usable(tmp_path / "run" / "checkpoints"), None)
    assert saved is not None
    assert saved["step"] >= 3
    assert fmi.Inpainter.from_pretrained(tmp_path / "run" / "model").network.native_resolution == 64


def test_sigkill_loses_at_most_one_interval(recipe, portraits, tmp_path) -> None:
    endless = recipe.changed(steps=100_000, save_every=2)
    rng = random.Random(0)
    reached = 0
    for _ in range(2):
        process = start(endless, portraits, tmp_path / "run")
        wait_for_step(tmp_path / "run", reached + 2, process)
        time.sleep(rng.random() * 0.2)
        process.kill()
        process.communicate()
        saved = next(state.usable(tmp_path / "run" / "checkpoints"), None)
        assert saved is not None
        assert saved["step"] >= reached + 2
        reached = saved["step"]


@pytest.mark.parametrize("damage", ["cut", "foreign", "folder", "another run's", "log too"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    recipe, portraits, tmp_path, caplog, damage
) -> None:
    run(recipe.changed(steps=10), portraits, tmp_path)
    before, newest = sorted((tmp_path / "checkpoints").iterdir())
    kept = newest.read_bytes()
    if damage in ("cut", "log too"):
        newest.write_bytes(kept[: len(kept) // 2])
    elif damage == "another run's":
        run(recipe.changed(steps=10, seed=7), portraits, tmp_path / "other")
        newest.write_bytes((tmp_path / "other" / "checkpoints" / newest.name).read_bytes())
    else:
        newest.unlink()
        newest.mkdir() if damage == "folder" else torch.save({"step": 10}, newest)
    if damage == "log too":
        (tmp_path / "log.jsonl").write_bytes(b"\x00\xff\n[1]\n{}\n" + b"[" * 5000 + b"\n{")
    assert before.stem.endswith("8")
    run(recipe.changed(steps=10), portraits, tmp_path)
    found = next(state.usable(tmp_path / "checkpoints"), None)
    assert found is not None
    assert found["step"] == 10
    assert (newest.name in caplog.text) == (damage != "another run's")
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [10]
    assert same(final_state(tmp_path), _without_damage(kept, tmp_path / "kept" / newest.name))


def _without_damage(content: bytes, path: Path) -> dict:
    path.parent.mkdir()
    path.write_bytes(content)
    return final_state(path.parent.parent, path.parent.name)


def test_another_recipe_is_refused(recipe, portraits, tmp_path) -> None:
    run(recipe, portraits, tmp_path)
    with pytest.raises(OptionError, match="another batch_size"):
        run(recipe.changed(batch_size=2), portraits, tmp_path)
    with pytest.raises(OptionError, match="another set of portraits"):
        training.train(recipe, data.open_faces(portraits, "test"), out=tmp_path, device="cpu")
    longer = run(recipe.changed(steps=14), portraits, tmp_path)
    assert longer.network.native_resolution == 64
    assert final_state(tmp_path)["step"] == 14


def test_fewer_steps_than_are_done(recipe, portraits, tmp_path, caplog) -> None:
    run(recipe.changed(steps=3), portraits, tmp_path)
    ends: list[tuple[str, int]] = []
    run(
        recipe.changed(steps=2),
        portraits,
        tmp_path,
        on_end=lambda end, steps: ends.append((end, steps)),
    )
    assert ends == [("complete", 3)]
    assert "3 steps are done already" in caplog.text
    assert training.open_recipe(tmp_path / "recipe.yaml").steps == 3


def test_other_meanings_of_label_ids_are_refused(recipe, portraits, tmp_path) -> None:
    out, short = tmp_path / "run", recipe.changed(steps=1, save_every=1)
    run(short, portraits, out)
    other = data.open_faces(portraits, "train", label_order="bisenet")
    with pytest.raises(OptionError, match="another label order;"):
        training.train(short, other, out=out, device="cpu", progress=False)
    said = data.open_faces(portraits, "train", label_order="celebamask-hq")
    training.train(short.changed(steps=2), said, out=out, device="cpu", progress=False)
    free_form = short.changed(**{"masks.kind": "random"})
    for steps, faces in ((1, said), (2, other)):  # which needs no labels
        recipe = free_form.changed(steps=steps)
        training.train(recipe, faces, out=tmp_path / "free", device="cpu", progress=False)


def test_an_edited_vocabulary_is_refused(recipe, portraits, tmp_path) -> None:
    file = tmp_path / "own.yaml"
    table = {
        "title": "Own",
        "licence": "CC0",
        "source": "here",
        "labels": list(fmi.labels.LABEL_NAMES),
        "classes": {"eyes": ["l_eye", "r_eye"]},
    }
    file.write_text(json.dumps(table))
    own = recipe.changed(steps=1, save_every=1, **{"masks.vocabulary": str(file)})
    out = tmp_path / "run"
    for steps in (1, 2):
        faces = data.open_faces(portraits, "train", vocabulary=file)
        training.train(own.changed(steps=steps), faces, out=out, device="cpu", progress=False)
    file.write_text(json.dumps(table | {"classes": {"eyes": ["nose"]}}))
    with pytest.raises(OptionError, match="another vocabulary;"):
        training.train(
            own.changed(steps=3),
            data.open_faces(portraits, "train", vocabulary=file),
            out=out,
            device="cpu",
            progress=False,
        )


def test_a_checkpoint_without_the_meaning_of_label_ids_is_continued(
    recipe, portraits, tmp_path
) -> None:
    run(recipe.changed(steps=1), portraits, tmp_path)
    folder = tmp_path / "checkpoints"
    saved = next(state.usable(folder))
    del saved["labels"]
    state.save(folder, saved)
    run(recipe.changed(steps=2), portraits, tmp_path)
    assert final_state(tmp_path)["labels"].keys() == {"label order", "vocabulary"}


def test_a_number_of_workers_below_0_is_refused_first(recipe, portraits, tmp_path) -> None:
    with pytest.raises(OptionError, match="workers must be at least 0"):
        run(recipe, portraits, tmp_path / "run", workers=-1)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_a_number_stops_the_run(recipe, portraits, tmp_path) -> None:
    wild = recipe.changed(
        **{"generator.learning_rate": 1e18, "generator.warmup_steps": 0, "save_every": 1}
    )
    with pytest.raises(DivergedError, match=r"diverged-0\.json"):
        run(wild, portraits, tmp_path)
    record = json.loads((tmp_path / "diverged-0.json").read_text())
    assert len(record["images"]) == 4
    assert any(not math.isfinite(value) for value in record["terms"].values())
    saved = next(state.usable(tmp_path / "checkpoints"), None)
    assert saved is not None
    assert saved["step"] == record["step"]


def test_missing_auxiliary_weights_are_reported_before_anything_starts(
    recipe, portraits, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("FACEMASK_INPAINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_transfer, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(WeightsNotFoundError, match=r"losses\.perceptual=0"):
        run(recipe.changed(**{"losses.perceptual": 0.1}), portraits, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_validation_scores_every_class_and_draws_a_sheet(
    recipe, portraits, tmp_path, monkeypatch, recwarn
) -> None:
    monkeypatch.setitem(GENERATORS, "mat", lambda size, rng: ~np.eye(size, dtype=bool))
    watched = recipe.changed(steps=4, validate_every=4, **{"masks.adaptive": 1.0})
    run(watched, portraits, tmp_path, validation=data.open_faces(portraits, "test"))
    (line,) = [
        json.loads(text)
        for text in (tmp_path / "log.jsonl").read_text().splitlines()
        if "validation" in text
    ]
    scores = line["validation"]
    assert {"eyes", "hair", "head", "random"} <= scores.keys()
    assert all(values["n"] == 2 and values["l1"] > 0 for values in scores.values())
    assert not [each for each in recwarn if "invert" in str(each.message)]  # the library drew it
    assert len(list((tmp_path / "samples").iterdir())) == 1
    adapted = final_state(tmp_path)["sampler"]["class_weights"]
    assert max(adapted.values()) > 1 > min(adapted.values())
    hardest = max((n for n in scores if n != "random"), key=lambda name: scores[name]["l1"])
    assert max(adapted, key=lambda name: adapted[name]) == hardest


def test_adaptive_masks_need_validation(recipe, portraits, tmp_path) -> None:
    with pytest.raises(OptionError, match="validation"):
        run(recipe.changed(**{"masks.adaptive": 1.0}), portraits, tmp_path)
