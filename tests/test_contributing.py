"""The worked examples of CONTRIBUTING.md, done in a copy of the package, work as they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.extensions import ROOT

CHECK = """
from pathlib import Path

import torch
from PIL import Image

import facemask_inpaint as fmi
from facemask_inpaint.benchmark import Run

sample = fmi.data.sample(256)
neck = fmi.SemanticMasker()(sample.label_map, "neck")
assert neck.any() and len(fmi.masks.MaskClass) == 13

image, mask = torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
mask[..., 2:4, 2:4] = 1
prediction = fmi.models.create("mean")(image, mask)
known = image[:, :, mask[0, 0] == 0].mean(dim=-1)
assert torch.allclose(prediction[0, :, 2, 2], known[0])

assert fmi.models.card("migan-celebahq-256").downloadable
assert (fmi.masks.reorder_label_map(18 - sample.label_map, "mine") == sample.label_map).all()
wings = fmi.SemanticMasker(0, vocabulary="birds")(sample.label_map % 4, "wings")
assert (wings == (sample.label_map % 4 % 3 > 0)).all()
scores = fmi.metrics.evaluate([sample.image], [sample.image], metrics="rmse", mask=[neck])
assert float(scores["rmse_hole"]) == 0

for name, saved in {"images": sample.image, "labels": Image.fromarray(sample.label_map)}.items():
    Path("faces", name).mkdir(parents=True)
    saved.save(f"faces/{name}/a.png")
options = {"classes": "neck", "resolutions": 64, "metrics": "rmse_hole", "compare": False}
fmi.benchmark.run("mean", "faces", out="run", device="cpu", progress=False, **options)
page = Path("run/report.html").read_text(encoding="utf-8")
assert 'id="portraits"' in page and 'aria-label="1 portrait"' in page and "RMSE" in page
"""


def blocks(language: str) -> list[str]:
    """Code of the page in one language, dedented."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block).rstrip("\n") for block in found]


def block(language: str, part: str) -> str:
    """The one block that holds some text."""
    (found,) = [code for code in blocks(language) if part in code]
    return found


def insert(path: Path, before: str, code: str) -> None:
    """Put code before the first place where some text stands, indented as it is."""
    text = path.read_text(encoding="utf-8")
    start = text.index(before)
    indent = " " * (start - text.rindex("\n", 0, start) - 1)
    inserted = textwrap.indent(code, indent).lstrip(" ")
    path.write_text(f"{text[:start]}{inserted}\n{indent}{text[start:]}", encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="paths")
def test_worked_examples_work(tmp_path: Path) -> None:
    package = tmp_path / "src" / "facemask_inpaint"
    shutil.copytree(
        ROOT / "src" / "facemask_inpaint", package, ignore=shutil.ignore_patterns("__pycache__")
    )
    models, report = package / "models", package / "benchmark" / "report"
    (models / "mean.py").write_text(block("python", "class Mean") + "\n", encoding="utf-8")
    insert(models / "_registry.py", '"migan":', '"mean": "facemask_inpaint.models.mean:Mean",')
    insert(models / "__init__.pyi", "from . import migan", "from . import mean as mean")
    insert(models / "published" / "baseline.py", "Card(\n", block("python", 'name="mean"') + ",")
    card = block("python", "migan-celebahq-256")
    insert(models / "published" / "migan.py", "_card(\n        name=", f"{card},")
    insert(package / "masks" / "components.py", "HEAD =", block("python", "NECK"))
    order = block("python", '"mine": LabelOrder').replace(
        '("background", "neck", "cloth", "hair", ...)', "tuple(reversed(LABEL_NAMES))"
    )
    insert(package / "labels.py", '"bisenet":', order)
    domain = package / "masks" / "domains" / "birds.yaml"
    domain.write_text(block("yaml", "title: Birds"), encoding="utf-8")
    entry = block("python", 'name="rmse"')
    insert(package / "metrics" / "table.py", 'ImageMetric(\n            name="psnr"', f"{entry},")
    function = block("python", "def root_mean_square")
    insert(package / "metrics" / "pixel.py", "def peak_signal", f"{function}\n\n")
    data = block("python", "def _portraits_per_class")
    insert(report / "page.py", "def _metrics_of_cases", f"{data}\n\n")
    insert(report / "page.py", "costs=", "portraits=_portraits_per_class(run),")
    template = block("html", "portraits.items()")
    (report / "templates" / "portraits.html").write_text(template, encoding="utf-8")
    insert(report / "templates" / "page.html", '{"id": "cost"', block("html", '"id": "portraits"'))
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
