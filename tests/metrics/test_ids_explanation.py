"""P-IDS and U-IDS explained: number of images, separability, swapped pairs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from facemask_inpaint.cli import main
from facemask_inpaint.metrics import FeatureSet, discriminative_scores, explain_ids, separability

from . import synth
from .conftest import write_folder


@pytest.mark.parametrize("n", [60, 100, 400, 1500])
def test_two_samples_of_one_law_score_what_is_expected(n: int) -> None:
    samples = [(synth.features(n, 64, 100 + s), synth.features(n, 64, 200 + s)) for s in range(5)]
    scores = [discriminative_scores(*sample) for sample in samples]
    explanation = explain_ids(*samples[0], null_swaps=0)
    for expected, found in (
        (explanation.expected_uids, [score.uids.value for score in scores]),
        (explanation.expected_pids, [float(score.pids or 0) for score in scores]),
    ):
        assert np.mean(found) == pytest.approx(expected, abs=0.03)


def test_the_recommended_number_is_sufficient() -> None:
    few = explain_ids(synth.features(40, 16, 1), synth.features(40, 16, 2))
    assert few.expected_uids < 0.4
    assert f"recommended: {few.recommended_n} images a side" in str(few)
    n = few.recommended_n
    enough = explain_ids(synth.features(n, 16, 1), synth.features(n, 16, 2))
    assert enough.expected_uids == pytest.approx(0.4, abs=0.01)
    assert "the number of images is sufficient" in str(enough)
    narrow = few.widest_features
    assert (
        explain_ids(synth.features(40, narrow, 1), synth.features(40, narrow, 2)).expected_uids
        > 0.4
    )


def test_a_zero_by_number_and_a_zero_by_difference_are_told_apart() -> None:
    few = explain_ids(synth.features(8, 64, 1), synth.features(8, 64, 2))
    assert few.separable_by_size
    assert few.scores.separated
    assert few.expected_pids < few.expected_uids < 0.01
    assert "16 images of 64 features: any two sets of this size can be separated" in str(few)
    apart = explain_ids(synth.features(300, 16, 1), synth.features(300, 16, 2) + 1)
    assert not apart.separable_by_size
    assert apart.scores.separated
    assert "need not be separable, but these are" in str(apart)
    near = explain_ids(synth.features(300, 16, 1), synth.features(300, 16, 2) + 0.1)
    assert "of a perfect method's at this number" in str(near)
    real = synth.features(300, 16, 1)
    alike = explain_ids(real, synth.features(300, 16, 2, pair_of=real, pair_noise=0.01))
    assert "as high as that of a perfect method" in str(alike)
    assert "no identity network takes part in these scores" in str(alike)


def test_the_penalty_counts_where_features_differ_little() -> None:
    # Any hyperplane that separates these would need weights that the penalty forbids.
    real, fake = (0.01 * synth.features(16, 64, seed) for seed in (1, 2))
    explanation = explain_ids(real, fake)
    assert explanation.separable_by_size
    assert not explanation.scores.separated
    assert explanation.expected_uids > 0.3
    assert "whatever the images show" not in str(explanation)


def named(values: np.ndarray) -> FeatureSet:
    features = FeatureSet.from_array(values)
    names = tuple(f"{row:03d}.png" for row in range(len(values)))
    return FeatureSet(features.values, names, features.keys)


def test_swapped_pairs_and_strangers_are_named() -> None:
    real = synth.features(60, 16, 1)
    fake = synth.features(60, 16, 2, pair_of=real, pair_noise=0.5)
    assert explain_ids(real, fake).swapped == explain_ids(real, fake).strangers == ()
    fake[[4, 9]] = fake[[9, 4]]
    fake[20] = real[31]
    explanation = explain_ids(named(real), named(fake))
    assert explanation.swapped == (("004.png", "009.png"),)
    assert explanation.strangers == (("020.png", "031.png"),)
    assert "these seem to be swapped: 004.png and 009.png" in str(explanation)
    assert "020.png (like 031.png)" in str(explanation)
    assert json.loads(json.dumps(explanation.to_dict()))["swapped"] == [["004.png", "009.png"]]


def test_the_command_explains(tmp_path: Path) -> None:
    real = write_folder(tmp_path / "real", 12)
    fake = Path(shutil.copytree(real, tmp_path / "fake"))
    (fake / "003.png").rename(fake / "x.png")
    (fake / "007.png").rename(fake / "003.png")
    (fake / "x.png").rename(fake / "007.png")
    arguments = ["evaluate", real, fake, "--metrics", "l1", "--explain", "--no-cache"]
    arguments += ["--extractor", "random-convolutions"]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "random-convolutions: P-IDS" in result.output
    swap = next(line for line in result.output.splitlines() if "seem to be swapped" in line)
    assert "003.png" in swap
    assert "007.png" in swap


@pytest.mark.parametrize("scale", [0.003, 0.01, 0.05, 1.0])
def test_the_quick_estimate_of_expected_scores_agrees_with_eigenvalues(scale: float) -> None:
    torch.manual_seed(0)
    real, fake = (torch.randn(150, 400, dtype=torch.float64) * scale for _ in range(2))
    rows = torch.cat([torch.cat([real, fake]), torch.ones(300, 1, dtype=torch.float64)], dim=1)
    estimated = separability._estimated_scores(rows @ rows.T)
    assert estimated is not None
    assert estimated == pytest.approx(separability.expected_scores(real, fake), abs=0.015)
