"""A data set by its path alone."""

from __future__ import annotations

from pathlib import Path

from facemask_inpaint.data import celebamask
from facemask_inpaint.data.faces import Faces
from facemask_inpaint.data.labelled_folders import IMAGES, LABELS, labelled_folder
from facemask_inpaint.errors import OptionError, unknown_name


def open_faces(
    path: str | Path, split: str | None = None, *, preferred: str | None = None
) -> Faces:
    """Portraits with label maps, from a folder in a layout that this library knows.

    Args:
        path: CelebAMask-HQ as distributed (see :func:`celebamask_hq`), or a folder with
            ``images`` and ``labels`` in it (see :func:`labelled_folder`).
        split: the part to take. Of CelebAMask-HQ one of CelebA's partition, by default
            ``"test"``; of a folder those listed in ``<split>.txt``, by default all. ``"all"`` is
            everything.
        preferred: the split to take by default where the data set has it, such as ``"train"``.

    Raises:
        OptionError: the layout is neither, or a listed portrait is not there.
        UnknownNameError: there is no such split.
    """
    root = Path(path)
    if celebamask.find_root(root) is not None:
        return celebamask.celebamask_hq(root, split or preferred or "test")
    if not (root / IMAGES).is_dir():
        raise OptionError(
            f"{root} is no data set: it holds neither {celebamask.IMAGE_FOLDER} (CelebAMask-HQ) "
            f"nor {IMAGES} and {LABELS}; data.labelled_folder takes folders of other names"
        )
    if split is None and preferred and (root / f"{preferred}.txt").is_file():
        split = preferred
    if split in (None, celebamask.ALL):
        return labelled_folder(root)
    listed = root / f"{split}.txt"
    if not listed.is_file():
        lists = [file.stem for file in root.glob("*.txt")]
        raise unknown_name(f"split of {root}", str(split), [*lists, celebamask.ALL])
    return labelled_folder(root, keys=listed)
