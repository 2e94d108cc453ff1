"""Pictures in folders: listing them, and pairing two folders by file stem."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from facemask_inpaint.errors import ImageError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


def list_images(source: Path) -> list[Path]:
    """Picture files of a folder, sorted by name; a file stands for itself.

    Hidden files are no pictures: macOS leaves ``._face.png`` on foreign disks, and a run that was
    killed may leave half a file under such a name.

    Raises:
        ImageError: the folder holds no pictures, or two with one stem.
    """
    if not source.is_dir():
        return [source]
    found = sorted(
        path
        for path in source.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    if not found:
        raise ImageError(f"{source}: no pictures here ({', '.join(sorted(IMAGE_SUFFIXES))})")
    stems: dict[str, Path] = {}
    for path in found:
        if path.stem in stems:
            raise ImageError(f"{source}: {stems[path.stem].name} and {path.name} share a stem")
        stems[path.stem] = path
    return found


class Pairs(NamedTuple):
    """Files paired by stem, and the stems that only one side has."""

    matched: list[tuple[Path, Path]]
    only_first: list[str]
    only_second: list[str]


def pair_by_stem(first: Path, second: Path) -> Pairs:
    """Pair the pictures of two folders, or two files whatever their names.

    A single ``second`` file goes with every picture of ``first``.
    """
    left = list_images(first)
    if not second.is_dir():
        return Pairs([(path, second) for path in left], [], [])
    if not first.is_dir():
        same = [path for path in list_images(second) if path.stem == first.stem]
        return Pairs([(first, path) for path in same], [] if same else [first.stem], [])
    right = {path.stem: path for path in list_images(second)}
    stems = {path.stem for path in left}
    return Pairs(
        [(path, right[path.stem]) for path in left if path.stem in right],
        sorted(stems - right.keys()),
        sorted(right.keys() - stems),
    )
