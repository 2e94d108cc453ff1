"""Images in folders: listing them, naming them by key, and pairing two folders."""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from facemask_inpaint.errors import ImageError
from facemask_inpaint.images.formats import image_suffixes

_SHOWN = 5
_HEIC = frozenset({".heic", ".heif"})
_LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini"})


def key_of(path: str | os.PathLike[str]) -> str:
    """Return what pairs a file with its counterparts: its name without the suffix, in NFC.

    Some systems decompose accents in file names and lists of names do not, or the other way
    round; both spellings are one key.

    Example:
        >>> key_of("faces/00012.png")
        '00012'
    """
    return compose(Path(path).stem)


def compose(name: str) -> str:
    """Return a name as keys spell it, accents composed with their letters (NFC)."""
    return unicodedata.normalize("NFC", name)


def list_images(source: Path) -> list[Path]:
    """List the images of a folder, sorted by name; a file is a list of itself.

    Every file with an image's suffix is listed, also one that cannot be read, so that reading
    reports it. Hidden files are left out: macOS leaves ``._face.png`` on foreign disks, and a run
    that was killed may leave half a file under such a name.

    Raises:
        ImageError: the folder holds no images, or two of the same stem.

    Warns:
        UserWarning: other files lie beside the images; the message names them.

    Example:
        >>> [path.name for path in list_images(Path("face.png"))]
        ['face.png']
    """
    if not source.is_dir():
        return [source]
    entries = _visible(source)
    images = [path for path in entries if _is_named_so(path) and _is_text(path.name)]
    others = [path.name for path in entries if not _is_named_so(path) and _is_content(path)]
    nameless = [ascii(path.name) for path in entries if not _is_text(path.name)]
    if not images:
        beside = f"; {len(others)} other files: {listed(others)}" if others else ""
        heic = any(Path(name).suffix.lower() in _HEIC for name in others)
        advice = "; `pip install pillow-heif` to read HEIC images" if heic else ""
        raise ImageError(f"{source}: no images here{beside}{advice}")
    _require_different_keys(source, images)
    _say_left_out(source, "no image format has such a suffix", others)
    _say_left_out(source, "names must be text in this system's encoding", nameless)
    return images


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _is_named_so(path: Path) -> bool:
    """Whether a file has an image's suffix."""
    return path.suffix.lower() in image_suffixes()


def _require_different_keys(source: Path, paths: list[Path]) -> None:
    keys: dict[str, Path] = {}
    for path in paths:
        key = key_of(path)
        if key in keys:
            raise ImageError(f"{source}: {keys[key].name} and {path.name} share a stem")
        keys[key] = path


def _say_left_out(source: Path, reason: str, names: list[str]) -> None:
    if names:
        text = f"{source}: left out, since {reason}: {listed(names)}"
        warnings.warn(text, UserWarning, stacklevel=3)


def class_folders(source: Path) -> dict[str, Path]:
    """Return the sub-folders, by name, of a folder that holds no images itself.

    Such are the folders ``OUT/<mask class>/`` that the commands write.
    """
    if not source.is_dir():
        return {}
    entries = _visible(source)
    if any(_is_named_so(path) and not path.is_dir() for path in entries):
        return {}
    return {path.name: path for path in entries if path.is_dir()}


def _is_text(name: str) -> bool:
    """Whether a file's name is text, which records and tables of it have to be."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_content(path: Path) -> bool:
    is_listed_by_name = path.name.lower() not in _LEFT_BY_SYSTEMS and _is_text(path.name)
    return is_listed_by_name and not path.is_dir()


def listed(names: Iterable[str]) -> str:
    """Return the first names as text, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def find_image(folder: Path, key: str) -> Path | None:
    """Return the image of a folder that has this key; ``None`` if there is none."""
    spellings = (unicodedata.normalize(form, key) for form in ("NFC", "NFD"))
    suffixes = (".png", ".jpg", *sorted(image_suffixes()))
    paths = (folder / f"{name}{suffix}" for name in spellings for suffix in suffixes)
    return next((path for path in paths if path.is_file()), None)


class Pairs(NamedTuple):
    """Files paired by key, and the keys that only one of two folders has."""

    matched: list[tuple[Path, Path]]
    only_first: list[str]
    only_second: list[str]


def pair_by_stem(first: Path, second: Path) -> Pairs:
    """Pair the images of two folders by their keys, or two files whatever their names.

    A single ``second`` file goes with every image of ``first``.
    """
    left = list_images(first)
    if not second.is_dir():
        return Pairs([(path, second) for path in left], [], [])
    right = {key_of(path): path for path in list_images(second)}
    if not first.is_dir():
        key = key_of(first)
        return Pairs([(first, right[key])], [], []) if key in right else Pairs([], [key], [])
    keys = {key_of(path) for path in left}
    return Pairs(
        [(path, right[key_of(path)]) for path in left if key_of(path) in right],
        sorted(keys - right.keys()),
        sorted(right.keys() - keys),
    )
