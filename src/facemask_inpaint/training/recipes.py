"""Training recipes as data: checked when they are made, written to YAML, read back, compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint._internal.settings import Range, as_type, parse_yaml
from facemask_inpaint.errors import OptionError, unknown_name
from facemask_inpaint.masks import FACES, GENERATORS, SemanticMasker, open_vocabulary
from facemask_inpaint.masks.semantic import Instances, Missing
from facemask_inpaint.models import list_architectures
from facemask_inpaint.training._settings import (
    RANGE,
    check,
    class_names,
    number,
    read,
    weights_by_class,
    weights_by_name,
)

MaskKind = Literal["random", "semantic", "mixed"]
Precision = Literal["float32", "bfloat16"]

_TOLD_CLASSES = "mask_classes"
"""Option of class-conditional networks: what they can be told that a hole hides."""

_NAME = re.compile(r"[\w(][\w .,()=+-]{0,99}")

SEMANTIC_PROBABILITY: Mapping[MaskKind, float | None] = {
    "random": 0.0,
    "semantic": 1.0,
    "mixed": None,
}
"""Chance of a semantic mask by kind; ``None`` where the recipe's own number counts."""


@dataclass(frozen=True, kw_only=True)
class Masks:
    """How masks are drawn; see :class:`~facemask_inpaint.masks.MixedMaskSampler`.

    Attributes:
        kind: ``"random"``, ``"semantic"``, or ``"mixed"``, which chooses for each image.
        semantic_probability: chance of a semantic mask when ``kind`` is ``"mixed"``.
        random: name of the free-form generator, a key of ``masks.GENERATORS``.
        classes: mask classes that semantic masks are drawn from, such as ``"A-D,hair"``.
        class_weights: mask class to its relative weight in the draw; others have weight 1.
        dilate: how far semantic masks are grown, as ``SemanticMasker`` takes it.
        vocabulary: what the label ids of the data stand for: a name such as ``"cityscapes"``, or
            the path of a file, as :func:`~facemask_inpaint.masks.open_vocabulary` takes it.
        instances: whether a semantic mask hides ``"all"`` objects of a class, or ``"one"``.
        adaptive: how strongly the probabilities of classes and kinds follow the validation
            errors: 0 not at all, 1 in proportion to the error.

    Raises:
        OptionError: A value is out of its range.
        UnknownNameError: There is no such generator, mask class or vocabulary.

    Example:
        >>> from facemask_inpaint.training import Masks
        >>> Masks(kind="mixed", semantic_probability=0.75, class_weights={"eyes": 2}).class_weights
        {'eyes': 2.0}
    """

    kind: MaskKind = "mixed"
    semantic_probability: float = number(0.5, 0, 1)
    random: str = "mat"
    classes: str = "all"
    class_weights: Mapping[str, float] = weights_by_class()
    dilate: float = number(0.01, 0, 4096)
    vocabulary: str = FACES.name
    instances: Instances = "all"
    adaptive: float = number(0.0, 0, 10)

    def __post_init__(self) -> None:
        check(self)
        vocabulary = open_vocabulary(self.vocabulary)
        if self.random not in GENERATORS:
            raise unknown_name("free-form generator of masks.random", self.random, GENERATORS)
        drawn = class_names(self.classes, "masks.classes", vocabulary)
        weights = weights_by_name(self.class_weights, "masks.class_weights", vocabulary)
        if foreign := [name for name in weights if name not in drawn]:
            raise OptionError(
                f"masks.class_weights.{foreign[0]}: masks are drawn from {', '.join(drawn)} only"
            )
        if not any(weights.get(name, 1.0) for name in drawn):
            raise OptionError("masks.class_weights are 0 for every class that is drawn")
        object.__setattr__(self, "class_weights", weights)

    @property
    def probability(self) -> float:
        """Chance of a semantic mask, whatever the kind."""
        fixed = SEMANTIC_PROBABILITY[self.kind]
        return self.semantic_probability if fixed is None else fixed

    @property
    def need_label_maps(self) -> bool:
        """Whether any mask is cut from a label map."""
        return self.probability > 0

    def masker(self, missing: Missing = "error") -> SemanticMasker:
        """Return the masker that cuts these masks; ``missing`` is its own argument."""
        return SemanticMasker(
            dilate=self.dilate,
            missing=missing,
            vocabulary=self.vocabulary,
            instances=self.instances,
        )


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of images together with their label maps.

    Attributes:
        flip: chance of a mirrored image; left and right labels are exchanged with it.
        rotation: largest angle in degrees, in either direction; corners are filled by reflection.
        colour_jitter: largest relative change of brightness, contrast and each colour channel.

    Raises:
        OptionError: A value is out of its range.

    Example:
        >>> from facemask_inpaint.training import Augmentation
        >>> Augmentation(flip=0.5, rotation=10).colour_jitter
        0.0
    """

    flip: float = number(0.5, 0, 1)
    rotation: float = number(0.0, 0, 180)
    colour_jitter: float = number(0.0, 0, 1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Weights of the losses; a weight of 0 leaves a loss out.

    Attributes:
        hole_l1: mean absolute difference over the hole, per image.
        adversarial: non-saturating logistic loss against a discriminator.
        feature_matching: difference of the discriminator's features (Wang et al., 2018,
            pix2pixHD).
        perceptual: difference of VGG-19 features, whose pinned weights are fetched.
        r1: gamma of the gradient penalty on real images (Mescheder et al., 2018).
        r1_every: steps between two penalties, each of which is multiplied by it ("lazy
            regularisation", Karras et al., 2020).
        adversarial_from: first step in which a discriminator takes part.
        class_weights: mask class to a factor on the losses of its images; others have 1.

    Raises:
        OptionError: A value is out of its range, or no loss is left.

    Example:
        >>> from facemask_inpaint.training import Losses
        >>> Losses(hole_l1=10, adversarial=0).r1_every
        16
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


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """Adam with a learning-rate schedule, for the generator or the discriminator.

    Attributes:
        learning_rate: step size of Adam.
        betas: decay rates of Adam's moment estimates.
        lazy_ratio: correction of learning rate and betas for steps that only regularise, as in
            StyleGAN2 (Karras et al., 2020, appendix B): the rate is multiplied by this ratio and
            the betas are raised to its power.
        warmup_steps: steps over which the learning rate rises from 0.
        decay_start: share of the run after which the learning rate falls linearly to 0.

    Raises:
        OptionError: A value is out of its range.

    Example:
        >>> from facemask_inpaint.training import Optimiser
        >>> Optimiser(learning_rate=2e-4, betas=(0.5, 0.99), warmup_steps=50).decay_start
        1.0
    """

    learning_rate: float = number(1e-3, 0, above=True)
    betas: tuple[float, float] = field(
        default=(0.0, 0.99), metadata={RANGE: Range(0, 1, below=True)}
    )
    lazy_ratio: float = number(1.0, 0, 1, above=True)
    warmup_steps: int = number(0, 0)
    decay_start: float = number(1.0, 0, 1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training run: network, masks, augmentation, losses, optimisers, length.

    Attributes:
        name: what logs and model folders call the run.
        architecture: network, as ``models.create`` takes it.
        options: constructor arguments of the network; ``mask_classes`` may be names or letters.
        initial_weights: model whose weights the generator starts from, by name or folder; what
            that model lacks starts at random. ``None`` trains from scratch.
        resolution: side of the square training images in pixels.
        batch_size: images per step, over all processes.
        gradient_accumulation: parts in which each process works through its share of a batch, to
            save memory.
        epochs: passes over the data.
        steps: length in steps, instead of ``epochs``.
        minutes: the run ends cleanly after this time, however many steps are left.
        masks: how masks are drawn.
        augmentation: random changes of the images.
        losses: weights of the losses.
        generator: optimiser of the generator.
        discriminator: optimiser of the discriminator.
        discriminator_options: constructor arguments of the discriminator.
        ema_half_life: number of images after which the exponential moving average of the weights
            has forgotten half. Early in a run it is a twentieth of the images seen, if that is
            less.
        precision: ``"bfloat16"`` computes generator and discriminator under autocast.
        validate_every: steps between validations and sample sheets; 0 for none.
        save_every: steps between checkpoints.
        seed: determines weights, order, masks, augmentation and every other draw.
        assumptions: what the source of the recipe does not say, so that it is a guess here.

    Raises:
        OptionError: A value is out of its range, or two do not fit together.
        UnknownNameError: There is no such architecture, or no mask class that a loss is weighted
            for, or that the network is to be told.

    Example:
        >>> from facemask_inpaint.training import Losses, Recipe
        >>> recipe = Recipe(name="mine", architecture="lite", losses=Losses(hole_l1=10), epochs=2)
        >>> recipe.length(1000)
        250
    """

    name: str
    architecture: str
    options: Mapping[str, Any] = field(default_factory=dict)
    initial_weights: str | None = None
    resolution: int = number(256, 8, 8192)
    batch_size: int = number(8, 1, 65536)
    gradient_accumulation: int = number(1, 1)
    epochs: float = number(100.0, 0, 1e6, above=True)
    steps: int | None = number(None, 1, 1e9)
    minutes: float | None = number(None, 0, above=True)
    masks: Masks = Masks()
    augmentation: Augmentation = Augmentation()
    losses: Losses = Losses()
    generator: Optimiser = Optimiser()
    discriminator: Optimiser = Optimiser()
    discriminator_options: Mapping[str, Any] = field(default_factory=dict)
    ema_half_life: float = number(10_000.0, 0, above=True)
    precision: Precision = "float32"
    validate_every: int = number(1000, 0)
    save_every: int = number(500, 1)
    seed: int = number(0, 0, 2**63 - 1)
    assumptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self)
        if not _NAME.fullmatch(self.name):
            raise OptionError(f"a recipe's name is letters, digits and spaces, not {self.name!r}")
        if self.architecture not in list_architectures():
            raise unknown_name("architecture", self.architecture, list_architectures())
        vocabulary = open_vocabulary(self.masks.vocabulary)
        weights = weights_by_name(self.losses.class_weights, "losses.class_weights", vocabulary)
        object.__setattr__(self, "losses", replace(self.losses, class_weights=weights))
        if told := self.options.get(_TOLD_CLASSES):
            where = f"options.{_TOLD_CLASSES}"
            items = told if isinstance(told, str) else as_type(tuple[str, ...], told, where)
            names = class_names(items, where, vocabulary)
            object.__setattr__(self, "options", {**self.options, _TOLD_CLASSES: names})
        if self.batch_size % self.gradient_accumulation:
            raise OptionError(
                f"{self.name}: batch_size {self.batch_size} is no multiple of "
                f"gradient_accumulation {self.gradient_accumulation}"
            )

    def length(self, images: int) -> int:
        """Return the number of steps of the whole run over so many images."""
        return self.steps or max(1, round(self.epochs * images / self.batch_size))

    def changed(self, /, **changes: object) -> Recipe:
        """Return a copy with other values.

        Args:
            **changes: settings to replace; ``{"losses.r1": 1.0}`` style keys reach into parts.

        Raises:
            UnknownNameError: There is no such setting.
            OptionError: A value is out of its range, or two do not fit together.
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
            if is_dataclass(value) and not isinstance(value, type):
                target[name] = asdict(value)
            else:
                target[name] = value
        return read(type(self), data, "recipe")

    def to_yaml(self) -> str:
        """Return the recipe as YAML text that :meth:`from_yaml` reads."""
        import yaml

        text: str = yaml.safe_dump(_plain(asdict(self)), sort_keys=False, allow_unicode=True)
        return text

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_yaml` to a file, whole or not at all."""
        with atomic_path(path) as temporary:
            temporary.write_text(self.to_yaml(), encoding="utf-8")

    @classmethod
    def from_yaml(cls, text: str) -> Recipe:
        """Read what :meth:`to_yaml` writes; settings that are left out keep their defaults.

        Args:
            text: a YAML mapping.

        Raises:
            OptionError: The text is no YAML mapping, or a value is of the wrong type.
            UnknownNameError: There is no such setting.
        """
        return read(cls, parse_yaml(text, "a recipe"), "recipe")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
