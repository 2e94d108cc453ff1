"""What training scripts save beside their weights is no reason to refuse the weights."""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import fractions
import pathlib
import random
import sys
import types
import uuid
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facemask_inpaint import checkpoints
from facemask_inpaint.errors import CheckpointError
from tests.checkpoints import hostile
from tests.checkpoints.writers import foreign_modules


def _generator() -> np.random.Generator:
    generator = np.random.default_rng(0)
    generator.normal(size=3)
    return generator


_NAMESPACE = argparse.Namespace(lr=1e-3, data=pathlib.PurePosixPath("/data/faces"), steps=[1, 2])
_PLAIN_NAMESPACE = {"lr": 1e-3, "data": "/data/faces", "steps": [1, 2]}

BESIDE: dict[str, tuple[Any, Any]] = {
    "path": (pathlib.Path("/data") / "faces", "/data/faces"),
    "relative path": (pathlib.PurePosixPath("runs/a"), "runs/a"),
    "windows path": (pathlib.PureWindowsPath("C:/data/faces"), "C:\\data\\faces"),
    "no path": (pathlib.PurePosixPath(), "."),
    "namespace": (_NAMESPACE, _PLAIN_NAMESPACE),
    "simple namespace": (types.SimpleNamespace(a=1), {"a": 1}),
    "counter": (collections.Counter("aab"), {"a": 2, "b": 1}),
    "default dictionary": (collections.defaultdict(list, a=[1]), {"a": [1]}),
    "deque": (collections.deque([1, 2, 3], maxlen=3), [1, 2, 3]),
    "element type": (torch.bfloat16, "torch.bfloat16"),
    "memory layout": (torch.strided, "torch.strided"),
    "size": (torch.Size([1, 2]), [1, 2]),
    "number of numpy": (np.float64(0.5), 0.5),
    "flag of numpy": (np.bool_(True), True),
    "unsigned number": (np.uint32(2**32 - 1), 2**32 - 1),
    "text of numpy": (np.str_("für"), "für"),
    "type of numpy": (np.float32, "numpy.float32"),
    "python's generator": (random.Random(0).getstate()[2], None),
    # Not plain enough to come along; the weights are read all the same.
    "date": (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), ...),
    "time span": (datetime.timedelta(hours=3), ...),
    "day": (datetime.date(2026, 1, 2), ...),
    "decimal": (decimal.Decimal("1.5"), ...),
    "fraction": (fractions.Fraction(1, 3), ...),
    "uuid": (uuid.UUID(int=7), ...),
    "range": (range(3), ...),
    "slice": (slice(1, 2), ...),
    "frozen set": ({frozenset({1, 2}): 1}, ...),
    "device": (torch.device("cpu"), ...),
    "bytes": (b"abc", ...),
    "byte array": (bytearray(b"abc"), ...),
    "complex number": (1 + 2j, ...),
    "state of numpy": (np.random.RandomState(0).get_state(), ...),
    "numpy's old generator": (np.random.RandomState(0), ...),
    "numpy's generator": (_generator(), ...),
    "Philox": (np.random.Generator(np.random.Philox(3)), ...),
    "array of text": (np.array(["hair", "nose"]), ...),
    "array of objects": (np.array([None, {}], dtype=object), ...),
    "structured array": (np.zeros(2, dtype=[("a", "f4"), ("b", "i4")]), ...),
    "masked array": (np.ma.array([1, 2], mask=[0, 1]), ...),
    "date of numpy": (np.datetime64("2026-01-02"), ...),
    "structured type": (np.dtype([("a", "f4")]), ...),
}


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("name", BESIDE)
def test_weights_beside_it_are_read(name: str, protocol: int, tmp_path: Path) -> None:
    value, expected = BESIDE[name]
    content = {"state_dict": {"w": torch.arange(3.0)}, "beside": value}
    torch.save(content, tmp_path / "w.pt", pickle_protocol=protocol)
    read = checkpoints.read(tmp_path / "w.pt")
    assert read.tensors["w"].tolist() == [0, 1, 2]
    if expected is ...:
        assert "beside" not in read.metadata
    elif expected is not None:
        assert read.metadata["beside"] == expected


ARRAYS = {
    "float32": np.arange(6, dtype="<f4").reshape(2, 3),
    "big-endian float32": np.arange(6, dtype=">f4").reshape(2, 3),
    "big-endian complex": np.array([1 + 2j, 3 - 4j], dtype=">c8"),
    "big-endian number": np.array(258, dtype=">i2"),
    "big-endian bytes": np.arange(3, dtype=">u1"),
    "Fortran order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big-endian Fortran order": np.asfortranarray(np.arange(6, dtype=">i8").reshape(2, 3)),
    "unsigned 16 bits": np.array([1, 65535], dtype="u2"),
    "unsigned 64 bits": np.array([1, 2**64 - 1], dtype="u8"),
    "complex": np.array([1 + 2j], dtype="c16"),
    "state of a generator": np.random.RandomState(0).get_state()[1],
    "none": np.empty((0, 3), dtype=">f8"),
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_numbers_become_tensors(name: str, protocol: int, tmp_path: Path) -> None:
    array = ARRAYS[name]
    torch.save({"a": array, "w": torch.ones(1)}, tmp_path / "w.pt", pickle_protocol=protocol)
    read = checkpoints.read(tmp_path / "w.pt").tensors["a"].numpy()
    assert read.dtype == array.dtype.newbyteorder("=")
    assert read.shape == array.shape
    assert np.array_equal(read, array)


def _rewritten(path: Path, *changes: tuple[bytes, bytes]) -> None:
    """Change names in a file's pickle; those of protocol 2 have no length before them."""
    with zipfile.ZipFile(path) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    for old, new in changes:
        assert any(old in data for data in parts.values())
        parts = {name: data.replace(old, new) for name, data in parts.items()}
    with zipfile.ZipFile(path, "w") as target:
        for name, data in parts.items():
            target.writestr(name, data)


def test_module_names_of_numpy_1(tmp_path: Path) -> None:
    content = {"w": torch.ones(1), "a": np.arange(3.0), "n": np.float64(2), "g": _generator()}
    torch.save(content, tmp_path / "w.pt")
    if np.__version__ >= "2":
        _rewritten(tmp_path / "w.pt", (b"cnumpy._core.", b"cnumpy.core."))
    else:
        _rewritten(tmp_path / "w.pt", (b"cnumpy.core.", b"cnumpy._core."))
    read = checkpoints.read(tmp_path / "w.pt")
    assert read.tensors["a"].tolist() == [0, 1, 2]
    assert read.metadata["n"] == 2


@pytest.mark.parametrize("module", ["pathlib", "pathlib._local"])
@pytest.mark.parametrize(
    "name", ["PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path", "PurePath"]
)
def test_paths_of_every_python(module: str, name: str, tmp_path: Path) -> None:
    """Python 3.13 wrote pathlib._local; versions before and after it write pathlib."""
    path = hostile.call(module, name, hostile.text("data"), hostile.text("faces"))
    torch.save({"w": torch.ones(1), "data_dir": "PLACEHOLDER"}, tmp_path / "v.pt")
    _rewritten(tmp_path / "v.pt", (hostile.text("PLACEHOLDER"), path))
    found = checkpoints.read(tmp_path / "v.pt").metadata["data_dir"]
    assert found == ("data\\faces" if "Windows" in name else "data/faces")


def test_nothing_that_a_file_names_is_imported(tmp_path: Path) -> None:
    """Neither what is refused nor what is taken: here both are modules that do not exist."""

    class Options:
        pass

    unborn = b"ctorch.distributed.tensor.of_tomorrow\nDTensor\n)\x81"
    torch.save({"w": torch.ones(1), "x": "PLACEHOLDER"}, tmp_path / "w.pt")
    _rewritten(tmp_path / "w.pt", (hostile.text("PLACEHOLDER"), unborn))
    assert checkpoints.read(tmp_path / "w.pt").tensors.keys() == {"w"}
    assert "torch.distributed.tensor.of_tomorrow" not in sys.modules
    with foreign_modules(my_project__options={"Options": Options}):
        torch.save({"w": torch.ones(1), "x": Options()}, tmp_path / "v.pt")
    with pytest.raises(CheckpointError, match=r"asks for 'my_project\.options\.Options'"):
        checkpoints.read(tmp_path / "v.pt")
    assert "my_project" not in sys.modules


@pytest.mark.parametrize(
    "payload",
    [
        hostile.call("builtins", "bytearray", b"J\xff\xff\xff\x7f"),
        hostile.call("builtins", "complex", hostile.text("1")),
        hostile.call("pathlib", "PosixPath", b"K\x01"),
        hostile.call("builtins", "bytearray", hostile.text("x"), hostile.text("rot13")),
        b"}(" + b"(" * 50 + b"K\x01" + b"t" * 50 + b"K\x02u",
        b"}(]K\x02u",
    ],
)
def test_odd_uses_of_plain_names_are_refused(payload: bytes, tmp_path: Path) -> None:
    hostile.archive(hostile.P2 + payload + hostile.STOP, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"w\.pt"):
        checkpoints.read(tmp_path / "w.pt")
