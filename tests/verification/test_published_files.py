"""Files that people have: which card they are, and whether they work."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

from facemask_inpaint import checkpoints, models
from facemask_inpaint.checkpoints.fetching import PACKAGE
from facemask_inpaint.cli import main
from facemask_inpaint.errors import CheckpointError
from facemask_inpaint.models import _recognition, recognise
from facemask_inpaint.verification import published_files
from tests.models.test_latentcode_files import parts
from tests.models.test_unwrapping import migan_tensors
from tests.official import lama_tensors
from tests.parity import recipe

LITE = PACKAGE / "models/weights/lite.safetensors"


def _call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def _names(path: Path) -> list[tuple[str, str, str]]:
    return [(match.card.name, match.role, match.by) for match in recognise(path)]


@pytest.fixture(scope="module")
def lama() -> dict[str, Tensor]:
    return lama_tensors()


def test_a_known_hash_is_enough(tmp_path: Path) -> None:
    shutil.copy(LITE, tmp_path / "renamed.bin")
    assert _names(tmp_path / "renamed.bin") == [("lite-portraits-256", "network", "hash")]


def test_a_published_file_that_cannot_be_read_is_known_by_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only files of a published size are hashed if they cannot be read."""

    def unreadable(path: Path) -> None:
        raise CheckpointError(f"{path}: nobody can read this")

    monkeypatch.setattr(_recognition, "survey", unreadable)
    assert _names(LITE) == [("lite-portraits-256", "network", "hash")]
    monkeypatch.setattr(_recognition, "sha256_of", None)
    (tmp_path / "notes.txt").write_text("of no published size")
    with pytest.raises(CheckpointError, match="nobody can read this"):
        recognise(tmp_path / "notes.txt")


def test_editions_are_told_apart_as_far_as_shapes_and_names_go(
    lama: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save({"state_dict": {f"module.{key}": t for key, t in lama.items()}}, tmp_path / "w.pt")
    by = "keys and shapes"
    nine = [("lama-celebahq-256", "network", by), ("lama-places-256", "network", by)]
    assert _names(tmp_path / "w.pt") == nine
    (tmp_path / "big-lama.pt").write_bytes((tmp_path / "w.pt").read_bytes())
    assert _names(tmp_path / "big-lama.pt") == nine, "a name does not outweigh the shapes"
    tensors = recipe.official_tensors("deepfillv2", "manifest.pt.json")
    torch.save({"G": tensors}, tmp_path / "states_pt_places2.pth")
    assert _names(tmp_path / "states_pt_places2.pth") == [
        ("deepfillv2-places-256-tuned", "network", by)
    ]


def test_a_network_of_a_size_that_nobody_published_is_still_recognised(tmp_path: Path) -> None:
    torch.save(migan_tensors(), tmp_path / "migan_256_ffhq.pt")
    assert _names(tmp_path / "migan_256_ffhq.pt") == [("migan-ffhq-256", "network", "keys")]


@pytest.mark.parametrize("container", ["torch", "lightning"])
def test_the_published_shapes_lead_to_their_card(container: str, tmp_path: Path) -> None:
    """Tensors of the published sizes: one number each, spread out, so that files stay small."""
    for architecture, manifest, expected in (
        ("lama", "manifest.big.json", {"lama-places-256-big"}),
        ("migan", "manifest.512.json", {"migan-places-512"}),
        ("comodgan", "manifest.256.json", {"comodgan-ffhq-256", "comodgan-places-256"}),
        ("mat", "manifest.256.json", {"mat-celebahq-256"}),
    ):
        shapes = recipe.official_shapes(architecture, manifest)
        with torch.device("meta"):
            tensors = {key: torch.empty(shape) for key, shape in shapes.items()}
        path = tmp_path / f"{architecture}.pt"
        content = {"state_dict": tensors, "pytorch-lightning_version": "1.2"}
        torch.save(content if container == "lightning" else tensors, path)
        assert {name for name, _, _ in _names(path)} == expected


def test_a_folder_is_checked_and_strangers_are_named(tmp_path: Path) -> None:
    good, broken = tmp_path / "deep" / "migan_256_ffhq.pt", tmp_path / "migan.pt"
    good.parent.mkdir()
    torch.save({f"G_ema.{key}": t for key, t in migan_tensors().items()}, good)
    short = migan_tensors()
    del short["synthesis.b8.torgb.bias"]
    torch.save(short, broken)
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "stranger.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "notes.txt").write_text("weights of last week")
    (tmp_path / "empty.pth").touch()
    result = _call("models", "--all-local", tmp_path)
    assert result.exit_code == 1
    lines = {line.split(": ")[0]: line.split(": ", 1)[1] for line in result.output.splitlines()}
    assert lines.keys() == {str(path) for path in tmp_path.rglob("*") if path.is_file()}
    assert lines[str(good)].startswith("works: migan-ffhq-256, by keys; ")
    assert "62 of 62 tensors behind 'G_ema.'" in lines[str(good)]
    assert "inpainted a nose in" in lines[str(good)]
    assert lines[str(broken)].startswith("fails: ")
    assert "to_rgb.bias" in lines[str(broken)]
    for name, reason in {
        "stranger.pt": "tensors of no network",
        "list.pt": "holds a list",
        "notes.txt": "of no known kind",
        "empty.pth": "the file is empty",
    }.items():
        assert lines[str(tmp_path / name)].startswith("skipped: ")
        assert reason in lines[str(tmp_path / name)]


def test_models_in_parts_need_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role, tensors in parts().items():
        torch.save({"state_dict": tensors}, tmp_path / f"celeba_{role}.ckpt")
    monkeypatch.setattr(published_files, "_try_out", lambda loaded, device: "tried")
    (verdict,) = published_files.check_folder(tmp_path)
    assert (verdict.status, verdict.text.endswith("tried")) == ("works", True)
    assert verdict.text.startswith("latentcode-celebahq-256; celeba_vqgan.ckpt (")
    (tmp_path / "celeba_decoder.ckpt").unlink()
    verdicts = list(published_files.check_folder(tmp_path))
    assert [verdict.status for verdict in verdicts] == ["skipped"] * 3
    assert "vqgan of latentcode-celebahq-256, whose other files are not here" in {
        verdict.text for verdict in verdicts
    }


@pytest.mark.parametrize("wrapper", ["", "module."])
def test_parsers_are_recognised_too(wrapper: str, tmp_path: Path) -> None:
    tensors = recipe.official_tensors("face_parsing_bisenet", "manifest.json")
    torch.save({wrapper + key: value for key, value in tensors.items()}, tmp_path / "w.pth")
    (verdict,) = published_files.check_folder(tmp_path)
    assert verdict.status == "works"
    assert verdict.text.startswith("the parser bisenet; found")


def test_one_model_with_its_file(lama: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    torch.save({"state_dict": {f"generator.{key}": t for key, t in lama.items()}}, path)
    result = _call("models", "lama", "--check", "--file", path)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("lama-celebahq-256: works: best.ckpt (")
    assert "521 of 521 tensors behind 'state_dict:generator.'" in result.output
    assert len(result.output.splitlines()) == 1
    result = _call("models", "mat", "--check", "--file", path)
    assert result.exit_code == 1
    assert "mat-celebahq-512: fails: " in result.output
    assert "all 521 keys start with 'state_dict:generator.model.'" in result.output


def test_what_ships_needs_no_network() -> None:
    result = _call("models", "lite", "--check")
    assert result.exit_code == 0
    assert "as published" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--check"], "needs the name of a model"),
        (["lama", "--file", LITE], "--file goes with"),
        (["lama", "--all-local", LITE.parent], "leave out the name"),
        (["--all-local", LITE], "there is no such folder"),
        (["lamma", "--check"], "did you mean"),
        (["latentcode", "--check", "--file", LITE], "4 files (vqgan, encoder"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[object], message: str) -> None:
    result = _call("models", *arguments)
    assert result.exit_code
    assert message in result.output


def test_a_network_that_fills_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def grey(self: object, visible: Tensor, hole: Tensor, latents: object) -> Tensor:
        return torch.zeros_like(visible)

    monkeypatch.setattr(models._registry.network_class("harmonic"), "fill", grey)
    assert published_files.check_model("harmonic").status == "fails"


def test_a_verdict_is_one_line_whatever_the_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEMASK_INPAINT_WEIGHTS", str(tmp_path))
    result = _call("models", "cmt", "--check")
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith("cmt-celebahq-256: fails: no source has cmt-celebahq-256.pth")
    assert "To get it by hand" in line


def test_no_folder() -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        list(published_files.check_folder("nowhere"))
    assert checkpoints.survey(LITE).keys
