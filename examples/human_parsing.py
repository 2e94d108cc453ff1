"""Human parsing: masks of clothes and limbs, left and right kept through mirroring.

Run with ``python examples/human_parsing.py``. It draws people as label maps of LIP (Look Into
Person), writes them in that data set's layout, and trains a small network for a few steps on mixed
masks of two classes of the vocabulary and one of its own. Mirrored training images exchange left
and right arms, legs and shoes, as mirrored faces exchange eyes.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw

from facemask_inpaint import MixedMaskSampler, SemanticMasker, data, training
from facemask_inpaint.masks import flip_label_map, open_vocabulary

PEOPLE = open_vocabulary("lip")
OUTLINES = {
    "hair": (0.42, 0.05, 0.58, 0.2),
    "face": (0.44, 0.1, 0.56, 0.24),
    "upper_clothes": (0.36, 0.26, 0.64, 0.55),
    "right_arm": (0.26, 0.28, 0.35, 0.58),
    "left_arm": (0.65, 0.28, 0.74, 0.5),  # raised a little, so that left and right differ
    "pants": (0.38, 0.55, 0.62, 0.75),
    "right_leg": (0.39, 0.75, 0.48, 0.9),
    "left_leg": (0.52, 0.75, 0.61, 0.9),
    "right_shoe": (0.36, 0.9, 0.48, 0.96),
    "left_shoe": (0.52, 0.9, 0.64, 0.96),
}
"""Boxes as shares of the side. The person looks at us: their left is on our right."""


def person(side: int, rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """An image of a person, and its label map."""
    image = Image.new("RGB", (side, side), tuple(int(c) for c in rng.integers(150, 255, 3)))
    label_map = Image.new("L", (side, side), PEOPLE.labels["background"])
    skin = tuple(int(c) for c in rng.integers(100, 230, 3))
    shift = float(rng.uniform(-0.1, 0.1))
    for name, (left, top, right, bottom) in OUTLINES.items():
        box = [side * each for each in (left + shift, top, right + shift, bottom)]
        bare = name in ("face", "left_arm", "right_arm", "left_leg", "right_leg")
        colour = skin if bare else tuple(int(c) for c in rng.integers(20, 200, 3))
        ImageDraw.Draw(image).rectangle(box, fill=colour)
        ImageDraw.Draw(label_map).rectangle(box, fill=PEOPLE.labels[name])
    return image, label_map


def write_people(root: Path, split: str, count: int, side: int) -> None:
    """Write people as LIP is laid out."""
    images = root / "TrainVal_images" / f"{split}_images"
    labels = root / "TrainVal_parsing_annotations" / f"{split}_segmentations"
    for folder in (images, labels):
        folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image, label_map = person(side, np.random.default_rng(number))
        image.save(images / f"{number:06}.jpg", quality=95)
        label_map.save(labels / f"{number:06}.png")


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/human-parsing"))
@click.option("--people", default=64, show_default=True, help="Training images.")
@click.option("--steps", default=100, show_default=True, help="Training steps.")
def main(out: Path, people: int, steps: int) -> None:
    """Draw, mask, mirror and train."""
    side = 64
    write_people(out / "LIP", "train", people, side)
    faces = data.open_faces(out / "LIP", "train")
    masker = SemanticMasker(
        vocabulary="lip", dilate=0, classes={"feet": ["left_shoe", "right_shoe"]}
    )
    label_map = faces[0].read_label_map()
    for request in ("feet", "arms", "left_arm"):
        rows, columns = np.nonzero(masker(label_map, request))
        print(f"{request}: {len(rows)} pixels, around column {columns.mean():.0f} of {side}")
    columns = np.nonzero(masker(flip_label_map(label_map), "left_arm"))[1]
    print(f"left_arm of the mirrored image: {len(columns)} pixels, column {columns.mean():.0f}")
    sampler = MixedMaskSampler(side, 1.0, masker=SemanticMasker(vocabulary="lip"), classes="arms")
    print(f"a draw: {sampler(label_map, index=0).mask_class}")
    masks = training.Masks(vocabulary="lip", classes="upper_body,arms,shoes", random="comodgan")
    recipe = training.Recipe(
        name="human parsing",
        architecture="lite",
        options={"resolution": side, "widths": (16, 24, 64), "depth": 1, "detail": 8},
        resolution=side,
        batch_size=4,
        steps=steps,
        masks=masks,
        losses=training.Losses(hole_l1=10, adversarial=0, class_weights={"arms": 2}),
        validate_every=0,
    )
    training.train(recipe, faces, out=out / "lite", device="cpu", progress=False)
    print(f"model: {out / 'lite' / 'model'}")


if __name__ == "__main__":
    main()
