from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint.models.layers.diffusion import linear_betas, noised, signal_shares
from facemask_inpaint.models.network import InpaintingNetwork
from facemask_inpaint.models.repaint import RePaint, Sampling
from facemask_inpaint.models.repaint.sampler import Sampler
from tests.parity.adapter import Adapter, Answer
from tests.parity.cases import Case
from tests.parity.recipe import DATA

FIRST_MOVES = 12
"""Of a run in the everyday suite: down, and the first jump back up."""


class NetworkAdapter(Adapter):
    """Numbered cases are whole runs of a narrow network; labels mark what is shorter or wider.

    ``start``: the first moves of such a run. ``unet``: one call of the narrow U-Net. ``full``: one
    call of the true one.
    """

    architecture = "repaint"

    def cases(self, archive: Path, salt: str) -> list[Case]:
        numbered = super().cases(archive, salt)
        with np.load(archive) as content:
            names = set(content.files)
        found = [Case(one.network, archive, one.index, salt, "start") for one in numbered[:1]]
        for label, size in {"unet": "small", "full": "full"}.items():
            found += [
                Case(one.network, archive, one.index, salt, label)
                for one in numbered
                if names & {f"unet_{size}_{one.index}_out", f"unet_{size}_{one.index}_out_0"}
            ]
        return numbered + found

    def slow(self, case: Case) -> bool:
        return case.label in ("", "full")

    def manifest(self, case: Case) -> str:
        return "manifest.json" if case.label == "full" else "manifest.small.json"

    def options(self, case: Case) -> dict[str, Any]:
        if case.label in ("unet", "full"):
            return {}
        jumps = dict(_rules(case)["sampler"][case.index]["schedule_jump"])
        return {
            "sampling": {
                "steps": jumps["t_T"],
                "jump_length": jumps["jump_length"],
                "jump_samples": jumps["jump_n_sample"],
                "jumps_below": jumps.get("start_resampling"),
            }
        }

    def answers(self, network: InpaintingNetwork, case: Case) -> Iterator[Answer]:
        repaint = cast(RePaint, network)
        if case.label in ("unet", "full"):
            yield self._call(repaint, case)
            return
        image, hole = self.inputs(case)
        draws = official_draws(
            repaint.sampling, _seed(_rules(case)["sampler"][case.index]["noise"])
        )
        states = repaint.states(image * (1 - hole), hole, draws)
        if case.label == "start":
            yield _traced(case, list(islice(states, FIRST_MOVES)))
            return
        moves = np.asarray(repaint.sampling.moves)
        yield Answer("pairs", moves, case.arrays["pairs"], 0)
        yield Answer("times", repaint.sampling.levels.times, case.arrays["timestep_map"], 0)
        reached = list(states)
        yield _traced(case, reached)
        raw = reached[-1][0].numpy()
        yield self.compare("raw", raw, case.arrays["raw"])
        if "composited" in case.arrays:
            yield self.compare_levels("composited", self.levels(raw), case)

    def _call(self, network: RePaint, case: Case) -> Answer:
        name = f"unet_{'full' if case.label == 'full' else 'small'}_{case.index}"
        (rule,) = (one for one in _rules(case)["unet"] if one["name"] == name)
        share = float(signal_shares(linear_betas())[rule["t"]])
        image, _ = self.inputs(case)
        noise = np.random.RandomState(_seed(rule["x_rule"])).standard_normal(image.shape)
        x = noised(image, torch.from_numpy(noise.astype(np.float32)), share)
        answer = network.unet(x, rule["t"])[0].numpy()
        return self.compare(name, answer, case.arrays[f"{name}_out"])


def official_draws(sampling: Sampling, seed: int, side: int = 256) -> dict[str, Tensor]:
    """Draws of a run, by role, from one stream in the order of the official code."""
    stream = np.random.RandomState(seed)

    def drawn() -> Tensor:
        return torch.from_numpy(stream.standard_normal((1, 3, side, side)).astype(np.float32))

    start = drawn()
    roles: dict[str, list[Tensor]] = {role: [] for role in Sampler.counts(sampling)}
    for number, move in enumerate(sampling.moves):
        if not move.denoises:
            roles["renoise"].append(drawn())
            continue
        roles["posterior"].append(drawn())
        if number > 0:
            roles["known"].append(drawn())
    # The official code draws at the last step, too, and multiplies by 0.
    roles["posterior"].pop()
    return {"start": start} | {role: torch.stack(steps, 1) for role, steps in roles.items()}


def _traced(case: Case, states: list[Tensor]) -> Answer:
    """Mean, deviation and first numbers of the states, as far as the official ones are recorded."""
    records = _beside(case, "trace.json")[f"sampler_{case.index}"][: len(states)]
    expected = [[one["mean"], one["std"], *one["first8"]] for one in records]
    ours = [[x.mean(), x.std(), *x.flatten()[:8]] for x in states[: len(records)]]
    return Answer("states", np.asarray(ours, np.float32), np.asarray(expected, np.float32), 1e-4)


def _seed(rule: str) -> int:
    found = re.search(r"RandomState\((\d+)\)", rule)
    assert found is not None
    return int(found[1])


def _rules(case: Case) -> Mapping[str, Any]:
    return _beside(case, "cases.json")


def _beside(case: Case, name: str) -> Mapping[str, Any]:
    """A JSON file beside the archive, else beside the bundled one."""
    path = case.archive.parent / name
    return _read(path if path.exists() else DATA / case.network / name)


@cache
def _read(path: Path) -> Mapping[str, Any]:
    return json.loads(path.read_text())
