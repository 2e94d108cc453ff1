"""The errors that this library raises on purpose.

Every message says what is wrong, names the file or argument, and says what to do next. All derive
from :class:`FacemaskInpaintError`; those about bad input are ``ValueError`` too.

Example:
    >>> import facemask_inpaint as fmi
    >>> try:
    ...     fmi.Inpainter.from_pretrained("lamma")
    ... except fmi.errors.FacemaskInpaintError as error:
    ...     print(type(error).__name__)
    UnknownNameError
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN_NAMES = 24


class FacemaskInpaintError(Exception):
    """Base of every error raised on purpose by this library."""


class ImageError(FacemaskInpaintError, ValueError):
    """An image cannot be read, or is of no type that this library knows."""


class MaskError(FacemaskInpaintError, ValueError):
    """A mask is empty, of another size than its image, or not two-valued."""


class LabelMapError(FacemaskInpaintError, ValueError):
    """A label map has unknown label ids, the wrong type or the wrong shape."""


class DataSetError(FacemaskInpaintError, ValueError):
    """Portraits of a data set cannot be used; the message names them."""


class ComponentAbsentError(FacemaskInpaintError, ValueError):
    """A component does not occur in a label map."""


class SizeError(FacemaskInpaintError, ValueError):
    """A network cannot take images of this height and width."""


class CheckpointError(FacemaskInpaintError, ValueError):
    """A checkpoint is damaged, of an unknown format, or does not fit its network."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint asks for something outside the closed allow-list; nothing is executed."""


class IntegrityError(CheckpointError):
    """The hash of a file differs from the pinned one; the message holds both."""


class WeightsNotFoundError(FacemaskInpaintError, LookupError):
    """Weights cannot be found or fetched; the message says where to get them."""


class UnknownNameError(FacemaskInpaintError, ValueError):
    """A registry name, mask class or option is unknown; the message lists similar ones."""


class MissingDependencyError(FacemaskInpaintError, ImportError):
    """An optional package is missing; the message holds the ``pip install`` line."""


class OptionError(FacemaskInpaintError, ValueError):
    """An argument has a value that makes no sense; the message says which ones do."""


class ExportError(FacemaskInpaintError):
    """An exported graph cannot be made, or differs from its network; nothing was written."""


class FolderInUseError(FacemaskInpaintError):
    """Another process is working in a folder; the message names it."""


class DivergedError(FacemaskInpaintError):
    """A loss in training is not a finite number; the message names the step."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for a ``name`` that is not among the ``known`` ones.

    Args:
        kind: what the name names, such as ``"mask class"``.
        name: as the user wrote it.
        known: the valid names; the message lists similar ones, or the first ones.
    """
    names = sorted(dict.fromkeys(str(item) for item in known))
    near = difflib.get_close_matches(name.strip().lower(), names, n=3, cutoff=0.4)
    shown = ", ".join(names[:_SHOWN_NAMES]) + (" …" if len(names) > _SHOWN_NAMES else "")
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {shown}"
    return UnknownNameError(f"unknown {kind} {name!r}: {hint}")
