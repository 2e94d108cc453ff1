"""Two processes under torchrun give the statistics of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from facemask_inpaint.metrics import (
    FeatureReader,
    FeatureStatistics,
    evaluate,
    frechet_distance,
)

from . import synth

SCORES = ("fid", "kid", "pids", "uids", "cmmd", "precision", "recall", "density", "coverage")
COUNTS = {"many": 500, "few": 40, "one_process_has_none": 5}
OTHER = synth.features(500, 64, 8, pair_of=synth.features(500, 64, 0), pair_noise=0.5)
SCRIPT = """
import sys
import numpy as np
import torch.distributed as dist
from facemask_inpaint.errors import OptionError
from facemask_inpaint.metrics import FeatureScore, FeatureStatistics

folder = sys.argv[1]
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
for name in sys.argv[2:]:
    rows = np.load(f"{folder}/{name}.npy")
    mine = rows[:0] if rank and name == "one_process_has_none" else rows[rank::world]
    mine = rows if name == "one_process_has_none" and not rank else mine
    statistics = FeatureStatistics("same network")
    for start in range(0, len(mine), 16):
        statistics.update(mine[start : start + 16])
    statistics.all_reduce().save(f"{folder}/{name}.{rank}.npz")
real, fake = (np.load(f"{folder}/{side}.npy")[rank::world] for side in ("many", "other"))
values = []
for name in SCORES:
    score = FeatureScore(name)
    for start in range(0, len(real), 100):
        score.update(real[start : start + 100], real=True)
        score.update(fake[start : start + 100], real=False)
    values.append(float(score.compute()))
np.save(f"{folder}/scores.{rank}.npy", values)
try:
    FeatureStatistics(f"network {rank}").update(rows).all_reduce()
except OptionError as error:
    assert "do not mix" in str(error)
else:
    raise SystemExit("features of two networks were added up")
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distributed")
    for seed, (name, count) in enumerate(COUNTS.items()):
        np.save(folder / f"{name}.npy", synth.features(count, 64, seed))
    script = folder / "gather.py"
    script.write_text(f"SCORES = {SCORES}\n{SCRIPT}")
    np.save(folder / "other.npy", OTHER)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc-per-node=2", str(script), str(folder), *COUNTS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", COUNTS)
def test_two_processes_are_one(folder: Path, name: str) -> None:
    rows = np.load(folder / f"{name}.npy")
    alone = FeatureStatistics.of(rows)
    other = FeatureStatistics.of(synth.features(200, 64, 9))
    for rank in (0, 1):
        gathered = FeatureStatistics.load(folder / f"{name}.{rank}.npz")
        assert gathered.n == len(rows)
        assert gathered.identity == "same network"
        torch.testing.assert_close(gathered.mean, alone.mean, rtol=1e-12, atol=0)
        torch.testing.assert_close(
            gathered.covariance(), alone.covariance(), rtol=1e-10, atol=1e-14
        )
        found = frechet_distance(gathered, other)
        assert found == pytest.approx(frechet_distance(alone, other), rel=1e-10)


@pytest.mark.parametrize("rank", [0, 1])
def test_metrics_of_two_processes_are_those_of_one(folder: Path, rank: int) -> None:
    found = np.load(folder / f"scores.{rank}.npy")
    expected = evaluate(np.load(folder / "many.npy"), OTHER, SCORES, reader=FeatureReader())
    assert found == pytest.approx([float(result) for result in expected.values()], rel=1e-9)
