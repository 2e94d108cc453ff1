"""Holes out of mask files."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.masks import IrregularMasks, MixedMaskSampler


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two mask files whose white area lies at the left."""
    for index, width in enumerate((10, 30)):
        pixels = np.zeros((60, 60), dtype=np.uint8)
        pixels[:, :width] = 255
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    return tmp_path


def test_holes_are_the_files_mirrored_at_random(folder: Path) -> None:
    masks = IrregularMasks(folder, hole_colour="white")
    rng = np.random.default_rng(0)
    holes = [masks(30, rng) for _ in range(40)]
    assert {hole.sum() for hole in holes} == {30 * 5, 30 * 15}
    assert {bool(hole[0, 0]) for hole in holes} == {True, False}


def test_the_colour_of_the_hole_is_told(folder: Path) -> None:
    white, black = (IrregularMasks(folder, hole_colour=name) for name in ("white", "black"))
    one, other = (masks(60, np.random.default_rng(3)) for masks in (white, black))
    assert np.array_equal(one, ~other)


def test_rotation_keeps_the_outside_known(folder: Path) -> None:
    masks = IrregularMasks(folder, hole_colour="white", rotation=(45, 45))
    hole = masks(60, np.random.default_rng(1))
    assert hole.any()
    assert not hole[:3, -3:].any()


def test_it_serves_the_sampler_and_pickles(folder: Path) -> None:
    masks = pickle.loads(pickle.dumps(IrregularMasks(folder, hole_colour="white")))
    sampler = MixedMaskSampler(32, semantic_probability=0, random=masks)
    first = sampler(None, index=4).mask
    assert np.array_equal(first, sampler(None, index=4).mask)
    assert first.shape == (32, 32)


def test_what_cannot_work_is_said(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(OptionError, match="white"):
        IrregularMasks(folder, hole_colour="grey")  # type: ignore[arg-type]
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(ImageError, match="no images"):
        IrregularMasks(empty, hole_colour="white")
    Image.new("L", (8, 8)).save(empty / "black.png")
    with pytest.raises(OptionError, match="hole_colour"):
        IrregularMasks(empty, hole_colour="white")(8, np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["0 and 1", "16 bits", "lossy", "palette"])
def test_mask_files_come_in_many_kinds(tmp_path: Path, kind: str) -> None:
    hole = np.zeros((32, 32), bool)
    hole[4:12, :] = True
    if kind == "0 and 1":
        Image.fromarray(hole.astype(np.uint8)).save(tmp_path / "a.png")
    elif kind == "16 bits":
        Image.fromarray(hole.astype(np.uint16) * 65535).save(tmp_path / "a.png")
    elif kind == "lossy":
        Image.fromarray(hole).convert("RGB").save(tmp_path / "a.jpg", quality=70)
    else:
        Image.fromarray(hole).convert("P").save(tmp_path / "a.gif")
    for colour in ("white", "black"):
        drawn = IrregularMasks(tmp_path, hole_colour=colour)(32, np.random.default_rng(0))
        np.testing.assert_array_equal(drawn, hole if colour == "white" else ~hole)
