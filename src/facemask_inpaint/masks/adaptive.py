"""A mask sampler that spends more of the training on what validation shows to be hardest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict, Unpack

from facemask_inpaint._internal.settings import as_type
from facemask_inpaint.errors import OptionError
from facemask_inpaint.masks._sampler_options import probability_of, weights_of
from facemask_inpaint.masks.mixed import MixedMaskSampler

if TYPE_CHECKING:
    from facemask_inpaint._internal.types import StateDict
    from facemask_inpaint.masks.freeform import HoleGenerator
    from facemask_inpaint.masks.label_maps import LabelMapLike
    from facemask_inpaint.masks.mixed import MissingPolicy
    from facemask_inpaint.masks.schedules import Schedule
    from facemask_inpaint.masks.semantic import SemanticMasker

RANDOM = "random"
"""Name of free-form masks among the errors, beside those of the mask classes."""


class SamplerOptions(TypedDict, total=False):
    """Further options of :class:`MixedMaskSampler`, which documents them."""

    classes: str | Iterable[str] | None
    class_weights: Mapping[str, float] | None
    random: str | HoleGenerator
    masker: SemanticMasker | None
    missing: MissingPolicy
    bank: Sequence[LabelMapLike] | None
    schedule: Schedule | None


class AdaptiveMaskSampler(MixedMaskSampler):
    """A :class:`MixedMaskSampler` whose class and kind probabilities follow validation errors.

    The weight of a class is its initial weight times ``(error / mean error) ** strength``; the odds
    of a semantic against a random mask change likewise with the ratio of their errors. Between two
    calls of :meth:`on_validation` a draw is a pure function of ``(seed, epoch, index)`` as before.

    Args:
        size: resolution of the masks in pixels.
        semantic_probability: chance of a semantic mask at first.
        seed: at least 0; another seed draws other masks.
        strength: 0 changes nothing, 1 is in proportion to the errors.
        bounds: least and greatest chance of a semantic mask; one that is 0 or 1 stays.
        **options: further arguments of :class:`MixedMaskSampler`; a schedule is not among them.

    Raises:
        OptionError: An argument is out of its range.

    Example:
        >>> from facemask_inpaint.masks import AdaptiveMaskSampler
        >>> sampler = AdaptiveMaskSampler(256, classes="eyes,hair")
        >>> sampler.on_validation({"eyes": 0.1, "hair": 0.3})
        >>> [round(weight, 2) for weight in sampler.class_weights]
        [0.5, 1.5]
    """

    def __init__(
        self,
        size: int,
        semantic_probability: float = 0.5,
        seed: int = 0,
        *,
        strength: float = 1.0,
        bounds: tuple[float, float] = (0.1, 0.9),
        **options: Unpack[SamplerOptions],
    ) -> None:
        if options.get("schedule") is not None:
            raise OptionError("an adaptive sampler has no schedule: errors decide")
        if not 0 <= strength < float("inf") or not 0 < bounds[0] <= bounds[1] < 1:
            raise OptionError(f"strength {strength} or bounds {bounds} are out of range")
        super().__init__(size, semantic_probability, seed, **options)
        self.strength = strength
        self.bounds = bounds
        self._first = (list(self.class_weights), self.semantic_probability)

    def on_validation(self, errors: Mapping[str, float]) -> None:
        """Shift the probabilities towards what has the larger errors.

        Args:
            errors: mask class to a positive error; ``"random"`` to that under free-form masks.
                Classes without an error count as average, kinds without one stay as they are.

        Raises:
            OptionError: An error is not positive.
        """
        if any(not 0 < error < float("inf") for error in errors.values()):
            raise OptionError(f"errors must be positive numbers: {dict(errors)}")
        known = [errors[name] for name in self.classes if name in errors]
        if not known:
            return
        mean = sum(known) / len(known)
        weights, share = self._first
        self.class_weights = [
            weight * (errors.get(name, mean) / mean) ** self.strength
            for name, weight in zip(self.classes, weights)
        ]
        if RANDOM in errors and 0 < share < 1:
            odds = share / (1 - share) * (mean / errors[RANDOM]) ** self.strength
            low, high = self.bounds
            self.semantic_probability = min(max(odds / (1 + odds), low), high)

    def state_dict(self) -> StateDict:
        """Return the present probabilities, for a checkpoint."""
        return {
            "class_weights": dict(zip(map(str, self.classes), self.class_weights)),
            "semantic_probability": self.semantic_probability,
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Take up the probabilities that :meth:`state_dict` returned.

        Raises:
            OptionError: They are of other classes, or no probabilities; nothing is changed.
        """
        given = as_type(Mapping[str, float], state.get("class_weights"), "class_weights")
        if given.keys() != set(map(str, self.classes)):
            raise OptionError(
                f"a state of the classes {', '.join(given) or 'none'} does not fit a sampler of "
                f"{', '.join(map(str, self.classes))}"
            )
        weights = weights_of(self.classes, given, self.masker)
        share = state.get("semantic_probability")
        self.semantic_probability = probability_of(share, "semantic_probability")
        self.class_weights = weights
