from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models.ldm import LDM
from tests.parity import rules
from tests.parity.adapter import Adapter, Answer
from tests.parity.cases import Case
from tests.parity.described import facts_of, hole_of, image_of, number_of

FLIPPED = 1e-3
"""Share of codes that near ties may turn."""


class NetworkAdapter(Adapter):
    """Whole runs of the narrow networks, and at true size every part once.

    Every entry of ``cases.json`` is a case, labelled by its name: ``inpaint_…`` of the conditioned
    model, ``celeba`` of the model of faces with its known latents put back, ``full`` of the
    conditioned one at true size. Latents count in units of their spread, which made-up weights let
    grow to more than ten.
    """

    architecture = "ldm"

    def cases(self, archive: Path, salt: str) -> list[Case]:
        whole = Case(archive.parent.name, archive, 0, salt)
        named = (
            dataclasses.replace(whole, index=number_of(facts["name"]), label=facts["name"])
            for facts in whole.facts
        )
        return [one for one in named if _is_held(one)]

    def slow(self, case: Case) -> bool:
        return case.label.startswith("full") or case.label not in ("inpaint_0", "celeba")

    def manifest(self, case: Case) -> str:
        return facts_of(case)["weights"].split()[0].rstrip(",")

    def inputs(self, case: Case) -> tuple[Tensor, Tensor]:
        facts = facts_of(case)
        mask = facts["mask"].partition(":")[0].split()[0]
        return image_of(case, facts["image"]), hole_of(case, mask)

    def options(self, case: Case) -> dict[str, Any]:
        return {"mask_reduction": "nearest"}

    def answers(self, network: InpaintingNetwork, case: Case) -> Iterator[Answer]:
        ldm = cast(LDM, network)
        if case.label.startswith("full"):
            yield from self._parts(ldm, case)
        elif case.label.startswith("celeba"):
            yield from self._completed(ldm, case)
        else:
            yield from self._inpainted(ldm, case)

    def _inpainted(self, network: LDM, case: Case) -> Iterator[Answer]:
        _set(network, case, "ddim_timesteps")
        image, hole = self.inputs(case)
        condition = network.condition(image * (1 - hole), hole)
        yield self.compare("cond", condition[0].numpy(), case.arrays["cond"])
        yield equal(
            "alphas_cumprod", network.schedule().alphas_cumprod, case.arrays["alphas_cumprod"]
        )
        draws = iter(Draws(case, (1, 3, *condition.shape[2:])))
        states = list(network.inpainted(condition, {"start": next(draws)}))
        yield from _traced(case, f"ddim_{case.index}", states)
        yield from self._decoded(network, states[-1], case, "")
        picture = network.decode(states[-1])[0].numpy()
        yield self.compare_levels("composited", self.levels(picture), case)

    def _completed(self, network: LDM, case: Case) -> Iterator[Answer]:
        _set(network, case, "celeba_timesteps")
        image, hole = self.inputs(case)
        known = network.encode(image)
        yield self.compare("z0", known[0].numpy(), case.arrays["celeba_z0"])
        keep = 1 - network.hidden_cells(hole)
        draws = iter(Draws(case, tuple(known.shape)))
        start, pairs = next(draws), [(next(draws), next(draws)) for _ in range(network.steps)]
        steps = [torch.stack(role, 1) for role in zip(*pairs)]
        latents = {"start": start, "known": steps[0], "posterior": steps[1]}
        states = list(network.completed(known, keep, latents))
        yield from _traced(case, "celeba_ddim", states)
        yield from self._decoded(network, states[-1], case, "celeba_")
        yield from self._picture(network, case, "celeba_z0", "celeba_reconstruction")

    def _parts(self, network: LDM, case: Case) -> Iterator[Answer]:
        image, hole = self.inputs(case)
        condition = network.condition(image * (1 - hole), hole)
        yield self.compare("z", condition[0, :3].numpy(), case.arrays["full_z"])
        codes = network.autoencoder.codebook(recorded(case, "full_z"))
        yield equal("codes", codes[0], case.arrays["full_codes"])
        yield from self._picture(network, case, "full_z", "full_rec")
        x = next(iter(Draws(case, (1, 3, *condition.shape[2:]))))
        seen = torch.cat([x, recorded(case, "full_z"), condition[:, 3:]], 1)
        timestep = rules.timestep(facts_of(case)["arrays"]["full_eps"])
        epsilon = network.epsilon(seen, timestep)[0].numpy()
        yield Answer("eps", epsilon, case.arrays["full_eps"], self.tolerance)

    def _decoded(self, network: LDM, latent: Tensor, case: Case, prefix: str) -> Iterator[Answer]:
        """The last state, its codes, and the picture of the recorded one."""
        expected = case.arrays[f"{prefix}latent"]
        spread = expected.std()
        yield Answer("latent", latent[0].numpy() / spread, expected / spread, self.tolerance)
        codes = network.autoencoder.codebook(latent)[0].numpy()
        flipped = (codes != case.arrays[f"{prefix}codes"]).mean(keepdims=True)
        yield Answer("codes", flipped, np.zeros_like(flipped), FLIPPED)
        yield from self._picture(network, case, f"{prefix}latent", f"{prefix}raw")

    def _picture(self, network: LDM, case: Case, latent: str, name: str) -> Iterator[Answer]:
        """What the decoder makes of a recorded latent map."""
        if name in case.arrays:
            picture = network.decode(recorded(case, latent))[0].numpy()
            yield self.compare(name, picture, case.arrays[name])


class Draws:
    """The official run's draws, in order.

    Args:
        case: tells the seed.
        shape: of every draw.
    """

    def __init__(self, case: Case, shape: tuple[int, ...]) -> None:
        seed = rules.seed(json.dumps(facts_of(case)))
        self._stream, self._shape = np.random.RandomState(seed), shape

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            yield torch.from_numpy(self._stream.standard_normal(self._shape).astype(np.float32))


def recorded(case: Case, name: str) -> Tensor:
    """A recorded latent map, ``(1, 3, h, w)``."""
    return torch.from_numpy(case.arrays[name])[None]


def equal(name: str, ours: Tensor, expected: np.ndarray) -> Answer:
    """Numbers that must be the same."""
    return Answer(name, ours.numpy(), expected, 0)


def _set(network: LDM, case: Case, times: str) -> None:
    network.steps = len(case.arrays[times])
    eta = re.search(r"eta ([\d.]+)", facts_of(case)["sampler"])
    network.eta = float(eta[1]) if eta else 0.0
    assert sorted(network.schedule().timesteps) == sorted(case.arrays[times].tolist())


def _traced(case: Case, run: str, states: list[Tensor]) -> Iterator[Answer]:
    """First numbers of the state after every step, where a trace lies beside the archive."""
    if run not in case.trace:
        return
    expected = np.array([record["first8"] for record in case.trace[run]])
    ours = np.stack([state.flatten()[:8].numpy() for state in islice(states, len(expected))])
    # Seven digits are recorded.
    yield Answer("trace", ours, expected, 1e-4)


def _is_held(case: Case) -> bool:
    """Whether the archive holds a case: slim ones hold few."""
    prefix = case.label.partition("_")[0]
    name = {"celeba": "celeba_z0", "full": "full_eps"}.get(prefix, f"cond_{case.index}")
    return name in case.archived or f"{name}_{case.index}" in case.archived
