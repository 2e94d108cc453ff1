"""StyleGAN2-ADA snapshots and TensorFlow-era files: tensors and arguments out, nothing run."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from facemask_inpaint import checkpoints
from facemask_inpaint.errors import CheckpointError
from tests.checkpoints.hostile import P2, text
from tests.checkpoints.writers import (
    EasyDict,
    Network,
    foreign_modules,
    tensorflow_pickle,
    write_stylegan2_ada,
    write_tensorflow,
)

TINY = Path(__file__).with_name("tiny_tf.pkl")
FOREIGN = ("dnnlib", "torch_utils")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_stylegan2_ada(protocol: int, tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "net.pkl"
    expected = write_stylegan2_ada(path, 4, marker, protocol).state_dict()
    read = checkpoints.read(path)
    assert read.container == checkpoints.identify(path) == "stylegan2-ada"
    assert list(read.tensors) == list(expected)
    for key, value in expected.items():
        assert torch.equal(read.tensors[key], value)
    assert not marker.exists()
    assert not any(name.partition(".")[0] in FOREIGN for name in sys.modules)


def test_stylegan2_ada_arguments(tmp_path: Path, marker: Path) -> None:
    write_stylegan2_ada(tmp_path / "net.pkl", 2, marker, 4)
    metadata = checkpoints.read(tmp_path / "net.pkl").metadata
    assert metadata["class_name"] == "Generator"
    assert metadata["init_args"] == []
    assert metadata["init_kwargs"]["img_resolution"] == 512
    assert metadata["init_kwargs"]["mapping_kwargs"] == {"num_layers": 8}
    assert metadata["training_set_kwargs"]["resolution"] == 512


def test_stylegan2_ada_sections(tmp_path: Path, marker: Path) -> None:
    write_stylegan2_ada(tmp_path / "net.pkl", 2, marker, 4)
    trained, mean = (
        checkpoints.read(tmp_path / "net.pkl", section=name).tensors for name in ("G", "G_ema")
    )
    assert trained.keys() == mean.keys()
    assert not torch.equal(trained["blocks.0.weight"], mean["blocks.0.weight"])
    with pytest.raises(CheckpointError, match=r"no section 'Gs' .*'G', 'D', 'G_ema'"):
        checkpoints.read(tmp_path / "net.pkl", section="Gs")


def test_the_embedded_source_would_run(tmp_path: Path, marker: Path) -> None:
    """Control: the source in the snapshot is live ammunition."""
    write_stylegan2_ada(tmp_path / "net.pkl", 2, marker, 4)
    fired = []

    def reconstruct(meta: dict) -> None:
        fired.append(exec(meta["module_src"], {}))

    with foreign_modules(
        torch_utils__persistence={"_reconstruct_persistent_obj": reconstruct},
        dnnlib__util={"EasyDict": EasyDict},
    ):
        pickle.loads((tmp_path / "net.pkl").read_bytes())
    assert fired
    assert marker.exists()


def test_converted_folder_is_bit_identical(tmp_path: Path, marker: Path) -> None:
    write_stylegan2_ada(tmp_path / "net.pkl", 3, marker, 4)
    direct = checkpoints.read(tmp_path / "net.pkl")
    checkpoints.save_folder(tmp_path / "out", direct.metadata, direct.tensors)
    config, tensors = checkpoints.load_folder(tmp_path / "out")
    assert config == direct.metadata
    assert tensors.keys() == direct.tensors.keys()
    assert all(torch.equal(tensors[key], value) for key, value in direct.tensors.items())


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_tensorflow_network(protocol: int, tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "net.pkl"
    arrays = {
        "64x64/Conv0/weight": np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype("f4"),
        "fortran": np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3)),
        "noise_strength": np.float32(0.25),
        "empty": np.zeros((0, 2), "f4"),
    }
    write_tensorflow(path, arrays, marker, protocol)
    read = checkpoints.read(path)
    assert read.container == checkpoints.identify(path) == "stylegan-tf"
    assert list(read.tensors) == ["lod", *(f"G_synthesis/{name}" for name in arrays)]
    for name, value in arrays.items():
        found = read.tensors[f"G_synthesis/{name}"]
        assert found.dtype == torch.float32
        assert np.array_equal(found.numpy(), value)
    assert read.metadata["static_kwargs"] == {"resolution": 32, "gain": 1.5}
    assert read.metadata["build_func_name"] == "G_main"
    assert not checkpoints.read(path, section="G").tensors.get("G_synthesis/fortran")
    assert not marker.exists()
    assert not any(name.partition(".")[0] in FOREIGN for name in sys.modules)


def test_tensorflow_fixture() -> None:
    """A file with the official structure: old NumPy module names, scalar variables."""
    mean, trained = (checkpoints.read(TINY, section=name) for name in ("Gs", "G"))
    assert mean.metadata["static_kwargs"]["resolution"] == 32
    assert mean.tensors["dlatent_avg"].shape == (32,)
    key = "G_synthesis/E_32x32/FromRGB/weight"
    assert mean.tensors[key].shape[2] == 4
    assert torch.allclose(trained.tensors[key] * 2, mean.tensors[key])
    assert mean.tensors["lod"].shape == ()


def test_object_arrays_are_refused(tmp_path: Path, marker: Path) -> None:
    write_tensorflow(tmp_path / "net.pkl", {"w": np.array([{}], dtype=object)}, marker)
    with pytest.raises(CheckpointError, match="variable 'w' holds no plain numbers"):
        checkpoints.read(tmp_path / "net.pkl")


def test_big_endian_arrays(tmp_path: Path, marker: Path) -> None:
    write_tensorflow(tmp_path / "net.pkl", {"w": np.array([1, -2, 3], ">f4")}, marker)
    (values,) = (v for k, v in checkpoints.read(tmp_path / "net.pkl").tensors.items() if "w" in k)
    assert values.tolist() == [1, -2, 3]


def _dump_networks(path: Path, *networks: Network) -> Path:
    path.write_bytes(tensorflow_pickle(networks))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 9}, "unknown format version"),
        ({"variables": {"w": 1}}, "without a list of variables"),
        ({"variables": [("w", "text")]}, "no plain numbers"),
        ({"variables": ["w"]}, "not a .name, values. pair"),
        ({"components": {"synthesis": 3}}, "without its state"),
    ],
)
def test_damaged_tensorflow_network(change: dict, message: str, tmp_path: Path) -> None:
    networks = [Network(name, [], "") for name in ("G", "D", "Gs")]
    networks[2].state.update(change)
    path = _dump_networks(tmp_path / "net.pkl", *networks)
    with pytest.raises(CheckpointError, match=message):
        checkpoints.read(path)


def _module(children: bytes) -> bytes:
    """A bare torch module with these pickled (name, child) pairs."""
    head = b"ctorch.nn.modules.container\nSequential\n)\x81}" + text("_modules")
    return head + b"}(" + children + b"usb"


def _snapshot(network: bytes) -> bytes:
    """A StyleGAN2-ADA snapshot whose one network has one child."""
    state = b"}" + text("_modules") + b"}" + text("net") + network + b"ss"
    meta = text("type") + text("class") + text("version") + b"K\x06" + text("state") + state
    reconstruct = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
    return P2 + b"}" + text("G_ema") + reconstruct + b"(}(" + meta + b"utRs."


def test_snapshot_by_hand_is_read(tmp_path: Path) -> None:
    """Control of the next test."""
    (tmp_path / "net.pkl").write_bytes(_snapshot(_module(b"")))
    assert checkpoints.read(tmp_path / "net.pkl").tensors == {}


def test_absurdly_nested_modules(tmp_path: Path) -> None:
    """The same module twice on each of 64 levels: a small file with 2^64 paths; and a circle."""
    wide = _module(b"")
    for _ in range(64):
        wide = _module(text("a") + wide + b"q\x01" + text("b") + b"h\x01")
    circle = _module(text("a") + b"h\x01").replace(b"\x81", b"\x81q\x01", 1)
    for network in (wide, circle):
        (tmp_path / "net.pkl").write_bytes(_snapshot(network))
        with pytest.raises(CheckpointError, match="nested absurdly"):
            checkpoints.read(tmp_path / "net.pkl")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["stylegan2-ada", "stylegan-tf"])
def test_cut_off_pickle(kind: str, share: float, tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "net.pkl"
    if kind == "stylegan2-ada":
        write_stylegan2_ada(path, 4, marker, 4)
    else:
        path.write_bytes(TINY.read_bytes())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=r"net\.pkl"):
        checkpoints.read(path)
