"""What aligned faces have in common, as a normal distribution: a first guess for any hole.

Tipping and Bishop, "Probabilistic Principal Component Analysis", 1999: ``x = mean + basis z +
noise`` with standard normal ``z``. Given the known pixels, the most probable ``z`` solves a small
linear system, and gives the hidden ones: eyes, nose and mouth where faces have them, in the known
tone.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint.errors import OptionError

LEAST_KNOWN = 0.5
"""Share of a small pixel that must be known for it to count."""

CAUTION = 50.0
"""Factor on the variance of the noise. What the directions leave of an image is not independent
from pixel to pixel, as the model has it, so known pixels say less than it believes. Between 10 and
200 held-out portraits hardly tell the difference; at 1 large holes come out clearly worse."""

MISTRUST = 2
"""Noise grows by this power of how many times its usual variance an image has left unexplained.
The directions would be stretched far to explain an image unlike those of training, into colours
that no face has; with more noise the output stays near the mean. Held-out portraits hardly tell 2
from 0, other photographs do."""


LEAST_NOISE = 1e-10
"""Variance of the noise below which it is rounding; that of portraits is about a thousandth."""


class FacePrior(nn.Module):
    """A normal distribution over small aligned images.

    Args:
        side: of the small images in pixels.
        components: directions that are kept.

    Before :meth:`fit` its mean is grey and its basis zero, so that it returns grey.

    Example:
        >>> import torch
        >>> prior = FacePrior(16, components=2)
        >>> prior.fit(torch.rand(8, 3, 32, 32))
        >>> prior(torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32)).shape
        torch.Size([1, 3, 32, 32])
    """

    mean: Tensor
    basis: Tensor
    noise: Tensor

    def __init__(self, side: int, components: int) -> None:
        super().__init__()
        size = 3 * side * side
        self.side = side
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(size, components))
        self.register_buffer("noise", torch.ones(()))

    @torch.no_grad()
    def fit(self, images: Iterable[Tensor]) -> None:
        """Take mean, principal directions and the variance left from training images.

        Equation 7 and 8 of the source: maximum likelihood.

        Args:
            images: ``(3, H, W)`` in [-1, 1], at least 4; better many more than components.
        """
        small = [F.adaptive_avg_pool2d(image, self.side) for image in images]
        rows = torch.stack(small).flatten(1).double()
        mean = rows.mean(dim=0)
        apart = rows - mean
        # Of few images with many pixels: eigenvectors of N x N products, turned into directions.
        squares, weights = torch.linalg.eigh(apart @ apart.T)
        squares, weights = squares.flip(0).clamp(min=0), weights.flip(1)
        variances = squares / (len(rows) - 1)
        kept = min(self.basis.shape[1], len(rows) // 2)  # the others tell the noise
        noise = variances[kept:].sum() / (rows.shape[1] - kept)
        if noise < LEAST_NOISE:
            raise OptionError(
                f"the {len(rows) // 2} training images are the same, or nearly: their spread, "
                "which the network starts from, cannot be estimated; give it different portraits"
            )
        self.mean.copy_(mean)
        self.basis.zero_()
        directions = F.normalize(apart.T @ weights[:, :kept], dim=0)
        scaled = directions * (variances[:kept] - noise).clamp(min=0).sqrt()
        self.basis[:, :kept] = scaled.to(self.basis)
        self.noise.copy_(CAUTION * noise)

    def forward(self, masked_image: Tensor, hole: Tensor, draws: Tensor | None = None) -> Tensor:
        """Return a probable image given what is known of it.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole; H and W are multiples of
                ``side``.
            hole: ``(N, 1, H, W)``, 1 = hidden.
            draws: ``(N, components)``, standard normal: one image out of all that fit. None, or
                zeros, is the most probable one.

        Returns:
            ``(N, 3, H, W)``, smooth: upsampled from the prior's own side.
        """
        with torch.autocast(masked_image.device.type, enabled=False):
            z, spread, gain = self._given(masked_image.float(), hole.float())
            if draws is not None:
                z = z + _solve_upper(spread, draws.float()) * gain
            pixels = self.mean.float() + z @ self.basis.float().T
        shaped = torch.unflatten(pixels, 1, (3, self.side, self.side)).to(masked_image)
        return F.interpolate(shaped, masked_image.shape[2:], mode="bilinear", align_corners=False)

    def draws_of(self, image: Tensor, hole: Tensor) -> Tensor:
        """Return the draws ``(N, components)`` with which :meth:`forward` returns this very image.

        Given what is known, they are standard normal if images are as the model has them.

        Args:
            image: ``(N, 3, H, W)`` in [-1, 1], whole.
            hole: ``(N, 1, H, W)``, what will be hidden.
        """
        with torch.autocast(image.device.type, enabled=False):
            image, hole = image.float(), hole.float()
            basis, noise = self.basis.float(), self.noise.float() / CAUTION
            identity = torch.eye(basis.shape[1], device=image.device)
            apart = F.adaptive_avg_pool2d(image, self.side).flatten(1) - self.mean.float()
            whole = torch.linalg.solve(
                basis.T @ basis + noise * identity, (apart @ basis)[:, :, None]
            )
            z, spread, gain = self._given(image * (1 - hole), hole)
            output: Tensor = (spread.mT @ (whole - z[:, :, None]))[:, :, 0] / gain
            return output

    def _given(self, masked_image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is known of ``z``: mean, Cholesky factor of the precision, root of the noise.

        Solved twice: first as if the image were like those of training, then with as much more
        noise as it turned out to be unlike them.
        """
        known = F.adaptive_avg_pool2d(1 - hole, self.side)
        small = F.adaptive_avg_pool2d(masked_image, self.side) / known.clamp(min=LEAST_KNOWN)
        counts = (known >= LEAST_KNOWN).expand_as(small).flatten(1).float()
        basis, noise = self.basis.float(), self.noise.float()
        apart = small.flatten(1) - self.mean.float()
        seen = counts[:, :, None] * basis  # (N, D, components)
        gram = basis.T @ seen
        towards = torch.einsum("ndk,nd->nk", seen, apart)
        identity = torch.eye(basis.shape[1], device=masked_image.device)
        # Positive definite: the forms that check nothing suffice, and can be exported.
        z = torch.linalg.solve_ex(gram + noise * identity, towards).result
        left = ((apart - z @ basis.T).square() * counts).sum(dim=1)
        left = left / counts.sum(dim=1).clamp(min=1)  # variance, usually noise / CAUTION
        unlike = (CAUTION * left / noise.clamp(min=1e-12)).clamp(min=1)
        more = noise * unlike[:, None] ** MISTRUST
        factor = torch.linalg.cholesky_ex(gram + more[:, :, None] * identity).L
        return torch.cholesky_solve(towards[:, :, None], factor)[:, :, 0], factor, more.sqrt()


def _solve_upper(factor: Tensor, draws: Tensor) -> Tensor:
    """``factor.T`` divided out of the draws: their covariance becomes the inverse precision."""
    output: Tensor = torch.linalg.solve_triangular(factor.mT, draws[:, :, None], upper=True)[
        :, :, 0
    ]
    return output
