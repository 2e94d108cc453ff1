"""CIELAB and the colour difference CIEDE2000."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""``(H, W, 3)`` uint8 sRGB."""

Colours = NDArray[np.float64]
"""``(..., 3)`` float64: L* in 0 … 100, a*, b*."""

_CODES = np.arange(256) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4)
_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_TO_RELATIVE_XYZ = (_TO_XYZ / _TO_XYZ.sum(axis=1, keepdims=True)).T  # white is (1, 1, 1)
_FROM_ROOTS = np.array([[0.0, 500.0, 0.0], [116.0, -500.0, 200.0], [0.0, 0.0, -200.0]])
_DELTA = 6 / 29
_25_TO_THE_7TH = 25.0**7


def to_lab(rgb: NDArray[np.uint8]) -> Colours:
    """Return CIELAB of sRGB colours (IEC 61966-2-1), white point D65.

    Args:
        rgb: ``(..., 3)`` uint8.
    """
    xyz = _LINEAR[rgb] @ _TO_RELATIVE_XYZ
    roots = np.where(xyz > _DELTA**3, np.cbrt(xyz), xyz / (3 * _DELTA**2) + 4 / 29)
    lab: Colours = roots @ _FROM_ROOTS - np.array([16.0, 0.0, 0.0])
    return lab


def ciede2000(first: Colours, second: Colours) -> NDArray[np.float64]:
    """Return how different colours look: 1 is about the least difference one sees side by side.

    After Sharma, Wu and Dalal, "The CIEDE2000 Color-Difference Formula: Implementation Notes,
    Supplementary Test Data, and Mathematical Observations", Color Research and Application
    30 (2005), with all three weights 1. Numbers in the code are theirs of the equations.

    Args:
        first: ``(..., 3)`` CIELAB.
        second: likewise, of a shape that broadcasts with the first.

    Returns:
        ``(...)`` float64, 0 for equal colours.
    """
    lightness = first[..., 0], second[..., 0]
    (chroma1, hue1), (chroma2, hue2) = _chroma_and_hue(first, second)
    both_coloured = chroma1 * chroma2 > 0

    turn = hue2 - hue1  # (10)
    turn = np.where(turn > 180, turn - 360, np.where(turn < -180, turn + 360, turn))
    turn = np.where(both_coloured, turn, 0)
    delta_hue = 2 * np.sqrt(chroma1 * chroma2) * _sin(turn / 2)  # (11)

    mean_lightness = (lightness[0] + lightness[1]) / 2
    mean_chroma = (chroma1 + chroma2) / 2
    mean_hue = _mean_hue(hue1, hue2, both_coloured)

    bulge = (mean_lightness - 50) ** 2
    tint = (  # (15)
        1
        - 0.17 * _cos(mean_hue - 30)
        + 0.24 * _cos(2 * mean_hue)
        + 0.32 * _cos(3 * mean_hue + 6)
        - 0.20 * _cos(4 * mean_hue - 63)
    )
    by_lightness = (lightness[1] - lightness[0]) / (1 + 0.015 * bulge / np.sqrt(20 + bulge))  # (18)
    by_chroma = (chroma2 - chroma1) / (1 + 0.045 * mean_chroma)  # (19)
    by_hue = delta_hue / (1 + 0.015 * mean_chroma * tint)  # (20)
    rotation = -_sin(60 * np.exp(-(((mean_hue - 275) / 25) ** 2))) * 2 * _saturation(mean_chroma)
    squared = by_lightness**2 + by_chroma**2 + by_hue**2 + rotation * by_chroma * by_hue  # (22)
    return np.sqrt(np.maximum(squared, 0))


def _chroma_and_hue(first: Colours, second: Colours) -> list[tuple[Colours, Colours]]:
    """Chroma and hue in degrees of both, after the correction of a*: equations (2) to (7)."""
    mean = (np.hypot(first[..., 1], first[..., 2]) + np.hypot(second[..., 1], second[..., 2])) / 2
    stretch = 1 + 0.5 * (1 - _saturation(mean))
    found = []
    for colours in (first, second):
        a, b = stretch * colours[..., 1], colours[..., 2]
        found.append((np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360))
    return found


def _mean_hue(hue1: Colours, hue2: Colours, both_coloured: NDArray[np.bool_]) -> Colours:
    """Mean along the shorter arc, equation (14); a grey has no say."""
    total = hue1 + hue2
    wrapped = np.where(total < 360, total + 360, total - 360)
    mean = np.where(np.abs(hue1 - hue2) <= 180, total, wrapped) / 2
    return np.where(both_coloured, mean, total)


def _saturation(chroma: Colours) -> Colours:
    seventh = chroma**7
    return np.sqrt(seventh / (seventh + _25_TO_THE_7TH))


def _sin(degrees: Colours) -> Colours:
    return np.sin(np.radians(degrees))


def _cos(degrees: Colours) -> Colours:
    return np.cos(np.radians(degrees))
