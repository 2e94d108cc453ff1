"""What a run looks at: masks, classes, resolutions and seed, given one by one or by a protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facemask_inpaint import SemanticMasker
from facemask_inpaint.benchmark._arguments import (
    checked_classes,
    checked_dataset,
    checked_masker,
    given_classes,
    whole_number,
)
from facemask_inpaint.benchmark._resolutions import checked_resolutions
from facemask_inpaint.benchmark.mask_sources import CutMasks, MaskSource
from facemask_inpaint.benchmark.protocols import Protocol, find_protocol
from facemask_inpaint.benchmark.store.records import ClassEntry, ProtocolRecord
from facemask_inpaint.data import Faces
from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks import FACES


@dataclass(frozen=True)
class Design:
    """What decides the holes and the draws of a run.

    Attributes:
        masks: makes the holes.
        classes: mask classes, in the order of the tables.
        resolutions: sides in pixels, ascending.
        seed: of all draws of the methods.
        protocol: where all of it comes from; ``None`` without one.
    """

    masks: MaskSource
    classes: tuple[ClassEntry, ...]
    resolutions: tuple[int, ...]
    seed: int
    protocol: Protocol | None = None

    @classmethod
    def of(
        cls,
        protocol: str | Protocol | None,
        classes: str | Iterable[str],
        resolutions: int | Iterable[int],
        seed: int,
        masker: SemanticMasker | None,
        faces: Faces | None = None,
    ) -> Design:
        """Check the arguments of a run; see :func:`~.runner.run`.

        Raises:
            OptionError: an argument makes no sense, or the protocol decides it.
            UnknownNameError: there is no such class or protocol.
            LabelMapError: the masker is for other label maps than those of the faces.
        """
        if protocol is None:
            masks = CutMasks(checked_masker(masker, faces.vocabulary if faces else FACES))
            entries = checked_classes(masks, classes)
            entries = given_classes(entries, masks.masker, faces) if faces else entries
            return cls(masks, entries, checked_resolutions(resolutions), whole_number("seed", seed))
        if (classes, resolutions, seed, masker) != ("all", (256,), 0, None):
            raise OptionError(
                "a protocol decides classes, resolutions, seed and masker: leave them out"
            )
        chosen = find_protocol(protocol) if isinstance(protocol, str) else protocol
        source = chosen.masks.source()
        entries = source.select(chosen.masks.classes)
        return cls(source, entries, chosen.resolutions, chosen.seed, chosen)

    def portraits(self, dataset: Faces | str | Path) -> Faces:
        """Return the portraits of a run: those given, or the part of a folder that is meant."""
        if self.protocol is None or isinstance(dataset, Faces):
            return checked_dataset(dataset)
        return self.protocol.split.open(dataset)

    def record(
        self, faces: Faces, metrics: Sequence[str], extractors: Sequence[str], dtype: str
    ) -> ProtocolRecord | None:
        """Return what a run writes down of its protocol; ``None`` without one.

        Args:
            faces: portraits of the run.
            metrics: names of its metrics.
            extractors: names of its feature extractors.
            dtype: of its networks.
        """
        if self.protocol is None:
            return None
        found = self.protocol.deviations(faces, metrics, extractors, dtype)
        return self.protocol.record(found)
