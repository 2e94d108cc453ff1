from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models.layers.diffusion import add_noise, alphas_cumprod, linear_betas
from facemask_inpaint.models.repaint import RePaint, Sampling
from facemask_inpaint.models.repaint.sampler import Sampler
from tests.parity import rules
from tests.parity.adapter import Adapter, Answer
from tests.parity.cases import Case
from tests.parity.described import hole_of, image_of, number_of

FIRST_MOVES = 12
"""Of a run in the everyday suite: down, and the first jump back up."""


class NetworkAdapter(Adapter):
    """Numbered cases are whole runs of a narrow network; labels mark what is shorter or wider.

    ``start``: the first moves of such a run. ``unet``: one call of the narrow U-Net. ``full``: one
    call of the true one.
    """

    architecture = "repaint"

    def cases(self, archive: Path, salt: str) -> list[Case]:
        whole = Case(archive.parent.name, archive, 0, salt)
        runs = [
            dataclasses.replace(whole, index=run["index"])
            for run in whole.facts["sampler"]
            if f"raw_{run['index']}" in whole.archived
        ]
        started = [one for one in runs if f"sampler_{one.index}" in one.trace][:1]
        calls = [
            dataclasses.replace(whole, index=number_of(rule["name"]), label=_label(rule))
            for rule in whole.facts["unet"]
        ]
        return [
            *runs,
            *(dataclasses.replace(one, label="start") for one in started),
            *(one for one in calls if _answer_of(one) is not None),
        ]

    def slow(self, case: Case) -> bool:
        return case.label in ("", "full")

    def manifest(self, case: Case) -> str:
        return _facts(case)["weights"]

    def inputs(self, case: Case) -> tuple[Tensor, Tensor]:
        facts = _facts(case)
        image = image_of(case, facts["image"])
        mask = facts.get("mask", "").partition(" ")[0]
        return image, hole_of(case, mask) if mask else torch.zeros_like(image[:, :1])

    def options(self, case: Case) -> dict[str, Any]:
        if case.label in ("unet", "full"):
            return {}
        jumps = dict(_facts(case)["schedule_jump"])
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
            repaint.sampling, rules.seed(_facts(case)["noise"]), tuple(image.shape[2:])
        )
        states = repaint.states(image * (1 - hole), hole, draws)
        if case.label == "start":
            yield from _traced(case, list(islice(states, FIRST_MOVES)))
            return
        moves = np.asarray(repaint.sampling.moves)
        yield Answer("pairs", moves, case.arrays["pairs"], 0)
        yield Answer("times", repaint.sampling.levels.timesteps, case.arrays["timestep_map"], 0)
        reached = list(states)
        yield from _traced(case, reached)
        raw = reached[-1][0].numpy()
        yield self.compare("raw", raw, case.arrays["raw"])
        if "composited" in case.arrays:
            yield self.compare_levels("composited", self.levels(raw), case)

    def _call(self, network: RePaint, case: Case) -> Answer:
        rule, expected = _facts(case), _answer_of(case)
        assert expected is not None
        share = float(alphas_cumprod(linear_betas())[rule["t"]])
        image, _ = self.inputs(case)
        noise = np.random.RandomState(rules.seed(rule["x_rule"])).standard_normal(image.shape)
        x = add_noise(image, torch.from_numpy(noise.astype(np.float32)), share)
        answer = network.unet(x, rule["t"])[0].numpy()
        return self.compare(rule["name"], answer, expected)


def official_draws(
    sampling: Sampling, seed: int, size: tuple[int, ...] = (256, 256)
) -> dict[str, Tensor]:
    """Draws of a run, by role, from one stream in the order of the official code."""
    stream = np.random.RandomState(seed)

    def drawn() -> Tensor:
        return torch.from_numpy(stream.standard_normal((1, 3, *size)).astype(np.float32))

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


def _traced(case: Case, states: list[Tensor]) -> Iterator[Answer]:
    """Mean, deviation and first numbers of the states, as far as the official ones are recorded."""
    records = case.trace.get(f"sampler_{case.index}", [])[: len(states)]
    if not records:
        return
    expected = [[one["mean"], one["std"], *one["first8"]] for one in records]
    ours = [[x.mean(), x.std(), *x.flatten()[:8]] for x in states[: len(records)]]
    yield Answer("states", np.asarray(ours, np.float32), np.asarray(expected, np.float32), 1e-4)


def _facts(case: Case) -> Mapping[str, Any]:
    """What is said about a run, or about a call of the U-Net."""
    if case.label in ("", "start"):
        (run,) = (one for one in case.facts["sampler"] if one["index"] == case.index)
        return run
    rules_of_calls = (one for one in case.facts["unet"] if _label(one) == case.label)
    (rule,) = (one for one in rules_of_calls if number_of(one["name"]) == case.index)
    return rule


def _label(rule: Mapping[str, Any]) -> str:
    return "full" if "full" in rule["name"] else "unet"


def _answer_of(case: Case) -> np.ndarray | None:
    """Recorded answer of a call; slim archives number it like everything else."""
    name = f"{_facts(case)['name']}_out"
    found = case.archived.get(name)
    return case.archived.get(f"{name}_{case.index}") if found is None else found
