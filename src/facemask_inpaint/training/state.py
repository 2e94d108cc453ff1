"""Everything a run needs to go on, in files that are whole or not there."""

from __future__ import annotations

import logging
import pickle
import re
from pathlib import Path
from typing import Any

import torch

from facemask_inpaint.files import atomic_path

KEPT = 2
"""Checkpoints that stay; the older one is for the case that the newest is damaged on disk."""

_NAME = re.compile(r"step-(\d+)\.pt")
_log = logging.getLogger(__name__)


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write a checkpoint, and remove all but the newest few."""
    path = folder / f"step-{step:09d}.pt"
    with atomic_path(path) as temporary:
        torch.save({"step": step, **state}, temporary)
    for old in _found(folder)[KEPT:]:
        old.unlink()
    return path


def newest(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that can be read; ``None`` without any."""
    for path in _found(folder):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
            _log.warning("%s cannot be read (%s); trying the one before", path, error)
    return None


def _found(folder: Path) -> list[Path]:
    """Checkpoints, newest first."""
    named = {path: _NAME.fullmatch(path.name) for path in folder.glob("step-*.pt")}
    steps = {path: int(match[1]) for path, match in named.items() if match}
    return sorted(steps, key=lambda path: -steps[path])
