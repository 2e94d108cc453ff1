"""Train the compact face parser on portraits with label maps; the shipped weights come from this.

Run with ``python examples/training/train_small_parser.py portraits --out small.safetensors``, where
``portraits`` is a folder as ``facemask_inpaint.data.open_faces`` reads it, with ``train.txt`` and
``test.txt``. Every scene places one or two portraits on a made-up ground: large and upright as in
an aligned crop, or small and anywhere as in an ordinary photo. An interrupted run goes on where it
was, also with another number of steps. A quarter of a second a step on one core.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from facemask_inpaint import data
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.masks import LABEL_NAMES, Annotation
from facemask_inpaint.parsing.small import LABELS, SIDE, SmallParser

ONE_SIDED = {"r_eye": "l_eye", "r_brow": "l_brow", "r_ear": "l_ear", "eye_g": "skin"}
"""Labels that the network answers with another one's channel. Glasses are not among its labels."""

BODY = torch.tensor([LABELS.index(name) for name in LABELS if name not in ("background", "hair")])
"""Channels that turn into clothes where the bottom row of a portrait goes on below it."""

LEVELS = 3
RATE = 3e-3
SAVED_EVERY = 50
GROUNDS = 300


def channels_of_ids() -> np.ndarray:
    """Channel by CelebAMask-HQ id; labels that the network does not know are background."""
    names = [ONE_SIDED.get(name, name) for name in LABEL_NAMES]
    return np.array([LABELS.index(name) if name in LABELS else 0 for name in names])


class Portraits:
    """Portraits and their channels in memory, at several sizes so that shrinking is smooth.

    Attributes:
        levels: ``(n, 4, side, side)`` uint8 each: RGB, and where the person is.
        channels: ``(n, SIDE, SIDE)`` uint8.
    """

    def __init__(self, faces: data.Faces) -> None:
        table = channels_of_ids()
        self.channels = torch.from_numpy(np.stack([table[ids_of(face)] for face in faces])).byte()
        images = np.stack([np.array(face.read_image().resize((SIDE, SIDE))) for face in faces])
        person = (self.channels > 0).byte()[:, None] * 255
        planes = torch.from_numpy(images).permute(0, 3, 1, 2)
        self.levels = [torch.cat([planes, person], dim=1)]
        for _ in range(LEVELS - 1):
            halves = [F.avg_pool2d(one.float(), 2).byte() for one in self.levels[-1]]
            self.levels.append(torch.stack(halves))

    def __len__(self) -> int:
        return len(self.channels)


def ids_of(face: data.Face) -> np.ndarray:
    """A face's label ids at the side that the network works at."""
    source = face.read_label_map()
    ids = source.merged() if isinstance(source, Annotation) else source.ids
    rows, columns = (np.arange(SIDE) * extent // SIDE for extent in ids.shape)
    return ids[rows][:, columns]


@dataclass(frozen=True)
class Placement:
    """Where a portrait lies in a scene, in shares of the scene's side.

    Attributes:
        scale: the portrait's side.
        x: its middle, from left.
        y: its middle, from the top.
        angle: of turning, in radians.
        stretch: width over height of its pixels.
        mirrored: whether left and right are exchanged.
    """

    scale: float
    x: float
    y: float
    angle: float
    stretch: float
    mirrored: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, *, aligned: bool) -> Placement:
        """Near where an aligned crop has it, or anywhere and down to a fifth of the side."""
        low, high, shift = (0.75, 1.5, 0.13) if aligned else (0.2, 0.85, 0.5)
        scale = math.exp(rng.uniform(math.log(low), math.log(high)))
        reach = shift if aligned else max(0.5 - scale * 0.3, 0.1)
        x, y = 0.5 + rng.uniform(-reach, reach, 2)
        angle = float(np.clip(rng.normal(0, 0.18), -0.6, 0.6))
        return cls(scale, x, y, angle, math.exp(rng.normal(0, 0.06)), bool(rng.random() < 0.5))

    def grid(self) -> Tensor:
        """Position in the portrait, -1 to 1 within it, of each pixel: ``(SIDE, SIDE, 2)``."""
        steps = (torch.arange(SIDE) + 0.5) / SIDE
        down, right = torch.meshgrid(steps - self.y, steps - self.x, indexing="ij")
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        u = (cos * right + sin * down) * 2 / (self.scale * self.stretch)
        v = (cos * down - sin * right) * 2 * self.stretch / self.scale
        return torch.stack([-u if self.mirrored else u, v], dim=-1)


def ground(rng: np.random.Generator) -> Tensor:
    """A made-up background ``(3, SIDE, SIDE)`` in [0, 1]: clouds of several sizes, and boxes."""
    canvas = torch.full((3, SIDE, SIDE), 0.0) + torch.from_numpy(rng.random((3, 1, 1))).float()
    for cells in (2, 6, 16, 64, SIDE):
        strength = abs(rng.normal(0, 0.2 if cells < 32 else 0.06))
        channels = 3 if rng.random() < 0.3 else 1
        noise = torch.from_numpy(rng.standard_normal((1, channels, cells, cells))).float()
        canvas = canvas + strength * F.interpolate(noise, (SIDE, SIDE), mode="bilinear")[0]
    for _ in range(rng.integers(0, 12)):
        top, left = rng.integers(0, SIDE, 2)
        height, width = rng.integers(2, SIDE // 2, 2)
        colour = torch.from_numpy(rng.random((3, 1, 1))).float()
        box = canvas[:, top : top + height, left : left + width]
        box.lerp_(colour.expand_as(box), float(rng.uniform(0.3, 1)))
    return canvas.clamp(0, 1)


def paste(
    scene: Tensor,
    channels: Tensor,
    portraits: Portraits,
    place: Placement,
    rng: np.random.Generator,
) -> None:
    """Put one portrait into a scene ``(3, SIDE, SIDE)`` and its half-size channels, in place."""
    index = int(rng.integers(len(portraits)))
    grid = place.grid()
    row, column = rng.integers(0, 2, 2)  # any pixel of each four, so that none is preferred
    below = grid[row::2, column::2, 1] > 1
    if rng.random() < 0.7:  # the bottom row goes on below the image
        grid[..., 1].clamp_(max=0.999)
    if rng.random() < 0.2:  # and the ground beside it
        grid[..., 0].clamp_(-0.999, 0.999)
    level = min(max(0, math.floor(-math.log2(place.scale))), LEVELS - 1)
    planes = portraits.levels[level][index, None].float() / 255
    seen = F.grid_sample(planes, grid[None], align_corners=False)[0]
    coarse = grid[row::2, column::2]
    labels = F.grid_sample(
        portraits.channels[index, None, None].float(),
        coarse[None],
        mode="nearest",
        align_corners=False,
    )[0, 0].long()
    labels[below & torch.isin(labels, BODY)] = LABELS.index("cloth")
    if rng.random() < 0.5:  # cut out of its ground
        cover, inside = seen[3:], labels > 0
    else:
        cover = (grid.abs() <= 1).all(dim=-1)[None].float()
        inside = (coarse.abs() <= 1).all(dim=-1)
    gain = torch.from_numpy(rng.normal(1, 0.07, (3, 1, 1))).float() * rng.uniform(0.7, 1.3)
    scene.lerp_((seen[:3] * gain).clamp_(0, 1), cover)
    channels[inside] = labels[inside]


def develop(scene: Tensor, rng: np.random.Generator) -> Tensor:
    """The scene as some camera sees it: light, contrast, colour, focus, noise."""
    if rng.random() < 0.1:
        scene = scene.mean(dim=0, keepdim=True).expand(3, -1, -1)
    if rng.random() < 0.25:
        small = F.interpolate(scene[None], scale_factor=float(rng.uniform(0.3, 0.9)), mode="area")
        scene = F.interpolate(small, (SIDE, SIDE), mode="bilinear")[0]
    scene = scene.clamp(1e-3, 1) ** math.exp(rng.normal(0, 0.25))
    middle = scene.mean()
    scene = (scene - middle) * rng.uniform(0.7, 1.3) + middle
    scene = scene * torch.from_numpy(rng.normal(1, 0.06, (3, 1, 1))).float()
    if rng.random() < 0.3:
        scene = scene + torch.randn(scene.shape) * rng.uniform(0, 0.05)
    return scene.clamp(0, 1) * 2 - 1


def draw_scene(
    portraits: Portraits, grounds: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """An image ``(3, SIDE, SIDE)`` in [-1, 1] and channels ``(SIDE / 2, SIDE / 2)``."""
    scene = grounds[rng.integers(len(grounds))].float() / 255
    channels = torch.zeros(SIDE // 2, SIDE // 2, dtype=torch.long)
    aligned = rng.random() < 0.6
    count = 1 if aligned else rng.choice([0, 1, 2], p=[0.06, 0.7, 0.24])
    for _ in range(count):
        paste(scene, channels, portraits, Placement.draw(rng, aligned=aligned), rng)
    return develop(scene, rng), channels


def batch(portraits: Portraits, grounds: Tensor, step: int, size: int) -> tuple[Tensor, Tensor]:
    """Scenes of one step; which they are follows from the step alone."""
    rng = np.random.default_rng((7, step))
    torch.manual_seed(step)
    scenes = [draw_scene(portraits, grounds, rng) for _ in range(size)]
    images, channels = zip(*scenes)
    return torch.stack(images), torch.stack(channels)


def rate(step: int, steps: int) -> float:
    """Learning rate: a short rise, then level, then down to nothing over the last two fifths.

    A run that goes on with another number of ``steps`` just gets its end moved.
    """
    return RATE * min((step + 1) / 60, 1.0, (steps - step) / (0.4 * steps))


def label_weights(portraits: Portraits) -> Tensor:
    """Weight of each channel's pixels: rare labels count for more, by the root of their share."""
    share = torch.bincount(portraits.channels.flatten().long(), minlength=len(LABELS)).float()
    weight = (share / share.sum() + 0.002).rsqrt()
    return weight / weight.mean()


@torch.no_grad()
def overlaps(network: nn.Module, portraits: Portraits) -> dict[str, float]:
    """Intersection over union of each channel over all pixels of the portraits."""
    network.eval()
    counts = torch.zeros(len(LABELS), len(LABELS))
    for index in range(len(portraits)):
        image = portraits.levels[0][index, None, :3].float() / 127.5 - 1
        scores = F.interpolate(network(image), (SIDE, SIDE), mode="bilinear")
        pairs = portraits.channels[index].long() * len(LABELS) + scores[0].argmax(0)
        counts += torch.bincount(pairs.flatten(), minlength=counts.numel()).view_as(counts)
    network.train()
    union = counts.sum(0) + counts.sum(1) - counts.diag()
    return dict(zip(LABELS, (counts.diag() / union).tolist()))


def export(average: AveragedModel, out: Path) -> None:
    """Write the averaged weights in half precision."""
    state = average.module.state_dict()
    kept = {name: value for name, value in state.items() if "num_batches" not in name}
    halves = {name: value.half().contiguous() for name, value in kept.items()}
    with atomic_path(out) as path:
        save_file(halves, path)


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option("--steps", default=5000, show_default=True)
@click.option("--batch-size", default=8, show_default=True)
def main(folder: Path, out: Path, steps: int, batch_size: int) -> None:
    """Train on FOLDER's ``train`` portraits, report on its ``test`` portraits."""
    portraits = Portraits(data.open_faces(folder, "train"))
    held_out = Portraits(data.open_faces(folder, "test"))
    rng = np.random.default_rng(0)
    grounds = torch.stack([(ground(rng) * 255).byte() for _ in range(GROUNDS)])
    torch.manual_seed(0)
    network = SmallParser().to(memory_format=torch.channels_last)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.99), use_buffers=True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.02)
    weight = label_weights(portraits)
    parts = {"network": network, "average": average, "optimiser": optimiser}
    state, first = out.with_suffix(".state"), 0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        first = saved.pop("step")
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    for step in (bar := tqdm(range(first, steps), initial=first, total=steps)):
        images, channels = batch(portraits, grounds, step, batch_size)
        with torch.autocast("cpu", torch.bfloat16):
            scores = network(images)
        for group in optimiser.param_groups:
            group["lr"] = rate(step, steps)
        loss = F.cross_entropy(scores.float(), channels, weight)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        average.update_parameters(network)
        bar.set_postfix(loss=f"{loss.item():.3f}")
        if (step + 1) % SAVED_EVERY == 0:
            states = {name: part.state_dict() for name, part in parts.items()}
            with atomic_path(state) as path:
                torch.save({"step": step + 1, **states}, path)
        if (step + 1) % (4 * SAVED_EVERY) == 0 or step + 1 == steps:
            found = overlaps(average.module, held_out)
            rows = "  ".join(f"{name} {value:.3f}" for name, value in found.items())
            bar.write(f"step {step + 1}: mean IoU {np.mean(list(found.values())):.3f}  {rows}")
            export(average, out)


if __name__ == "__main__":
    main()
