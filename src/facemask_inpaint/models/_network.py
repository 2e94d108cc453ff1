"""The contract that every inpainting network keeps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from facemask_inpaint._internal.torch_state import has_ordinary_defaults, ordinary_defaults
from facemask_inpaint.errors import MaskError, OptionError, SizeError
from facemask_inpaint.models._conditions import ConditionSpec, check_conditions
from facemask_inpaint.models.layers.step_draws import Latent, StepDraws

Generators = torch.Generator | Sequence[torch.Generator] | None
"""One generator for a batch, or one per picture (then a picture's draws ignore its neighbours)."""


class InpaintingNetwork(nn.Module):
    """Base of all networks: checks the input, zeroes the hole, draws what is random.

    A subclass writes :meth:`fill`, or :meth:`fill_conditioned` where it can be told
    something, and says what it can take through the class or instance
    attributes below. Hidden pixels cannot reach :meth:`fill`: they are zeroed here.

    Attributes:
        native_size: side in pixels the weights were trained at; ``None`` if any size is as good.
        larger_size: another side that it takes, beyond ``native_size``.
        size_multiple: height and width must be multiples of this.
        smallest_size: height and width must be at least this.
        any_size: whether sizes other than ``native_size`` x ``native_size`` are accepted.
        preferred_strategy: how pictures of other sizes meet the network best, see
            ``strategies``; ``None`` leaves it to the rule there.
        stepwise: latents whose second axis counts steps, too many to hold at once. They reach
            :meth:`fill` as given, or as :class:`StepDraws`, and are read by ``draws_of_step``.
        anchors: official keys by which the network is found behind whatever a wrapper puts in
            front of its keys; at least one of each layout, as ``"role/key"`` where the weights
            come in several files.
        optional: last parts of the names of tensors that published copies leave out; where no
            tensor of such a name is there, all of them are zero.
        architecture: the registry name; empty for networks not made by ``models.create``.
        options: the constructor arguments, as ``models.create`` was given them.
        progress: show a bar of steps, in networks that take many.
    """

    native_size: int | None = None
    larger_size: int | None = None
    size_multiple: int = 1
    smallest_size: int = 1
    any_size: bool = True
    preferred_strategy: Literal["pad", "resize", "crop"] | None = None
    stepwise: Collection[str] = frozenset()
    anchors: Sequence[str] = ()
    optional: Sequence[str] = ()
    architecture: str = ""
    options: Mapping[str, Any] = MappingProxyType({})
    progress: bool = False

    def forward(
        self,
        image: Tensor,
        mask: Tensor,
        *,
        latents: Mapping[str, Tensor] | None = None,
        generator: Generators = None,
        conditions: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Fill the hole and return the network's raw answer for the whole frame.

        Args:
            image: ``(N, 3, H, W)`` float in [-1, 1]; what lies under the hole is ignored.
            mask: ``(N, 1, H, W)`` of the same dtype, 1 = hole, 0 = known.
            latents: random draws by the names of :meth:`latent_spec`; missing ones are drawn.
            generator: source of the missing draws; one per batch or one per picture.
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
                return self._forward(image, mask, latents, generator, conditions)
        return self._forward(image, mask, latents, generator, conditions)

    def _forward(
        self,
        image: Tensor,
        mask: Tensor,
        latents: Mapping[str, Tensor] | None,
        generator: Generators,
        conditions: Mapping[str, Any] | None,
    ) -> Tensor:
        """See :meth:`forward`."""
        self._check(image, mask)
        n, _, h, w = image.shape
        name = self.architecture or type(self).__name__
        conditions = check_conditions(self.condition_spec(), conditions or {}, n, name)
        network = self.under(conditions)
        drawn = network.draw_latents(n, h, w, given=latents, generator=generator)
        placed = {
            name: latent if name in self.stepwise else latent.to(image)
            for name, latent in drawn.items()
        }
        # Not a product: what is hidden may be infinite or no number at all.
        visible = image.masked_fill(mask == 1, 0)
        return network.fill_conditioned(visible, mask, placed, conditions)

    def fill_conditioned(
        self,
        visible: Tensor,
        hole: Tensor,
        latents: Mapping[str, Any],
        conditions: Mapping[str, Any],
    ) -> Tensor:
        """Answer as :meth:`fill` does, under every condition of :meth:`condition_spec`."""
        return self.fill(visible, hole, latents)

    def fill(self, visible: Tensor, hole: Tensor, latents: Mapping[str, Any]) -> Tensor:
        """Answer for ``visible`` (hole pixels are 0), ``hole`` (1 = fill) and all latents."""
        raise NotImplementedError(f"{type(self).__name__} does not define fill()")

    def condition_spec(self) -> ConditionSpec:
        """What this network can be told beside image and mask, by name; nothing by default."""
        return {}

    def under(self, conditions: Mapping[str, Any]) -> InpaintingNetwork:
        """This network as it is under conditions on which its draws depend; itself by default."""
        return self

    def default_conditions(self, mask_classes: Iterable[str]) -> dict[str, Any]:
        """What the network is told where nothing is said, for records: what JSON can hold.

        Args:
            mask_classes: names of the classes of the holes to come.
        """
        spec = self.condition_spec().items()
        return {name: one.default for name, one in spec if one.default is not None}

    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        """Shape of every random draw for ``n`` pictures of ``h`` x ``w``; the batch axis leads."""
        return {}

    def draw_latents(
        self,
        n: int,
        h: int,
        w: int,
        *,
        given: Mapping[str, Tensor] | None = None,
        generator: Generators = None,
    ) -> dict[str, Any]:
        """All latents for ``n`` pictures of ``h`` x ``w``: those given, and the others drawn.

        They are tensors; of the names in :attr:`stepwise` those drawn are :class:`StepDraws`.

        Raises:
            OptionError: a given latent is unknown or of another shape.
        """
        spec = self.latent_spec(n, h, w)
        latents: dict[str, Latent] = dict(given or {})
        if unknown := sorted(latents.keys() - spec.keys()):
            raise OptionError(f"unknown latents {unknown}; this network draws {sorted(spec)}")
        for name, shape in spec.items():
            if name not in latents:
                latents[name] = self._draw_batch(name, shape, generator)
            if (got := tuple(latents[name].shape)) != shape:
                raise OptionError(f"latent {name!r} has shape {got}; needed: {shape}")
        return latents

    def draw(self, name: str, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        """Draw the latent ``name`` on the CPU; standard normal unless a network says otherwise."""
        if name in self.stepwise:
            return StepDraws(shape, [generator]).stacked()
        return torch.randn(shape, generator=generator)

    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """Constructor arguments that can be read off an official checkpoint's tensors."""
        return {}

    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This class's state dict from tensors under the official checkpoint's own keys."""
        return dict(tensors)

    def _draw_batch(self, name: str, shape: tuple[int, ...], generator: Generators) -> Latent:
        sources = _sources(generator, shape[0])
        if name in self.stepwise:
            return StepDraws(shape, sources)
        part = (shape[0] // len(sources), *shape[1:])
        return torch.cat([self.draw(name, part, one) for one in sources])

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
        """Raise :class:`SizeError` unless pictures of ``h`` x ``w`` can be taken."""
        name, side = type(self).__name__, self.native_size
        sides = [one for one in (side, self.larger_size) if one]
        if not self.any_size and (h != w or h not in sides):
            taken = " and ".join(f"{one}x{one}" for one in sides)
            raise SizeError(f"{name} takes {taken} pictures only, got {h}x{w}")
        if h % self.size_multiple or w % self.size_multiple:
            raise SizeError(
                f"{name} takes heights and widths that are multiples of "
                f"{self.size_multiple}, got {h}x{w}"
            )
        if min(h, w) < self.smallest_size:
            raise SizeError(f"{name} takes sides of at least {self.smallest_size}, got {h}x{w}")


def _sources(generator: Generators, n: int) -> Sequence[torch.Generator | None]:
    """The generator for a batch, or the ``n`` for its pictures, as a sequence."""
    if generator is None or isinstance(generator, torch.Generator):
        return [generator]
    if len(generator) != n:
        raise OptionError(f"{len(generator)} generators for {n} pictures")
    return generator
