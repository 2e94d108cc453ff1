"""Data sets by their folder: CelebAMask-HQ, or portraits beside label maps."""

from __future__ import annotations

from pathlib import Path

from facemask_inpaint.data import celebamask
from facemask_inpaint.data.faces import Face, Faces
from facemask_inpaint.data.keys import KeyList, read_keys
from facemask_inpaint.data.layouts import LAYOUTS
from facemask_inpaint.errors import OptionError, unknown_name
from facemask_inpaint.images.folders import key_of, list_images
from facemask_inpaint.labels import LabelOrder
from facemask_inpaint.masks.label_orders import named_order
from facemask_inpaint.masks.vocabularies import FACES, Vocabulary
from facemask_inpaint.masks.vocabulary_files import open_vocabulary

IMAGE_FOLDER = "images"
LABEL_MAP_FOLDER = "labels"


def open_faces(
    path: str | Path,
    split: str | None = None,
    *,
    preferred: str | None = None,
    label_order: str | LabelOrder | None = None,
    vocabulary: str | Path | Vocabulary | None = None,
    label_maps: bool = True,
) -> Faces:
    """Return images with label maps, from a folder in a layout that this library knows.

    Args:
        path: CelebAMask-HQ as distributed (see :func:`celebamask_hq`), another data set as
            distributed (see :data:`LAYOUTS`), or a folder with ``images`` and ``labels`` in it
            (see :func:`labelled_folder`).
        split: the part to take. Of CelebAMask-HQ one of CelebA's partition, by default
            ``"test"``; of a folder those listed in ``<split>.txt``, by default all. ``"all"`` is
            everything.
        preferred: the split to take by default where the data set has it, such as ``"train"``.
        label_order: in which ids of faces are in the label maps, a key of
            :data:`~facemask_inpaint.labels.LABEL_ORDERS` or a record of your own; by default that
            of the data set, which is CelebAMask-HQ's in folders of your own.
        vocabulary: what label ids stand for, as :func:`~facemask_inpaint.masks.open_vocabulary`
            takes it; by default that of the data set, which is faces in folders of your own.
        label_maps: whether they are needed; ``False`` takes a folder with ``images`` alone, too.

    Raises:
        OptionError: The layout is none of these, or a listed portrait is not there.
        UnknownNameError: There is no such split, label order or vocabulary.

    Example:
        >>> from facemask_inpaint import data
        >>> faces = data.open_faces("faces", "test")  # doctest: +SKIP
    """
    root = Path(path)
    if celebamask.find_root(root) is not None:
        if vocabulary is not None or label_order not in (None, "celebamask-hq"):
            raise OptionError(f"{root}: the part files of CelebAMask-HQ have names, not label ids")
        return celebamask.celebamask_hq(root, split or preferred or "test")
    if not (root / LABEL_MAP_FOLDER).is_dir():
        for layout in LAYOUTS.values():
            if (found := layout.find_root(root)) is not None:
                chosen = split or (preferred if preferred in layout.splits else None)
                return layout.faces(found, chosen, label_order=label_order, vocabulary=vocabulary)
    return labelled_folder(
        root,
        label_maps=_label_maps_in(root, label_maps),
        keys=_listed_in(root, split, preferred),
        label_order=label_order,
        vocabulary=vocabulary or FACES,
    )


def _label_maps_in(root: Path, needed: bool) -> str | None:
    """The folder of label maps in a folder that holds images; ``None`` if there is none.

    Raises:
        OptionError: There are no images, or no label maps though they are needed.
    """
    if not (root / IMAGE_FOLDER).is_dir():
        raise OptionError(
            f"{root} is no data set: it holds neither {celebamask.IMAGE_FOLDER} (CelebAMask-HQ) "
            f"nor {IMAGE_FOLDER} and {LABEL_MAP_FOLDER}, nor is it laid out like "
            f"{', '.join(layout.title for layout in LAYOUTS.values())}; "
            "data.labelled_folder takes folders of other names"
        )
    if (root / LABEL_MAP_FOLDER).is_dir():
        return LABEL_MAP_FOLDER
    if needed:
        raise OptionError(
            f"{root / LABEL_MAP_FOLDER}: there is no such folder of label maps; label_maps=False "
            "does without, as train --masks random"
        )
    return None


def _listed_in(root: Path, split: str | None, preferred: str | None) -> Path | None:
    """The list of a split's portraits; ``None`` if all are taken.

    Raises:
        UnknownNameError: There is no such split.
    """
    if split is None and preferred and (root / f"{preferred}.txt").is_file():
        split = preferred
    if split in (None, celebamask.ALL):
        return None
    listed = root / f"{split}.txt"
    if not listed.is_file():
        lists = [file.stem for file in root.glob("*.txt")]
        raise unknown_name(f"split of {root}", str(split), [*lists, celebamask.ALL])
    return listed


def labelled_folder(
    root: str | Path = ".",
    *,
    images: str | Path = IMAGE_FOLDER,
    label_maps: str | Path | None = LABEL_MAP_FOLDER,
    keys: KeyList | None = None,
    label_order: str | LabelOrder | None = None,
    vocabulary: str | Path | Vocabulary = FACES,
) -> Faces:
    """Return portraits of one folder with the label maps of another, paired by file stem.

    Args:
        root: folder that holds both.
        images: folder of the portraits, in any image format; relative to ``root`` or absolute.
        label_maps: folder of the label maps, likewise: one file per portrait, pixels are ids in the
            order of CelebAMask-HQ, unless ``label_order`` or ``vocabulary`` say otherwise.
            ``None`` for portraits without.
        keys: the portraits to take, in this order: file stems, or a text file with one a line;
            ``None`` for all, by name.
        label_order: in which ids of faces are; see :func:`open_faces`.
        vocabulary: what label ids stand for; see :func:`open_faces`.

    Returns:
        The portraits. One whose label map is missing is among them; ``data.check`` names it.

    Raises:
        OptionError: A folder is missing, or a listed portrait is not there.
        ImageError: A folder holds no images, or two with one stem.

    Example:
        >>> faces = labelled_folder(images="/data/faces", label_maps="/data/maps")  # doctest: +SKIP
    """
    image_folder = _folder(Path(root, images), "portraits")
    by_key = {key_of(path): path for path in list_images(image_folder)}
    maps: dict[str, Path] = {}
    if label_maps is not None:
        label_folder = _folder(Path(root, label_maps), "label maps; label_maps=None does without")
        expected = {key: label_folder / f"{key}.png" for key in by_key}
        maps = expected | {key_of(path): path for path in list_images(label_folder)}
    chosen = list(by_key) if keys is None else read_keys(keys, by_key)
    origin = Path(keys).name if isinstance(keys, str | Path) else "the list of keys"
    if unknown := [key for key in chosen if key not in by_key]:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise OptionError(
            f"{image_folder} has no image {', '.join(unknown[:5])}{more}, "
            f"which {origin} asks for; take it off the list or add the file"
        )
    name = image_folder.parent.name if image_folder.name == IMAGE_FOLDER else image_folder.name
    if isinstance(keys, str | Path):
        name += f" {Path(keys).stem}"
    order = None if label_order is None else named_order(label_order)
    name += f" (label order {order.title})" if order else ""
    labels = open_vocabulary(vocabulary)
    return Faces(
        name, tuple(Face(key, by_key[key], maps.get(key), labels, order) for key in chosen)
    )


def _folder(path: Path, content: str) -> Path:
    if not path.is_dir():
        raise OptionError(f"{path}: there is no such folder of {content}")
    return path.resolve()
