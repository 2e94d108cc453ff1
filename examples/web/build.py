"""Build the page: export the networks, take the runtime from npm, put all in one folder.

The folder can be served by any static host; `python -m http.server -d build/web` is one.

    python examples/web/build.py --out build/web
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from facemask_inpaint import Inpainter, MaskClass, parsing
from facemask_inpaint._internal.files import atomic_path, sha256_of
from facemask_inpaint.export import export_parser
from facemask_inpaint.labels import LABEL_IDS

RUNTIME = "onnxruntime-web@1.30.0"
VENDORED = {
    "ort.wasm.bundle.min.mjs": ("11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90"),
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
}
"""Files of the runtime that the page needs, and their SHA-256."""

PAGE = ("index.html", "page.css", "page.js")
RIGHT = {LABEL_IDS[f"r_{part}"]: LABEL_IDS[f"l_{part}"] for part in ("eye", "brow", "ear")}
"""The exported parser calls both of a pair by the id of the left one."""


def vendor(folder: Path) -> None:
    """Fetch the runtime with npm, unless the files are there already, and check what came."""
    if all((folder / name).is_file() for name in VENDORED):
        return
    with tempfile.TemporaryDirectory() as temporary:
        npm = ["npm", "install", "--no-save", "--no-package-lock", "--ignore-scripts"]
        subprocess.run([*npm, "--no-audit", "--no-fund", RUNTIME], cwd=temporary, check=True)
        dist = Path(temporary) / "node_modules" / "onnxruntime-web" / "dist"
        for name, expected in VENDORED.items():
            if (actual := sha256_of(dist / name)) != expected:
                raise SystemExit(f"{name} of {RUNTIME} has SHA-256 {actual}, not {expected}")
            with atomic_path(folder / name) as path:
                shutil.copyfile(dist / name, path)


def write_models(folder: Path) -> None:
    """Export `lite` and the compact parser, and say which labels each mask class covers."""
    with tempfile.TemporaryDirectory() as temporary:
        exported = Inpainter.from_pretrained("lite", device="cpu").export(temporary)
        with atomic_path(folder / "lite.onnx") as path:
            shutil.copyfile(exported / "pipeline.onnx", path)
    export_parser(parsing.load_parser("small", device="cpu").network, folder / "parser.onnx")
    classes = [
        {
            "name": str(mask_class),
            "title": str(mask_class).replace("_", " "),
            "label_ids": sorted({RIGHT.get(label, label) for label in mask_class.label_ids}),
        }
        for mask_class in MaskClass
    ]
    with atomic_path(folder / "classes.json") as path:
        path.write_text(json.dumps(classes, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Build the page into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("build/web"), help="folder to write")
    out: Path = parser.parse_args().out
    vendor(out / "vendor")
    write_models(out / "models")
    for name in PAGE:
        with atomic_path(out / name) as path:
            shutil.copyfile(Path(__file__).with_name(name), path)
    print(f"{out}: open it with `python -m http.server -d {out}`")


if __name__ == "__main__":
    main()
