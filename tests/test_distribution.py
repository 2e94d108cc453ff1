"""What is built is whole: everything is in it, and it runs in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "facemask_inpaint"
NEEDED = ("pyproject.toml", "README.md", "LICENSE")
DATA = (
    "py.typed",
    "__init__.pyi",
    "data/samples/README.md",
    "data/samples/labels_256.png",
    "data/samples/labels_512.png",
    "data/samples/portrait_256.png",
    "data/samples/portrait_512.png",
    "benchmark/report/templates/script.js",
    "benchmark/report/templates/style.css",
    "benchmark/report/templates/zoom.html",
)
LITE = PACKAGE / "models" / "weights" / "lite.safetensors"

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints, away from the source tree."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(one) for one in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def package_files() -> set[str]:
    """Files of the package in the source tree, relative to it."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the source distribution, and the wheel that was built *from it*."""
    pytest.importorskip("build", reason="needs the extra [dev]")
    copy = tmp_path_factory.mktemp("source") / "facemask_inpaint"
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
    shutil.copytree(ROOT / "src", copy / "src", ignore=skipped)
    for name in NEEDED:
        shutil.copy(ROOT / name, copy / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", copy / "dist", cwd=copy)
    return copy / "dist"


@pytest.fixture(scope="module")
def python(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of a fresh environment: the wheel, and this interpreter's dependencies."""
    home = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", home, cwd=home.parent)
    interpreter = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    (wheel,) = built.glob("*.whl")
    run(interpreter, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=home)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(interpreter, "-c", code, cwd=home).strip())
    # Plain paths in a .pth file come after the environment's own packages, and .pth files that
    # lie there, such as that of an editable installation, are not read.
    dependencies = [path for path in sys.path if path.endswith("-packages")]
    (site / "dependencies.pth").write_text("\n".join(dependencies), encoding="utf-8")
    return interpreter


def test_the_wheel_holds_every_file_of_the_package(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("facemask_inpaint/")}
        licences = [name for name in archive.namelist() if name.endswith("LICENSE")]
    held = {name.removeprefix("facemask_inpaint/") for name in names}
    assert held == package_files()
    assert held >= set(DATA)
    assert licences


def test_the_source_distribution_can_be_built_from(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= {*NEEDED, *(f"src/facemask_inpaint/{name}" for name in package_files())}


def test_it_runs_from_its_own_files(python: Path, tmp_path: Path) -> None:
    code = "import facemask_inpaint; print(facemask_inpaint.__file__)"
    where = Path(run(python, "-c", code, cwd=tmp_path).strip())
    assert where.is_relative_to(python.parents[1])


def test_it_has_its_commands(python: Path, tmp_path: Path) -> None:
    printed = run(python, "-m", "facemask_inpaint", "--help", cwd=tmp_path)
    assert "inpaint" in printed
    assert "benchmark" in printed
    card = run(python.with_name("facemask-inpaint"), "models", "harmonic", cwd=tmp_path)
    assert "none needed" in card


def test_it_brings_its_sample(python: Path, tmp_path: Path) -> None:
    code = (
        "from facemask_inpaint import SemanticMasker, data; sample = data.sample();"
        "print(sample.image.size, bool(SemanticMasker()(sample.label_map, 'hair').any()))"
    )
    assert run(python, "-c", code, cwd=tmp_path) == "(512, 512) True\n"


@pytest.mark.skipif(not LITE.is_file(), reason="the weights of lite are not here yet")
def test_it_brings_the_weights_of_lite(python: Path, tmp_path: Path) -> None:
    code = (
        "from facemask_inpaint import Inpainter, SemanticMasker, data; s = data.sample(256);"
        "print(Inpainter.from_pretrained('lite')(s.image, SemanticMasker()(s.label_map, 'nose'))"
        ".size)"
    )
    assert run(python, "-c", code, cwd=tmp_path) == "(256, 256)\n"
