"""Small runs over the bundled portraits, and comparing what they wrote."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facemask_inpaint import Inpainter, benchmark, data
from facemask_inpaint.benchmark import Run
from facemask_inpaint.benchmark.store.records import CaseRecord
from facemask_inpaint.data import Faces
from facemask_inpaint.metrics import FeatureReader
from facemask_inpaint.metrics.features.random_convolutions import random_convolutions
from tests.models.reduced import build

PORTRAITS = Path(__file__).parents[1] / "data_portraits"
WITHOUT_HAIR = {"B001279", "S001184"}
COMMAND = "from facemask_inpaint.cli.benchmark import benchmark; benchmark()"


def portraits(count: int | None = None) -> Faces:
    return data.open_faces(PORTRAITS)[:count]


def small_run(methods: Any, out: Path, faces: Faces | None = None, **options: Any) -> benchmark.Run:
    """A run of 64 pixels over two classes without bars and page."""
    defaults: dict[str, Any] = {
        "classes": "hair,eyes",
        "resolutions": (64,),
        "reader": FeatureReader(random_convolutions("cpu")),
        "device": "cpu",
        "compare": False,
        "report": False,
        "progress": False,
    }
    return benchmark.run(methods, faces or portraits(), out=out, **(defaults | options))


def write_model(folder: Path, architecture: str) -> Path:
    """A small network with made-up weights, in the form that ``from_pretrained`` opens."""
    return Inpainter(build(architecture), device="cpu").save_pretrained(folder)


class Counted:
    """A method that counts the images it is asked for, and raises where it is told to."""

    def __init__(self, fails_at: frozenset[int] = frozenset(), shade: int = 128) -> None:
        self.calls = 0
        self._fails_at = fails_at
        self._shade = shade

    def __call__(self, image: Image.Image, mask: Image.Image) -> Image.Image:
        self.calls += 1
        if self.calls in self._fails_at:
            raise RuntimeError(f"call {self.calls} was told to fail")
        return Image.composite(Image.new("RGB", image.size, (self._shade,) * 3), image, mask)


def tables(folder: Path) -> dict[str, bytes]:
    """Every table but those of measured times."""
    found = {path.name: path.read_bytes() for path in sorted((folder / "tables").iterdir())}
    return {name: content for name, content in found.items() if not name.startswith("timings")}


def results(folder: Path) -> dict[str, bytes]:
    """The long-form results, and every image."""
    files = [folder / name for name in ("cases.jsonl", "scores.jsonl", "comparison.json")]
    files += sorted((folder / "predictions").rglob("*.png"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def arguments(out: Path, methods: list[Path | str], *more: object) -> list[str]:
    """Of the command, for a run of seven classes at 64 pixels."""
    named = [part for method in methods for part in ("--model", method)]
    fixed = (
        "--classes",
        "A-G",
        "--size",
        64,
        "--extractor",
        "random-convolutions",
        "--device",
        "cpu",
        "--no-report",
    )
    return [str(part) for part in ("--data", PORTRAITS, *fixed, *named, "--out", out, *more)]


def environment() -> dict[str, str]:
    """One thread per process, as torchrun sets it."""
    return os.environ | {"OMP_NUM_THREADS": "1"}


def command(*given: str) -> list[str]:
    return [sys.executable, "-c", COMMAND, *given]


def run_of_many_images(run: Run, folder: Path) -> Path:
    """A made-up run whose images are noisy copies of the sample portrait at 256."""
    rng = np.random.default_rng(0)
    sample = np.asarray(data.sample(256).image.convert("RGB"), dtype=float)
    methods = [f"method-{index}" for index in range(4)]
    classes = [f"class-{index}" for index in range(12)]
    keys = [f"{index:02d}" for index in range(10)]
    settings = dict(run.settings)
    settings["dataset"] = {"name": "many", "keys": keys}
    settings["resolutions"] = [256]
    settings["classes"] = [{"name": name, "letter": "", "label_ids": [1]} for name in classes]
    settings["methods"] = [{"name": name, "source": name} for name in methods]
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(settings), encoding="utf-8")
    out = Run.open(folder)
    hole = Image.fromarray((sample[..., 0] > 128).astype(np.uint8) * 255)
    noisy = [
        Image.fromarray((sample + rng.normal(0, 30, sample.shape)).clip(0, 255).astype(np.uint8))
        for _ in range(4)
    ]
    records = []
    for key in keys:
        _save(noisy[0], out.original(256, key))
        for name in classes:
            _save(hole, out.mask(256, name, key))
            for method in methods:
                _save(noisy[int(rng.integers(4))], out.prediction(256, method, name, key))
                metrics = {one: float(rng.random()) for one in ("seam", "colour_shift", "l1_hole")}
                records.append(CaseRecord(method, name, 256, key, 0.3, metrics))
    lines = "".join(json.dumps(asdict(record)) + "\n" for record in records)
    out.layout.cases.write_text(lines, encoding="utf-8")
    return folder


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, compress_level=1)
