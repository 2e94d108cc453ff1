"""Files that try to run something are refused by every reader, and nothing runs."""

from __future__ import annotations

import contextlib
import copyreg
import pickle
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from facemask_inpaint import checkpoints
from facemask_inpaint.errors import CheckpointError, UnsafeCheckpointError
from tests.checkpoints import hostile

_EXTENSION = 0xF0


@pytest.fixture(autouse=True)
def _extension_code() -> Iterator[None]:
    """An extension code that this process knows, as some library may have registered one."""
    copyreg.add_extension("tests.checkpoints.traps", "touch", _EXTENSION)
    yield
    copyreg.remove_extension("tests.checkpoints.traps", "touch", _EXTENSION)


@pytest.mark.parametrize("name", hostile.EXECUTING)
def test_the_attack_is_real(name: str, marker: Path) -> None:
    """Python's own loader falls for each payload, so that refusing it means something."""
    # Some attacks leave a broken object behind after they have run.
    with contextlib.suppress(TypeError, RuntimeError, pickle.UnpicklingError):
        pickle.loads(hostile.EXECUTING[name](marker) + hostile.STOP)
    assert marker.exists()


@pytest.mark.parametrize("container", hostile.CONTAINERS)
@pytest.mark.parametrize("name", hostile.EXECUTING)
def test_attack_is_refused(name: str, container: str, marker: Path, tmp_path: Path) -> None:
    payload = hostile.EXECUTING[name](marker) + hostile.STOP
    path = hostile.write(container, payload, tmp_path / "weights.bin")
    with pytest.raises(UnsafeCheckpointError, match="refused, nothing was executed") as caught:
        checkpoints.read(path)
    assert str(path) in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize("container", hostile.CONTAINERS)
@pytest.mark.parametrize("name", hostile.FORBIDDEN)
def test_forbidden_request_is_refused(name: str, container: str, tmp_path: Path) -> None:
    path = hostile.write(container, hostile.FORBIDDEN[name] + hostile.STOP, tmp_path / "w.bin")
    with pytest.raises(UnsafeCheckpointError):
        checkpoints.read(path)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("os.system", "os.system"),
        ("INST", "instruction INST"),
        ("torch.hub.load", "torch.hub.load"),
    ],
)
def test_message_names_what_was_asked_for(name: str, asked: str, tmp_path: Path) -> None:
    make = hostile.EXECUTING.get(name)
    payload = make(tmp_path / "marker") if make else hostile.FORBIDDEN[name]
    path = hostile.write("torch", payload + hostile.STOP, tmp_path / "w.pt")
    with pytest.raises(UnsafeCheckpointError, match=asked):
        checkpoints.read(path)


def test_loaded_extension_is_refused_too(marker: Path, tmp_path: Path) -> None:
    """Once used, an extension code is answered from a cache that no find_class sees."""
    payload = hostile.EXECUTING["extension code"](marker) + hostile.STOP
    pickle.loads(payload)
    marker.unlink()
    with pytest.raises(UnsafeCheckpointError, match="EXT1"):
        checkpoints.read(hostile.write("torch", payload, tmp_path / "w.pt"))
    assert not marker.exists()


def test_foreign_names_are_never_imported(tmp_path: Path) -> None:
    """Not even the modules of names that are allowed."""
    payload = hostile.P2 + b"cpytorch_lightning.callbacks.base\nCallback\n)\x81}b" + b"0}"
    path = hostile.write("torch", payload + hostile.STOP, tmp_path / "w.ckpt")
    with pytest.raises(CheckpointError, match="no state dicts"):
        checkpoints.read(path)
    assert not any(name.startswith("pytorch_lightning") for name in sys.modules)


ABSURD = {
    "huge bytes": hostile.P4 + b"\x8e" + (2**62).to_bytes(8, "little") + b"x",
    "huge text": hostile.P4 + b"\x8d" + (2**62).to_bytes(8, "little") + b"x",
    "negative bytes": hostile.P2 + b"T" + (-5).to_bytes(4, "little", signed=True),
    "huge integer": hostile.P2 + b"\x8b" + (2**31 - 1).to_bytes(4, "little") + b"x",
    "huge frame": hostile.P4 + b"\x95" + (2**63).to_bytes(8, "little"),
    "nested tuples as a key": hostile.P2 + b"}" + b")" + b"\x85" * 200_000 + b"Ns",
    "nested lists": hostile.P2 + b"]" * 50_000 + b"a" * 49_999,
    "nested tuples": hostile.P2 + b")" + b"\x85" * 50_000,
    "list in itself": hostile.P2 + b"]q\x00h\x00a",
    "empty stack": hostile.P2 + b"R",
    "missing memo": hostile.P2 + b"h\x07",
    "no end": hostile.P2 + b"}" * 100,
    "unknown instruction": hostile.P2 + b"\xff",
    "unknown protocol": b"\x80\x07}",
    "unhashable key": hostile.P2 + b"}]Ns",
    "broken text": hostile.P2 + b"X\x02\x00\x00\x00\xff\xff",
    "long name": hostile.P2 + b"c" + b"a" * 5000,
    "too few arguments": hostile.P2 + b"ctorch._utils\n_rebuild_tensor_v2\n)R",
}


@pytest.mark.parametrize("container", hostile.CONTAINERS)
@pytest.mark.parametrize("name", ABSURD)
def test_absurd_pickle_gives_a_clear_error(name: str, container: str, tmp_path: Path) -> None:
    path = hostile.write(container, ABSURD[name] + hostile.STOP, tmp_path / "w.bin")
    with pytest.raises(CheckpointError, match=r"w\.bin"):
        checkpoints.read(path)


@pytest.mark.parametrize(
    "entry", ["../evil", "archive/../../evil", "/etc/evil", "C:\\evil", "archive\\..\\evil"]
)
def test_zip_entry_outside_is_refused(entry: str, tmp_path: Path) -> None:
    path = tmp_path / "sub" / "w.pt"
    path.parent.mkdir()
    hostile.archive(b"\x80\x02}.", path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(entry, b"evil")
    with pytest.raises(UnsafeCheckpointError, match="leads outside"):
        checkpoints.read(path)
    assert [one.name for one in tmp_path.rglob("*")] == ["sub", "w.pt"]


def test_zip_entry_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    hostile.archive(b"\x80\x02}.", path)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("archive/data.pkl", b"\x80\x02}.")
    with pytest.raises(UnsafeCheckpointError, match="twice"):
        checkpoints.read(path)


def test_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"\x80\x02" + b"}0" * 2_000_000 + b"}.")
    assert path.stat().st_size < 20_000
    with pytest.raises(CheckpointError, match="compressed"):
        checkpoints.read(path)


def storage(key: str = "0", numel: int = 4, kind: str = "FloatStorage") -> bytes:
    """Torch's persistent id of a storage."""
    return (
        b"(" + hostile.text("storage") + f"ctorch\n{kind}\n".encode() + hostile.text(key)
        + hostile.text("cpu") + b"J" + numel.to_bytes(4, "little", signed=True) + b"tQ"
    )  # fmt: skip


def tensor(
    size: tuple[int, ...],
    stride: tuple[int, ...],
    offset: int = 0,
    stored: bytes = storage(),
) -> bytes:
    """State dict of one tensor; the archive holds 4 floats under the key 0."""

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(pickle.dumps(v, protocol=2)[2:-1] for v in values) + b"t"

    place = stored + numbers((offset,))[1:-1] + numbers(size) + numbers(stride)
    return (
        hostile.P2 + b"}" + hostile.text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n("
        + place + b"\x89Nt" + b"Rs."
    )  # fmt: skip


BAD_TENSORS = {
    "outside": tensor((5,), (1,)),
    "offset outside": tensor((2,), (1,), offset=3),
    "stride outside": tensor((2, 2), (3, 1)),
    "negative offset": tensor((2,), (1,), offset=-1),
    "negative stride": tensor((2,), (-1,)),
    "negative size": tensor((-2,), (1,)),
    "size bomb": tensor((2**40, 2**40), (0, 0)),
    "overlapping": tensor((4, 4), (0, 1)),
    "more strides than sizes": tensor((2,), (1, 1)),
    "sizes beyond 64 bits": tensor((2**70,), (0,)),
    "storage too long": tensor((4,), (1,), stored=storage(numel=5)),
    "storage of negative length": tensor((4,), (1,), stored=storage(numel=-1)),
    "key with a path": tensor((4,), (1,), stored=storage(key="../../data.pkl")),
    "key that is missing": tensor((4,), (1,), stored=storage(key="1")),
    "storage of no numbers": tensor((4,), (1,), stored=storage(kind="UntypedStorage")),
    "no storage": tensor((4,), (1,), stored=b"K\x01"),
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_tensor_outside_its_storage_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    hostile.archive(BAD_TENSORS[name], path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("archive/data/0", bytes(16))
    with pytest.raises(CheckpointError, match=r"w\.pt"):
        checkpoints.read(path)


def test_the_same_writer_makes_a_readable_file(tmp_path: Path) -> None:
    """Control of the tests above: only what they change makes their files unreadable."""
    path = tmp_path / "w.pt"
    hostile.archive(tensor((2, 2), (2, 1)), path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("archive/data/0", bytes(16))
    assert checkpoints.read(path).tensors["w"].tolist() == [[0, 0], [0, 0]]
