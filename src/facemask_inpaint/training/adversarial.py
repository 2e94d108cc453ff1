"""Generator and discriminator of each architecture, behind one way to train them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from facemask_inpaint import models
from facemask_inpaint.errors import OptionError
from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models._building import build
from facemask_inpaint.training.dataset import Batch
from facemask_inpaint.training.discriminators import DiscriminatorOutput, PatchDiscriminator

if TYPE_CHECKING:
    from facemask_inpaint.models.mat import Discriminator

Generators = Sequence[torch.Generator]
"""One random generator per image, so that an image's draws do not depend on its batch."""


class AdversarialPair(nn.Module):
    """A generator with one output, and a discriminator that rates patches.

    Subclasses say what is different about an architecture.

    Args:
        generator: the network to train.
        discriminator: rates composites.

    Attributes:
        redraws: whether generator and discriminator each train on predictions of their own,
            instead of the same ones.

    Example:
        >>> from facemask_inpaint.training.adversarial import create_pair
        >>> pair = create_pair("lite", {"detail": 0}, resolution=256, discriminator_options={})
        >>> type(pair.generator).__name__, type(pair.discriminator).__name__
        ('Lite', 'PatchDiscriminator')
    """

    redraws = False

    def __init__(self, generator: InpaintingNetwork, discriminator: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator

    @classmethod
    def create(
        cls, generator: InpaintingNetwork, resolution: int, options: Mapping[str, object]
    ) -> AdversarialPair:
        """Pair a generator with an untrained discriminator.

        Args:
            generator: the network to train.
            resolution: side of the images in pixels.
            options: constructor arguments of the discriminator.
        """
        return cls(generator, build(PatchDiscriminator, options, "the discriminator"))

    def predict(self, batch: Batch, generators: Generators) -> tuple[Tensor, ...]:
        """Fill the holes of a batch.

        Args:
            batch: images and holes.
            generators: of all draws, one for each image.

        Returns:
            Composites ``(N, 3, H, W)`` by stage, the final one first.
        """
        prediction = self.generator(batch.image, batch.hole, generator=generators)
        return (composite(prediction, batch),)

    def discriminate(
        self, images: Sequence[Tensor], hole: Tensor
    ) -> tuple[DiscriminatorOutput, ...]:
        """Rate images by stage, as :meth:`predict` returns them."""
        return tuple(self.discriminator(image, hole) for image in images)

    def discriminate_real(self, image: Tensor, hole: Tensor) -> tuple[DiscriminatorOutput, ...]:
        """Rate real images ``(N, 3, H, W)``, in place of every stage."""
        return self.discriminate([image], hole)


class LitePair(AdversarialPair):
    """``lite``, which learns what its latents mean.

    For some images the latents are those that lead to the true face, as an encoder of a
    variational autoencoder would give them, so that the network learns to follow them; for the
    others they are zero, and the network predicts what is most probable.

    Attributes:
        encoded_latents: share of images whose latents lead to the true face.
        condition_dropout: share of images whose mask class is withheld from a class-conditional
            network, so that it also learns to do without.
    """

    encoded_latents = 0.4
    condition_dropout = 0.25

    def predict(self, batch: Batch, generators: Generators) -> tuple[Tensor, ...]:
        """Fill the holes of a batch; see :meth:`AdversarialPair.predict`."""
        net: Any = self.generator
        conditions = {}
        if "mask_class" in net.condition_spec():
            conditions["mask_class"] = self._mask_classes(batch, generators)
        encoded = [_chance(generator) < self.encoded_latents for generator in generators]
        face = net.latents_of(batch.image, batch.hole)["face"]
        latents = {"face": face * torch.tensor(encoded, device=face.device)[:, None]}
        prediction = net(
            batch.image, batch.hole, latents=latents, generator=generators, conditions=conditions
        )
        return (composite(prediction, batch),)

    def _mask_classes(self, batch: Batch, generators: Generators) -> list[str | None]:
        kept = [_chance(generator) >= self.condition_dropout for generator in generators]
        return [name if keep and name else None for name, keep in zip(batch.classes, kept)]


class MIGANPair(AdversarialPair):
    """MI-GAN and a StyleGAN2 discriminator, which rates an image as a whole."""

    @classmethod
    def create(
        cls, generator: InpaintingNetwork, resolution: int, options: Mapping[str, object]
    ) -> AdversarialPair:
        """Pair a generator with MAT's discriminator of the final image."""
        return cls(generator, _mat_discriminator(resolution, options).final)

    def discriminate(
        self, images: Sequence[Tensor], hole: Tensor
    ) -> tuple[DiscriminatorOutput, ...]:
        """Rate images by stage, as :meth:`predict` returns them."""
        return tuple(DiscriminatorOutput(self.discriminator(image, hole)) for image in images)


class MATPair(AdversarialPair):
    """MAT: two stages, a discriminator for each, mixed styles, and a running mean of styles.

    Li et al., "MAT: Mask-Aware Transformer for Large Hole Image Inpainting", 2022, section 3.6.

    Attributes:
        style_mixing: chance that the later layers have the style of a second draw.
        truncation: how far styles are pulled to their mean; the published models were trained so.
        mean_rate: how fast the running mean of styles follows the batch.
    """

    redraws = True
    style_mixing = 0.5
    truncation = 0.5
    mean_rate = 0.005

    @classmethod
    def create(
        cls, generator: InpaintingNetwork, resolution: int, options: Mapping[str, object]
    ) -> AdversarialPair:
        """Pair a generator with MAT's own discriminator."""
        return cls(generator, _mat_discriminator(resolution, options))

    def predict(self, batch: Batch, generators: Generators) -> tuple[Tensor, ...]:
        """Fill the holes of a batch; see :meth:`AdversarialPair.predict`."""
        net: Any = self.generator
        image, hole = batch.image, batch.hole
        n, _, h, w = image.shape
        drawn = net.draw_latents(n, h, w, generator=generators)
        latents = {name: latent.to(image) for name, latent in drawn.items()}
        ws = self._styles(net, latents["z"], generators)
        stages: tuple[Tensor, ...] = net.both_stages(image * (1 - hole), hole, ws, latents)
        return stages

    def _styles(self, net: Any, z: Tensor, generators: Generators) -> Tensor:
        """Styles ``(N, rows, D)``, some of them of two draws."""
        rows, mean = net.refinement.decoder.rows, net.mapping.w_avg
        w = net.mapping(z)
        if net.training:
            mean.lerp_(w.detach().mean(dim=0), self.mean_rate)
        ws = mean.lerp(w, self.truncation)[:, None].expand(-1, rows, -1)
        other = torch.cat([torch.randn(1, z.shape[1], generator=each) for each in generators]).to(z)
        cuts = [self._first_mixed_row(rows, each) for each in generators]
        later = torch.arange(rows)[None] >= torch.tensor(cuts)[:, None]
        second = net.mapping(other, self.truncation)[:, None]
        return torch.where(later[..., None].to(z.device), second, ws)

    def _first_mixed_row(self, rows: int, generator: torch.Generator) -> int:
        mixed = _chance(generator) < self.style_mixing
        row = int(torch.randint(1, rows, (), generator=generator))
        return row if mixed else rows

    def discriminate(
        self, images: Sequence[Tensor], hole: Tensor
    ) -> tuple[DiscriminatorOutput, ...]:
        """Rate images by stage, as :meth:`predict` returns them."""
        final, coarse = images
        return tuple(DiscriminatorOutput(x) for x in self.discriminator(final, coarse, hole))

    def discriminate_real(self, image: Tensor, hole: Tensor) -> tuple[DiscriminatorOutput, ...]:
        """Rate real images ``(N, 3, H, W)``, in place of every stage."""
        return self.discriminate([image, image], hole)


TRAINABLE: Mapping[str, type[AdversarialPair]] = {
    "lite": LitePair,
    "mat": MATPair,
    "migan": MIGANPair,
}
"""Architectures that can be trained, with how."""


def create_pair(
    architecture: str,
    options: Mapping[str, object],
    *,
    resolution: int,
    discriminator_options: Mapping[str, object],
) -> AdversarialPair:
    """Create the untrained generator and discriminator of an architecture.

    Args:
        architecture: a key of :data:`TRAINABLE`.
        options: constructor arguments of the generator.
        resolution: side of the images in pixels.
        discriminator_options: constructor arguments of the discriminator.

    Raises:
        OptionError: This architecture cannot be trained here, or it has no such options.
        SizeError: The network does not take images of this resolution.
    """
    if architecture not in TRAINABLE:
        raise OptionError(
            f"{architecture!r} cannot be trained here; {', '.join(TRAINABLE)} can. For others, use "
            "MixedMaskSampler in their own training loop"
        )
    network = models.create(architecture, **options)
    network.check_size(resolution, resolution)
    return TRAINABLE[architecture].create(network, resolution, discriminator_options)


def composite(prediction: Tensor, batch: Batch) -> Tensor:
    """Return the prediction in the hole and the image around it, in float32."""
    return torch.where(batch.hole > 0, prediction.float(), batch.image)


def _chance(generator: torch.Generator) -> float:
    return torch.rand((), generator=generator).item()


def _mat_discriminator(resolution: int, options: Mapping[str, object]) -> Discriminator:
    from facemask_inpaint.models.mat import Discriminator

    if "resolution" in options:
        raise OptionError("the discriminator has the resolution of the recipe; leave it out")
    return build(Discriminator, {**options, "resolution": resolution}, "the discriminator")
