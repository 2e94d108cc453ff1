"""The packages of the ``onnx`` extra, and what to do where they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from facemask_inpaint.errors import MissingDependencyError


def require(name: str) -> ModuleType:
    """Import one of ``onnx``, ``onnxscript`` and ``onnxruntime``.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"ONNX graphs need {name}, which is not installed: pip install 'facemask-inpaint[onnx]'"
        ) from error
