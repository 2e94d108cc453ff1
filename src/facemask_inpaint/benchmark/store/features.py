"""Features of a run's images: computed once, kept in its folder, shared by ranks and metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint._internal.identity import stamp_of
from facemask_inpaint.metrics import FeatureReader, FeatureSet

BLOCK = 256
"""Images per file."""


class FeatureStore:
    """Features by block of images.

    A block's file is named after the images it holds, their sizes and times, so it is found again
    by whoever needs it, and never when an image has changed. Blocks and the batches within them
    depend on the order of the images only: a number does not change in its last digit because
    a run was killed, or shared between processes.

    Args:
        folder: of the run, to which names are relative.
        store: where the files go.
        reader: how images become features.
    """

    def __init__(self, folder: Path, store: Path, reader: FeatureReader) -> None:
        self._reader = replace(reader, extractor=reader.network, device=None, progress=False)
        self.identity = reader.network.identity
        self._folder = folder
        self._store = store / hashlib.sha256(self.identity.encode()).hexdigest()[:16]

    def compute(self, paths: Sequence[Path]) -> None:
        """Compute the features that are not there yet of a block of images, or of several.

        Raises:
            ImageError: an image cannot be read.
            OptionError: its features are not finite, or sizes do not fit the extractor.
        """
        for block in blocks(paths):
            target = self._file(block)
            if _stored(target, len(block)) is None:
                values = self._reader.read(block).values
                with atomic_path(target) as temporary:
                    np.save(temporary, values.cpu().numpy())

    def load(self, paths: Sequence[Path]) -> FeatureSet:
        """Return the features of these images; what :meth:`compute` has not made is made now."""
        self.compute(paths)
        values = np.concatenate([np.load(self._file(block)) for block in blocks(paths)])
        return FeatureSet(
            torch.from_numpy(values).to(self._reader.network.device),
            tuple(str(path.relative_to(self._folder)) for path in paths),
            tuple(path.stem for path in paths),
            identity=self.identity,
        )

    def _file(self, block: Sequence[Path]) -> Path:
        return self._store / f"{stamp_of(block, below=self._folder)}.npy"


def _stored(path: Path, count: int) -> np.ndarray | None:
    """Features of ``count`` images; ``None`` where there are none, or a disk has damaged them."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return values if values.ndim == 2 and len(values) == count else None


def blocks(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """Yield the images in blocks of :data:`BLOCK`."""
    for start in range(0, len(paths), BLOCK):
        yield paths[start : start + BLOCK]
