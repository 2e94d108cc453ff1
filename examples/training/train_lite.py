"""Train ``lite`` to look sharp: features of a pretrained network, and discriminators of views.

Run with ``python examples/training/train_lite.py --data portraits --out runs/lite``, on a GPU or
on a processor, or with ``torchrun --nproc-per-node 2 examples/training/train_lite.py ...`` in two
processes, of one thread each on a processor. ``portraits`` holds ``images``, ``labels`` and
``train.txt``. The run begins with the weights that ship, or with ``--weights``; the same command
goes on after an interruption, or past an earlier ``--minutes``. ``RUN/lite.safetensors`` has the
averaged weights in half precision, every few minutes.

What the network draws is learnt as in a variational autoencoder whose encoder is the normal
distribution over faces: for part of the pictures the draw is the one that leads to the true face,
so that the network learns to follow it; for part it is any, and then the truth counts for less.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import click
import torch
import torch.distributed as dist
import torch.nn.functional as F
from lite_crops import MARGIN, SIDE, STEP, VIEW, Holes, HoleStream, cut, shrunk_views
from lite_discriminators import Discriminators, Features, deep_distance, over_hole, same_tone
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
"""What a picture's draw is: the one that leads to the truth, any, or none."""

MOST_GAIN = 40.0
"""A discriminator that knows nothing yet has hardly any gradient; it is not raised beyond this."""

GAINS_EVERY = 10
LOGGED_EVERY = 25


@dataclass(frozen=True)
class Settings:
    """Of a run.

    Attributes:
        rate: of the generator's Adam.
        discriminator_rate: of the heads' on features; that of the discriminator of pixels is four
            times it.
        l1, deep: weights of the distances to the truth.
        pixels, heads: gradients of the discriminators as shares of that of ``deep``.
        true, any: shares of draws; the others are most probable.
        any_weight: how much the truth counts for pictures with any draw.
        whole: share of batches with views over whole pictures.
        tail: share of the run at the end over which the rates fall to nothing.
        average: share of the averaged weights that stays at each step.
        save_every: seconds between checkpoints.
        steps: after which the run ends, if the time is not up before.
    """

    batch: int = 8
    rate: float = 2e-4
    discriminator_rate: float = 2e-4
    l1: float = 3.0
    deep: float = 1.5
    pixels: float = 0.2
    heads: float = 0.35
    true: float = 0.4
    any: float = 0.35
    any_weight: float = 0.3
    whole: float = 0.35
    tail: float = 0.3
    average: float = 0.996
    save_every: float = 180.0
    steps: int = 10**9
    seed: int = 0


@dataclass(frozen=True)
class Views:
    """What the network made of a batch, seen as it is judged: ``(N, C, VIEW, VIEW)`` each."""

    real: Tensor
    fake: Tensor
    hole: Tensor
    answer: Tensor


class Run:
    """AdversarialPair and state of a run in one folder."""

    def __init__(self, out: Path, start: str, settings: Settings, device: torch.device) -> None:
        self.out, self.settings, self.device = out, settings, device
        torch.manual_seed(settings.seed)
        self.network = begin(start).to(device).train()
        self.features = Features().to(device)
        self.discriminators = Discriminators().to(device)
        for part in (self.network, self.features, self.discriminators):
            part.to(memory_format=torch.channels_last)
        fused = device.type == "cuda"
        self.by_generator = torch.optim.Adam(
            self.network.parameters(), betas=(0.5, 0.99), fused=fused
        )
        groups = [
            {"params": part.parameters()}
            for part in (self.discriminators.pixels, self.discriminators.heads)
        ]
        self.by_discriminators = torch.optim.Adam(groups, betas=(0.0, 0.99), fused=fused)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.gains: dict[str, float] = {}
        self.step, self.seconds = 0, 0.0
        self.stateful = ("network", "discriminators", "by_generator", "by_discriminators")
        if (out / "state.pt").exists():
            self._resume(torch.load(out / "state.pt", map_location=device, weights_only=True))
        torch.manual_seed(1000 * self.step + distributed.rank())  # each process draws its own

    def _resume(self, saved: Mapping[str, Any]) -> None:
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
        views, share = self._views(batch)
        real, fake = same_tone(views.real, views.fake)
        with self._lower_precision():
            with torch.no_grad():
                wanted = self.features(real)
            found = self.features(fake)
        told = self._train_discriminators(real, fake, wanted, found, views.hole)
        with self._lower_precision():
            pixels, *heads = self.discriminators(fake, found, views.hole)
        terms = {
            "l1": self.settings.l1 * hole_l1(views, share),
            "deep": self.settings.deep * deep_distance(found, wanted, views.hole, share),
            "pixels": -over_hole(pixels, views.hole),
            "heads": -torch.stack([over_hole(one, views.hole) for one in heads]).mean(),
        }
        if self.step % GAINS_EVERY == 0 or not self.gains:
            self._weigh(terms, views.fake)
        ramp = min(1.0, (self.step + 1) / 150)
        for name, gain in self.gains.items():
            terms[name] = terms[name] * gain * ramp
        self.by_generator.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        self.discriminators.zero_grad()  # what came back through them is the generator's
        distributed.average_gradients(self.network)
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.by_generator.step()
        self._follow()
        return {name: value.item() for name, value in terms.items()} | told

    def _train_discriminators(
        self,
        real: Tensor,
        fake: Tensor,
        wanted: list[Tensor],
        found: list[Tensor],
        hole: Tensor,
    ) -> dict[str, float]:
        """Hinge loss of both discriminators."""
        with self._lower_precision():
            of_real = self.discriminators(real, wanted, hole)
            of_fake = self.discriminators(fake.detach(), [one.detach() for one in found], hole)
        losses = [
            over_hole(F.relu(1 - a), hole) + over_hole(F.relu(1 + b), hole)
            for a, b in zip(of_real, of_fake, strict=True)
        ]
        self.by_discriminators.zero_grad()
        torch.stack(losses).sum().backward()
        distributed.average_gradients(self.discriminators)
        self.by_discriminators.step()
        pixels, *heads = (one.item() for one in losses)
        return {"discriminator_pixels": pixels, "discriminator_heads": sum(heads)}

    def _views(self, batch: Holes) -> tuple[Views, Tensor]:
        """Views of a batch, filled, and how much the truth counts for each of its pictures."""
        image, hole = batch.image, batch.hole
        draws, kind = self._draws(image, hole)
        share = torch.where(kind == ANY, self.settings.any_weight, 1.0)[:, None, None, None]
        draw = self._whole_views if batch.whole else self._close_views
        with self._lower_precision():
            return draw(image, hole, batch.windows, draws), share

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

    def _whole_views(
        self, image: Tensor, hole: Tensor, windows: Tensor, draws: dict[str, Tensor]
    ) -> Views:
        answer = self.network.fill_conditioned(image * (1 - hole), hole, draws, {}).float()
        filled = torch.where(hole > 0, answer, image)
        return Views(*(shrunk_views(x, windows) for x in (image, filled, hole, answer)))

    def _close_views(
        self, image: Tensor, hole: Tensor, windows: Tensor, draws: dict[str, Tensor]
    ) -> Views:
        """Views pixel by pixel: the detail stage works on them and a margin alone."""
        visible, side = image * (1 - hole), VIEW + 2 * MARGIN
        with torch.no_grad():
            guess = self.network._first_guess(visible, hole, draws["face"])
        small, maps = self.network.coarse(
            downsample(guess), (downsample(hole) > 0).float(), None, draws
        )
        coarse = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
        outer = (windows[:, :2] - MARGIN).clamp(0, SIDE - side)
        begun = cut(torch.where(hole > 0, coarse.float(), visible), outer, side)
        shapes = self.network.detail.grains(len(image), side)
        grain = {k: torch.randn(shape, device=self.device) for k, shape in shapes.items()}
        mask = cut(hole, outer, side)
        answer = self.network.detail(begun, mask, cut(maps, outer, side, STEP), grain).float()
        true, inner = cut(image, outer, side), windows[:, :2] - outer
        filled = torch.where(mask > 0, answer, true)
        return Views(*(cut(x, inner, VIEW) for x in (true, filled, mask, answer)))

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
            wanted = getattr(self.settings, name) * float(norms["deep"] / norms[name].clamp(1e-8))
            wanted = min(wanted, MOST_GAIN)
            before = self.gains.get(name, wanted)
            slowly = min(0.8 * before + 0.2 * wanted, 1.15 * before)
            self.gains[name] = wanted if wanted < before else slowly

    def _set_rates(self, share_left: float) -> None:
        fall = min(1.0, share_left / self.settings.tail + 0.03)
        warm = min(1.0, (self.step + 1) / 50)
        self.by_generator.param_groups[0]["lr"] = self.settings.rate * fall * warm
        for group, factor in zip(self.by_discriminators.param_groups, (4, 1), strict=True):
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


def hole_l1(views: Views, share: Tensor) -> Tensor:
    """Mean absolute difference over each view's part of the hole."""
    apart = ((views.answer - views.real).abs() * views.hole * share).sum(dim=(1, 2, 3))
    return (apart / (3 * views.hole.sum(dim=(1, 2, 3))).clamp(min=100)).mean()


def choose_device() -> torch.device:
    """This process's GPU, or the processor; joins the other processes, if there are any."""
    cuda = torch.cuda.is_available()
    if "RANK" in os.environ:
        dist.init_process_group("nccl" if cuda else "gloo")
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        torch.backends.cudnn.benchmark = True  # all batches are of two shapes
    return torch.device("cuda" if cuda else "cpu")


def settings_of(pairs: tuple[str, ...]) -> Settings:
    """Settings with those changed that are given as ``name=value``."""
    kinds = {field.name: type(field.default) for field in fields(Settings)}
    changed: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in kinds:
            raise click.UsageError(f"there is no setting {name!r}; there are {', '.join(kinds)}")
        changed[name] = kinds[name](float(value))
    return replace(Settings(), **changed)


@click.command()
@click.option("--data", "portraits", type=click.Path(exists=True, path_type=Path), required=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs/lite"), show_default=True
)
@click.option(
    "--weights", "start", default="lite", show_default=True, help="Model, weights, or 'nothing'."
)
@click.option("--minutes", type=float, default=60.0, show_default=True, help="Of all parts.")
@click.option("--workers", default=0, show_default=True, help="Processes that read pictures.")
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
