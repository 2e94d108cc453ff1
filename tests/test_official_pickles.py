"""Official pickles of MAT and Co-Mod-GAN: read without running them, converted bit for bit."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import facemask_inpaint as fmi
from facemask_inpaint.cli import main
from facemask_inpaint.errors import UnsafeCheckpointError
from tests.checkpoints import writers
from tests.parity import recipe

TINY_TENSORFLOW = Path(__file__).parent / "checkpoints" / "tiny_tf.pkl"
WIDTHS = {180: 12, 360: 24, 540: 36, 128: 4, 256: 8, 512: 16, 1024: 32, 1536: 48}
"""Widths of the official network to those of a small one with the same keys."""


def _small_mat() -> dict[str, Tensor]:
    """Random tensors under all keys of the official 256 network, at small widths."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for key, shape in recipe.official_shapes("mat", "manifest.256.json").items():
        if not key.endswith(("noise_const", "attn_mask", "resample_filter")):
            small = [WIDTHS.get(size, size) for size in shape]
            shape = (256, *small[1:]) if ".to_square." in key else tuple(small)
        tensors[key] = torch.randn(shape, generator=generator)
    return tensors


@pytest.fixture(scope="module")
def mat_pickle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot as the official training loop writes it, whose source would leave a mark."""
    folder = tmp_path_factory.mktemp("mat")
    writers.Persistent.source = writers.STYLEGAN_SOURCE.format(marker=str(folder / "it ran"))
    average, other = (
        writers.module_tree(tensors, writers.Persistent)
        for tensors in (_small_mat(), {"weight": torch.zeros(2)})
    )
    content = writers.stylegan2_ada_snapshot(other, other, average)
    (folder / "CelebA-HQ_256.pkl").write_bytes(content)
    return folder / "CelebA-HQ_256.pkl"


def _scene(side: int) -> tuple[np.ndarray, np.ndarray]:
    picture = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    hole = np.zeros((side, side), dtype=bool)
    hole[side // 4 : side // 2, side // 4 :] = True
    return picture, hole


@pytest.mark.parametrize(("architecture", "side"), [("mat", 256), ("comodgan", 16)])
def test_converted_folder_gives_the_same_pictures(
    architecture: str, side: int, mat_pickle: Path, tmp_path: Path
) -> None:
    path = mat_pickle if architecture == "mat" else TINY_TENSORFLOW
    direct = fmi.Inpainter.from_checkpoint(path, architecture, device="cpu")
    folder = tmp_path / "converted"
    command = ["convert", architecture, str(path), "--out", str(folder)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    converted = fmi.Inpainter.from_pretrained(folder, device="cpu")
    picture, hole = _scene(side)
    expected = direct(picture, hole, seed=3)
    assert expected[hole].std() > 5
    assert np.array_equal(converted(picture, hole, seed=3), expected)
    assert not (mat_pickle.parent / "it ran").exists()


def test_a_pickle_that_calls_something_is_refused(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, (f"open({str(tmp_path / 'it ran')!r}, 'w')",)

    path = tmp_path / "G.pkl"
    path.write_bytes(pickle.dumps({"G_ema": Attack()}))
    with pytest.raises(UnsafeCheckpointError, match=r"builtins\.eval"):
        fmi.Inpainter.from_checkpoint(path, "mat")
    result = CliRunner().invoke(main, ["convert", "mat", str(path), "--out", str(tmp_path / "o")])
    assert result.exit_code == 1
    assert "builtins.eval" in result.output
    assert not (tmp_path / "it ran").exists()
    assert not (tmp_path / "o").exists()
