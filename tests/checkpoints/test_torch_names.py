"""What ``torch.load(weights_only=True)`` of the installed torch takes, this reader takes too."""

from __future__ import annotations

import collections
import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facemask_inpaint import checkpoints
from facemask_inpaint.checkpoints._torch_files import LEGACY_MAGIC
from facemask_inpaint.errors import CheckpointError
from tests.checkpoints import hostile

# torch registers names of its own when these are imported.
import torch._dynamo.decorators  # isort: skip
import torch.distributed.tensor  # isort: skip
import torch.nested._internal.nested_tensor  # isort: skip
from torch import _weights_only_unpickler as torchs_own  # isort: skip

NAMES = sorted({*torchs_own._get_allowed_globals(), *torchs_own._get_user_allowed_globals()})


def test_the_walk_is_over_torchs_own_list() -> None:
    assert len(NAMES) > 150
    for name in ("collections.Counter", "torch.float8_e4m3fn", "torch._utils._rebuild_tensor_v3"):
        assert name in NAMES
    assert "torch.distributed.tensor.DTensor" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_name_that_torch_allows_may_be_mentioned(name: str, tmp_path: Path) -> None:
    module, _, last = name.rpartition(".")
    weights = tensor_pickle(b"K\x01")
    payload = weights[:-1] + hostile.text("beside") + f"c{module}\n{last}\ns".encode() + b"."
    hostile.archive(payload, tmp_path / "w.pt")
    with zipfile.ZipFile(tmp_path / "w.pt", "a") as file:
        file.writestr("archive/data/0", struct.pack("<4f", 1, 2, 3, 4))
    assert checkpoints.read(tmp_path / "w.pt").tensors["w"].tolist() == [1, 2, 3, 4]


def tensor_pickle(extra: bytes) -> bytes:
    """State dict of one tensor ``w`` of four floats, and an entry ``n``."""
    stored = (
        b"(" + hostile.text("storage") + b"ctorch\nFloatStorage\n" + hostile.text("0")
        + hostile.text("cpu") + b"K\x04tQ"
    )  # fmt: skip
    return (
        hostile.P2 + b"}" + hostile.text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n("
        + stored + b"K\x00(K\x04t(K\x01t\x89NtRs" + hostile.text("n") + extra + b"s."
    )  # fmt: skip


def _with_attribute(tensor: Tensor) -> Tensor:
    tensor.note = {"from": "somewhere"}  # type: ignore[attr-defined]
    return tensor


def _rows() -> Tensor:
    return torch.arange(12.0).view(3, 4)


_COMPLEX = torch.complex(torch.arange(4.0), torch.arange(4.0) + 1)

TENSORS: dict[str, Callable[[], Any]] = {
    "parameter": lambda: nn.Parameter(_rows()),
    "parameter with attributes": lambda: _with_attribute(nn.Parameter(_rows())),
    "buffer": lambda: nn.Buffer(_rows()),
    "buffer that is not kept": lambda: nn.Buffer(_rows(), persistent=False),
    "tensor with attributes": lambda: _with_attribute(_rows()),
    "transposed": lambda: _rows().t(),
    "channels last": lambda: torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "expanded": lambda: torch.ones(1, 3).expand(1, 3),
    "no elements": lambda: torch.empty(0, 3, dtype=torch.uint16),
    "number": lambda: torch.tensor(3.5),
    "complex": lambda: _COMPLEX,
    "conjugate view": lambda: _COMPLEX.conj(),
    "imaginary part of a conjugate": lambda: _COMPLEX.conj().imag,
    "half complex": lambda: torch.view_as_complex(torch.randn(3, 2).half()),
    "meta": lambda: torch.empty(2, 3, device="meta"),
    "sparse coo": lambda: torch.eye(3).to_sparse(),
    "sparse coo, twice the same place": lambda: torch.sparse_coo_tensor(
        [[0, 0, 2]], [1.0, 2.0, 3.0], (4,)
    ),
    "sparse coo with dense rows": lambda: torch.sparse_coo_tensor([[0, 2]], torch.ones(2, 5)),
    "sparse csr": lambda: torch.eye(3).to_sparse_csr(),
    "sparse csc": lambda: torch.eye(3).to_sparse_csc(),
    "sparse bsr": lambda: torch.eye(4).to_sparse_bsr((2, 2)),
    "sparse bsc": lambda: torch.eye(4).to_sparse_bsc((2, 2)),
    "quantised int8": lambda: torch.quantize_per_tensor(_rows(), 0.1, 3, torch.qint8),
    "quantised uint8": lambda: torch.quantize_per_tensor(_rows(), 0.1, 3, torch.quint8),
    "quantised int32": lambda: torch.quantize_per_tensor(_rows(), 0.1, 3, torch.qint32),
    "quantised by channel": lambda: torch.quantize_per_channel(
        _rows(), torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1, 2, 3]), 0, torch.qint8
    ),
    "quantised to four bits": lambda: torch.quantize_per_channel(
        torch.rand(3, 5), torch.tensor([0.1, 0.2, 0.3]), torch.zeros(3), 0, torch.quint4x2
    ),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2, 3), torch.zeros(1, 3)]),
    "jagged": lambda: torch.nested.nested_tensor(
        [torch.ones(2, 3), torch.zeros(1, 3)], layout=torch.jagged
    ),
}

_OLD_TYPES = (
    torch.bool,
    torch.complex64,
    torch.complex128,
    *(
        getattr(torch, name)
        for name in (
            "float16",
            "bfloat16",
            "float32",
            "float64",
            "uint8",
            "int8",
            "int16",
            "int32",
            "int64",
        )
    ),
)
"""Element types that torch writes in its older format too."""

_NEW_TYPES = tuple(
    getattr(torch, name)
    for name in ("uint16", "uint32", "uint64", "complex32", "float8_e4m3fn", "float8_e4m3fnuz",
                 "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2")
    if hasattr(torch, name)
)  # fmt: skip

for _dtype in (*_OLD_TYPES, *_NEW_TYPES):
    TENSORS[str(_dtype)] = lambda dtype=_dtype: (
        torch.arange(48, dtype=torch.uint8).view(dtype).view(-1, 1)[1:]
        if dtype not in (torch.bool, torch.complex32)
        else torch.tensor([[True, False]]).to(dtype)
    )

NOT_IN_THE_OLD_FORMAT = {"no elements", "half complex", "nested", *map(str, _NEW_TYPES)}
"""What torch itself cannot write, or not read, there."""

CASES = [
    (name, new)
    for name in TENSORS
    for new in (True, False)
    if new or name not in NOT_IN_THE_OLD_FORMAT
]


def _parts(tensor: Tensor) -> list[Tensor]:
    """Plain tensors that say everything about one of any kind."""
    if tensor.is_nested:
        return [*tensor.unbind()]
    if tensor.is_quantized:
        return [tensor.dequantize()]
    if tensor.layout == torch.sparse_coo:
        return [tensor._indices(), tensor._values(), torch.tensor(tensor.is_coalesced())]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    return [tensor]


def _bytes(tensor: Tensor) -> bytes:
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    return bytes(plain.untyped_storage())[: plain.nbytes]


def assert_as_torch_reads_it(read: Tensor, expected: Tensor) -> None:
    assert (read.dtype, read.layout, read.device) == (
        expected.dtype,
        expected.layout,
        expected.device,
    )
    if expected.is_nested:
        assert read.is_nested
    else:
        assert read.shape == expected.shape
    if expected.device.type == "meta":
        return
    for mine, theirs in zip(_parts(read), _parts(expected), strict=True):
        assert mine.shape == theirs.shape
        assert _bytes(mine) == _bytes(theirs)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "new"), CASES)
def test_tensor_of_every_kind_as_torch_reads_it(name: str, new: bool, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"x": TENSORS[name]()}, path, _use_new_zipfile_serialization=new)
    expected = torch.load(path, weights_only=True)["x"]
    assert_as_torch_reads_it(checkpoints.read(path).tensors["x"], expected)


def test_values_beside_the_weights_as_torch_reads_them(tmp_path: Path) -> None:
    beside = {
        "counter": collections.Counter("aab"),
        "ordered": collections.OrderedDict(a=1),
        "set": {1, 2},
        "size": torch.Size([2, 3]),
        "text": "für",
        "layout": torch.sparse_csr,
        "surrogate": "\udcff",
        "huge": 2**400,
        "nested": [(1, None), {"deep": [True]}],
    }
    inert = {
        "bytes": b"abc",
        "bytearray": bytearray(b"abc"),
        "empty bytearray": bytearray(),
        "complex": 1 + 2j,
        "keys": {b"a": 1, (1, (2, "b")): 2, 1.5: 3, None: 4, 2j: 5, torch.float16: 6},
        "storage": torch.ones(2).storage(),
        "bare storage": torch.ones(2).untyped_storage(),
    }
    torch.save({"w": torch.ones(2), **beside, **inert, "dtype": torch.float8_e5m2}, tmp_path / "w")
    theirs = torch.load(tmp_path / "w", weights_only=True)
    read = checkpoints.read(tmp_path / "w")
    assert read.tensors.keys() == {"w"}
    for key in beside:
        mine = read.metadata[key]
        assert mine == _as_plain(theirs[key]), key
    assert read.metadata["dtype"] == "torch.float8_e5m2"
    assert read.metadata.keys() == {*beside, "dtype"}


def _as_plain(value: Any) -> Any:
    if isinstance(value, tuple | list | set):
        return [_as_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, torch.layout) else value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol(protocol: int, tmp_path: Path) -> None:
    content = {
        "w": nn.Parameter(torch.ones(2)),
        "x": torch.ones(2, dtype=torch.uint16),
        "raw": bytearray(b"abc"),
        "n": {1: (2, b"x")},
    }
    torch.save(content, tmp_path / "w.pt", pickle_protocol=protocol)
    read = checkpoints.read(tmp_path / "w.pt").tensors
    assert read["w"].tolist() == read["x"].tolist() == [1, 1]


def test_tensors_that_share_bytes_under_two_types_share_them_here(tmp_path: Path) -> None:
    raw = torch.arange(8, dtype=torch.uint8)
    content = {"a": raw.view(torch.uint16), "b": raw.view(torch.float8_e5m2)[2:]}
    torch.save(content, tmp_path / "w.pt")
    read = checkpoints.read(tmp_path / "w.pt").tensors
    assert read["a"].untyped_storage().data_ptr() == read["b"].untyped_storage().data_ptr()
    for key, value in content.items():
        assert_as_torch_reads_it(read[key], value)


def test_part_of_a_storage_as_torch_wrote_before_0_4(tmp_path: Path) -> None:
    """The file's reference names a root storage, an offset and a length in it."""
    head = b"".join(
        (
            LEGACY_MAGIC,
            pickle.dumps(1001, 2),
            pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2),
        )
    )
    part = b"(" + hostile.text("part") + b"K\x02K\x03t"
    stored = (
        b"(" + hostile.text("storage") + b"ctorch\nFloatStorage\n" + hostile.text("root")
        + hostile.text("cpu") + b"K\x06" + part + b"tQ"
    )  # fmt: skip
    body = (
        hostile.P2 + b"}" + hostile.text("w") + b"ctorch._utils\n_rebuild_tensor\n("
        + stored + b"K\x01(K\x02t(K\x01ttRs."
    )  # fmt: skip
    tail = pickle.dumps(["root"], 2) + struct.pack("<q6f", 6, *range(6))
    (tmp_path / "w.pt").write_bytes(head + body + tail)
    expected = torch.load(tmp_path / "w.pt", weights_only=True)["w"]
    assert expected.tolist() == [3, 4]
    assert torch.equal(checkpoints.read(tmp_path / "w.pt").tensors["w"], expected)
    (tmp_path / "w.pt").write_bytes(
        head + body.replace(b"K\x02t(K\x01tt", b"K\x03t(K\x01tt") + tail
    )
    with pytest.raises(CheckpointError, match="outside its part"):
        checkpoints.read(tmp_path / "w.pt")


OLD = {
    "tensor": b"ctorch\nFloatTensor\n)\x81(%sK\x00(K\x02K\x02t(K\x02K\x01ttb",
    "parameter": b"ctorch.nn.parameter\nParameter\n(ctorch\nFloatTensor\n)\x81"
    b"(%sK\x00(K\x02K\x02t(K\x02K\x01ttbt\x81",
    "of a graphics card": b"ctorch.cuda\nFloatTensor\n)\x81(%sK\x00(K\x02K\x02t(K\x02K\x01ttb",
}


@pytest.mark.parametrize("name", OLD)
def test_tensor_classes_of_the_first_torch(name: str, tmp_path: Path) -> None:
    stored = (
        b"(" + hostile.text("storage") + b"ctorch\nFloatStorage\n" + hostile.text("0")
        + hostile.text("cpu") + b"K\x04tQ"
    )  # fmt: skip
    payload = hostile.P2 + b"}" + hostile.text("w") + OLD[name] % stored + b"s."
    hostile.archive(payload, tmp_path / "w.pt")
    with zipfile.ZipFile(tmp_path / "w.pt", "a") as file:
        file.writestr("archive/data/0", struct.pack("<4f", 1, 2, 3, 4))
    assert checkpoints.read(tmp_path / "w.pt").tensors["w"].tolist() == [[1, 2], [3, 4]]


@pytest.fixture
def one_process() -> Any:
    """A process group of this process alone, as a distributed tensor wants one."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_distributed_tensor(one_process: None, tmp_path: Path) -> None:
    from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

    mesh = init_device_mesh("cpu", (1,))
    whole = distribute_tensor(torch.arange(8.0).view(4, 2), mesh, [Shard(0)])
    torch.save({"w": whole, "b": torch.ones(1)}, tmp_path / "w.pt")
    read = checkpoints.read(tmp_path / "w.pt").tensors
    assert torch.equal(read["w"], torch.arange(8.0).view(4, 2))


def test_part_of_a_distributed_tensor_is_refused_clearly(one_process: None, tmp_path: Path) -> None:
    from torch.distributed.tensor import DTensor, Shard, init_device_mesh

    mesh = init_device_mesh("cpu", (1,))
    part = DTensor.from_local(
        torch.ones(2, 2), mesh, [Shard(0)], shape=torch.Size((4, 2)), stride=(2, 1), run_check=False
    )
    torch.save({"w": part}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"DTensor of size \(4, 2\).*gather it"):
        checkpoints.read(tmp_path / "w.pt")


def _patched(content: dict[str, Any], old: bytes, new: bytes, path: Path) -> Path:
    """A file of ``torch.save`` in whose pickle some bytes are others of the same length."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("data.pkl"):
                assert data.count(old) == 1
                data = data.replace(old, new)
            target.writestr(name, data)
    return path


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "old", "new"),
    [
        (  # an index beyond the size
            lambda: torch.sparse_coo_tensor([[0, 77]], [1.0, 2.0], (78,)),
            b"K\x4e\x85",
            b"K\x09\x85",
        ),
        (  # more rows than there are
            lambda: torch.eye(7).to_sparse_csr(),
            b"K\x07K\x07\x86",
            b"K\x09K\x07\x86",
        ),
        (  # another number of scales
            lambda: torch.quantize_per_channel(
                torch.rand(3, 2), torch.ones(3), torch.zeros(3).int(), 0, torch.qint8
            ),
            b"K\x03K\x02\x86",
            b"K\x02K\x02\x86",
        ),
        (  # a size that nobody can have
            lambda: torch.empty(7, 9, device="meta"),
            b"K\x07K\x09\x86",
            b"K\x07NK\x09"[:5],
        ),
    ],
)
def test_impossible_tensors_are_refused(
    make: Callable[[], Tensor], old: bytes, new: bytes, tmp_path: Path
) -> None:
    path = _patched({"w": make()}, old, new, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"w\.pt"):
        checkpoints.read(path)
