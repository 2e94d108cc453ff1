from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models.layers.diffusion import DDIMSchedule
from facemask_inpaint.models.layers.latent_categories import noise_schedule
from facemask_inpaint.models.layers.token_unet import sinusoids
from facemask_inpaint.models.moebius import Moebius
from tests.parity import recipe, rules
from tests.parity.adapter import Adapter, Answer, subsample
from tests.parity.cases import Case
from tests.parity.described import described_cases, facts_of, hole_of, image_of, number_of, relative

EXACT = {"manifest.small.json": 1e-5, "manifest.json": 2e-5}
"""ProgressBar for single forward passes of the U-Net, by its size."""

DRAWS = ("z_image", "z_masked", "z_noise", "z_offset")
"""Names of the official draws, in order."""


class NetworkAdapter(Adapter):
    """Every entry of ``cases.json`` is a case, labelled by its name.

    Official runs start from the whole image's latents, which this library does not do: here the
    test encodes it. What the made-up autoencoder amplifies is judged part by part.
    """

    architecture = "moebius"

    def cases(self, archive: Path, salt: str) -> list[Case]:
        return described_cases(archive, salt, _is_held)

    def slow(self, case: Case) -> bool:
        steps = facts_of(case).get("settings", {}).get("num_steps", 0)
        return self.manifest(case) == "manifest.json" or steps > 8

    def manifest(self, case: Case) -> str:
        return (
            "manifest.json"
            if case.label.startswith(("unet_full", "vae_full"))
            else ("manifest.small.json")
        )

    def tensors(self, case: Case) -> dict[str, Tensor]:
        autoencoder = self.manifest(case).replace("manifest", "manifest.vae")
        made = recipe.official_tensors(case.network, autoencoder, case.salt)
        return super().tensors(case) | made

    def answers(self, network: InpaintingNetwork, case: Case) -> Iterator[Answer]:
        moebius = cast(Moebius, network)
        facts = facts_of(case)
        for part, answer in PARTS.items():
            if case.label.startswith(part):
                yield from answer(self, moebius, case, facts)
                return
        raise AssertionError(f"no rule for the case {case.label!r}")

    def unet(self, network: Moebius, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        x = _unet_input(facts["x"], case)
        head = case.archived.get(f"{case.label}_x_head")
        if head is not None:
            yield Answer("x", x.flatten()[:16].numpy(), head, 0)
        ids = torch.tensor(facts["input_ids"]).reshape(-1, 10)
        epsilon = network.epsilon(x, facts["t"], ids).numpy()
        expected = case.archived[f"{case.label}_out"]
        bar = EXACT[self.manifest(case)]
        yield Answer("eps", epsilon.reshape(expected.shape), expected, bar)

    def vae(self, network: Moebius, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        full = "full_" if case.label == "vae_full" else "vae_small_"
        middle = "masked_" if case.label == "vae_full" else ""
        if case.label == "vae_full":
            image, hole = image_of(case, "full_image"), hole_of(case, "full_mask")
            image = image * (1 - hole)
        else:
            image = image_of(case, str(facts["input"]).partition("/")[0])
        mean, deviation = network.autoencoder.distribution(image)
        yield relative("mean", mean, case.archived[f"{full}{middle}mean"], 1e-4)
        yield relative("std", deviation, case.archived[f"{full}{middle}std"], 1e-5)
        name = f"{full}dec32" if f"{full}dec32" in case.archived else f"{full}dec"
        rule = facts["arrays"][name]
        factor = float(re.search(r"decode\((\d+)\*z\)", rule)[1])  # type: ignore[index]
        z = factor * rules.Stream(rules.seed(rule)).draw(rules.shape(rule))
        decoded = network.decode(z * network.autoencoder.scale)[0].numpy()
        yield self.compare("decoded", decoded, case.archived[name])

    def block(self, network: Moebius, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        unet = network.unet
        x = rules.drawn(facts["input"])
        if case.label == "block_out":
            answer = unet.conv_out(F.silu(unet.conv_norm_out(x)))
        elif case.label == "block_tf":
            context = unet.context(network.embedding_layer(torch.tensor([facts["input_ids"]])))
            yield Answer("tokens", context[0].numpy(), case.archived["block_E"], 1e-5)
            answer = unet.get_submodule(facts["module"].split(" ")[0])(x, context)
        else:
            waves = sinusoids(torch.tensor([facts["t"]]), unet.sinusoids)
            time = unet.time_embedding(waves)
            yield Answer("time", time[0].numpy(), case.archived["block_temb"], 1e-5)
            answer = unet.get_submodule(facts["module"].split(" ")[0])(x, F.silu(time))
        expected = case.archived[case.label]
        yield Answer("block", subsample(answer[0].numpy(), expected.shape), expected, 1e-5)

    def run_of(self, network: Moebius, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        """A whole run, part by part, each from the recorded answer of the one before it."""
        recorded = _Recorded(case, facts)
        image, hole = recorded.image, recorded.hole
        run = recorded.configure(network)
        yield Answer("timesteps", np.array(run.timesteps), recorded.array("timesteps"), 0)
        mean, deviation = network.autoencoder.distribution(image * (1 - hole))
        expected = recorded.array("masked_mean")
        yield relative("masked_mean", mean, expected, 1e-4)
        latents = recorded.latents
        known = torch.from_numpy(expected)[None]
        if "z_masked" in latents:
            known = known + deviation * latents["z_masked"]
        cells = hole[..., ::8, ::8]
        condition = torch.cat([cells, network.autoencoder.scale * known], 1)
        start = recorded.start(network, run, condition)
        yield relative("start", start, recorded.array("start"), 1e-5)
        start = torch.from_numpy(recorded.array("start"))[None]
        epsilon = network.guided_epsilon(
            torch.cat([start, condition], 1), run.timesteps[0], network.guidance_scale
        )
        yield Answer("eps_first", epsilon[0].numpy(), recorded.array("eps_first"), 1e-4)
        states = list(network.states(run, start, condition, network.guidance_scale))
        yield Answer("latent", states[-1][0].numpy(), recorded.array("latent"), 1e-4)
        yield from _traced(case, states)
        decoded = network.decode(torch.from_numpy(recorded.array("latent"))[None])[0].numpy()
        yield self.compare("raw32", decoded, recorded.array("raw32"))

    def leakfree(self, network: Moebius, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        yield from self.run_of(network, case, facts)
        recorded = _Recorded(case, facts)
        recorded.configure(network)
        raw = network(recorded.image, recorded.hole, latents=recorded.latents)[0].numpy()
        yield self.compare("whole raw32", raw, recorded.array("raw32"))
        yield self.compare_levels("composited", self.levels(raw), case)

    def seeded(self, network: Moebius, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        """The official call with draws of one generator, none of which are recorded."""
        recorded = _Recorded(case, facts)
        run = recorded.configure(network)
        generator = torch.Generator().manual_seed(int(re.search(r"\d+", case.label)[0]))  # type: ignore[index]
        grid = (1, 4, *(side // 8 for side in recorded.image.shape[2:]))
        shapes = [grid, grid, grid, (1, 4, 1, 1)]
        recorded.latents = {
            name: torch.randn(size, generator=generator) for name, size in zip(DRAWS, shapes)
        }
        heads = [draw.flatten()[:4] for draw in recorded.latents.values()]
        yield Answer(
            "draws", torch.cat(heads).numpy(), case.archived[f"{case.label}_draw_head"], 1e-6
        )
        visible = recorded.image * (1 - recorded.hole)
        condition = network.condition(visible, recorded.hole, recorded.latents)
        start = recorded.start(network, run, condition)
        *_, latent = network.states(run, start, condition, network.guidance_scale)
        # The autoencoder's own rounding is in this one.
        yield Answer("latent", latent[0].numpy(), case.archived[f"{case.label}_latent"], 2e-4)


class _Recorded:
    """One run's image, mask, settings and arrays."""

    def __init__(self, case: Case, facts: Mapping[str, Any]) -> None:
        self._case, self._facts = case, facts
        self._settings = facts["settings"]
        self.image = image_of(case, facts.get("image", f"image_{case.index}"))
        mask = str(facts.get("mask", f"mask_{case.index}")).partition(":")[0]
        kernel = self._settings.get("mask_dilate_kernel_size", 0)
        self.hole = hole_of(case, mask, kernel)
        self.latents = self._latents()

    @property
    def leaks(self) -> bool:
        """Whether the run starts from the latents of the whole image."""
        return self._settings["strength"] < 1 and "start" not in self._settings

    def array(self, name: str) -> np.ndarray:
        """One of the run's recorded arrays."""
        return self._case.archived[f"{name}_{self._case.index}"]

    def configure(self, network: Moebius) -> DDIMSchedule:
        """Set a network as the run was, and return its steps."""
        settings = self._settings
        network.steps, network.strength = settings["num_steps"], settings["strength"]
        network.guidance_scale = settings["guidance_scale"]
        network.noise_offset = settings["noise_offset"] or 0.0
        network.posterior = "mode" if "mode" in settings.get("posterior", "") else "sample"
        return noise_schedule(network.steps, network.strength)

    def start(self, network: Moebius, run: DDIMSchedule, condition: Tensor) -> Tensor:
        """State before the first step, the official way where the run was official."""
        if not self.leaks:
            return network.start(run, self.image, condition, self.latents)
        whole = network.encode(self.image, self.latents["z_image"])
        return run.add_noise(whole, network.noise(self.latents), run.timesteps[0])

    def _latents(self) -> dict[str, Tensor]:
        found = {}
        for name in DRAWS:
            array = self._case.archived.get(f"{name}_{self._case.index}")
            if array is not None:
                found[name] = torch.from_numpy(array)[None]
        return found


def _is_held(facts: Mapping[str, Any], case: Case) -> bool:
    """Whether the archive holds a case: slim ones hold few."""
    name, arrays = facts["name"], case.archived
    number = number_of(name)
    told = (f"{name}_out", f"{name}_mean", f"{name}_latent", name)
    if name.startswith(("official", "leakfree")):
        return f"latent_{number}" in arrays
    return any(key in arrays for key in told) or (name == "vae_full" and "full_dec32" in arrays)


def _unet_input(rule: str, case: Case) -> Tensor:
    """State, mask and known latents, as a rule says them in words."""
    stream, size = rules.Stream(rules.seed(rule)), rules.shape(rule)
    state = stream.draw(size)
    mask, threshold = re.search(r"where (\w+)\[::8, ::8\] >= (\d+)", rule).groups()  # type: ignore[union-attr]
    cells = torch.from_numpy((case.archived[mask][::8, ::8] >= int(threshold)).astype(np.float32))
    mixed = re.search(r"([\d.]+)\*b\)", rule)
    if mixed:
        known = np.float32(mixed[1]) * stream.draw(size)
    else:
        name, scale = re.search(r"(\w+_mean)\*([\d.]+)\)", rule).groups()  # type: ignore[union-attr]
        known = torch.from_numpy(case.archived[name])[None] * np.float32(scale)
    n = len(state)
    return torch.cat([state, cells.expand(n, 1, -1, -1), known.expand(n, -1, -1, -1)], 1)


def _traced(case: Case, states: list[Tensor]) -> Iterator[Answer]:
    records = case.trace.get(f"sampler_{case.index}", [])
    if len(records) == len(states):
        expected = np.array([record["x"]["first8"] for record in records], np.float32)
        ours = np.stack([state.flatten()[:8].numpy() for state in states])
        yield Answer("trace", ours, expected, 1e-4)


Part = Callable[[NetworkAdapter, Moebius, Case, Mapping[str, Any]], Iterator[Answer]]
PARTS: dict[str, Part] = {
    "unet_": NetworkAdapter.unet,
    "vae_": NetworkAdapter.vae,
    "block_": NetworkAdapter.block,
    "official_": NetworkAdapter.run_of,
    "leakfree_": NetworkAdapter.leakfree,
    "seed": NetworkAdapter.seeded,
}
