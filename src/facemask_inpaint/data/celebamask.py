"""CelebAMask-HQ as its authors distribute it: 30,000 portraits, up to 18 part masks each.

Lee, Liu, Wu and Luo, "MaskGAN: Towards Diverse and Interactive Facial Image Manipulation", CVPR
2020. For non-commercial research; no part of it may be passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias, TypeVar

from facemask_inpaint.data.faces import Face, Faces
from facemask_inpaint.data.keys import KeyList, read_keys
from facemask_inpaint.errors import OptionError, unknown_name

IMAGE_FOLDER = "CelebA-HQ-img"
PART_FOLDER = "CelebAMask-HQ-mask-anno"
MAPPING_FILE = "CelebA-HQ-to-CelebA-mapping.txt"

ALL = "all"
"""The split that every partition has: all images."""

_NAME = "CelebAMask-HQ"
_PICTURES = 30_000
_CELEBA = {
    "train": range(162_771),
    "val": range(162_771, 182_638),
    "test": range(182_638, 202_599),
}
_FIRST_N = re.compile(r"first-(\d+)")
_ROW = re.compile(r"\s*(\d+)\s+(\d+)\s")
Part = TypeVar("Part", range, KeyList)

_TWINS = (
    *((234, 235), (3329, 3330), (5162, 5163), (6770, 6771), (7384, 7385), (7561, 7562)),
    *((12444, 12445), (12885, 12886), (13825, 13826), (15506, 15507), (19199, 19200)),
    *((20134, 20135), (24646, 24647)),
)
_NO_HAIR_OR_HAT = (481, 13008, 17586)
_HAIR_TOO_LARGE = (1499, 2260, 2281, 5130, 5591, 5608, 10184)
_NEEDLESS_PART = (2905, 3137, 9150, 9895, 15587)

KNOWN_DEFECTS: Mapping[str, str] = {
    "404": "mouth and lips are not annotated",
    "2110": "not aligned like the others",
    "4790": "eleven part files are empty",
    "4995": "the parts do not belong to this image",
    **{str(key): "hair or hat is not annotated" for key in _NO_HAIR_OR_HAT},
    **{str(key): "hair is annotated too large" for key in _HAIR_TOO_LARGE},
    **{str(key): "a part is annotated that is not there" for key in _NEEDLESS_PART},
    **{str(second): f"nearly the same image as {first}" for first, second in _TWINS},
}
"""Images with defects that users reported to the authors (issues 5 and 84 of their repository),
by key. Some may be mended in later archives. For :meth:`Faces.without`."""

Partition: TypeAlias = str | Mapping[str, KeyList]
"""``"celeba"``, ``"first-<n>"``, or lists of keys by the name of their split."""


def celebamask_hq(
    root: str | Path,
    split: str = "test",
    partition: Partition = "celeba",
    *,
    label_maps: str | Path | None = None,
) -> Faces:
    """Return portraits of CelebAMask-HQ.

    Args:
        root: the unpacked archive, or the folder that holds it.
        split: ``"train"``, ``"val"``, ``"test"`` or another split of the partition; ``"all"`` for
            every image.
        partition: ``"celeba"``, CelebA's own (24,183 / 2,993 / 2,824 images) through the
            mapping file; ``"first-24000"``, the first images to train and the rest to test, or
            any other number; or key lists by split, as in ``{"train": "train.flist", "test":
            ["3", "28"]}``.
        label_maps: folder of merged label maps ``<key>.png``, one file per image; ``None`` for
            the part files of the archive, which keep what a merged map paints over.

    Returns:
        The portraits of the split, whether or not their files are there: ``data.check`` tells.

    Raises:
        OptionError: This is not the data set, its mapping file is missing or damaged, or a list
            names an image that it does not have.
        UnknownNameError: There is no such partition or split.

    Example:
        >>> from facemask_inpaint import data
        >>> len(data.celebamask_hq("CelebAMask-HQ", "test"))  # doctest: +SKIP
        2824
    """
    folder = find_root(root)
    if folder is None:
        raise OptionError(
            f"{root} is not CelebAMask-HQ: there is no {IMAGE_FOLDER} in it; "
            "unpack CelebAMask-HQ.zip and pass the folder"
        )
    label_folder = folder / PART_FOLDER if label_maps is None else Path(label_maps)
    if not label_folder.is_dir():
        raise OptionError(
            f"{label_folder}: there is no such folder of annotations; unpack the archive again, "
            "or name a folder of merged label maps by label_maps="
        )
    kind = partition if isinstance(partition, str) else "own lists"
    name = f"{_NAME} {split}" + ("" if split == ALL else f" ({kind})")
    faces = [
        Face(
            key,
            folder / IMAGE_FOLDER / f"{key}.jpg",
            label_folder if label_maps is None else label_folder / f"{key}.png",
        )
        for key in _keys(folder, split, partition)
    ]
    return Faces(name, tuple(faces), _trained_on(folder))


def _trained_on(root: Path) -> dict[str, frozenset[str]]:
    """Return which images the training splits hold that the mapping file tells."""
    trained: dict[str, frozenset[str]] = {"none": frozenset()}
    if (root / MAPPING_FILE).is_file():
        mapping = _mapping(root).items()
        seen = frozenset(key for key, index in mapping if index in _CELEBA["train"])
        trained["celeba-train"] = seen
    return trained


def find_root(path: str | Path) -> Path | None:
    """Return the data set's folder: this one, or one in it named as the archive; else ``None``."""
    candidates = (Path(path), Path(path, _NAME))
    return next((folder for folder in candidates if (folder / IMAGE_FOLDER).is_dir()), None)


def _keys(root: Path, split: str, partition: Partition) -> list[str]:
    if isinstance(partition, Mapping):
        return _listed_keys(root, split, partition)
    first_n = _FIRST_N.fullmatch(partition)
    if partition != "celeba" and first_n is None:
        raise unknown_name("partition", partition, ("celeba", "first-24000"))
    if split == ALL:
        return _all_keys(root)
    if first_n is None:
        indices = _part_of(_CELEBA, split)
        return [key for key, index in _mapping(root).items() if index in indices]
    count = int(first_n[1])
    numbers = _part_of({"train": range(count), "test": range(count, _PICTURES)}, split)
    return [key for key in _all_keys(root) if int(key) in numbers]


def _listed_keys(root: Path, split: str, partition: Mapping[str, KeyList]) -> list[str]:
    everything = _all_keys(root)
    if split == ALL:
        return everything
    known = set(everything)
    keys = [_unpadded(key) for key in read_keys(_part_of(partition, split), known)]
    if unknown := [key for key in keys if key not in known]:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise OptionError(
            f"the list of the split {split!r} names images that {root} does not have: "
            f"{', '.join(unknown[:5])}{more}"
        )
    return keys


def _part_of(parts: Mapping[str, Part], split: str) -> Part:
    if split not in parts:
        raise unknown_name("split", split, [*parts, ALL])
    return parts[split]


def _all_keys(root: Path) -> list[str]:
    """By the mapping file, which tells what should be there; without one by what is."""
    if (root / MAPPING_FILE).is_file():
        return list(_mapping(root))
    numbers = [
        int(path.stem) for path in (root / IMAGE_FOLDER).glob("*.jpg") if path.stem.isdigit()
    ]
    if not numbers:
        raise OptionError(f"{root / IMAGE_FOLDER} holds no images 0.jpg, 1.jpg, …")
    return [str(number) for number in sorted(numbers)]


def _mapping(root: Path) -> dict[str, int]:
    """Index in CelebA by key, in the order of the file.

    The authors' ``g_partition.py`` compares this column, which counts from 0, with the numbers of
    CelebA's files, which count from 1; its rule is kept, so a split can differ from CelebA's own
    list by one image at either border.
    """
    path = root / MAPPING_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise OptionError(
            f"{path}: cannot be read ({error.strerror}); it is part of the archive, and the "
            "partition 'celeba' needs it ('first-24000' does not)"
        ) from error
    mapping = {}
    for number, line in enumerate(lines, 1):
        match = _ROW.match(line)
        if match:
            mapping[_unpadded(match[1])] = int(match[2])
        elif number > 1 and line.strip():  # the first line is the heading
            raise OptionError(f"{path}, line {number}: not a row of idx, orig_idx, orig_file")
    if not mapping:
        raise OptionError(f"{path} has no rows; unpack the archive again")
    return mapping


def _unpadded(key: str) -> str:
    if not key.isdigit():
        raise OptionError(f"{key!r} is no image of CelebAMask-HQ: they are numbered from 0")
    return str(int(key))
