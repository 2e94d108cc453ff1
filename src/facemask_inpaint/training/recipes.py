"""What a training run does, as data: written to YAML, read back, and compared."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from facemask_inpaint.errors import OptionError, unknown_name
from facemask_inpaint.files import atomic_path

MaskKind = Literal["random", "semantic", "mixed"]
Precision = Literal["float32", "bfloat16"]
Part = TypeVar("Part")

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
    semantic_probability: float = 0.5
    random: str = "mat"
    classes: str = "all"
    class_weights: Mapping[str, float] = field(default_factory=dict)
    dilate: float = 0.01
    adaptive: float = 0.0

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

    flip: float = 0.5
    rotation: float = 0.0
    tone: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Weights of the losses; 0 leaves a loss out and needs nothing for it.

    Attributes:
        hole_l1: mean absolute difference over the hole, per picture.
        adversarial: non-saturating logistic loss against a critic.
        feature_matching: difference of the critic's own features (Wang et al., 2018, pix2pixHD).
        perceptual: difference of VGG-19 features; needs their pinned weights.
        r1: gamma of the gradient penalty on real pictures (Mescheder et al., 2018).
        r1_every: steps between penalties, which are multiplied by it ("lazy").
        adversarial_from: first step with a critic.
        class_weights: mask class to the factor of its pictures' losses; others have 1.
    """

    hole_l1: float = 0.0
    adversarial: float = 1.0
    feature_matching: float = 0.0
    perceptual: float = 0.0
    r1: float = 10.0
    r1_every: int = 16
    adversarial_from: int = 0
    class_weights: Mapping[str, float] = field(default_factory=dict)


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

    rate: float = 1e-3
    betas: tuple[float, float] = (0.0, 0.99)
    lazy: float = 1.0
    warm_up: int = 0
    decay_from: float = 1.0


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
        critic: its optimiser.
        critic_options: constructor arguments of the critic.
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
    side: int = 256
    batch: int = 8
    passes: int = 1
    epochs: float = 100
    steps: int | None = None
    minutes: float | None = None
    masks: Masks = Masks()
    augmentation: Augmentation = Augmentation()
    losses: Losses = Losses()
    generator: Optimiser = Optimiser()
    critic: Optimiser = Optimiser()
    critic_options: Mapping[str, Any] = field(default_factory=dict)
    ema: float = 10_000
    precision: Precision = "float32"
    validate_every: int = 1000
    save_every: int = 500
    seed: int = 0
    unknown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("side", "batch", "passes", "save_every"):
            if getattr(self, name) < 1:
                raise OptionError(f"{self.name}: {name} must be at least 1")
        if self.batch % self.passes:
            raise OptionError(
                f"{self.name}: a batch of {self.batch} has no {self.passes} equal passes"
            )
        if self.precision not in typing.get_args(Precision):
            raise OptionError(f"{self.name}: precision is float32 or bfloat16")
        if self.masks.kind not in SEMANTIC_SHARE:
            raise unknown_name("kind of masks", self.masks.kind, SEMANTIC_SHARE)

    def length(self, pictures: int) -> int:
        """Steps of the whole run over so many pictures."""
        return self.steps or max(1, round(self.epochs * pictures / self.batch))

    def changed(self, **changes: Any) -> Recipe:
        """Copy with other values; ``{"losses.r1": 1.0}`` style keys reach into parts.

        Raises:
            UnknownNameError: there is no such setting.
            OptionError: the value makes no sense.
        """
        recipe = self
        for key, value in changes.items():
            part, _, name = key.rpartition(".")
            recipe = recipe._with(part, name, value)
        return recipe

    def _with(self, part: str, name: str, value: Any) -> Recipe:
        owner = getattr(self, part, None) if part else self
        if not is_dataclass(owner) or isinstance(owner, type):
            raise unknown_name("part of a recipe", part, [f.name for f in fields(self)])
        data = asdict(owner)
        if name not in data:
            raise unknown_name("setting", name, data)
        new = _read(type(owner), data | {name: value}, part or "recipe")
        whole: Any = new if not part else replace(self, **typing.cast(Any, {part: new}))
        return whole

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
        import yaml

        try:
            data = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise OptionError(f"a recipe is YAML: {error}") from None
        return _read(cls, data, "recipe")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _read(kind: type[Part], data: Any, where: str) -> Part:
    """A recipe, or a part of one, from plain values."""
    if not isinstance(data, Mapping):
        raise OptionError(f"{where}: settings with values are needed, not {data!r}")
    kinds = typing.get_type_hints(kind)
    if unknown := [name for name in data if name not in kinds]:
        raise unknown_name(f"setting of {where}", str(unknown[0]), kinds)
    try:
        return kind(**{name: _value(kinds[name], v, f"{where}.{name}") for name, v in data.items()})
    except TypeError as error:
        raise OptionError(f"{where}: {error}") from None


def _value(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        return value if isinstance(value, kind) else _read(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return tuple(value)
    if origin is Literal and value not in arguments:
        raise OptionError(f"{where} is one of {', '.join(map(str, arguments))}, not {value!r}")
    if isinstance(kind, types.UnionType):  # of a kind and None
        return None if value is None else _value(arguments[0], value, where)
    if kind in (int, float):
        return _number(kind, value, where)
    return value


def _number(kind: Any, value: Any, where: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        try:
            value = float(value)  # YAML 1.1 takes 1e-3 for text
        except (TypeError, ValueError):
            raise OptionError(f"{where} is a number, not {value!r}") from None
    if kind is int and value != int(value):
        raise OptionError(f"{where} is a whole number, not {value!r}")
    return kind(value)
