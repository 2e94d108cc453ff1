"""What a protocol says, and the hash of what it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from facemask_inpaint import data
from facemask_inpaint.benchmark.mask_sources import MaskRecipe
from facemask_inpaint.benchmark.store.records import ProtocolRecord
from facemask_inpaint.benchmark.store.settings import protocol_label
from facemask_inpaint.data import Faces, celebamask
from facemask_inpaint.data.keys import KeyList, read_keys
from facemask_inpaint.errors import OptionError

_PROSE = frozenset({"title", "published", "choices", "probe"})
"""Fields of a protocol that explain; the hash is over the others."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """The portraits of a protocol.

    Attributes:
        data: name of the data set.
        partition: how it is divided: ``"celeba"``, ``"first-<n>"``, or ``"listed"`` where the keys
            stand in a file that somebody published.
        part: the part that is evaluated, such as ``"val"``.
        count: how many portraits it has.
        keys_sha256: hash of the keys, see :func:`keys_digest`; ``None`` where the partition pins
            them.
        held_out_from: training splits, as cards name them, that hold none of these portraits.
    """

    data: str
    partition: str
    part: str
    count: int
    keys_sha256: str | None = None
    held_out_from: tuple[str, ...] = ()

    def open(self, root: str | Path, keys: KeyList | None = None) -> Faces:
        """Return the portraits.

        Args:
            root: folder of the data set. Where the portraits of the protocol cannot be told in
                it, all are taken, for a rehearsal; results then say that they deviate.
            keys: list of the portraits, or its file, for a ``"listed"`` partition.

        Raises:
            OptionError: the list is missing, or is another one than the protocol's.
        """
        is_celebamask = celebamask.find_root(Path(root)) is not None
        if self.partition != "listed":
            if is_celebamask:
                return data.celebamask_hq(root, self.part, self.partition)
            return data.open_faces(root)
        if keys is None:
            raise OptionError(
                f"the {self.count:,} portraits of this protocol stand in a published list, which "
                "has to be given: --keys FILE (`facemask-inpaint protocol show` says where it is)"
            )
        listed = read_keys(keys)
        if keys_digest(listed) != self.keys_sha256:
            raise OptionError(
                f"{keys} is another list than the protocol's {self.count:,} keys: it has "
                f"{len(listed):,}, with the SHA-256 {keys_digest(listed)}"
            )
        if is_celebamask:
            return data.celebamask_hq(root, self.part, {self.part: listed})
        return data.open_faces(root).select(listed)

    def deviation(self, faces: Faces) -> str | None:
        """Return in words how portraits differ from those of the protocol; ``None`` if not."""
        keys = [face.key for face in faces]
        if self.keys_sha256 is None:
            same = faces.name == f"{self.data} {self.part} ({self.partition})"
            same = same and len(keys) == self.count
        else:
            same = keys_digest(keys) == self.keys_sha256
        if same:
            return None
        return f"{len(keys):,} portraits of {faces.name}, not the {self.count:,} of {self.data}"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One evaluation protocol.

    Attributes:
        name: what commands and results call it.
        version: raised whenever a result could come out differently.
        title: one line for people.
        split: the portraits.
        masks: how holes are made.
        resolutions: sides in pixels.
        metrics: names out of the table of metrics, see ``benchmark.benchmark_metrics``.
        extractors: feature extractors, the first of which decides comparisons.
        seed: of every random draw of a method.
        resize: how portraits are brought to a resolution.
        framing: how faces lie in the images that methods get.
        dtype: floating-point type that networks compute in.
        published: facts that are published, each with its source.
        choices: what is not published and was decided here.
        probe: hash of a few masks that need no data set, see :func:`~.export.probe_digest`.

    Example:
        >>> from facemask_inpaint import benchmark
        >>> protocol = benchmark.protocols.find_protocol("mat-celeba512")
        >>> protocol.split.count, protocol.metrics
        (2993, ('fid', 'pids', 'uids'))
    """

    name: str
    version: int
    title: str
    split: Split
    masks: MaskRecipe
    resolutions: tuple[int, ...]
    metrics: tuple[str, ...]
    extractors: tuple[str, ...]
    seed: int = 0
    resize: Literal["lanczos"] = "lanczos"
    framing: str = "as in CelebA-HQ"
    dtype: str = "float32"
    published: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    probe: str = ""

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of everything that decides results, as 64 hex digits; the same everywhere."""
        content = {name: value for name, value in asdict(self).items() if name not in _PROSE}
        content["masks"]["kind"] = type(self.masks).__name__
        text = json.dumps(
            _canonical(content), sort_keys=True, ensure_ascii=True, separators=(",", ":")
        )
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def label(self) -> str:
        """Name, version and the beginning of the hash, as results show them."""
        return protocol_label(self.record())

    def record(self, deviations: Iterable[str] = ()) -> ProtocolRecord:
        """Return what a run writes down of its protocol.

        Args:
            deviations: in words, where the run does not follow it.
        """
        return {
            "name": self.name,
            "version": self.version,
            "sha256": self.sha256,
            "deviations": list(deviations),
        }

    def deviations(
        self, faces: Faces, metrics: Iterable[str], extractors: Iterable[str], dtype: str
    ) -> tuple[str, ...]:
        """Return in words where a run does not follow this protocol.

        Args:
            faces: its portraits.
            metrics: names of its metrics; further ones are no deviation.
            extractors: names of its feature extractors.
            dtype: of its networks.
        """
        found = [self.split.deviation(faces)]
        if missing := [name for name in self.metrics if name not in set(metrics)]:
            found.append(f"without {', '.join(missing)}")
        used, wanted = tuple(extractors), self.extractors
        if used[: len(wanted)] != wanted:
            found.append(f"features by {', '.join(used) or 'none'}, not {', '.join(wanted)}")
        if dtype != self.dtype:
            found.append(f"computed in {dtype}, not {self.dtype}")
        return tuple(text for text in found if text is not None)


def _canonical(value: Any) -> Any:
    """Return a value in which equal numbers are written alike: 1.0 as 1."""
    if isinstance(value, dict):
        return {name: _canonical(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def keys_digest(keys: Iterable[str]) -> str:
    """Return the SHA-256 of keys, whatever their order: sorted as numbers are, one a line."""
    ordered = sorted(keys, key=lambda key: (len(key), key))
    return hashlib.sha256("".join(f"{key}\n" for key in ordered).encode()).hexdigest()
