"""What a training run does, as data: written to YAML, read back, and compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint._internal.settings import Range, parse_yaml
from facemask_inpaint.errors import OptionError, unknown_name
from facemask_inpaint.masks import GENERATORS
from facemask_inpaint.models import list_architectures
from facemask_inpaint.training._settings import (
    RANGE,
    by_name,
    check,
    classes_of,
    number,
    read,
    weights_by_class,
)

MaskKind = Literal["random", "semantic", "mixed"]
Precision = Literal["float32", "bfloat16"]

_NAME = re.compile(r"[\w(][\w .,()=+-]{0,99}")


SEMANTIC_SHARE: Mapping[str, float | None] = {"random": 0.0, "semantic": 1.0, "mixed": None}
"""Chance of a semantic mask by kind; ``None``: the recipe's own number."""


@dataclass(frozen=True, kw_only=True)
class Masks:
    """How holes are drawn; see :class:`~facemask_inpaint.masks.MixedMaskSampler`.

    Attributes:
        kind: ``"random"``, ``"semantic"``, or ``"mixed"`` per picture.
        semantic_probability: chance of a semantic mask under ``"mixed"``.
        random: name of the free-form generator.
        classes: classes that semantic masks are drawn from.
        class_weights: class to relative weight; others have 1.
        dilate: how far semantic masks grow; see ``SemanticMasker``.
        adaptive: shift class and kind probabilities towards what validation shows hardest, this
            much: 0 not at all, 1 in proportion to the error.
    """

    kind: MaskKind = "mixed"
    semantic_probability: float = number(0.5, 0, 1)
    random: str = "mat"
    classes: str = "all"
    class_weights: Mapping[str, float] = weights_by_class()
    dilate: float = number(0.01, 0, 4096)
    adaptive: float = number(0.0, 0, 10)

    def __post_init__(self) -> None:
        check(self)
        if self.random not in GENERATORS:
            raise unknown_name("free-form generator of masks.random", self.random, GENERATORS)
        drawn = classes_of(self.classes, "masks.classes")
        weights = by_name(self.class_weights, "masks.class_weights")
        if strange := [name for name in weights if name not in drawn]:
            raise OptionError(
                f"masks.class_weights.{strange[0]}: masks are drawn from {', '.join(drawn)} only"
            )
        if not any(weights.get(name, 1.0) for name in drawn):
            raise OptionError("masks.class_weights are 0 for every class that is drawn")
        object.__setattr__(self, "class_weights", weights)

    @property
    def share(self) -> float:
        """Chance of a semantic mask."""
        fixed = SEMANTIC_SHARE[self.kind]
        return self.semantic_probability if fixed is None else fixed


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to pictures together with their label maps.

    Attributes:
        flip: chance of a mirrored picture; left and right labels change places with it.
        rotation: largest angle in degrees, either way; corners are filled by reflection.
        tone: largest relative change of brightness, contrast and each colour.
    """

    flip: float = number(0.5, 0, 1)
    rotation: float = number(0.0, 0, 180)
    tone: float = number(0.0, 0, 1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Weights of the losses; 0 leaves a loss out and needs nothing for it.

    Attributes:
        hole_l1: mean absolute difference over the hole, per picture.
        adversarial: non-saturating logistic loss against a discriminator.
        feature_matching: difference of the discriminator's own features (Wang et al., 2018,
            pix2pixHD).
        perceptual: difference of VGG-19 features; needs their pinned weights.
        r1: gamma of the gradient penalty on real pictures (Mescheder et al., 2018).
        r1_every: steps between penalties, which are multiplied by it ("lazy").
        adversarial_from: first step with a discriminator.
        class_weights: mask class to the factor of its pictures' losses; others have 1.
    """

    hole_l1: float = number(0.0, 0)
    adversarial: float = number(1.0, 0)
    feature_matching: float = number(0.0, 0)
    perceptual: float = number(0.0, 0)
    r1: float = number(10.0, 0)
    r1_every: int = number(16, 1)
    adversarial_from: int = number(0, 0)
    class_weights: Mapping[str, float] = weights_by_class()

    def __post_init__(self) -> None:
        check(self)
        if not (self.hole_l1 or self.adversarial or self.perceptual):
            raise OptionError(
                "losses: nothing would be learnt; give hole_l1, adversarial or perceptual a weight"
            )
        weights = by_name(self.class_weights, "losses.class_weights")
        object.__setattr__(self, "class_weights", weights)


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """Adam of one player.

    Attributes:
        rate: learning rate.
        betas: of Adam.
        lazy: correct rate and betas for the steps that only regularise, as StyleGAN2 does
            (Karras et al., 2020, appendix B): both are raised to or multiplied by this ratio.
        warm_up: steps over which the rate rises from 0.
        decay_from: share of the run after which the rate falls linearly to 0.
    """

    rate: float = number(1e-3, 0, above=True)
    betas: tuple[float, float] = field(
        default=(0.0, 0.99), metadata={RANGE: Range(0, 1, below=True)}
    )
    lazy: float = number(1.0, 0, 1, above=True)
    warm_up: int = number(0, 0)
    decay_from: float = number(1.0, 0, 1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training run.

    Attributes:
        name: what logs and model folders call it.
        architecture: network, as ``models.create`` takes it.
        options: the network's constructor arguments.
        start: model whose weights the generator begins with, by name or folder; what it lacks
            begins at random. ``None`` is from scratch.
        side: of the pictures, in pixels.
        batch: pictures per step over all processes.
        passes: parts in which each process works through its share of a batch, to save memory.
        epochs: passes over the data.
        steps: length in steps, in place of ``epochs``.
        minutes: stop cleanly after so long, whatever else is said.
        masks: how holes are drawn.
        augmentation: of pictures.
        losses: and their weights.
        generator: its optimiser.
        discriminator: its optimiser.
        discriminator_options: constructor arguments of the discriminator.
        ema: pictures after which the average of the weights has forgotten half; at the start of a
            run a twentieth of those seen, if that is less.
        precision: ``"bfloat16"`` computes the players under autocast.
        validate_every: steps between validations and sample sheets; 0 for none.
        save_every: steps between checkpoints.
        seed: decides weights, order, masks, augmentation and every draw.
        unknown: what its source does not say, so that it is a guess here.
    """

    name: str
    architecture: str
    options: Mapping[str, Any] = field(default_factory=dict)
    start: str | None = None
    side: int = number(256, 8, 8192)
    batch: int = number(8, 1, 65536)
    passes: int = number(1, 1)
    epochs: float = number(100.0, 0, 1e6, above=True)
    steps: int | None = number(None, 1, 1e9)
    minutes: float | None = number(None, 0, above=True)
    masks: Masks = Masks()
    augmentation: Augmentation = Augmentation()
    losses: Losses = Losses()
    generator: Optimiser = Optimiser()
    discriminator: Optimiser = Optimiser()
    discriminator_options: Mapping[str, Any] = field(default_factory=dict)
    ema: float = number(10_000.0, 0, above=True)
    precision: Precision = "float32"
    validate_every: int = number(1000, 0)
    save_every: int = number(500, 1)
    seed: int = number(0, 0, 2**63 - 1)
    unknown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self)
        if not _NAME.fullmatch(self.name):
            raise OptionError(f"a recipe's name is letters, digits and spaces, not {self.name!r}")
        if self.architecture not in list_architectures():
            raise unknown_name("architecture", self.architecture, list_architectures())
        if self.batch % self.passes:
            raise OptionError(
                f"{self.name}: a batch of {self.batch} has no {self.passes} equal passes"
            )

    def length(self, pictures: int) -> int:
        """Steps of the whole run over so many pictures."""
        return self.steps or max(1, round(self.epochs * pictures / self.batch))

    def changed(self, /, **changes: Any) -> Recipe:
        """Copy with other values; ``{"losses.r1": 1.0}`` style keys reach into parts.

        Raises:
            UnknownNameError: there is no such setting.
            OptionError: a value, or all together, makes no sense.
        """
        data = asdict(self)
        parts = [f.name for f in fields(self) if is_dataclass(getattr(self, f.name))]
        for key, value in changes.items():
            part, _, name = key.rpartition(".")
            if part and part not in parts:
                raise unknown_name("part of a recipe", part, parts)
            target = data[part] if part else data
            if name not in target:
                raise unknown_name(f"setting of {part or 'a recipe'}", name, target)
            is_part = is_dataclass(value) and not isinstance(value, type)
            target[name] = asdict(value) if is_part else value
        return read(type(self), data, "recipe")

    def to_yaml(self) -> str:
        """The recipe as YAML text that :meth:`from_yaml` reads."""
        import yaml

        return yaml.safe_dump(_plain(asdict(self)), sort_keys=False, allow_unicode=True)

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_yaml` to a file, whole or not at all."""
        with atomic_path(path) as temporary:
            temporary.write_text(self.to_yaml(), encoding="utf-8")

    @classmethod
    def from_yaml(cls, text: str) -> Recipe:
        """Read what :meth:`to_yaml` writes; settings that are left out keep their defaults.

        Raises:
            OptionError: the text is no YAML mapping, or a value is of the wrong kind.
            UnknownNameError: a setting that does not exist.
        """
        return read(cls, parse_yaml(text, "a recipe"), "recipe")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
