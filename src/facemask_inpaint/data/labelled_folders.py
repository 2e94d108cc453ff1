"""Any folder of portraits beside a folder of label maps."""

from __future__ import annotations

from pathlib import Path

from facemask_inpaint.data.faces import Face, Faces
from facemask_inpaint.data.keys import KeyList, read_keys
from facemask_inpaint.errors import OptionError
from facemask_inpaint.images.folders import key_of, list_images

IMAGES = "images"
LABELS = "labels"


def labelled_folder(
    root: str | Path = ".",
    *,
    images: str | Path = IMAGES,
    labels: str | Path | None = LABELS,
    keys: KeyList | None = None,
) -> Faces:
    """Portraits of one folder with the label maps of another, paired by file stem.

    Args:
        root: folder that holds both.
        images: folder of the portraits, in any picture format; relative to ``root`` or absolute.
        labels: folder of the label maps, likewise: one file per portrait, pixels are ids in the
            order of CelebAMask-HQ. ``None`` for portraits without.
        keys: the portraits to take, in this order: file stems, or a text file with one a line;
            ``None`` for all, by name.

    Returns:
        The portraits. One whose label map is missing is among them; ``data.check`` names it.

    Raises:
        OptionError: a folder is missing, or a listed portrait is not there.
        ImageError: a folder holds no pictures, or two with one stem.

    Example:
        >>> faces = labelled_folder(images="/data/faces", labels="/data/maps")  # doctest: +SKIP
    """
    image_folder = _folder(Path(root, images), "portraits")
    pictures = {key_of(path): path for path in list_images(image_folder)}
    maps: dict[str, Path] = {}
    if labels is not None:
        label_folder = _folder(Path(root, labels), "label maps; labels=None does without")
        expected = {key: label_folder / f"{key}.png" for key in pictures}
        maps = expected | {key_of(path): path for path in list_images(label_folder)}
    chosen = list(pictures) if keys is None else read_keys(keys, pictures)
    origin = Path(keys).name if isinstance(keys, str | Path) else "the list of keys"
    if unknown := [key for key in chosen if key not in pictures]:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise OptionError(
            f"{image_folder} has no picture {', '.join(unknown[:5])}{more}, "
            f"which {origin} asks for; take it off the list or add the file"
        )
    name = image_folder.parent.name if image_folder.name == IMAGES else image_folder.name
    if isinstance(keys, str | Path):
        name += f" {Path(keys).stem}"
    return Faces(name, tuple(Face(key, pictures[key], maps.get(key)) for key in chosen))


def _folder(path: Path, content: str) -> Path:
    if not path.is_dir():
        raise OptionError(f"{path}: there is no such folder of {content}")
    return path.resolve()
