"""Train ``lite`` to look sharp: features of a pretrained network, and discriminators of crops.

Run with ``python examples/training/train_lite.py --data portraits --out runs/lite``, on a GPU or
on a processor, or with ``torchrun --nproc-per-node 2 examples/training/train_lite.py ...`` in two
processes, of one thread each on a processor. ``portraits`` holds ``images``, ``labels`` and
``train.txt``. The run begins with the weights that ship, or with ``--weights``; the same command
goes on after an interruption, or past an earlier ``--minutes``. ``RUN/lite.safetensors`` has the
averaged weights in half precision, every few minutes.

What the network draws is learnt as in a variational autoencoder whose encoder is the normal
distribution over faces: for part of the images the draw is the one that leads to the true face,
so that the network learns to follow it; for part it is any, and then the truth counts for less.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
import torch.distributed as dist
import torch.nn.functional as F
from lite_crops import (
    CROP,
    KINDS,
    MARGIN,
    RESOLUTION,
    STEP,
    Holes,
    HoleStream,
    crop_of,
    downsampled_crops,
)
from lite_discriminators import (
    Discriminators,
    Features,
    MeanFeatures,
    deep_distance,
    over_hole,
    same_tone,
    texture_distance,
)
from lite_settings import Settings, settings_of
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from facemask_inpaint import Inpainter, data, models
from facemask_inpaint._internal import distributed
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.models.lite import Lite
from facemask_inpaint.models.lite.blocks import downsample

TRUE, ANY, PROBABLE = range(3)
"""What an image's draw is: the one that leads to the truth, any, or none."""

MOST_GAIN = 40.0
"""A discriminator that knows nothing yet has hardly any gradient; it is not raised beyond this."""

_OTHER_KEYS = {
    "critics": "discriminators",
    "by_generator": "generator_optimiser",
    "by_critics": "discriminator_optimiser",
    "by_discriminators": "discriminator_optimiser",
}
"""Names under which a run may have saved its state."""

GAINS_EVERY = 10
LOGGED_EVERY = 25


@dataclass(frozen=True)
class Crops:
    """Crops ``(N, C, CROP, CROP)`` of a batch, of what the network made of it, and of its holes."""

    real: Tensor
    fake: Tensor
    hole: Tensor
    prediction: Tensor


class Run:
    """Networks and state of a run in one folder."""

    def __init__(self, out: Path, start: str, settings: Settings, device: torch.device) -> None:
        self.out, self.settings, self.device = out, settings, device
        torch.manual_seed(settings.seed)
        self.network = begin(start).to(device).train()
        self.features = Features().to(device)
        self.discriminators = Discriminators().to(device)
        self.means = MeanFeatures(2 * KINDS).to(device)
        for part in (self.network, self.features, self.discriminators):
            part.to(memory_format=torch.channels_last)
        fused = device.type == "cuda"
        self.generator_optimiser = torch.optim.Adam(
            self.network.parameters(), betas=(0.5, 0.99), fused=fused
        )
        groups = [
            {"params": part.parameters()}
            for part in (self.discriminators.pixels, self.discriminators.heads)
        ]
        self.discriminator_optimiser = torch.optim.Adam(groups, betas=(0.0, 0.99), fused=fused)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.gains: dict[str, float] = {}
        self.step, self.seconds = 0, 0.0
        self.stateful = (
            "network",
            "discriminators",
            "means",
            "generator_optimiser",
            "discriminator_optimiser",
        )
        if (out / "state.pt").exists():
            self._resume(torch.load(out / "state.pt", map_location=device, weights_only=True))
        torch.manual_seed(1000 * self.step + distributed.rank())  # each process draws its own

    def _resume(self, saved: Mapping[str, Any]) -> None:
        saved = {_OTHER_KEYS.get(name, name): value for name, value in saved.items()}
        saved.setdefault("means", self.means.state_dict())  # older runs kept none
        for name in self.stateful:
            getattr(self, name).load_state_dict(saved[name])
        self.average, self.gains = dict(saved["average"]), dict(saved["gains"])
        self.step, self.seconds = saved["step"], saved["seconds"]

    def save(self) -> None:
        """Leave all that goes on, and the averaged weights in half precision."""
        if distributed.rank():
            return
        state = {name: getattr(self, name).state_dict() for name in self.stateful}
        plain = {name: getattr(self, name) for name in ("average", "gains", "step", "seconds")}
        with atomic_path(self.out / "state.pt") as path:
            torch.save(state | plain, path)
        with atomic_path(self.out / "lite.safetensors") as path:
            save_file({k: v.half().contiguous() for k, v in self.average.items()}, path)

    def train(self, batch: Holes, share_left: float) -> dict[str, float]:
        """One step; ``share_left`` of the run lies before it."""
        self._set_rates(share_left)
        crops, share = self._crops(batch)
        real, fake = same_tone(crops.real, crops.fake)
        with self._lower_precision():
            with torch.no_grad():
                real_features, real_mean = self.features(real)
            fake_features, fake_mean = self.features(fake)
        discriminator_terms = self._train_discriminators(
            real, fake, real_features, fake_features, crops.hole
        )
        with self._lower_precision():
            pixels, *heads = self.discriminators(fake, fake_features, crops.hole)
        terms = {
            "l1": self.settings.l1 * hole_l1(crops, share),
            "deep": self.settings.deep
            * deep_distance(fake_features, real_features, crops.hole, share),
            "means": self.settings.means
            * self.means(fake_mean, real_mean, 2 * batch.kinds + batch.whole),
            "texture": self.settings.texture * texture_distance(crops.fake, crops.real, crops.hole),
            "pixels": -over_hole(pixels, crops.hole),
            "heads": -torch.stack([over_hole(each, crops.hole) for each in heads]).mean(),
        }
        if self.step % GAINS_EVERY == 0 or not self.gains:
            self._weigh(terms, crops.fake)
        ramp = min(1.0, (self.step + 1) / 150)
        for name, gain in self.gains.items():
            terms[name] = terms[name] * gain * ramp
        self.generator_optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        self.discriminators.zero_grad()  # what came back through them is the generator's
        distributed.average_gradients(self.network)
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.generator_optimiser.step()
        self._follow()
        return {name: value.item() for name, value in terms.items()} | discriminator_terms

    def _train_discriminators(
        self,
        real: Tensor,
        fake: Tensor,
        real_features: list[Tensor],
        fake_features: list[Tensor],
        hole: Tensor,
    ) -> dict[str, float]:
        """Hinge loss of both discriminators."""
        with self._lower_precision():
            of_real = self.discriminators(real, real_features, hole)
            of_fake = self.discriminators(
                fake.detach(), [each.detach() for each in fake_features], hole
            )
        losses = [
            over_hole(F.relu(1 - a), hole) + over_hole(F.relu(1 + b), hole)
            for a, b in zip(of_real, of_fake, strict=True)
        ]
        self.discriminator_optimiser.zero_grad()
        torch.stack(losses).sum().backward()
        distributed.average_gradients(self.discriminators)
        self.discriminator_optimiser.step()
        pixels, *heads = (each.item() for each in losses)
        return {"discriminator_pixels": pixels, "discriminator_heads": sum(heads)}

    def _crops(self, batch: Holes) -> tuple[Crops, Tensor]:
        """Fill the holes of a batch; return crops, and how much the truth counts for each."""
        image, hole = batch.image, batch.hole
        draws, kind = self._draws(image, hole)
        share = torch.where(kind == ANY, self.settings.any_weight, 1.0)[:, None, None, None]
        draw = self._whole_crops if batch.whole else self._close_crops
        with self._lower_precision():
            return draw(image, hole, batch.boxes, draws), share

    def _draws(self, image: Tensor, hole: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        n = len(image)
        chances = torch.tensor([self.settings.true, self.settings.any])
        chances = torch.cat([chances, 1 - chances.sum()[None]])
        kind = torch.multinomial(chances, n, replacement=True).to(self.device)
        spec = self.network.latent_spec(n, *image.shape[2:])
        draws = {k: torch.randn(shape, device=self.device) for k, shape in spec.items()}
        true = self.network.latents_of(image, hole)["face"].clamp(-6, 6)
        face = torch.where((kind == TRUE)[:, None], true, draws["face"])
        draws["face"] = torch.where((kind == PROBABLE)[:, None], 0.0, face)
        return draws, kind

    def _whole_crops(
        self, image: Tensor, hole: Tensor, boxes: Tensor, draws: dict[str, Tensor]
    ) -> Crops:
        prediction = self.network.fill_conditioned(image * (1 - hole), hole, draws, {}).float()
        composite = torch.where(hole > 0, prediction, image)
        return Crops(*(downsampled_crops(x, boxes) for x in (image, composite, hole, prediction)))

    def _close_crops(
        self, image: Tensor, hole: Tensor, boxes: Tensor, draws: dict[str, Tensor]
    ) -> Crops:
        """Crops pixel by pixel: the detail stage works on them and a margin alone."""
        known, side = image * (1 - hole), CROP + 2 * MARGIN
        with torch.no_grad():
            guess = self.network._first_guess(known, hole, draws["face"])
        small, maps = self.network.coarse(
            downsample(guess), (downsample(hole) > 0).float(), None, draws
        )
        coarse = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
        outer = (boxes[:, :2] - MARGIN).clamp(0, RESOLUTION - side)
        begun = crop_of(torch.where(hole > 0, coarse.float(), known), outer, side)
        shapes = self.network.detail.grains(len(image), side)
        grain = {k: torch.randn(shape, device=self.device) for k, shape in shapes.items()}
        mask = crop_of(hole, outer, side)
        prediction = self.network.detail(
            begun, mask, crop_of(maps, outer, side, STEP), grain
        ).float()
        true, inner = crop_of(image, outer, side), boxes[:, :2] - outer
        composite = torch.where(mask > 0, prediction, true)
        return Crops(*(crop_of(x, inner, CROP) for x in (true, composite, mask, prediction)))

    def _weigh(self, terms: Mapping[str, Tensor], fake: Tensor) -> None:
        """Bring the discriminators' gradients to their shares of the deep distance's.

        Down at once, up slowly: a discriminator that begins to learn has soon a far stronger
            gradient.
        """
        norms = {
            name: torch.autograd.grad(terms[name], fake, retain_graph=True)[0].norm()
            for name in ("deep", "pixels", "heads")
        }
        distributed.average(norms.values())
        for name in ("pixels", "heads"):
            gain = getattr(self.settings, name) * float(norms["deep"] / norms[name].clamp(1e-8))
            gain = min(gain, MOST_GAIN)
            before = self.gains.get(name, gain)
            slowly = min(0.8 * before + 0.2 * gain, 1.15 * before)
            self.gains[name] = gain if gain < before else slowly

    def _set_rates(self, share_left: float) -> None:
        fall = min(1.0, share_left / self.settings.tail + 0.03)
        warm = min(1.0, (self.step + 1) / 50)
        self.generator_optimiser.param_groups[0]["lr"] = self.settings.rate * fall * warm
        for group, factor in zip(self.discriminator_optimiser.param_groups, (4, 1), strict=True):
            group["lr"] = self.settings.discriminator_rate * factor * fall

    @torch.no_grad()
    def _follow(self) -> None:
        self.step += 1
        keep = min(self.settings.average, self.step / (self.step + 20))
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)

    def _lower_precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16)


def begin(start: str) -> Lite:
    """The network with weights to begin with; what they lack begins as nothing."""
    network = models.create("lite")
    if start != "nothing":
        path = Path(start)
        known = (
            load_file(path)
            if path.is_file()
            else Inpainter.from_pretrained(start, device="cpu").network.float().state_dict()
        )
        network.load_state_dict(known, strict=False)
    if not isinstance(network, Lite) or network.detail is None:
        raise click.UsageError("this trains lite with its detail stage")
    return network


def hole_l1(crops: Crops, share: Tensor) -> Tensor:
    """Mean absolute difference over each crop's part of the hole."""
    apart = ((crops.prediction - crops.real).abs() * crops.hole * share).sum(dim=(1, 2, 3))
    return (apart / (3 * crops.hole.sum(dim=(1, 2, 3))).clamp(min=100)).mean()


def choose_device() -> torch.device:
    """This process's GPU, or the processor; joins the other processes, if there are any."""
    cuda = torch.cuda.is_available()
    if "RANK" in os.environ:
        dist.init_process_group("nccl" if cuda else "gloo")
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        torch.backends.cudnn.benchmark = True  # all batches are of two shapes
    return torch.device("cuda" if cuda else "cpu")


@click.command()
@click.option("--data", "portraits", type=click.Path(exists=True, path_type=Path), required=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs/lite"), show_default=True
)
@click.option(
    "--weights", "start", default="lite", show_default=True, help="Model, weights, or 'nothing'."
)
@click.option("--minutes", type=float, default=60.0, show_default=True, help="Of all parts.")
@click.option("--workers", default=0, show_default=True, help="Processes that read images.")
@click.option("--set", "pairs", multiple=True, metavar="NAME=VALUE", help="Another setting.")
def main(
    portraits: Path, out: Path, start: str, minutes: float, workers: int, pairs: tuple[str, ...]
) -> None:
    """Train for so many minutes, all interruptions apart."""
    settings, device = settings_of(pairs), choose_device()
    out.mkdir(parents=True, exist_ok=True)
    run = Run(out, start, settings, device)
    faces = data.labelled_folder(portraits, keys=portraits / "train.txt")
    share = max(1, settings.batch // distributed.world_size())
    seed = (distributed.rank(), settings.seed, run.step)
    stream = HoleStream(faces, share, settings.whole, seed)
    batches = iter(DataLoader(stream, batch_size=None, num_workers=workers))
    saved, values = run.seconds, dict[str, float]()
    with tqdm(initial=run.step, unit="step", disable=distributed.rank() > 0) as bar:
        while True:
            left = min(1 - run.seconds / 60 / minutes, 1 - run.step / settings.steps)
            if distributed.any_process(left <= 0):
                break
            began = time.monotonic()
            values = run.train(next(batches).to(device), left)
            run.seconds += time.monotonic() - began
            bar.update()
            if run.step % LOGGED_EVERY == 0:
                log(out, run, values, bar)
            if distributed.any_process(run.seconds - saved > settings.save_every):
                saved = run.seconds
                run.save()
        log(out, run, values, bar)
    run.save()


def log(out: Path, run: Run, values: Mapping[str, float], bar: tqdm) -> None:
    """A line for the journal and the bar."""
    rounded = {name: round(value, 4) for name, value in values.items()}
    bar.set_postfix(rounded, refresh=False)
    if distributed.rank() == 0:
        line = {"step": run.step, "minutes": round(run.seconds / 60, 2)} | rounded | run.gains
        with (out / "log.jsonl").open("a") as journal:
            journal.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
