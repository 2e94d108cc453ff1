"""What a model card says: which weights exist, where they are, and under which terms.

Cards are data. Printing and comparing them imports no network and no torch.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from facemask_inpaint.checkpoints.keys import NESTING
from facemask_inpaint.checkpoints.sources import Container, Source
from facemask_inpaint.models._registry import ARCHITECTURES

DATA_SETS: dict[str, tuple[str, str]] = {
    "none": ("no data", "no terms"),
    "celeba": ("CelebA", "non-commercial research only"),
    "celebahq": ("CelebA-HQ", "non-commercial research only"),
    "ffhq": ("FFHQ", "CC BY-NC-SA 4.0"),
    "places": ("Places2", "non-commercial research and education only"),
    "portraits": (
        "680 official portraits of members of the United States Congress, with weak label maps",
        "public domain",
    ),
    "scenes14m": (
        "14 million images with masks, collected by PixelHacker's authors",
        "terms not published",
    ),
    "psv": ("Paris Street View", "terms not recorded here"),
}
"""Training data by the word used in model names: title, and the terms of the images."""

_FRAMINGS: dict[str, str] = {
    "celeba": "celebahq",
    "celebahq": "celebahq",
    "ffhq": "ffhq",
    "portraits": "celebahq",
}
"""How faces lie in the training data, as the data set does whose alignment comes nearest; data that
are not here show no faces, or faces as they come."""

TRAINING_SPLITS: dict[str, str] = {
    "none": "no image of it was trained on",
    "celeba-train": (
        "trained on the training part of the CelebA partition, 24,183 of the 30,000 images; "
        "the other parts (2,993 and 2,824) were not trained on"
    ),
    "lama-train": (
        "trained on 26,000 of the 30,000 images by LaMa's own lists; of the other 4,000, 2,000 "
        "chose the best checkpoint and 2,000 were held out. The held-out part of the CelebA "
        "partition is not held out here"
    ),
    "unknown": "not published which images; treat all 30,000 as seen",
}
"""What of CelebA-HQ a checkpoint may have been trained on, for a record of leakage."""

_COMMERCIAL = {
    True: "commercial use allowed",
    False: "non-commercial use only",
    None: "commercial use not settled",
}
PUBLISHED = "lama-celebahq-256"
"""Card of faces that is fetched by itself, under a licence that asks for nothing."""

_FRAMED = {
    "celebahq": "expected aligned as in CelebA-HQ",
    "ffhq": "expected aligned as in FFHQ",
    "none": "in no particular place",
}
_MISSING = "; this network is not in this version of the library"


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """One part of a model's weights, and where files that hold it can be had.

    Attributes:
        role: which part of the model this is; ``"network"`` where one file holds all of it.
        sources: places that serve it in this container, best first. Each pins its own bytes.
        container: format of the file.
        section: key under which a nested file keeps the tensors; empty for the top level.
        prefix: what stands before the network's own keys inside. Both are found by themselves,
            and decide only where a file holds the network more than once.
        alternatives: the same weights in other containers, best first.

    Example:
        >>> from facemask_inpaint import models
        >>> models.card("lite").files[0].sources[0].filename
        'lite.safetensors'
    """

    sources: tuple[Source, ...]
    container: Container
    role: str = "network"
    section: str = ""
    prefix: str = ""
    alternatives: tuple[WeightFile, ...] = ()

    @property
    def forms(self) -> tuple[WeightFile, ...]:
        """This file and its alternatives, in the order in which to try them."""
        return (self, *self.alternatives)

    @property
    def place(self) -> str:
        """What stands before the network's own keys, with the section as ``survey`` writes it."""
        return f"{self.section}{NESTING}{self.prefix}" if self.section else self.prefix

    @property
    def downloadable(self) -> bool:
        """Whether some source of some form needs no browser."""
        return any(source.kind != "manual" for form in self.forms for source in form.sources)


@dataclass(frozen=True, kw_only=True)
class Card:
    """One published model.

    Attributes:
        name: ``<architecture>-<training data>-<resolution>``, followed by ``-<edition>`` where
            several publications share the first three.
        architecture: name of the network, as ``models.create`` takes it.
        data: training data, a key of :data:`DATA_SETS`.
        training_split: what of CelebA-HQ it may have seen, a key of :data:`TRAINING_SPLITS`.
        resolution: side in pixels it was trained at; ``None`` where any size is as good.
        files: the parts of its weights, one per role; empty where none are published.
        licence: licence of the weights where stated, else of their repository.
        commercial_use: whether that licence and the data's terms allow it; ``None`` where they
            disagree or nothing is stated.
        paper: title and venue.
        arxiv: arXiv number, where known.
        repository: address of the authors' code.
        options: constructor arguments that cannot be read off the tensors.
        traits: constructor arguments that the tensors tell, where they distinguish this card's file
            from other cards' of the same network.
        aliases: other names that mean this card.
        note: limits and pitfalls, as a user should know them.
        default: whether the bare architecture name means this card.
        needs_weights: whether the model has weights at all.

    Example:
        >>> from facemask_inpaint import models
        >>> card = models.card("lite")
        >>> card.licence, card.ships
        ('Apache-2.0, as this library', True)
    """

    name: str
    architecture: str
    data: str
    training_split: str
    resolution: int | None
    licence: str
    commercial_use: bool | None
    paper: str
    note: str
    files: tuple[WeightFile, ...] = ()
    arxiv: str | None = None
    repository: str | None = None
    options: Mapping[str, object] = field(default_factory=dict, hash=False)
    traits: Mapping[str, object] = field(default_factory=dict, hash=False)
    aliases: tuple[str, ...] = ()
    default: bool = False
    needs_weights: bool = True

    @property
    def available(self) -> bool:
        """Whether this library has the network."""
        return self.architecture in ARCHITECTURES

    @property
    def weights_published(self) -> bool:
        """Whether anybody serves weights for this card, by download or by browser."""
        return bool(self.files)

    @property
    def downloadable(self) -> bool:
        """Whether every part of the weights can be fetched without a browser."""
        return self.weights_published and all(file.downloadable for file in self.files)

    @property
    def ships(self) -> bool:
        """Whether the weights come with this library."""
        sources = [source for file in self.files for source in file.sources]
        return bool(sources) and all(source.kind == "package" for source in sources)

    @property
    def availability(self) -> str:
        """How the weights are had, in a few words."""
        if not self.needs_weights:
            return "none needed"
        if self.ships:
            return "ship with the library"
        if not self.weights_published:
            return "none published"
        if self.downloadable:
            return "downloaded when first used"
        return "to be fetched by hand with a browser"

    @property
    def advice(self) -> str:
        """What to say once beside the images of what comes with this library; else empty."""
        if self.needs_weights and not self.ships:
            return ""
        return (
            f"{self.architecture} is for trying out. For results fetch a published network: "
            f"facemask-inpaint demo --model {PUBLISHED}"
        )

    @property
    def framing(self) -> str:
        """How the network knows faces: as in ``"celebahq"`` or ``"ffhq"``, or ``"none"``."""
        return _FRAMINGS.get(self.data, "none")

    @property
    def digest(self) -> str:
        """SHA-256 of the card's whole content, as 64 hex digits; the same in every process."""
        text = json.dumps(self.record(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def record(self) -> dict[str, object]:
        """Return the card as plain dictionaries, tuples and strings, ready for JSON."""
        return asdict(self)

    def summary(self, width: int = 96) -> str:
        """Return the card as text, no line wider than ``width`` unless a word is."""
        data, terms = DATA_SETS[self.data]
        trained = self.weights_published
        size = f"{data} at {self.resolution} x {self.resolution}"
        rows = {
            "network": self.architecture + ("" if self.available else _MISSING),
            "trained on": f"{size} (terms of the data: {terms})" if trained else "",
            "faces": _FRAMED[self.framing] if trained else "",
            "CelebA-HQ": TRAINING_SPLITS[self.training_split] if trained else "",
            "licence": f"{self.licence} ({_COMMERCIAL[self.commercial_use]})",
            "paper": self.paper + (f", arXiv {self.arxiv}" if self.arxiv else ""),
            "code": self.repository or "",
            "options": ", ".join(f"{key}={value!r}" for key, value in self.options.items()),
            "aliases": ", ".join(self.aliases),
            "weights": self.availability,
        }
        lines = [self.name + (f" (default for {self.architecture!r})" if self.default else "")]
        for label, text in rows.items():
            lines += _wrap(f"  {label:<12}", text, width) if text else []
        for form in (form for file in self.files for form in file.forms):
            for source in form.sources:
                lines += _wrap(" " * 14 + "- ", _origin(form, source), width)
        return "\n".join(lines + _wrap(f"  {'note':<12}", self.note, width))

    def __str__(self) -> str:
        return self.summary()


def _wrap(head: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _origin(form: WeightFile, source: Source) -> str:
    role = "" if form.role == "network" else f"{form.role}: "
    place = {
        "hf": f"from hub repository {source.location}",
        "url": f"from {source.location}",
        "package": "with the library",
        "manual": f"by hand from {source.location}",
    }[source.kind]
    pinned = "SHA-256 pinned" if source.sha256 else "MD5 pinned" if source.md5 else "no hash known"
    size = f", {source.size / 1e6:,.1f} MB" if source.size else ""
    return f"{role}{source.filename} ({form.container}{size}, {pinned}) {place}"
