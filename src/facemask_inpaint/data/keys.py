"""Lists of portraits by key: splits as people pass them around."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeAlias

from facemask_inpaint.errors import OptionError
from facemask_inpaint.images.folders import compose
from facemask_inpaint.images.formats import image_suffixes

KeyList: TypeAlias = str | Path | Iterable[str]
"""Keys, or the text file that holds one a line."""


def read_keys(keys: KeyList, known: Collection[str] = ()) -> list[str]:
    r"""Read keys: what is before the image suffix in the last part of each path of a list.

    ``28.jpg``, ``train/28.jpg``, ``train\28.jpg`` and ``28`` are the same key, so lists of file
    names (``.flist``) serve as well as plain keys; dots that begin no suffix belong to the key.
    Empty lines do not count. Files are UTF-8, or UTF-16 with a byte-order mark.

    Args:
        keys: the list, or its file.
        known: keys that there are; a line that is one of them as it stands is that one.

    Raises:
        OptionError: The file cannot be read, or there is no key.

    Example:
        >>> from facemask_inpaint import data
        >>> data.read_keys(["train/28.jpg", "3"])
        ['28', '3']
    """
    name = "the list of keys"
    if isinstance(keys, str | Path):
        name = str(keys)
        keys = _lines(Path(keys))
    existing = set(known)
    listed = [_key(line.strip(), existing) for line in keys if line.strip()]
    if not listed:
        raise OptionError(f"{name} is empty; it should hold one key a line")
    return listed


def _lines(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if is_utf16 else "utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(
            f"{path}: cannot be read as a list of keys, one a line ({error})"
        ) from error


def _key(line: str, known: Collection[str]) -> str:
    """The key that a line means: the first of its readings that is known, else the last."""
    *_, last = readings = list(_readings(compose(line)))
    return next((reading for reading in readings if reading in known), last)


def _readings(line: str) -> Iterator[str]:
    yield line
    for name in (PurePosixPath(line).name, PureWindowsPath(line).name):
        yield name
        path = PurePosixPath(name)
        yield path.stem if path.suffix.lower() in image_suffixes() else name
