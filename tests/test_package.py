"""The face of the package: light to import, every promised name there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import facemask_inpaint as fmi


def _run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("module", ["facemask_inpaint", "facemask_inpaint.cli"])
def test_import_brings_nothing_heavy(module: str) -> None:
    heavy = "{'torch', 'numpy', 'PIL', 'scipy', 'huggingface_hub'}"
    assert _run(f"import sys, {module}; print({heavy} & set(sys.modules))") == "set()\n"


def test_listing_models_brings_no_torch() -> None:
    code = (
        "import sys; from facemask_inpaint import models;"
        "models.list_architectures(), models.list_pretrained();"
        "print('torch' in sys.modules)"
    )
    assert _run(code) == "False\n"


def test_every_promised_name_is_there() -> None:
    for name in ("Inpainter", "SemanticMasker", "MixedMaskSampler", "MaskClass"):
        assert isinstance(getattr(fmi, name), type)
    assert set(dir(fmi)) >= {"masks", "models", "metrics", "checkpoints", "data", "images"}


def test_metrics_are_usable_alone() -> None:
    code = (
        "import sys; from facemask_inpaint.metrics import fid, pids, uids;"
        "print([m for m in sys.modules if 'facemask_inpaint.models' in m"
        " or 'facemask_inpaint.masks' in m or 'inpainter' in m])"
    )
    assert _run(code) == "[]\n"
