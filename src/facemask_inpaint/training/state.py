"""Checkpoints of a run, written whole or not at all, and proved intact when they are read."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import torch
from torch import Tensor

from facemask_inpaint import checkpoints
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint._internal.types import StateDict
from facemask_inpaint.errors import CheckpointError
from facemask_inpaint.training.learner import LearnerState
from facemask_inpaint.training.log import Sums

KEPT = 2
"""Checkpoints that are kept; the older one is there in case the newest is damaged on disk."""

_NAME = re.compile(r"step-(\d+)\.pt")
_DIGEST = "sha256"
_MAX_VALUES = 1_000_000
_log = logging.getLogger(__name__)


class TrainingState(TypedDict):
    """A run after some step.

    Attributes:
        step: number of steps done.
        recipe: as YAML.
        data: digest of the portraits.
        labels: what the ids in their label maps mean, see :func:`~.dataset.label_meaning`;
            checkpoints of before it was kept are without, and taken to agree.
        learner: weights and optimisers.
        sampler: state of the mask sampler.
        log: losses since the last line of the log.
        seconds: spent in training steps.
    """

    step: int
    recipe: str
    data: str
    labels: NotRequired[dict[str, str]]
    learner: LearnerState
    sampler: StateDict
    log: Sums
    seconds: float


def save(folder: Path, state: TrainingState) -> Path:
    """Write a checkpoint, and remove all but the newest few.

    Checkpoints of a later step, which a run that continues from here did not use, are damaged or
    belong to another run: they are renamed to ``….bad``.

    Args:
        folder: of the checkpoints.
        state: of the run.

    Returns:
        The file that was written.
    """
    step = state["step"]
    path = folder / f"step-{step:09d}.pt"
    for other in _newest_first(folder):
        if _step(other) > step or (other == path and other.is_dir()):
            _set_aside(other)
    with atomic_path(path, durable=True) as temporary:
        torch.save({_DIGEST: digest(state), **state}, temporary)
    for old in _newest_first(folder)[KEPT:]:
        with suppress(OSError):  # a folder of that name
            old.unlink()
    return path


def usable(folder: Path) -> Iterator[TrainingState]:
    """Yield the intact checkpoints, newest first; a warning is logged for every other."""
    for path in _newest_first(folder):
        try:
            yield _read(path)
        except CheckpointError as error:
            _log.warning("%s; trying the checkpoint before", error)


def digest(state: object) -> str:
    """Return the SHA-256 over every number and name of a nested state.

    Raises:
        CheckpointError: It has more values than any run keeps.
    """
    hasher, left = hashlib.sha256(), _MAX_VALUES
    pending: list[object] = [state]
    while pending:
        value = pending.pop()
        left -= 1
        if left < 0:
            raise CheckpointError(f"more than {_MAX_VALUES:,} values in one training state")
        if isinstance(value, Tensor):
            plain = value.detach().cpu().contiguous()
            hasher.update(f"{plain.dtype}{tuple(plain.shape)}".encode())
            hasher.update(plain.flatten().view(torch.uint8).numpy().data)
        elif isinstance(value, dict):
            hasher.update(repr(list(value)).encode())
            pending += reversed(value.values())
        elif isinstance(value, list | tuple):
            hasher.update(f"{type(value).__name__}{len(value)}".encode())
            pending += reversed(value)
        else:
            hasher.update(repr(value).encode())
    return hasher.hexdigest()


def _read(path: Path) -> TrainingState:
    """Read a checkpoint and verify its hash.

    Raises:
        CheckpointError: It is damaged, or no training state at all.
    """
    content = checkpoints.read_all(path)
    if not isinstance(content, dict) or not isinstance(content.get(_DIGEST), str):
        raise CheckpointError(f"{path}: not a training state")
    expected = content.pop(_DIGEST)
    try:
        actual = digest(content)
    except (CheckpointError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path}: no training state ({error})") from error
    if actual != expected:
        raise CheckpointError(f"{path}: damaged: its content has another hash than when written")
    if content["step"] != _step(path):
        raise CheckpointError(f"{path}: holds step {content['step']}, not that of its name")
    return cast("TrainingState", content)


def _newest_first(folder: Path) -> list[Path]:
    """Files of checkpoints, newest first."""
    return sorted(
        (path for path in folder.glob("step-*.pt") if _NAME.fullmatch(path.name)),
        key=lambda path: -_step(path),
    )


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def _set_aside(path: Path) -> None:
    try:
        os.replace(path, path.with_name(f"{path.name}.bad"))
    except OSError as error:
        _log.warning("%s cannot be renamed (%s)", path, error.strerror)
