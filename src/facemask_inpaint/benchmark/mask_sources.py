"""How the holes of a run are made: cut out of label maps, or drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from facemask_inpaint import SemanticMasker
from facemask_inpaint.benchmark.store.records import ClassEntry
from facemask_inpaint.benchmark.store.settings import class_entries, masker_record
from facemask_inpaint.errors import unknown_name
from facemask_inpaint.masks import GENERATORS
from facemask_inpaint.masks.label_maps import LabelSource
from facemask_inpaint.masks.morphology import Hole
from facemask_inpaint.masks.semantic import Glasses


class MaskSource(Protocol):
    """Anything that makes the holes of a run."""

    def select(self, classes: str | Iterable[str]) -> tuple[ClassEntry, ...]:
        """Return the entries of the classes meant, in the order of the tables.

        Raises:
            UnknownNameError: an item is no class.
        """
        ...

    def record(self) -> dict[str, object]:
        """Return what decides the holes, in terms of JSON."""
        ...

    def holes(
        self, key: str, label_map: LabelSource, names: Sequence[str], size: int
    ) -> Iterator[tuple[str, Hole]]:
        """Yield each class that the portrait has, with its hole ``(size, size)`` bool.

        Args:
            key: of the portrait.
            label_map: of the portrait.
            names: of the classes.
            size: height and width in pixels.
        """
        ...


@dataclass(frozen=True)
class CutMasks:
    """Holes that a masker cuts out of label maps.

    Attributes:
        masker: cuts the masks.
    """

    masker: SemanticMasker

    def select(self, classes: str | Iterable[str]) -> tuple[ClassEntry, ...]:
        """Return the entries of the classes meant; see :meth:`MaskSource.select`."""
        return class_entries(self.masker, self.masker.select(classes))

    def record(self) -> dict[str, object]:
        """Return the options of the masker."""
        return dict(masker_record(self.masker))

    def holes(
        self, key: str, label_map: LabelSource, names: Sequence[str], size: int
    ) -> Iterator[tuple[str, Hole]]:
        """Yield the holes of the components that the portrait shows."""
        present = set(self.masker.present(label_map))
        for name in names:
            if name in present:
                yield name, self.masker(label_map, name, size=size)


@dataclass(frozen=True, kw_only=True)
class SemanticMasks:
    """Recipe of masks that hide components.

    Attributes:
        classes: names of the mask classes.
        dilate: see :class:`~facemask_inpaint.SemanticMasker`, and likewise below.
        glasses: what becomes of eyeglasses.
        fill_holes: whether masks cover what they enclose.
        min_area: least area of a component.
    """

    classes: tuple[str, ...]
    dilate: float = 0.01
    glasses: Glasses = "include"
    fill_holes: bool | None = None
    min_area: float = 1

    def source(self) -> MaskSource:
        """Return what makes the masks."""
        return CutMasks(
            SemanticMasker(
                self.dilate,
                glasses=self.glasses,
                fill_holes=self.fill_holes,
                min_area=self.min_area,
            )
        )


@dataclass(frozen=True, kw_only=True)
class FreeFormMasks:
    """Recipe and source of drawn holes, each a function of seed, class, resolution and key alone.

    Attributes:
        generators: class and name of its generator, a key of ``masks.GENERATORS``.
        seed: of the draws.

    Raises:
        UnknownNameError: there is no such generator.
    """

    generators: tuple[tuple[str, str], ...]
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := [name for _, name in self.generators if name not in GENERATORS]:
            raise unknown_name("free-form generator", unknown[0], GENERATORS)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(name for name, _ in self.generators)

    def source(self) -> MaskSource:
        """Return what makes the masks: this recipe."""
        return self

    def select(self, classes: str | Iterable[str]) -> tuple[ClassEntry, ...]:
        """Return the entries of the classes meant; ``"all"`` is all."""
        names = classes.split(",") if isinstance(classes, str) else list(classes)
        if unknown := [name for name in names if name not in (*self.classes, "all")]:
            raise unknown_name("class of drawn masks", unknown[0], self.classes)
        chosen = self.classes if "all" in names else names
        return tuple(ClassEntry(name, "", ()) for name in self.classes if name in chosen)

    def record(self) -> dict[str, object]:
        """Return generators and seed."""
        drawn = ", ".join(f"{name} by {generator}" for name, generator in self.generators)
        return {"drawn": drawn, "seed": self.seed}

    def holes(
        self, key: str, label_map: LabelSource, names: Sequence[str], size: int
    ) -> Iterator[tuple[str, Hole]]:
        """Draw the holes of a portrait; its label map plays no part."""
        generators = dict(self.generators)
        for name in names:
            text = f"{self.seed}/{size}/{name}/{key}"
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
            yield name, GENERATORS[generators[name]](size, np.random.default_rng(seed))


MaskRecipe: TypeAlias = SemanticMasks | FreeFormMasks
"""How the masks of a protocol are made."""
