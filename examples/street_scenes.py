"""The mixed strategy on another domain: street scenes drawn from shapes, end to end.

Run with ``python examples/street_scenes.py``. It draws scenes with label maps in the layout of
Cityscapes, trains a small network on them with mixed masks (each hides one object of a class, or
is a free-form one), and compares it with harmonic inpainting by class. The scenes are made up: what
this shows is that nothing in the library depends on faces, not how well streets are inpainted.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw

from facemask_inpaint import SemanticMasker, benchmark, data, training
from facemask_inpaint.masks import open_vocabulary

STREETS = open_vocabulary("cityscapes")
CLASSES = "car,person,building,vegetation,signs,road"
GREYS = {"road": 90, "sidewalk": 140, "pole": 60}
COLOURS = {
    "sky": (120, 170, 230),
    "vegetation": (60, 130, 60),
    "traffic_sign": (230, 200, 40),
    "person": (220, 120, 90),
}

Box = tuple[int, int, int, int]


class Scene:
    """An image and its label map, drawn together.

    Args:
        side: of both in pixels.
        rng: decides colours.
    """

    def __init__(self, side: int, rng: np.random.Generator) -> None:
        self.image = Image.new("RGB", (side, side))
        self.label_map = Image.new("L", (side, side), STREETS.ignored[0])
        self.rng = rng

    def draw(self, label: str, box: Box, shape: str = "rectangle") -> None:
        """Draw one thing in a colour of its label; cars and buildings have many."""
        grey = (GREYS.get(label, 0),) * 3
        colour = COLOURS.get(label, grey) if label not in ("car", "building") else self._any()
        jittered = tuple(int(c + self.rng.integers(-12, 13)) for c in colour)
        for canvas, fill in ((self.image, jittered), (self.label_map, STREETS.labels[label])):
            getattr(ImageDraw.Draw(canvas), shape)(box, fill=fill)

    def _any(self) -> tuple[int, ...]:
        return tuple(int(c) for c in self.rng.integers(40, 220, 3))


def street(side: int, rng: np.random.Generator) -> Scene:
    """A street: sky, buildings, trees, a road with cars, people and a sign on the sidewalk."""
    scene, horizon = Scene(side, rng), side // 2 + int(rng.integers(-side // 16, side // 16))
    scene.draw("sky", (0, 0, side, horizon))
    left = 0
    while left < side:
        width, height = (int(rng.integers(side // 6, side // 3)) for _ in range(2))
        scene.draw("building", (left, horizon - height, left + width, horizon))
        left += width
    scene.draw("sidewalk", (0, horizon, side, horizon + side // 8))
    scene.draw("road", (0, horizon + side // 8, side, side - side // 16))  # below: not labelled
    for label, count, width, height in (
        *(("vegetation", 2, 5, 4), ("car", 3, 4, 8), ("person", 3, 14, 6), ("pole", 1, 32, 3)),
    ):
        for left in rng.integers(0, side - side // width, rng.integers(1, count + 1)):
            bottom = horizon + side // 8 + (side // 5 if label == "car" else 0)
            box = (int(left), bottom - side // height, int(left) + side // width, bottom)
            scene.draw(label, box, "ellipse" if label == "vegetation" else "rectangle")
    scene.draw("traffic_sign", (side // 8, horizon - side // 8, side // 5, horizon - side // 16))
    return scene


def write_scenes(root: Path, split: str, count: int, side: int) -> None:
    """Write scenes as Cityscapes is laid out, so that ``data.open_faces`` reads them."""
    images, labels = (root / kind / split / "toytown" for kind in ("leftImg8bit", "gtFine"))
    for folder in (images, labels):
        folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        key = f"toytown_{number:06}_000000"
        scene = street(side, np.random.default_rng((split == "val", number)))
        scene.image.save(images / f"{key}_leftImg8bit.png")
        scene.label_map.save(labels / f"{key}_gtFine_labelTrainIds.png")


def recipe_for(side: int, steps: int) -> training.Recipe:
    """A short training of ``lite`` with mixed masks, which hide one object of a class."""
    masks = training.Masks(
        kind="mixed", random="comodgan", classes=CLASSES, vocabulary="cityscapes", instances="one"
    )
    return training.Recipe(
        name="street scenes",
        architecture="lite",
        options={"resolution": side, "widths": (24, 48, 128), "depth": 2, "detail": 16},
        resolution=side,
        batch_size=4,
        steps=steps,
        masks=masks,
        losses=training.Losses(hole_l1=10, adversarial=0),
        validate_every=0,
        save_every=max(1, steps),
    )


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/street-scenes"))
@click.option("--scenes", default=200, show_default=True, help="Training scenes.")
@click.option("--side", default=64, show_default=True, help="Side of the scenes in pixels.")
@click.option("--steps", default=300, show_default=True, help="Training steps.")
def main(out: Path, scenes: int, side: int, steps: int) -> None:
    """Draw, check, train and compare."""
    write_scenes(out / "scenes", "train", scenes, side)
    write_scenes(out / "scenes", "val", max(4, scenes // 10), side)
    learnt, held_out = (data.open_faces(out / "scenes", split) for split in ("train", "val"))
    print(data.check(learnt, CLASSES, min_side=side, min_count=1, progress=False))
    training.train(recipe_for(side, steps), learnt, out=out / "lite", device="cpu", progress=False)
    run = benchmark.run(
        {"harmonic": "harmonic", "mixed": str(out / "lite" / "model")},
        held_out,
        out=out / "benchmark",
        classes=CLASSES,
        masker=SemanticMasker(vocabulary="cityscapes", instances="one"),
        resolutions=side,
        metrics="l1_hole",
        compare=False,
        device="cpu",
        progress=False,
    )
    for score in run.scores:
        if score.metric == "l1_hole":
            print(f"{score.mask_class:12} {score.method:10} L1 in the hole {score.value:.3f}")
    print(f"look at {run.layout.report}")


if __name__ == "__main__":
    main()
