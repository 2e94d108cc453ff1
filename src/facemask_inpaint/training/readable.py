"""What happens when portraits of a data set cannot be read: all of them are named at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from facemask_inpaint import data
from facemask_inpaint.data import Faces
from facemask_inpaint.errors import DataSetError, ImageError, LabelMapError

_log = logging.getLogger(__name__)


@contextmanager
def reading(faces: Faces, *, label_maps: bool = True, progress: bool = False) -> Iterator[None]:
    """Read portraits; where one cannot be used, check all of them and name every such portrait.

    Args:
        faces: the data set that is read.
        label_maps: whether they are read, too.
        progress: show a progress bar while the data set is checked.

    Raises:
        DataSetError: With every unusable portrait of the data set.
    """
    try:
        yield
    except (ImageError, LabelMapError, DataSetError):
        _log.warning("a portrait cannot be used; checking all %d of %s", len(faces), faces.name)
        report = data.check(faces, square=True, label_maps=label_maps, progress=progress)
        advice = "train --check lists them too, and train --skip-unreadable leaves them out"
        report.require_usable(advice if report.usable else "")
        raise


def readable_only(faces: Faces, *, label_maps: bool = True, progress: bool = False) -> Faces:
    """Return the portraits that can be used; a warning says how many are left out, and which.

    Args:
        faces: the data set; every file of it is read once.
        label_maps: whether they are needed.
        progress: show a progress bar.

    Raises:
        OptionError: No portrait is left.
    """
    report = data.check(faces, square=True, label_maps=label_maps, progress=progress)
    if report.ok:
        return faces
    unusable = report.unusable
    shown = ", ".join(unusable[:5]) + (", …" if len(unusable) > 5 else "")
    _log.warning(
        "%s: %d of %d portraits cannot be used and are left out (%s)",
        *(faces.name, len(unusable), len(faces), shown),
    )
    return faces.select(report.usable)
