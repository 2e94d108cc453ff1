"""Merged label maps, built once: one small file to read in place of up to eighteen."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facemask_inpaint import images
from facemask_inpaint._internal.concurrency import in_threads
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint._internal.identity import stamp_of
from facemask_inpaint.data.faces import Face, Faces
from facemask_inpaint.errors import ImageError, LabelMapError, OptionError
from facemask_inpaint.masks.label_maps import Annotation

_SOURCE = "source"
"""PNG text under which a cached map keeps what it was made from."""

_log = logging.getLogger(__name__)


def cache_label_maps(
    faces: Faces,
    folder: str | Path,
    workers: int | None = None,
    *,
    progress: bool = True,
) -> Faces:
    """Write every portrait's merged label map to ``<folder>/<key>.png``, unless it is there.

    Part files are merged by the data set's rule (:meth:`Annotation.merged`): masks cut from the
    result are smaller than the parts wherever parts overlap. Maps are written whole or not at
    all, so a call that was killed goes on where it stopped, and several may fill one folder. A map
    whose source files changed in size or time, or are others, is made anew.

    Args:
        faces: portraits with label maps or part files. Label maps in another label order are one
            file each already, and stay where they are.
        folder: where the maps go; made if need be.
        workers: threads; ``None`` for one per processor.
        progress: show a progress bar.

    Returns:
        The same portraits with the cached maps. One whose labels cannot be read keeps them as
        they are, so that reading fails where it is used; a warning is logged.

    Raises:
        OptionError: The folder is where the label maps come from.

    Example:
        >>> from facemask_inpaint import data
        >>> cached = data.cache_label_maps(faces, "label-maps")  # doctest: +SKIP
    """
    folder = Path(folder)
    sources = {face.label_map.parent for face in faces if face.label_map is not None}
    if folder.resolve() in {source.resolve() for source in sources}:
        raise OptionError(f"{folder} holds the labels themselves; cache them in another folder")
    folder.mkdir(parents=True, exist_ok=True)
    cached = in_threads(
        partial(_cache, folder=folder),
        faces,
        workers=workers,
        progress=progress,
        description="label maps",
    )
    failed = [
        face.key
        for face in cached
        if face.label_map and face.label_map.parent in sources and face.label_order is None
    ]
    if failed:
        _log.warning(
            "%s: labels that cannot be read and are not cached: %d (%s); data.check says why",
            *(faces.name, len(failed), ", ".join(failed[:5]) + (", …" if len(failed) > 5 else "")),
        )
    return replace(faces, faces=tuple(cached))


def _cache(face: Face, folder: Path) -> Face:
    target = folder / f"{face.key}.png"
    files = face.label_files()
    if not files or face.label_order is not None:
        return face
    source = stamp_of(files)
    if _source_of(target) != source:
        try:
            labels = face.read_label_map()
        except (ImageError, LabelMapError):
            return face
        ids = labels.merged() if isinstance(labels, Annotation) else labels.ids
        notes = PngInfo()
        notes.add_text(_SOURCE, source)
        with atomic_path(target) as temporary:
            Image.fromarray(ids).save(temporary, "PNG", pnginfo=notes)
    return replace(face, label_map=target)


def _source_of(target: Path) -> str | None:
    try:
        with images.open_image(target) as image:
            return image.info.get(_SOURCE)
    except ImageError:  # missing, or not an image
        return None
