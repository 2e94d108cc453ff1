from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from PIL import Image
from torch import Tensor

from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models.layers.diffusion import DDIMSchedule
from facemask_inpaint.models.layers.gated_linear_attention import GATE_NORMALISER, chunked
from facemask_inpaint.models.layers.latent_categories import noise_schedule
from facemask_inpaint.models.pixelhacker import PixelHacker
from tests.parity import recipe, rules
from tests.parity.adapter import Adapter, Answer, Levels, subsample
from tests.parity.cases import Case
from tests.parity.described import described_cases, facts_of, image_of, relative, tensor_of

DRAWS = ("z_image", "z_masked", "noise", "offset")
"""Names of the official draws, in order."""

FLIPPED = 1e-3
"""Share of 8-bit samples that may differ by one level."""


class NetworkAdapter(Adapter):
    """Every entry of ``cases.json`` is a case, labelled by its name.

    Official runs start from the whole image's latents, which this library does not do: here the
    test encodes it.
    """

    architecture = "pixelhacker"
    low = 0.0

    def cases(self, archive: Path, salt: str) -> list[Case]:
        return described_cases(archive, salt, _is_held)

    def slow(self, case: Case) -> bool:
        return case.label.startswith("full") or facts_of(case).get("num_steps", 0) > 8

    def manifest(self, case: Case) -> str:
        small = "small" in facts_of(case).get("weights", "small")
        return "manifest.small.json" if small else "manifest.json"

    def options(self, case: Case) -> dict[str, Any]:
        return {"autoencoder_groups": 32 if self.manifest(case) == "manifest.json" else 16}

    def tensors(self, case: Case) -> dict[str, Tensor]:
        autoencoder = self.manifest(case).replace("manifest", "manifest.vae")
        made = recipe.official_tensors(case.network, autoencoder, case.salt)
        return super().tensors(case) | made

    def answers(self, network: InpaintingNetwork, case: Case) -> Iterator[Answer]:
        for part, answer in PARTS.items():
            if re.fullmatch(part, case.label):
                yield from answer(self, cast(PixelHacker, network), case, facts_of(case))
                return
        raise AssertionError(f"no rule for the case {case.label!r}")

    def unet(self, net: PixelHacker, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        rule = facts["input"]
        x = rules.drawn(rule)
        mask = re.search(r"= (\w+)\[::8", rule)[1]  # type: ignore[index]
        cells = torch.from_numpy((case.archived[mask][::8, ::8] > 127).astype(np.float32))
        x[:, 4] = cells[: x.shape[2], : x.shape[3]]
        epsilon = net.epsilon(x, facts["t"], rules.id_rows(facts["ids"])).numpy()
        (name,) = facts["arrays"]
        yield Answer("eps", epsilon, case.archived[name], 1e-5)

    def recurrence(
        self, net: PixelHacker, case: Case, facts: Mapping[str, Any]
    ) -> Iterator[Answer]:
        rule = facts["inputs"]
        lengths = re.search(r"d = ([\d,]+)", rule)[1].split(",")  # type: ignore[index]
        leading = re.search(r"\(\((\d+),(\d+),(\d+),d\)\)", rule).groups()  # type: ignore[union-attr]
        scale, shift = re.search(r"= ([\d.]+) g \+ ([\d.]+)", rule).groups()  # type: ignore[union-attr]
        stream = np.random.RandomState(rules.seed(rule))
        q, k, v, g = (
            torch.from_numpy(stream.standard_normal((*map(int, leading), int(d)))) for d in lengths
        )
        gate = F.logsigmoid(float(scale) * g + float(shift)) / GATE_NORMALISER
        ours = chunked(q * q.shape[-1] ** -0.5, k, v, gate).numpy()
        yield Answer("attention", ours, case.archived["gla_out"], 1e-10)

    def layer(self, net: PixelHacker, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        layer = net.unet.get_submodule(facts["weights"].rpartition("diff_model.")[2])
        answer = layer(rules.drawn(facts["inputs"])[:, None])[:, 0].numpy()
        yield Answer("layer", answer, case.archived["gla_layer_out"], 1e-5)

    def epsilons(self, net: PixelHacker, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        """Inputs so small that every epsilon shows."""
        rule = facts["inputs"]
        stream = rules.Stream(rules.seed(rule))
        inputs = {
            name: stream.draw([int(n) for n in size.split(",")], float(scale))
            for name, scale, size in re.findall(r"(\w+)[\w ]*? s=([\d.]+) \(([\d,]+)\)", rule)
        }
        block = net.unet.down_blocks[0]
        transformer = block.attentions[0]
        attention = transformer.transformer_blocks[0].attn1
        answers = {
            "gla": attention(inputs["x_gla"][:, None])[:, 0],
            "res": block.resnets[0](inputs["x_res"], F.silu(inputs["temb"])),
            "tr": transformer(inputs["x_tr"], inputs["tokens"]),
        }
        for name, answer in answers.items():
            yield Answer(name, answer.numpy(), case.archived[f"eps_{name}_out"], 1e-5)

    def vae(self, net: PixelHacker, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        image = image_of(case, facts["image"].partition(" ")[0])
        mean, deviation = net.autoencoder.distribution(image)
        yield relative("mean", mean, case.archived["vae_mean"], 1e-5)
        yield relative("logvar", 2 * deviation.log(), case.archived["vae_logvar"], 1e-5)
        latent = net.autoencoder.scale * tensor_of(case, "vae_mean")
        decoded = self.official(net.decode(latent)[0].numpy()) * 2 - 1
        expected = case.archived["vae_rec"]
        yield relative("rec", subsampled(decoded, expected)[None], expected, 1e-5)

    def full(self, net: PixelHacker, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        image, hole = image_of(case, "image_0"), tensor_of(case, "mask_0")[None] > 127
        image, hole = (x.repeat_interleave(2, 2).repeat_interleave(2, 3) for x in (image, hole))
        mean, deviation = net.autoencoder.distribution(image * ~hole)
        known = tensor_of(case, "full_cond")
        yield relative("cond", net.autoencoder.scale * mean, known[0].numpy(), 1e-5)
        yield relative("logvar", 2 * deviation.log(), case.archived["full_logvar"], 1e-5)
        yield self.compare("rec", net.decode(known)[0].numpy(), case.archived["full_rec"])
        noise = rules.drawn(facts["arrays"]["full_eps"])
        x = torch.cat([noise, hole[..., ::8, ::8].float(), known], 1)
        ids = rules.id_rows(facts["ids"])
        epsilon = net.epsilon(x.expand(len(ids), -1, -1, -1), facts["t"], ids).numpy()
        yield Answer("eps", epsilon, case.archived["full_eps"], self.tolerance)

    def tables(self, net: PixelHacker, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        shares = noise_schedule(20).alphas_cumprod.numpy()
        yield Answer("alphas_cumprod", shares, case.archived["alphas_cumprod"], 0)
        for name, expected in case.archived.items():
            if name.startswith("timesteps_"):
                steps = noise_schedule(int(name.rpartition("_")[2])).timesteps
                yield Answer(name, np.array(steps), expected, 0)

    def run_of(self, net: PixelHacker, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        """A whole run, then its 8-bit image."""
        recorded = _Recorded(case, facts)
        image, hole, latents = recorded.image, recorded.hole, recorded.latents
        run = recorded.configure(net)
        yield recorded.compare("timesteps", np.array(run.timesteps), 0)
        condition = net.condition(image * (1 - hole), hole, latents)
        yield recorded.compare("mask_latent", condition[0, 0].numpy(), 0)
        yield recorded.compare("cond", condition[0, 1:].numpy(), 1e-4)
        if recorded.leaks:
            whole = net.encode(image, latents["z_image"])
            start = run.add_noise(whole, net.noise(latents), run.timesteps[0])
        else:
            start = net.start(run, image * (1 - hole), condition, latents)
        yield recorded.compare("start", start[0].numpy(), 1e-4)
        epsilon = net.guided_epsilon(
            torch.cat([start, condition], 1), run.timesteps[0], net.guidance_scale
        )
        yield recorded.compare("eps_first", epsilon[0].numpy(), 1e-4)
        states = list(net.states(run, start, condition, net.guidance_scale))
        yield recorded.compare("latent", states[-1][0].numpy(), 1e-4)
        yield from _traced(case, states)
        decoded = self.official(net.decode(states[-1])[0].numpy())
        yield self.compare("raw32", decoded, recorded.array("raw32"))
        if recorded.has("composited"):
            expected = recorded.array("composited")
            ours = Image.fromarray(self.levels(decoded).astype(np.uint8))
            ours = ours.resize(expected.shape[1::-1], Image.Resampling.LANCZOS)
            yield Levels("composited", np.asarray(ours), expected, FLIPPED)

    def leakfree(self, net: PixelHacker, case: Case, facts: Mapping[str, Any]) -> Iterator[Answer]:
        yield from self.run_of(net, case, facts)
        recorded = _Recorded(case, facts)
        recorded.configure(net)
        h, w = recorded.image.shape[2:]
        latents = {name: recorded.latents[name] for name in net.latent_spec(1, h, w)}
        raw = self.official(net(recorded.image, recorded.hole, latents=latents)[0].numpy())
        yield self.compare("whole raw32", raw, recorded.array("raw32"))
        inside, pasted = recorded.hole[0, 0].numpy() > 0, recorded.array("pasted")
        if pasted.shape[:2] == inside.shape:
            yield Levels("pasted", self.levels(raw)[inside], pasted[inside], FLIPPED)


class _Recorded:
    """One run's image, mask, settings and arrays."""

    def __init__(self, case: Case, facts: Mapping[str, Any]) -> None:
        self._case, self._facts = case, facts
        self._kind = case.label.rpartition("_")[0]
        whole = Image.fromarray(case.archived[facts["image"]])
        mask = case.archived[facts["mask"].partition(" ")[0]]
        size = _official_size(whole.size, facts["image_size"])
        binary = Image.fromarray(np.where(mask < 127.5, 0, 255).astype(np.uint8))
        resized = np.asarray(whole.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
        hole = np.asarray(binary.resize(size, Image.Resampling.BICUBIC)) / 255 >= 0.5
        self.image = rearrange(torch.from_numpy(resized / 255 * 2 - 1), "h w c -> 1 c h w")
        self.image = self.image.contiguous()
        self.hole = torch.from_numpy(hole.astype(np.float32))[None, None]

    @property
    def leaks(self) -> bool:
        """Whether the run starts from the latents of the whole image."""
        return "ORIGINAL" in self._facts["start"]

    @property
    def latents(self) -> dict[str, Tensor]:
        """The official draws that are recorded."""
        return {name: torch.from_numpy(self.array(name)) for name in DRAWS if self.has(name)}

    def has(self, name: str) -> bool:
        """Whether one of the run's arrays is recorded."""
        return f"{self._kind}_{name}_{self._case.index}" in self._case.archived

    def array(self, name: str) -> np.ndarray:
        """One of the run's recorded arrays."""
        return self._case.archived[f"{self._kind}_{name}_{self._case.index}"]

    def compare(self, name: str, ours: np.ndarray, bar: float) -> Answer:
        """Ours beside the recorded array of that name."""
        return Answer(name, ours, self.array(name), bar)

    def configure(self, net: PixelHacker) -> DDIMSchedule:
        """Set a network as the run was, and return its steps."""
        facts = self._facts
        net.steps, net.strength = facts["num_steps"], facts["strength"]
        net.guidance_scale = facts["guidance_scale"]
        net.noise_offset = facts["noise_offset"] or 0.0
        net.posterior = "sample"
        return noise_schedule(net.steps, net.strength)


def _official_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height after the official resizing: short side first, then multiples of 64."""
    w, h = size
    w, h = (side, int(h * (side / w))) if w < h else (int(w * (side / h)), side)
    return w // 64 * 64, h // 64 * 64


def _is_held(facts: Mapping[str, Any], case: Case) -> bool:
    """Whether the archive holds a case: slim ones hold few."""
    arrays = facts.get("arrays") or {"eps_gla_out": ""}
    if facts["name"].startswith(("official", "leakfree")):
        return any(
            "_latent_" in name and "mask" not in name and name in case.archived for name in arrays
        )
    return all(name in case.archived for name in arrays)


def _traced(case: Case, states: list[Tensor]) -> Iterator[Answer]:
    records = case.trace.get(case.label, [])
    if len(records) == len(states):
        expected = np.array([record["first8"] for record in records], np.float32)
        ours = np.stack([state.flatten()[:8].numpy() for state in states])
        yield Answer("trace", ours, expected, 1e-4)


def subsampled(ours: np.ndarray, expected: np.ndarray) -> Tensor:
    """Ours at the rows and columns of the recorded array."""
    return torch.from_numpy(subsample(ours, expected.shape))


Part = Callable[[NetworkAdapter, PixelHacker, Case, Mapping[str, Any]], Iterator[Answer]]
PARTS: dict[str, Part] = {
    r"unet_\d+": NetworkAdapter.unet,
    r"gla(_\d+)?": NetworkAdapter.recurrence,
    r"gla_layer(_\d+)?": NetworkAdapter.layer,
    r"eps(_\d+)?": NetworkAdapter.epsilons,
    r"vae(_\d+)?": NetworkAdapter.vae,
    r"full(_\d+)?": NetworkAdapter.full,
    r"tables": NetworkAdapter.tables,
    r"official_\d+": NetworkAdapter.run_of,
    r"leakfree_\d+": NetworkAdapter.leakfree,
}
