"""Files of ``torch.save`` (zip and older) and ``torch.jit.save``, read without torch's loader."""

from __future__ import annotations

import re
import struct
import zipfile
from typing import Any

import torch

from facemask_inpaint.checkpoints._safe_pickle.inert import Budget, Record
from facemask_inpaint.checkpoints._safe_pickle.lazy_tensors import (
    Lazy,
    Storage,
    StorageView,
    storage_dtype,
)
from facemask_inpaint.checkpoints._safe_pickle.machine import Machine, Vocabulary
from facemask_inpaint.checkpoints._safe_pickle.torch_values import STORAGES
from facemask_inpaint.checkpoints._safe_pickle.vocabularies import (
    LIGHTNING,
    TORCH,
    TORCHSCRIPT,
)
from facemask_inpaint.errors import CheckpointError, UnsafeCheckpointError

LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""First pickle of a ``torch.save`` file from before torch 1.6."""

_LEGACY_PROTOCOL = 1001
_LOCAL_HEADER = 30
_STORAGE_KEY = re.compile(r"[0-9A-Za-z_]{1,64}")


class TorchArchive:
    """A zip file of ``torch.save`` or ``torch.jit.save``: finds entries, unpacks nothing.

    Args:
        data: the whole file.
        budget: limits, with the file's path.

    Raises:
        UnsafeCheckpointError: an entry's name leads outside the archive or occurs twice.
        CheckpointError: the archive is damaged or not one of torch's.
    """

    def __init__(self, data: memoryview, budget: Budget) -> None:
        self.data, self.budget = data, budget
        self._entries = self._list_entries()
        roots = [name[: -len("data.pkl")] for name in self._entries if _is_main_pickle(name)]
        if len(roots) != 1:
            raise CheckpointError(
                f"{budget.file}: an ordinary zip archive, not a checkpoint (it holds "
                f"{', '.join(list(self._entries)[:3]) or 'nothing'}); unpack it and give the "
                "file inside"
            )
        self._root = roots[0]

    @property
    def is_torchscript(self) -> bool:
        """Whether ``torch.jit.save`` wrote it."""
        return any(name.startswith(f"{self._root}code/") for name in self._entries)

    def load(self) -> object:
        """Return the archive's main object, tensors unread."""
        order = self._entries.get(f"{self._root}byteorder")
        if order is not None and bytes(self._stored(order)) != b"little":
            raise CheckpointError(f"{self.budget.file}: numbers are not in little-endian order")
        storages: dict[str, Storage] = {}

        def persistent(reference: object) -> Storage:
            dtype, key, numel, part = parse_reference(reference, self.budget.file)
            if part is not None:
                raise CheckpointError(f"{self.budget.file}: a part of a storage, in a zip archive")
            if key not in storages:
                storages[key] = Storage(dtype, numel, self.budget, self._entry(f"data/{key}"))
            return _same(storages[key], dtype, numel, self.budget.file)

        vocabulary = TORCHSCRIPT if self.is_torchscript else TORCH | LIGHTNING
        return Machine(self._entry("data.pkl"), self.budget, vocabulary, persistent).load()

    def _list_entries(self) -> dict[str, zipfile.ZipInfo]:
        file, entries = self.budget.file, dict[str, zipfile.ZipInfo]()
        try:
            with zipfile.ZipFile(self.budget.file) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError) as error:
            raise CheckpointError(f"{file}: zip archive cut off or damaged ({error})") from error
        for info in infos:
            parts = info.filename.replace("\\", "/").split("/")
            if ".." in parts or parts[0] in ("", "~") or ":" in parts[0]:
                raise UnsafeCheckpointError(
                    f"{file}: refused: entry {info.filename!r} leads outside the archive"
                )
            if info.filename in entries:
                raise UnsafeCheckpointError(f"{file}: refused: entry {info.filename!r} twice")
            entries[info.filename] = info
        return entries

    def _entry(self, name: str) -> memoryview:
        info = self._entries.get(self._root + name)
        if info is None:
            raise CheckpointError(f"{self.budget.file}: entry {name!r} is missing")
        return self._stored(info)

    def _stored(self, info: zipfile.ZipInfo) -> memoryview:
        """View of an entry's bytes, which torch never compresses."""
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise CheckpointError(
                f"{self.budget.file}: entry {info.filename!r} is compressed or encrypted; torch "
                "stores entries as they are"
            )
        start = info.header_offset
        header = bytes(self.data[start : start + _LOCAL_HEADER])
        if start < 0 or len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
            raise CheckpointError(f"{self.budget.file}: entry {info.filename!r} has no header")
        start += _LOCAL_HEADER + sum(struct.unpack("<HH", header[26:30]))
        if start + info.file_size > len(self.data):
            raise CheckpointError(f"{self.budget.file}: cut off in entry {info.filename!r}")
        return self.data[start : start + info.file_size]


def read_legacy(data: memoryview, budget: Budget, *, bare_storage: bool = False) -> object:
    """Return the main object of a ``torch.save`` stream from before torch 1.6.

    Args:
        data: the whole stream, and nothing behind it.
        budget: limits, with the file's name.
        bare_storage: the object must be one storage (``torch.storage._load_from_bytes``).

    Raises:
        CheckpointError: the stream is damaged, cut off or refused.
    """
    storages: dict[str, Storage] = {}

    def persistent(reference: object) -> Storage | StorageView:
        dtype, key, numel, part = parse_reference(reference, budget.file)
        storages.setdefault(key, Storage(dtype, numel, budget))
        whole = _same(storages[key], dtype, numel, budget.file)
        return whole if part is None else StorageView(whole, *part)

    vocabulary = STORAGES if bare_storage else TORCH | LIGHTNING
    machine = Machine(data, budget, Vocabulary())
    machine.load()  # the magic number, which the caller has seen
    protocol, system = machine.load(), machine.load()
    if protocol != _LEGACY_PROTOCOL or not _is_little_endian(system):
        raise CheckpointError(f"{budget.file}: unknown protocol or byte order of torch.save")
    body = Machine(data[machine.position :], budget, vocabulary, persistent)
    value = body.load()
    if bare_storage and not isinstance(value, Storage):
        raise CheckpointError(f"{budget.file}: a tensor's bytes hold no storage")
    keys = body.load()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise CheckpointError(f"{budget.file}: the list of storages is damaged")
    if sorted(keys) != sorted(storages):
        raise CheckpointError(f"{budget.file}: the list of storages does not fit the tensors")
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(body.take(8), "little", signed=True)
        if count != storage.numel:
            raise CheckpointError(f"{budget.file}: storage {key[:40]!r} has another length")
        storage.attach(body.take(count * storage.dtype.itemsize))
    return value


def parse_reference(
    reference: object, file: str
) -> tuple[torch.dtype, str, int, tuple[object, object] | None]:
    """Return a storage's element type, key and length, and start and length of a part of it.

    Args:
        reference: torch's persistent id.
        file: for messages.

    Raises:
        CheckpointError: it is not such an id.
    """
    if not isinstance(reference, tuple) or len(reference) not in (5, 6):
        raise CheckpointError(f"{file}: an unknown reference to something outside the pickle")
    tag, storage_class, key, _, numel, *view = reference
    if tag != "storage" or not isinstance(key, str) or not _STORAGE_KEY.fullmatch(key):
        raise CheckpointError(f"{file}: a reference to something that is not a storage")
    part = view[0] if view else None
    if part is not None and (not isinstance(part, tuple) or len(part) != 3):
        raise CheckpointError(f"{file}: a reference to an unknown part of a storage")
    return storage_dtype(storage_class, file), key, numel, part and (part[1], part[2])


def script_members(module: object, file: str) -> tuple[dict[str, Lazy], dict[str, object]]:
    """Return the tensors and child modules in the state of one TorchScript module.

    Raises:
        CheckpointError: it is not a module.
    """
    if not isinstance(module, Record) or not isinstance(module.state, dict):
        raise CheckpointError(f"{file}: an archived module without its attributes")
    values = module.state.items()
    tensors = {
        name: value for name, value in values if isinstance(value, Lazy) and value.holds_numbers
    }
    return tensors, {name: value for name, value in values if isinstance(value, Record)}


def _same(storage: Storage, dtype: Any, numel: Any, file: str) -> Storage:
    if storage.dtype != dtype or storage.numel != numel:
        raise CheckpointError(f"{file}: one storage under two types or lengths")
    return storage


def _is_main_pickle(name: str) -> bool:
    return name.endswith("/data.pkl") and name.count("/") == 1


def _is_little_endian(system: Any) -> bool:
    return isinstance(system, dict) and system.get("little_endian") is True
