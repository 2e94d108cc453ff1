"""Errors this library raises on purpose.

Every message says what was wrong, names the file or argument, and says what to do next.
All derive from :class:`FacemaskInpaintError`; those about bad input are ``ValueError`` too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN_NAMES = 24


class FacemaskInpaintError(Exception):
    """Base of every error raised on purpose by this library."""


class ImageError(FacemaskInpaintError, ValueError):
    """A picture cannot be read or is not of a kind this library knows."""


class MaskError(FacemaskInpaintError, ValueError):
    """A hole mask is empty, of another size than its picture, or not two-valued."""


class LabelMapError(FacemaskInpaintError, ValueError):
    """A label map has unknown ids, the wrong type or the wrong shape."""


class DataSetError(FacemaskInpaintError, ValueError):
    """Portraits of a data set cannot be used; the message names them."""


class ComponentAbsentError(FacemaskInpaintError, ValueError):
    """The asked-for facial component does not occur in this label map."""


class SizeError(FacemaskInpaintError, ValueError):
    """A network cannot take pictures of this height and width."""


class CheckpointError(FacemaskInpaintError, ValueError):
    """A checkpoint file is damaged, of an unknown kind, or does not fit its network."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint asked for something outside the closed allow-list; nothing was executed."""


class IntegrityError(CheckpointError):
    """A file's hash differs from the pinned one; the message holds both."""


class WeightsNotFoundError(FacemaskInpaintError, LookupError):
    """No weights could be found or fetched; the message says where to get them."""


class UnknownNameError(FacemaskInpaintError, ValueError):
    """A registry name, mask class or option is not known; the message lists the near ones."""


class MissingDependencyError(FacemaskInpaintError, ImportError):
    """An optional package is needed; the message holds the ``pip install`` line."""


class OptionError(FacemaskInpaintError, ValueError):
    """An argument has a value that makes no sense here; the message says which ones do."""


class ExportError(FacemaskInpaintError):
    """An exported graph cannot be made, or differs from its network; nothing was written."""


class FolderInUseError(FacemaskInpaintError):
    """Another process works in this folder; the message names it."""


class DivergedError(FacemaskInpaintError):
    """Training met a loss that is not a finite number; the message names the step."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Error for a ``name`` that is not ``known``; its message holds the nearest ones, or some."""
    names = sorted(dict.fromkeys(str(item) for item in known))
    near = difflib.get_close_matches(name.strip().lower(), names, n=3, cutoff=0.4)
    shown = ", ".join(names[:_SHOWN_NAMES]) + (" …" if len(names) > _SHOWN_NAMES else "")
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {shown}"
    return UnknownNameError(f"unknown {kind} {name!r}: {hint}")
