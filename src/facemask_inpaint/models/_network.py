"""The contract that every inpainting network keeps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint._internal.torch_state import has_ordinary_defaults, ordinary_defaults
from facemask_inpaint.errors import MaskError, OptionError, SizeError
from facemask_inpaint.models._conditions import BatchConditions, ConditionSpec, check_conditions
from facemask_inpaint.models._denoising import DenoisingStep
from facemask_inpaint.models.layers.step_draws import StepDraws

Generators = torch.Generator | Sequence[torch.Generator] | None
"""One generator for a batch, or one per image (then an image's draws ignore its neighbours)."""

Step = TypeVar("Step")
StepWatcher = Callable[[int, int], None]
"""Called after each step with the number of steps done and of all; what it raises ends the run."""


class InpaintingNetwork(nn.Module):
    """Base of all networks: checks the input, zeroes the hole, draws what is random.

    A subclass writes :meth:`fill`, or :meth:`fill_conditioned` where it takes conditions, and
    says what it can take through the class or instance attributes below. Hidden pixels cannot
    reach either method: they are zeroed here.

    Attributes:
        native_resolution: side in pixels that the weights were trained at; ``None`` if any size
            is as good.
        larger_resolution: another side that it takes, beyond ``native_resolution``.
        size_multiple: height and width must be multiples of this.
        smallest_size: height and width must be at least this.
        any_size: whether sizes other than the square of ``native_resolution`` are accepted.
        preferred_strategy: how images of other sizes meet the network best, see
            ``strategies``; ``None`` leaves it to the rule there.
        stepwise: latents whose second axis counts steps, too many to hold at once. Where they
            are drawn, :meth:`fill` gets a :class:`StepDraws`, to be indexed as ``[:, step]``.
        anchors: official keys by which the network is found behind whatever a wrapper puts in
            front of its keys; at least one of each layout, as ``"role/key"`` where the weights
            come in several files.
        optional: last parts of the names of tensors that published copies leave out; where no
            tensor of such a name is there, all of them are zero.
        architecture: the registry name; empty for networks not made by ``models.create``.
        options: the constructor arguments, as ``models.create`` was given them.
        progress: whether networks that work in many steps show a progress bar.
        on_step: called by such networks after each step with the number of steps done and of
            all. To cancel, raise in it; the error reaches the caller, and the network can be
            used again.

    Example:
        >>> import torch
        >>> from facemask_inpaint.models import InpaintingNetwork
        >>> class Grey(InpaintingNetwork):
        ...     def fill(self, masked_image, hole, latents):
        ...         return torch.zeros_like(masked_image)
        >>> image, mask = torch.ones(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
        >>> Grey()(image, mask).shape
        torch.Size([1, 3, 8, 8])
    """

    native_resolution: int | None = None
    larger_resolution: int | None = None
    size_multiple: int = 1
    smallest_size: int = 1
    any_size: bool = True
    preferred_strategy: Literal["pad", "resize", "crop"] | None = None
    stepwise: Collection[str] = frozenset()
    anchors: Sequence[str] = ()
    optional: Sequence[str] = ()
    architecture: str = ""
    options: Mapping[str, object] = MappingProxyType({})
    progress: bool = False
    on_step: StepWatcher | None = None

    def forward(
        self,
        image: Tensor,
        mask: Tensor,
        *,
        latents: Mapping[str, Tensor] | None = None,
        generator: Generators = None,
        conditions: Mapping[str, object] | None = None,
    ) -> Tensor:
        """Fill the hole and return the network's raw prediction for the whole frame.

        Args:
            image: ``(N, 3, H, W)`` float in [-1, 1]; what lies under the hole is ignored.
            mask: ``(N, 1, H, W)`` of the same dtype, 1 = hole, 0 = known.
            latents: random draws by the names of :meth:`latent_spec`; missing ones are drawn.
            generator: source of the missing draws; one per batch or one per image.
            conditions: by the names of :meth:`condition_spec`; others keep their defaults. One
                that may differ between images is one value for all, or one for each.

        Returns:
            ``(N, 3, H, W)`` in [-1, 1], not composited unless the network itself does so.

        Raises:
            SizeError: the network cannot take this height and width.
            MaskError: the mask does not fit the image or is not two-valued.
            OptionError: a latent is unknown or of another shape, or a condition makes no sense
                for this network.
        """
        if not has_ordinary_defaults():
            with ordinary_defaults():
                return self._forward(image, mask, latents, generator, conditions or {})
        return self._forward(image, mask, latents, generator, conditions or {})

    def _forward(
        self,
        image: Tensor,
        mask: Tensor,
        latents: Mapping[str, Tensor] | None,
        generator: Generators,
        values: Mapping[str, object],
    ) -> Tensor:
        self._check(image, mask)
        n, _, h, w = image.shape
        name = self.architecture or type(self).__name__
        conditions = check_conditions(self.condition_spec(), values, n, name)
        network = self.under(conditions)
        drawn = network.draw_latents(n, h, w, given=latents, generator=generator)
        placed = {
            name: latent if name in self.stepwise else latent.to(image)
            for name, latent in drawn.items()
        }
        # Not a product: what is hidden may be infinite or no number at all.
        masked_image = image.masked_fill(mask == 1, 0)
        return network.fill_conditioned(masked_image, mask, placed, conditions)

    def fill_conditioned(
        self,
        masked_image: Tensor,
        hole: Tensor,
        latents: Mapping[str, Tensor],
        conditions: BatchConditions,
    ) -> Tensor:
        """Predict as :meth:`fill` does, under every condition of :meth:`condition_spec`.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.
            latents: every draw of :meth:`latent_spec`.
            conditions: every condition, checked.
        """
        return self.fill(masked_image, hole, latents)

    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        """Predict the whole frame ``(N, 3, H, W)`` in [-1, 1].

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.
            latents: every draw of :meth:`latent_spec`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define fill()")

    def lay_out(self) -> None:
        """Arrange weights in memory as predictions on a CPU read them; by default, as they are.

        Files of such weights are written by :meth:`facemask_inpaint.Inpainter.save_pretrained`, or
        as contiguous copies.
        """

    def condition_spec(self) -> ConditionSpec:
        """Return what the network takes beside image and mask, by name; nothing by default."""
        return {}

    def under(self, conditions: BatchConditions) -> InpaintingNetwork:
        """Return the network for conditions on which its draws depend; itself by default."""
        return self

    def denoising_step(self, h: int, w: int) -> DenoisingStep | None:
        """Return what is computed at each step for images of ``h`` x ``w``.

        ``None``, by default, where the network predicts at once.
        """
        return None

    def default_conditions(self, mask_classes: Iterable[str]) -> dict[str, object]:
        """Return the conditions that count where none are given, for records; JSON can hold them.

        Args:
            mask_classes: names of the classes of the holes to come.
        """
        spec = self.condition_spec().items()
        defaults = {name: condition.default for name, condition in spec}
        return {name: value for name, value in defaults.items() if value is not None}

    def with_progress(self, steps: Sequence[Step]) -> Iterator[Step]:
        """Yield steps one by one; the next only after :attr:`on_step` knows of the last."""
        bar = progress_bar(steps, shown=self.progress, unit="step", leave=False)
        for done, step in enumerate(bar, start=1):
            yield step
            if self.on_step is not None:
                self.on_step(done, len(steps))

    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of every random draw by name.

        Args:
            n: number of images; the first axis of every draw.
            h: their height in pixels.
            w: their width in pixels.
        """
        return {}

    def draw_latents(
        self,
        n: int,
        h: int,
        w: int,
        *,
        given: Mapping[str, Tensor] | None = None,
        generator: Generators = None,
    ) -> dict[str, Tensor]:
        """Return all latents for ``n`` images of ``h`` x ``w``: those given, the others drawn.

        Those of the names in :attr:`stepwise` that are drawn here are :class:`StepDraws`.

        Raises:
            OptionError: a given latent is unknown or of another shape.
        """
        spec = self.latent_spec(n, h, w)
        latents = dict(given or {})
        if unknown := sorted(latents.keys() - spec.keys()):
            raise OptionError(f"unknown latents {unknown}; this network draws {sorted(spec)}")
        for name, shape in spec.items():
            if name not in latents:
                latents[name] = self._draw_batch(name, shape, generator)
            if (got := tuple(latents[name].shape)) != shape:
                raise OptionError(f"latent {name!r} has shape {got}; needed: {shape}")
        return latents

    def draw(self, name: str, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        """Draw a latent on the CPU; standard normal unless a network says otherwise.

        Args:
            name: of the latent, one of :meth:`latent_spec`.
            shape: of the draw.
            generator: source of the numbers; ``None`` is PyTorch's own.
        """
        if name in self.stepwise:
            return StepDraws(shape, [generator]).stacked()
        return torch.randn(shape, generator=generator)

    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        """Return the constructor arguments that an official checkpoint's shapes tell."""
        return {}

    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return this class's state dict from tensors under the official checkpoint's own keys.

        Raises:
            CheckpointError: some tensors are missing or have no place.
        """
        return dict(tensors)

    def _draw_batch(self, name: str, shape: tuple[int, ...], generator: Generators) -> Tensor:
        sources = _sources(generator, shape[0])
        if name in self.stepwise:
            # Indexed by step it is what the tensor would be, without ever holding all of it.
            return cast(Tensor, StepDraws(shape, sources))
        part = (shape[0] // len(sources), *shape[1:])
        return torch.cat([self.draw(name, part, source) for source in sources])

    def _check(self, image: Tensor, mask: Tensor) -> None:
        if image.ndim != 4 or image.shape[1] != 3:
            raise SizeError(f"image must be (N, 3, H, W), got {tuple(image.shape)}")
        n, _, h, w = image.shape
        if tuple(mask.shape) != (n, 1, h, w):
            raise MaskError(f"mask must be {(n, 1, h, w)}, got {tuple(mask.shape)}")
        if not bool(((mask == 0) | (mask == 1)).all()):
            raise MaskError("mask must hold only 0 (known) and 1 (hole)")
        self.check_size(h, w)

    def check_size(self, h: int, w: int) -> None:
        """Raise :class:`SizeError` unless images of ``h`` x ``w`` can be taken."""
        name = type(self).__name__
        sides = [side for side in (self.native_resolution, self.larger_resolution) if side]
        if not self.any_size and (h != w or h not in sides):
            taken = " and ".join(f"{side}x{side}" for side in sides)
            raise SizeError(f"{name} takes {taken} images only, got {h}x{w}")
        if h % self.size_multiple or w % self.size_multiple:
            raise SizeError(
                f"{name} takes heights and widths that are multiples of "
                f"{self.size_multiple}, got {h}x{w}"
            )
        if min(h, w) < self.smallest_size:
            raise SizeError(f"{name} takes sides of at least {self.smallest_size}, got {h}x{w}")


def _sources(generator: Generators, n: int) -> Sequence[torch.Generator | None]:
    """The generator for a batch, or the ``n`` for its images, as a sequence."""
    if generator is None or isinstance(generator, torch.Generator):
        return [generator]
    if len(generator) != n:
        raise OptionError(f"{len(generator)} generators for {n} images")
    return generator
