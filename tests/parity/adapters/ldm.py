from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from facemask_inpaint.models.ldm import LDM
from facemask_inpaint.models.network import InpaintingNetwork
from tests.parity.adapter import Adapter, Answer
from tests.parity.cases import Case

RULES = {
    "inpaint_0": "RandomState(41) eta 0",
    "inpaint_1": "RandomState(42) eta 0",
    "celeba": "RandomState(51) eta 1",
    "full": "RandomState(61)",
}
"""Seed of the draws and noise of the steps, where no ``cases.json`` beside the archive tells."""

MANIFESTS = {
    "": "manifest.small.json",
    "celeba": "manifest.celeba256.small.json",
    "full": "manifest.json",
}
FLIPPED = 1e-3
"""Share of codes that near ties may turn."""


class NetworkAdapter(Adapter):
    """Whole runs of the narrow networks, and at true size every part once.

    Numbered cases are of the conditioned model; the label ``celeba`` marks the model of faces with
    its known latents put back, ``full`` the conditioned one at true size. Latents count in units of
    their spread, which made-up weights let grow to more than ten.
    """

    architecture = "ldm"

    def cases(self, archive: Path, salt: str) -> list[Case]:
        numbered = super().cases(archive, salt)
        with np.load(archive) as content:
            names = set(content.files)
        labels = [label for label in ("celeba", "full") if any(_of(label, name) for name in names)]
        return numbered + [
            Case(case.network, archive, case.index, salt, label)
            for case in numbered[:1]
            for label in labels
        ]

    def slow(self, case: Case) -> bool:
        return case.label == "full" or case.index > 0

    def manifest(self, case: Case) -> str:
        return MANIFESTS[case.label]

    def options(self, case: Case) -> dict[str, Any]:
        return {"mask_reduction": "nearest"}

    def answers(self, network: InpaintingNetwork, case: Case) -> Iterator[Answer]:
        ldm = cast(LDM, network)
        if case.label == "full":
            yield from self._parts(ldm, case)
        elif case.label == "celeba":
            yield from self._completed(ldm, case)
        else:
            yield from self._inpainted(ldm, case)

    def _inpainted(self, network: LDM, case: Case) -> Iterator[Answer]:
        _set(network, case, "ddim_timesteps")
        image, hole = self.inputs(case)
        condition = network.condition(image * (1 - hole), hole)
        yield self.compare("cond", condition[0].numpy(), case.arrays["cond"])
        yield equal("alphas_cumprod", network.ladder().shares, case.arrays["alphas_cumprod"])
        draws = iter(Draws(case, (1, 3, *condition.shape[2:])))
        states = list(network.inpainted(condition, {"start": next(draws)}))
        yield from _traced(case, f"ddim_{case.index}", states)
        yield from self._decoded(network, states[-1], case, "")
        picture = network.decode(states[-1])[0].numpy()
        yield self.compare_levels("composited", self.levels(picture), case)

    def _completed(self, network: LDM, case: Case) -> Iterator[Answer]:
        _set(network, case, "celeba_timesteps")
        known = network.encode(_picture(case, "celeba_image"))
        yield self.compare("z0", known[0].numpy(), case.arrays["celeba_z0"])
        hole = torch.from_numpy((case.arrays["celeba_mask"] > 127).astype(np.float32))
        keep = 1 - network.hidden_cells(hole[None, None])
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
        epsilon = network.epsilon(seen, 501)[0].numpy()
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
        seed = re.search(r"RandomState\((\d+)\)", _rule(case))
        assert seed, "the case does not tell the seed of its draws"
        self._stream, self._shape = np.random.RandomState(int(seed[1])), shape

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
    eta = re.search(r"eta ([\d.]+)", _rule(case))
    network.eta = float(eta[1]) if eta else 0.0
    assert sorted(network.ladder().times) == sorted(case.arrays[times].tolist())


def _picture(case: Case, name: str) -> Tensor:
    picture = torch.from_numpy(case.arrays[name].astype(np.float32) / 127.5 - 1)
    return rearrange(picture, "h w c -> 1 c h w")


def _traced(case: Case, run: str, states: list[Tensor]) -> Iterator[Answer]:
    """First numbers of the state after every step, where a trace lies beside the archive."""
    path = case.archive.with_name("trace.json")
    if not path.exists():
        return
    expected = np.array([record["first8"] for record in json.loads(path.read_text())[run]])
    ours = np.stack([state.flatten()[:8].numpy() for state in islice(states, len(expected))])
    # Seven digits are recorded.
    yield Answer("trace", ours, expected, 1e-4)


def _rule(case: Case) -> str:
    name = case.label or f"inpaint_{case.index}"
    path = case.archive.with_name("cases.json")
    return _rules(path)[name] if path.exists() else RULES[name]


@cache
def _rules(path: Path) -> dict[str, str]:
    return {case["name"]: json.dumps(case) for case in json.loads(path.read_text())}


def _of(label: str, name: str) -> bool:
    return name.startswith(f"{label}_")
