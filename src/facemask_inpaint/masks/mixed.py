"""Random and semantic masks mixed per image: what networks are retrained with."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    Protocol,
    TypeVar,
    get_args,
    overload,
)

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint.errors import LabelMapError, OptionError
from facemask_inpaint.masks._sampler_options import (
    generator_of,
    probability_of,
    weights_of,
    whole_number,
)
from facemask_inpaint.masks._tensors import is_tensor, tensor_like
from facemask_inpaint.masks.components import Component
from facemask_inpaint.masks.freeform import HoleGenerator
from facemask_inpaint.masks.label_maps import (
    Annotation,
    LabelMap,
    LabelMapLike,
    LabelSource,
)
from facemask_inpaint.masks.morphology import Hole, resize_hole
from facemask_inpaint.masks.schedules import Schedule, schedule_of
from facemask_inpaint.masks.semantic import SemanticMasker

if TYPE_CHECKING:
    from torch import Tensor

    from facemask_inpaint._internal.types import StateDict

Kind = Literal["random", "semantic"]
MissingPolicy = Literal["redraw", "random"]


MaskT_co = TypeVar("MaskT_co", bound="NDArray[np.bool_] | Tensor", covariant=True)


@dataclass(frozen=True)
class MaskSample(Generic[MaskT_co]):
    """One drawn mask and what it is.

    Attributes:
        mask: ``(size, size)`` bool, True = hole: a tensor on the label map's device where that was
            a tensor, else a NumPy array.
        kind: ``"random"`` or ``"semantic"``, by what the mask is, not by what was wished for.
        mask_class: class of a semantic mask; None for a random one.

    Example:
        >>> from facemask_inpaint import MixedMaskSampler
        >>> MixedMaskSampler(64, semantic_probability=0)(None, index=0).kind
        'random'
    """

    mask: MaskT_co
    kind: Kind
    mask_class: str | None


class MaskSampler(Protocol):
    """Anything that draws the masks of training images, and may learn from validation.

    A draw must be a function of ``index``, ``epoch``, the label map and the sampler's state alone,
    so that a resumed run continues as if it had never stopped.

    Example:
        >>> from facemask_inpaint.masks import MaskSampler, MixedMaskSampler
        >>> sampler: MaskSampler = MixedMaskSampler(64, semantic_probability=0)
        >>> sampler(None, index=0).kind
        'random'
    """

    def __call__(
        self, label_map: LabelMapLike | None, /, *, index: int, epoch: int = 0
    ) -> MaskSample[NDArray[np.bool_] | Tensor]:
        """Draw the mask of one image; see :meth:`MixedMaskSampler.__call__`."""
        ...

    def on_validation(self, errors: Mapping[str, float]) -> None:
        """Take note of validation errors by mask class, ``"random"`` for free-form masks."""
        ...

    def state_dict(self) -> StateDict:
        """Return what a checkpoint must hold."""
        ...

    def load_state_dict(self, state: StateDict) -> None:
        """Take up what :meth:`state_dict` returned."""
        ...


class MixedMaskSampler:
    """Draws, for each image, either a random free-form mask or a semantic one of a random class.

    A draw is a pure function of ``(seed, epoch, index)`` and the label map: number of workers,
    ranks and the order of calls do not matter, and no global random state is touched.

    Args:
        size: resolution of the masks in pixels.
        semantic_probability: chance of a semantic mask.
        seed: at least 0; another seed draws other masks.
        classes: classes to draw from, as names, letters or text such as ``"A-D,hair"``; None
            for all of the masker's.
        class_weights: class (name or letter, or several such as ``"eyes,hair"``) to its relative
            weight; classes not named have weight 1. None draws all classes alike.
        random: free-form generator, by name (:data:`freeform.GENERATORS`) or as a function of
            ``(size, rng)`` to a mask of that size, of any type that
            :func:`facemask_inpaint.images.decode_mask` takes.
        masker: cuts the semantic masks; default ``SemanticMasker()``. If it covers one object of a
            class at a time, which one is drawn too, all alike.
        missing: ``"redraw"`` draws among the classes that the image has, by their weights;
            ``"random"`` draws among all and gives a random mask where the drawn one is absent,
            which keeps the classes' frequencies as weighted.
        bank: label maps lent to images that have none, as anything with ``len`` and indexing.
        schedule: chance of a semantic mask by epoch, in place of ``semantic_probability``.

    Raises:
        OptionError: An argument is out of its range.
        UnknownNameError: There is no such class or generator.

    Example:
        >>> from facemask_inpaint import MixedMaskSampler, data
        >>> sampler = MixedMaskSampler(512, semantic_probability=1.0, classes="hair")
        >>> sample = sampler(data.sample().label_map, index=0, epoch=0)
        >>> sample.kind, str(sample.mask_class), sample.mask.shape
        ('semantic', 'hair', (512, 512))
    """

    def __init__(
        self,
        size: int,
        semantic_probability: float = 0.5,
        seed: int = 0,
        *,
        classes: str | Iterable[str] | None = None,
        class_weights: Mapping[str, float] | None = None,
        random: str | HoleGenerator = "mat",
        masker: SemanticMasker | None = None,
        missing: MissingPolicy = "redraw",
        bank: Sequence[LabelMapLike] | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        if missing not in get_args(MissingPolicy):
            raise OptionError(f"missing must be one of {get_args(MissingPolicy)}, not {missing!r}")
        if bank is not None and not len(bank):
            raise OptionError("the bank holds no label maps")
        if masker is not None and masker.feather:
            raise OptionError("networks are trained with hard masks; give a masker with feather=0")
        self.size = whole_number(size, "size", 1)
        self.semantic_probability = probability_of(semantic_probability, "semantic_probability")
        self.seed = whole_number(seed, "seed", 0)
        self.masker = masker if masker is not None else SemanticMasker()
        self.classes = self.masker.select("all" if classes is None else classes)
        self.class_weights = weights_of(self.classes, class_weights, self.masker)
        self.random = generator_of(random)
        self.missing = missing
        self.bank: Sequence[LabelMapLike] = () if bank is None else bank
        self.schedule = schedule_of(schedule)

    @overload
    def __call__(self, label_map: Tensor, *, index: int, epoch: int = 0) -> MaskSample[Tensor]: ...

    @overload
    def __call__(
        self,
        label_map: NDArray[np.generic] | Image.Image | str | Path | LabelMap | Annotation | None,
        *,
        index: int,
        epoch: int = 0,
    ) -> MaskSample[NDArray[np.bool_]]: ...

    @overload
    def __call__(
        self, label_map: LabelMapLike | None, *, index: int, epoch: int = 0
    ) -> MaskSample[NDArray[np.bool_] | Tensor]: ...

    def __call__(
        self, label_map: LabelMapLike | None, *, index: int, epoch: int = 0
    ) -> MaskSample[NDArray[np.bool_] | Tensor]:
        """Draw the mask of one image.

        Args:
            label_map: one label map in any form; None borrows one from the bank.
            index: number of the image in its data set, at least 0.
            epoch: number of the pass over the data, at least 0.

        Returns:
            The mask; a random one also where the image has none of the classes, or where the
            drawn class leaves no pixel of it known.

        Raises:
            LabelMapError: There is no label map and no bank, and semantic masks are wanted.
            MaskError: The random generator returned no mask of this size.
            OptionError: The index or the epoch is negative.

        Warns:
            UserWarning: An image gets a random mask for want of a class, although
                ``semantic_probability`` is 1; or an oblong label map is squashed into the square.
        """
        rng = self._rng(index, epoch)
        probability = self.probability(epoch)
        if label_map is None and not len(self.bank) and probability > 0:
            raise LabelMapError(
                "an image without a label map cannot get a semantic mask; give the sampler a "
                "bank of label maps to borrow from, or semantic_probability=0"
            )
        # Each kind has its own stream, so that one kind's draws never shift the other's.
        choice, shape = rng.spawn(2)
        if choice.random() < probability:
            source = self.masker.open(self._borrowed(choice) if label_map is None else label_map)
            name = self._draw_class(source, choice)
            hole = None if name is None else self._semantic(source, name, choice)
            if hole is not None:
                return MaskSample(_like(hole, label_map), "semantic", name)
            if probability == 1 and self.missing == "redraw":
                _warn_of_random_mask(self.classes)
        return MaskSample(_like(self._random(shape), label_map), "random", None)

    def batch(
        self,
        label_maps: Sequence[LabelMapLike | None] | Tensor,
        *,
        indices: Iterable[int],
        epoch: int = 0,
    ) -> Tensor:
        """Draw the masks of a batch.

        Args:
            label_maps: one per image, in any form, or ``(N, H, W)``.
            indices: numbers of the images in their data set.
            epoch: number of the pass over the data.

        Returns:
            ``(N, 1, size, size)`` float32, 1 = hole, on the label maps' device.

        Raises:
            OptionError: There are not as many indices as label maps.
        """
        import torch

        from facemask_inpaint._internal.torch_state import ordinary_torch

        numbers = [operator.index(index) for index in indices]
        if len(numbers) != len(label_maps) or not numbers:
            raise OptionError(f"{len(label_maps)} label maps and {len(numbers)} indices")
        with ordinary_torch():
            masks = [
                torch.as_tensor(self(label_map, index=index, epoch=epoch).mask)
                for label_map, index in zip(label_maps, numbers)
            ]
            return torch.stack(masks).unsqueeze(1).float()

    def on_validation(self, errors: Mapping[str, float]) -> None:
        """Take note of validation errors by mask class; they change nothing here.

        Args:
            errors: mask class to a positive error; ``"random"`` to that under free-form masks.
        """

    def state_dict(self) -> StateDict:
        """Return what a checkpoint must hold: nothing, for the draws follow from the arguments."""
        return {}

    def load_state_dict(self, state: StateDict) -> None:
        """Take up what :meth:`state_dict` returned."""

    def probability(self, epoch: int) -> float:
        """Return the chance of a semantic mask in an epoch."""
        if self.schedule is None:
            return self.semantic_probability
        return probability_of(self.schedule(epoch), f"the schedule's probability in epoch {epoch}")

    def _rng(self, index: int, epoch: int) -> np.random.Generator:
        if index < 0 or epoch < 0:
            raise OptionError(f"index and epoch start at 0, not {index} and {epoch}")
        return np.random.default_rng((self.seed, operator.index(epoch), operator.index(index)))

    def _random(self, rng: np.random.Generator) -> Hole:
        """Hole of the free-form generator, which may be anybody's function."""
        drawn: Any = self.random(self.size, rng)
        size = (self.size, self.size)
        if isinstance(drawn, np.ndarray) and drawn.dtype == np.bool_ and drawn.shape == size:
            return np.ascontiguousarray(drawn)
        hole: Hole = images.as_hole(drawn, size, name="the random mask").cpu().numpy()
        return hole

    def _borrowed(self, rng: np.random.Generator) -> LabelMapLike:
        return self.bank[int(rng.integers(len(self.bank)))]

    def _draw_class(self, source: LabelSource, rng: np.random.Generator) -> str | None:
        present = set(self.masker.present(source))
        if self.missing == "redraw":
            weights = [w * (name in present) for name, w in zip(self.classes, self.class_weights)]
        else:
            weights = self.class_weights
        total = sum(weights)
        if not total:
            return None
        drawn = self.classes[int(rng.choice(len(weights), p=np.divide(weights, total)))]
        return drawn if drawn in present else None

    def _semantic(self, source: LabelSource, name: str, rng: np.random.Generator) -> Hole | None:
        """Hole of one class, or None where nothing of the image would stay known."""
        component: Component = self.masker.classes[name]
        instance = 0
        if self.masker.instances == "one":
            instance = int(rng.integers(self.masker.count(source, component)))
        hole = resize_hole(self.masker(source, component, instance=instance), self.size)
        return None if hole.all() else hole


def _warn_of_random_mask(classes: Sequence[str]) -> None:
    # The same words each time, so that Python's filters show them once.
    warnings.warn(
        f"an image has none of the classes {', '.join(map(str, classes))}, or nothing else, and "
        "gets a random mask "
        'although semantic_probability is 1; the sample\'s kind is "random"',
        UserWarning,
        stacklevel=3,
    )


def _like(hole: Hole, label_map: LabelMapLike | None) -> Hole | Tensor:
    return tensor_like(hole, label_map) if is_tensor(label_map) else hole
