"""Published examples with their official answers, in the layouts of the authors' repositories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import facemask_inpaint as fmi
from facemask_inpaint.cli import main
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.verification.published_examples import (
    compare_with_published,
    find_published_examples,
)
from tests.models.reduced import build

SIDE = 64
LAYOUTS = {
    "migan": ("images/{}.png", "masks/{}.png", "results/migan/{}.png"),
    "cmt": ("test_img_face/{}.png", "test_mask_face/{}.png", "results/{}.png"),
    "madf": ("{}_input.png", "{}_mask.png", "{}_output.png"),
}


@pytest.fixture(scope="module")
def inpainter() -> fmi.Inpainter:
    return fmi.Inpainter(build("migan"), device="cpu")


@pytest.fixture(scope="module")
def folder(inpainter: fmi.Inpainter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up network as ``save_pretrained`` writes it."""
    return inpainter.save_pretrained(tmp_path_factory.mktemp("weights") / "migan")


def write(root: Path, inpainter: fmi.Inpainter, layout: str, white_is_hole: bool = True) -> None:
    """Two examples with this network's own answers, written as a repository has them."""
    portrait = fmi.data.sample(256).image
    for number, name in enumerate(("a1", "b2")):
        image = portrait.crop((64 * number, 64, 64 * number + SIDE, 64 + SIDE))
        hole = np.zeros((SIDE, SIDE), dtype=bool)
        hole[20:44, 10 + 20 * number : 40] = True
        mask = Image.fromarray((hole == white_is_hole).astype(np.uint8) * 255)
        for file, content in zip(LAYOUTS[layout], (image, mask, inpainter(image, hole))):
            path = root / file.format(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            content.save(path)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("white_is_hole", [True, False])
def test_every_layout_is_found_and_either_mask_is_understood(
    layout: str, white_is_hole: bool, inpainter: fmi.Inpainter, tmp_path: Path
) -> None:
    write(tmp_path, inpainter, layout, white_is_hole)
    found = find_published_examples(tmp_path)
    assert [one.name for one in found] == ["a1", "b2"]
    for one in compare_with_published(inpainter, found):
        assert (one.psnr, one.equal, one.largest, one.matches) == (float("inf"), 1, 0, True)


def test_another_network_is_told_apart_and_rounding_is_forgiven(
    inpainter: fmi.Inpainter, tmp_path: Path
) -> None:
    write(tmp_path, inpainter, "madf")
    path = tmp_path / "a1_output.png"
    levels = np.asarray(Image.open(path)).astype(int)
    Image.fromarray(np.where(levels > 0, levels - 1, 1).astype(np.uint8)).save(path)
    rounded, exact = compare_with_published(inpainter, find_published_examples(tmp_path))
    assert rounded.matches
    assert (rounded.equal, rounded.largest, exact.equal) == (0, 1, 1)
    other = fmi.Inpainter(build("migan", seed=1), device="cpu")
    assert not any(
        one.matches for one in compare_with_published(other, find_published_examples(tmp_path))
    )


def test_what_is_incomplete_or_of_two_sizes_is_refused(
    inpainter: fmi.Inpainter, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="no such folder"):
        find_published_examples(tmp_path / "absent")
    write(tmp_path, inpainter, "madf")
    (tmp_path / "a1_mask.png").unlink()
    assert [one.name for one in find_published_examples(tmp_path)] == ["b2"]
    Image.new("L", (8, 8)).save(tmp_path / "b2_mask.png")
    with pytest.raises(ImageError, match=r"example b2: .* differ in size"):
        list(compare_with_published(inpainter, find_published_examples(tmp_path)))
    (tmp_path / "b2_mask.png").unlink()
    with pytest.raises(OptionError, match="no complete examples"):
        find_published_examples(tmp_path)


def test_the_command_reports_every_example_and_a_verdict(
    inpainter: fmi.Inpainter, folder: Path, tmp_path: Path
) -> None:
    write(tmp_path, inpainter, "migan")
    called = CliRunner().invoke(
        main, ["models", "--check", str(folder), "--against", str(tmp_path)]
    )
    assert called.exit_code == 0, called.output
    assert "a1: PSNR inf dB, 100.0% equal" in called.output
    assert "2 of 2 examples match" in called.output
    path = tmp_path / "results/migan/a1.png"
    Image.eval(Image.open(path), lambda level: 255 - level).save(path)
    called = CliRunner().invoke(
        main, ["models", "--check", str(folder), "--against", str(tmp_path)]
    )
    assert called.exit_code == 1
    assert "1 of 2 examples" in called.output
