"""Colours that a prediction may have, from those of the known pixels around it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 64
"""Side of the small copies that colours are taken from."""

NEAR = 6
"""How far from the hole colours count, in pixels of the small image."""

RARE = 0.02
"""Share of the nearby pixels at either end that does not count."""

LEEWAY = 0.25
"""How far beyond the range a prediction may go: lips are redder than the skin around them, irises
bluer, and around a whole head may be nothing but a grey wall."""

GREY = 0.05
"""Saturation of an image's most colourful pixels below which the leeway shrinks: a grey image
stays grey, and a tinted one stays near its tint."""


USUAL = ((-0.29, -0.22, -0.5), (0.64, 0.09, 0.3))
"""What 998 of 1,000 pixels of the training portraits differ from their brightness by, in red, green
and blue: least and most."""


def muted(image: Tensor) -> Tensor:
    """Bring colours that portraits do not have, such as a green screen's, back to those they have.

    A network that never saw them spreads them into the face. Hue and brightness stay.

    Args:
        image: ``(N, 3, H, W)`` in [-1, 1].
    """
    low, high = (torch.tensor(ends).to(image)[:, None, None] for ends in USUAL)
    brightness = image.mean(dim=1, keepdim=True)
    colour = image - brightness
    reach = torch.where(colour > 0, high, low) / torch.where(colour == 0, torch.inf, colour)
    reach = torch.where(colour == 0, 1.0, reach).amin(dim=1, keepdim=True)
    return brightness + colour * reach.clamp(max=1)


def in_known_colours(prediction: Tensor, masked_image: Tensor, hole: Tensor) -> Tensor:
    """Bring colours within reach of those around the hole; brightness stays as it is.

    Args:
        prediction: ``(N, 3, H, W)`` in [-1, 1].
        masked_image: ``(N, 3, H, W)``, 0 in the hole.
        hole: ``(N, 1, H, W)``, 1 = filled.

    Returns:
        ``(N, 3, H, W)``; with nothing known near the hole all colours are in reach.
    """
    low, high = (limit.to(prediction)[:, :, None, None] for limit in _limits(masked_image, hole))
    brightness = prediction.mean(dim=1, keepdim=True)
    colour = (prediction - brightness).clamp(low, high)
    return brightness + colour - colour.mean(dim=1, keepdim=True)


def _limits(masked_image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest ``(N, 3)`` difference of each channel from the brightness."""
    known = F.adaptive_avg_pool2d(1 - hole.float(), SIDE)
    small = F.adaptive_avg_pool2d(masked_image.float(), SIDE) / known.clamp(min=0.5)
    near = F.max_pool2d(1 - known, 2 * NEAR + 1, stride=1, padding=NEAR) > 0
    counts = near & (known >= 0.5)
    colour = small - small.mean(dim=1, keepdim=True)
    ends = torch.tensor([RARE, 1 - RARE], device=colour.device)
    low, high = torch.where(counts, colour, torch.nan).flatten(2).nanquantile(ends, dim=2)
    everywhere = torch.where(known >= 0.5, colour.abs().amax(dim=1, keepdim=True), 0.0).flatten(1)
    most = everywhere.quantile(1 - RARE, dim=1)[:, None]
    leeway = LEEWAY * (most / GREY).clamp(max=1)
    return (low - leeway).nan_to_num(nan=-2.0), (high + leeway).nan_to_num(nan=2.0)
