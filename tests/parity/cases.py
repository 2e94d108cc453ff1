"""Fixture cases: one picture, one mask, the named random draws and the official answers."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.parity.recipe import DATA

_PNG = np.frombuffer(b"\x89PNG\r\n\x1a\n", dtype=np.uint8)
_NUMBERED = re.compile(r"(?P<name>.+)_(?P<index>\d+)(?P<tail>_sub\d+)?")


@dataclass(frozen=True)
class Case:
    """One case of one archive.

    Attributes:
        network: name of the fixture folder, which is also the adapter's.
        archive: the ``cases*.npz`` file.
        index: number of the case in its archive.
        salt: salt of the weights (and of draws that follow from a rule) behind the answers.
        label: distinguishes cases of one index that an adapter invents; usually empty.
    """

    network: str
    archive: Path
    index: int
    salt: str = ""
    label: str = ""

    @property
    def id(self) -> str:
        """Short name for reports: ``lama.big-0``."""
        variant = self.archive.name.removeprefix("cases").removesuffix(".npz")
        label = f"-{self.label}" if self.label else ""
        return f"{self.network}{variant}-{self.index}{label}"

    @cached_property
    def archived(self) -> dict[str, np.ndarray]:
        """All arrays of the archive under their own names, for fixtures that mix kinds of cases."""
        with np.load(self.archive) as archive:
            return {key: _decoded(archive[key]) for key in archive.files}

    def array(self, name: str) -> np.ndarray:
        """An array under its own name, or in slim archives with the case's number behind it."""
        return self.archived[name if name in self.archived else f"{name}_{self.index}"]

    @cached_property
    def facts(self) -> Any:
        """What ``cases.json`` says: the one beside the archive, else the bundled one."""
        path = self.archive.with_name("cases.json")
        return _json(path if path.exists() else DATA / self.network / "cases.json")

    @cached_property
    def trace(self) -> Any:
        """What ``trace.json`` beside the archive says; empty where there is none."""
        path = self.archive.with_name("trace.json")
        return _json(path) if path.exists() else {}

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays of this case by name without its number, and those common to all cases.

        ``raw32_0`` becomes ``raw32`` and ``raw_nonoise_0_sub4`` becomes ``raw_nonoise_sub4``.
        """
        with np.load(self.archive) as archive:
            own = {key: _own_name(key, self.index) for key in archive.files}
            return {name: _decoded(archive[key]) for key, name in own.items() if name}


def indices(archive: Path) -> list[int]:
    """Numbers of the cases in an archive: those that have a picture of their own."""
    with np.load(archive) as content:
        found = (_NUMBERED.fullmatch(key) for key in content.files)
        return sorted(int(match["index"]) for match in found if match and match["name"] == "image")


@cache
def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def encoded_png(picture: np.ndarray) -> np.ndarray:
    """An 8-bit picture as the bytes of a PNG, in which form the bundled archives hold it."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)


def _decoded(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8 and array.ndim == 1 and np.array_equal(array[: _PNG.size], _PNG):
        return np.asarray(Image.open(io.BytesIO(array.tobytes())))
    return array


def _own_name(key: str, index: int) -> str | None:
    match = _NUMBERED.fullmatch(key)
    if match is None:
        return key
    return match["name"] + (match["tail"] or "") if int(match["index"]) == index else None
