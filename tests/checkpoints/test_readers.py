"""Real files of every torch kind are read as torch itself reads them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Dict, Optional  # noqa: UP035

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from facemask_inpaint import checkpoints
from facemask_inpaint.errors import CheckpointError, UnsafeCheckpointError
from tests.checkpoints.writers import foreign_modules, write_lightning

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

ZIP = {"_use_new_zipfile_serialization": True}
LEGACY = {"_use_new_zipfile_serialization": False}
both_formats = pytest.mark.parametrize("form", [ZIP, LEGACY], ids=["zip", "legacy"])


class Small(nn.Module):
    """A network with every kind of member that ends up in a state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 3, 3)
        self.body = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1, bias=False))
        self.register_buffer("scale", torch.tensor(2.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.stem(x)) * self.scale


@pytest.fixture
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return Small().state_dict()


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        assert found[key].stride() == value.stride()
        assert torch.equal(found[key], value)


@both_formats
def test_state_dict(form: dict[str, Any], weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "w.pth", **form)
    read = checkpoints.read(tmp_path / "w.pth")
    assert read.container == checkpoints.identify(tmp_path / "w.pth") == "torch"
    assert_same(read.tensors, weights)


@both_formats
def test_every_dtype_and_layout(form: dict[str, Any], tmp_path: Path) -> None:
    base = torch.arange(24).reshape(2, 3, 4)
    dtypes = (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
        torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128,
    )  # fmt: skip
    tensors = {str(dtype): base.to(dtype) for dtype in dtypes}
    tensors |= {
        "transposed": base.float().transpose(0, 2),
        "channels last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "slice": torch.arange(10.0)[3:7:2],
        "scalar": torch.tensor(3.0),
        "empty": torch.empty(0, 3),
        "parameter": nn.Parameter(torch.randn(3)),
        "expanded": torch.arange(3).expand(1, 3),
    }
    torch.save(tensors, tmp_path / "w.pt", **form)
    assert_same(checkpoints.read(tmp_path / "w.pt").tensors, tensors)


@both_formats
def test_shared_memory_stays_shared(form: dict[str, Any], tmp_path: Path) -> None:
    weight = torch.randn(4, 4)
    torch.save({"a": weight, "b": weight.t()}, tmp_path / "w.pt", **form)
    tensors = checkpoints.read(tmp_path / "w.pt").tensors
    tensors["a"][0, 1] = 7
    assert tensors["b"][1, 0] == 7


def test_result_does_not_depend_on_the_file(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(weights, path)
    tensors = checkpoints.read(path).tensors
    path.unlink()
    tensors["scale"] += 1
    assert tensors["scale"] == 3.5


@both_formats
def test_sections_and_prefix(
    form: dict[str, Any], weights: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "w.pth"
    wrapped = {f"module.{key}": value for key, value in weights.items()}
    torch.save({"G": wrapped, "D": {"w": torch.ones(2)}, "n_iter": 7}, path, **form)
    read = checkpoints.read(path, section="G", prefix="module.")
    assert_same(read.tensors, weights)
    assert read.metadata == {"n_iter": 7}
    with pytest.raises(CheckpointError, match=r"several state dicts; say section=.*'G', 'D'"):
        checkpoints.read(path)
    with pytest.raises(CheckpointError, match="no section 'model'"):
        checkpoints.read(path, section="model")
    with pytest.raises(CheckpointError, match=r"w\.pth: no tensor's key starts with 'gen\.'"):
        checkpoints.read(path, section="G", prefix="gen.")


def test_the_only_section_needs_no_name(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"model": weights, "args": {"lr": 0.1}}, tmp_path / "w.pth")
    read = checkpoints.read(tmp_path / "w.pth")
    assert_same(read.tensors, weights)
    assert read.metadata == {"args": {"lr": 0.1}}


def test_state_dict_wins_over_stray_tensors(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"state_dict": weights, "step": torch.tensor(3)}, tmp_path / "w.pth")
    assert_same(checkpoints.read(tmp_path / "w.pth").tensors, weights)


@both_formats
def test_lightning(form: dict[str, Any], weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    stored = {f"generator.{key}": value for key, value in weights.items()}
    write_lightning(path, {**stored, "discriminator.w": torch.ones(3)}, **form)
    read = checkpoints.read(path, section="state_dict", prefix="generator.")
    assert read.container == checkpoints.identify(path) == "lightning"
    assert_same(read.tensors, weights)
    assert read.metadata["epoch"] == 39
    assert read.metadata["pytorch-lightning_version"] == "1.2.9"
    assert "optimizer_states" not in read.metadata
    assert "generator.scale" in checkpoints.read(path).tensors


@pytest.mark.parametrize("form", [ZIP, LEGACY, {"pickle_protocol": 4}], ids=str)
def test_lightning_with_real_omegaconf(
    form: dict[str, Any], weights: dict[str, Tensor], tmp_path: Path
) -> None:
    """Protocol 2 names Python 3's ``int`` and ``str`` as Python 2 did, ``long`` and ``unicode``."""
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.create(
        {
            "generator": {"kind": "ffc_resnet", "input_nc": 4, "ratio": 0.75, "out": None},
            "losses": [1, 2.5, "${generator.kind}", True, ["a"], "???"],
            "typed": omegaconf.DictConfig({"a": 1}, element_type=Optional[int]),  # noqa: UP045
            "deep": omegaconf.DictConfig({"a": {"b": 1}}, element_type=Dict[str, int]),  # noqa: UP006
            "today": omegaconf.DictConfig({"a": {"b": 1}}, element_type=dict[str, int | None]),
            "folder": Path("runs"),
            "salt": b"bytes",
        }
    )
    content = {
        "epoch": 39,
        "pytorch-lightning_version": "1.2.9",
        "state_dict": {f"generator.{key}": value for key, value in weights.items()},
        "hyper_parameters": config,
    }
    torch.save(content, tmp_path / "best.ckpt", **form)
    read = checkpoints.read(tmp_path / "best.ckpt", "lightning", prefix="generator.")
    assert_same(read.tensors, weights)
    assert read.metadata["epoch"] == 39


def test_lightning_file_is_what_torch_refuses(tmp_path: Path) -> None:
    """Control: the file names classes that are not installed, and torch cannot read it."""
    write_lightning(tmp_path / "best.ckpt", {"w": torch.ones(2)})
    with pytest.raises(Exception, match=r"omegaconf|pytorch_lightning"):
        torch.load(tmp_path / "best.ckpt", weights_only=True)


@pytest.mark.parametrize("how", ["script", "trace"])
def test_torchscript(how: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, path = Small().eval(), tmp_path / "net.pt"
    example = torch.zeros(1, 2, 8, 8)
    made = torch.jit.script(module) if how == "script" else torch.jit.trace(module, example)
    made.save(str(path))
    read = checkpoints.read(path)
    assert read.container == checkpoints.identify(path) == "torchscript"
    expected = module.state_dict()
    assert read.tensors.keys() == expected.keys()
    assert all(torch.equal(read.tensors[key], value) for key, value in expected.items())


def test_torchscript_code_is_not_even_read(tmp_path: Path, marker: Path) -> None:
    path, changed = tmp_path / "net.pt", tmp_path / "changed.pt"
    torch.jit.script(Small()).save(str(path))
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for info in old.infolist():
            evil = f"open({str(marker)!r}, 'w')".encode()
            is_code = "/code/" in info.filename
            new.writestr(info.filename, evil if is_code else old.read(info.filename))
    tensors = checkpoints.read(changed).tensors
    assert tensors.keys() == Small().state_dict().keys()
    assert not marker.exists()


def test_safetensors(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file(weights, path, metadata={"from": "here"})
    read = checkpoints.read(path, prefix="body.")
    assert read.container == checkpoints.identify(path) == "safetensors"
    assert read.metadata == {"from": "here"}
    for key, value in read.tensors.items():
        assert torch.equal(value, weights[f"body.{key}"])
    assert len(read.tensors) == sum(key.startswith("body.") for key in weights)
    with pytest.raises(CheckpointError, match="no sections"):
        checkpoints.read(path, section="G")


def test_safetensors_header_that_looks_like_a_pickle(tmp_path: Path) -> None:
    """A header of 640 bytes makes the file begin with the bytes of a protocol-2 pickle."""
    path = tmp_path / "w.safetensors"
    for padding in range(640):
        safetensors.torch.save_file({"w": torch.ones(1)}, path, metadata={"p": "x" * padding})
        if path.read_bytes()[:2] == b"\x80\x02":
            break
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert checkpoints.read(path).container == "safetensors"


def test_survey_looks_into_everything_and_reads_nothing(tmp_path: Path) -> None:
    path, tensor = tmp_path / "w.pth", torch.randn(2, 3)
    content = {
        "step": torch.tensor(3),
        "model": {"netG": {"a.w": tensor}, "netD": {"a.w": tensor + 1}, "epoch": 4},
        "optimizer": {"state": {0: {"exp_avg": tensor}}, "param_groups": [{"lr": 0.1}]},
    }
    torch.save(content, path)
    contents = checkpoints.survey(path)
    expected = {"step": (), "model:netG:a.w": (2, 3), "model:netD:a.w": (2, 3)}
    assert contents.container == "torch"
    assert {key: contents.shape(key) for key in contents.keys} == expected
    (read,) = contents.read({"own": "model:netG:a.w"}).items()
    assert read[0] == "own"
    assert torch.equal(read[1], tensor)


@pytest.mark.parametrize("kind", ["script", "safetensors"])
def test_survey_of_flat_files(kind: str, tmp_path: Path) -> None:
    module, path = Small(), tmp_path / "net.pt"
    if kind == "script":
        torch.jit.script(module).save(str(path))
    else:
        safetensors.torch.save_file(module.state_dict(), path)
    contents = checkpoints.survey(path)
    expected = {key: tuple(t.shape) for key, t in module.state_dict().items()}
    assert {key: contents.shape(key) for key in contents.keys} == expected
    found = contents.read({key: key for key in contents.keys})
    assert all(torch.equal(found[key], t) for key, t in module.state_dict().items())


def test_survey_of_dictionaries_in_a_circle_ends(tmp_path: Path) -> None:
    circle: dict[str, Any] = {"w": torch.ones(1)}
    circle["again"] = circle
    torch.save(circle, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="absurdly deep or in a circle"):
        checkpoints.survey(tmp_path / "w.pt")


def test_survey_of_a_small_file_that_unfolds_endlessly_ends(tmp_path: Path) -> None:
    content: dict[str, Any] = {"w": torch.ones(1)}
    for _ in range(20):
        content = {str(number): content for number in range(50)}
    torch.save(content, tmp_path / "w.pt")
    assert (tmp_path / "w.pt").stat().st_size < 50_000
    with pytest.raises(CheckpointError, match="more than 100,000 tensors"):
        checkpoints.survey(tmp_path / "w.pt")


def test_survey_of_a_small_file_with_long_keys_ends(tmp_path: Path) -> None:
    tensor = torch.ones(1)
    content = {"x" * 1_000_000: {str(number): tensor for number in range(1000)}}
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="a key of more than 1000 letters: 'xxx"):
        checkpoints.survey(tmp_path / "w.pt")


def test_expected_container(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "w.pt")
    write_lightning(tmp_path / "w.ckpt", weights)
    assert checkpoints.read(tmp_path / "w.ckpt", "torch").container == "lightning"
    with pytest.raises(CheckpointError, match="a torch file, not stylegan-tf as expected"):
        checkpoints.read(tmp_path / "w.pt", "stylegan-tf")
    with pytest.raises(CheckpointError, match="unknown container 'onnx'"):
        checkpoints.read(tmp_path / "w.pt", "onnx")  # type: ignore[arg-type]


def test_whole_module_is_refused_by_name(tmp_path: Path) -> None:
    class Net(nn.Linear):
        pass

    with foreign_modules(somebody__networks={"Net": Net}):
        torch.save(Net(2, 2), tmp_path / "whole.pt")
    with pytest.raises(UnsafeCheckpointError, match=r"somebody\.networks\.Net"):
        checkpoints.read(tmp_path / "whole.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>Google Drive", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "LFS"),
        (b"\x08\x03\x12\x04onnx", "no known kind"),
        (b"\x80\x04N.", "neither a StyleGAN2-ADA"),
    ],
)
def test_other_files(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoints.read(path)
    assert str(path) in str(caught.value)


def test_missing_file_folder_and_ordinary_zip(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoints.read(tmp_path / "nothing.pt")
    with pytest.raises(CheckpointError, match="is a folder"):
        checkpoints.read(tmp_path)
    with zipfile.ZipFile(tmp_path / "big-lama.zip", "w") as file:
        file.writestr("big-lama/models/best.ckpt", b"")
    with pytest.raises(CheckpointError, match=r"big-lama/models/best\.ckpt.*unpack it"):
        checkpoints.read(tmp_path / "big-lama.zip")


@pytest.mark.parametrize("kind", ["zip", "legacy", "script", "safetensors"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
def test_cut_off_file(kind: str, share: float, weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    if kind == "script":
        torch.jit.script(Small()).save(str(path))
    elif kind == "safetensors":
        safetensors.torch.save_file(weights, path)
    else:
        torch.save(weights, path, **(ZIP if kind == "zip" else LEGACY))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=r"w\.bin"):
        checkpoints.read(path)
