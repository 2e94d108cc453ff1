"""The whole network: see codes, complete them, compose, refine."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.errors import OptionError
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.latentcode import official
from facemask_inpaint.models.latentcode.autoencoder import Autoencoder, Composer
from facemask_inpaint.models.latentcode.blocks import CELL, GROUPS
from facemask_inpaint.models.latentcode.encoder import PartialEncoder
from facemask_inpaint.models.latentcode.sampling import complete
from facemask_inpaint.models.latentcode.transformer import CodeTransformer
from facemask_inpaint.models.layers.checks import require_multiple


class LatentCode(InpaintingNetwork):
    """Latent-code inpainting network; pluralistic, for one size of images.

    The random draw ``race`` decides the codes of hidden cells: standard exponential, one row of
    all codes for every cell in the order of filling. All ones give the likeliest codes instead
    of random ones. Where a hole is too thin to hide a cell nothing is drawn, and all seeds give
    one image.

    Its four parts were trained one after the other: codes are chosen, so no gradient passes from
    the image to :attr:`encoder` and :attr:`transformer`.

    Args:
        resolution: side of the images, a multiple of 16.
        width: channels of the convolutional parts at full size, a multiple of 32.
        codes: size of the codebook.
        code_dim: length of its vectors.
        transformer_width: channels of the transformer's tokens.
        depth: blocks of the transformer.
        heads: heads of its attention; the weights do not tell how many.
        rounds: calls to the transformer; codes of one round are drawn without sight of each other.
        temperature: below 1 rare codes become rarer, above 1 more frequent; each round has 0.9
            times that of the one before.

    Both last ones may be changed later, as attributes.

    Raises:
        OptionError: an argument is outside its range.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create(
        ...     "latentcode", resolution=64, width=32, transformer_width=32, depth=1, heads=2
        ... )
        >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    anchors = (
        "vqgan/quantize.embedding.weight",
        "encoder/encoder.conv_in.conv.weight",
        "transformer/transformer.pos_emb",
        "decoder/bottleneck_conv.weight",
        "unet/bottleneck_conv.weight",
    )
    any_size = False

    def __init__(
        self,
        *,
        resolution: int = 256,
        width: int = 128,
        codes: int = 1024,
        code_dim: int = 256,
        transformer_width: int = 1408,
        depth: int = 40,
        heads: int = 16,
        rounds: int = 5,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        _check_options(resolution, width, transformer_width, heads)
        _check_sampling(rounds, temperature)
        self.native_resolution = resolution
        self.cells, self.codes = (resolution // CELL) ** 2, codes
        self.rounds, self.temperature = rounds, temperature
        self.encoder = PartialEncoder(width, codes, code_dim)
        self.transformer = CodeTransformer(self.cells, codes, transformer_width, depth, heads)
        self.codebook = nn.Embedding(codes, code_dim)
        self.composer = Composer(4, width, code_dim)
        self.refiner = Autoencoder(3, width, code_dim)

    @override
    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        codes, clear = self.see(masked_image, hole)
        codes = self.complete(codes, clear, latents["race"])
        composed = self.compose(masked_image, hole, codes, clear)
        output: Tensor = self.refiner(masked_image + hole * composed)
        return output

    def see(self, masked_image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes of what can be seen.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.

        Returns:
            Codes ``(N, H / 16, W / 16)`` int64, without meaning in hidden cells; and
            ``(N, 1, H / 16, W / 16)``, 1 where a cell can be seen.
        """
        scores, clear = self.encoder(masked_image, hole)
        return scores.argmax(1), clear

    def complete(self, codes: Tensor, clear: Tensor, race: Tensor) -> Tensor:
        """Return the codes of all cells.

        Args:
            codes: ``(N, H / 16, W / 16)`` int64, as :meth:`see` gives them.
            clear: ``(N, 1, H / 16, W / 16)``, 1 where they hold.
            race: ``(N, cells, codes)``, the draw of :meth:`latent_spec`.

        Returns:
            ``(N, H / 16, W / 16)`` int64; codes of clear cells are unchanged.
        """
        _check_sampling(self.rounds, self.temperature)
        completed = complete(
            self.transformer,
            codes.flatten(1),
            clear.flatten(1) > 0,
            race,
            rounds=self.rounds,
            temperature=self.temperature,
        )
        return completed.view_as(codes)

    def compose(self, masked_image: Tensor, hole: Tensor, codes: Tensor, clear: Tensor) -> Tensor:
        """Return the first image ``(N, 3, H, W)``, neither composited nor refined.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)``, 1 = fill.
            codes: ``(N, H / 16, W / 16)`` int64 of all cells.
            clear: ``(N, 1, H / 16, W / 16)``, 1 where a cell can be seen.
        """
        vectors = rearrange(self.codebook(codes), "n h w c -> n c h w")
        output: Tensor = self.composer(torch.cat([0.5 - hole, masked_image], 1), vectors, clear)
        return output

    @override
    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        return {"race": (n, self.cells, self.codes)}

    @override
    def draw(self, name: str, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        return torch.empty(shape).exponential_(generator=generator)

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        return official.network_options(tensors)

    @override
    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return official.translate_network(tensors)


def _check_options(resolution: int, width: int, transformer_width: int, heads: int) -> None:
    require_multiple("resolution", resolution, CELL)
    require_multiple("width", width, GROUPS)
    if heads < 1 or transformer_width % heads:
        raise OptionError(
            f"heads must be a divisor of transformer_width ({transformer_width}), not {heads}"
        )


def _check_sampling(rounds: int, temperature: float) -> None:
    if rounds < 1:
        raise OptionError(f"rounds must be at least 1, not {rounds}")
    if not temperature > 0:
        raise OptionError(f"temperature must be above 0, not {temperature}")
