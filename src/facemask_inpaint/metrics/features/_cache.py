"""Features on disk, keyed by the content of the image file and by the extractor.

A cache is a folder. Each flush adds one file, written under another name and renamed, and no file
is ever changed; so any number of processes can share a cache, and one that is killed leaves all
that was flushed before.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from facemask_inpaint._internal.files import atomic_path, remove_abandoned

logger = logging.getLogger(__name__)
FLUSH_EVERY = 256


class CachedFeature(NamedTuple):
    """One image's features ``(d,)`` float32, and its height and width."""

    values: np.ndarray
    size: tuple[int, int]


class FeatureCache:
    """The features of one extractor. A context manager: leaving it, however, flushes.

    Args:
        folder: shared by all extractors; created when needed.
        identity: the extractor's, see :class:`~.custom.FeatureExtractor`.
    """

    def __init__(self, folder: str | Path, identity: str) -> None:
        self._folder = Path(folder) / hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._new: dict[str, CachedFeature] = {}
        self._index: dict[str, tuple[np.ndarray, int]] = {}
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self._folder)
        label = self._folder / "extractor.txt"
        if not label.exists():
            with atomic_path(label) as path:
                path.write_text(identity + "\n")
        for shard in self._folder.glob("[!.]*.npy"):
            self._open(shard)

    def get(self, digest: str) -> CachedFeature | None:
        """Return what is known of the file with this SHA-256."""
        if digest in self._new:
            return self._new[digest]
        if digest not in self._index:
            return None
        shard, row = self._index[digest]
        height, width = shard["size"][row].tolist()
        return CachedFeature(np.array(shard["values"][row]), (height, width))

    def put(self, digest: str, feature: CachedFeature) -> None:
        """Remember; written at the next flush, after at most 256 images."""
        self._new[digest] = feature
        if len(self._new) >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Write what is new as one more file."""
        if not self._new:
            return
        width = len(next(iter(self._new.values())).values)
        row = np.dtype([("digest", "S64"), ("size", "<i4", 2), ("values", "<f4", width)])
        shard = np.empty(len(self._new), row)
        for index, (digest, feature) in enumerate(self._new.items()):
            shard[index] = (digest.encode(), feature.size, feature.values)
        with atomic_path(self._folder / f"{uuid.uuid4().hex}.npy") as path:
            np.save(path, shard)
        self._remember(shard)
        self._new.clear()

    def _open(self, path: Path) -> None:
        try:
            self._remember(np.load(path, mmap_mode="r"))
        except (OSError, ValueError, EOFError, IndexError) as error:
            logger.warning("%s is damaged and ignored; delete it (%s)", path, error)

    def _remember(self, shard: np.ndarray) -> None:
        for row, digest in enumerate(shard["digest"].tolist()):
            self._index[digest.decode()] = (shard, row)

    def __enter__(self) -> FeatureCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()
