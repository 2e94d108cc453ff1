"""Lists of portraits by key: splits as people pass them around."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from facemask_inpaint.errors import OptionError

KeyList: TypeAlias = str | Path | Iterable[str]
"""Keys, or the text file that holds one a line."""


def read_keys(keys: KeyList) -> list[str]:
    """Keys of a list: what is before the suffix in the last part of each path.

    ``28.jpg``, ``train/28.jpg`` and ``28`` are the same key, so lists of file names (``.flist``)
    serve as well as plain keys. Empty lines do not count.

    Raises:
        OptionError: the file cannot be read, or there is no key.
    """
    name = "the list of keys"
    if isinstance(keys, str | Path):
        name = str(keys)
        try:
            keys = Path(keys).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(
                f"{name}: cannot be read as a list of keys, one a line ({error})"
            ) from error
    found = [PurePosixPath(key.strip()).stem for key in keys if key.strip()]
    if not found:
        raise OptionError(f"{name} is empty; it should hold one key a line")
    return found
