"""The resolutions that a benchmark takes."""

from __future__ import annotations

import operator
from collections.abc import Iterable

from facemask_inpaint.errors import OptionError

SMALLEST_RESOLUTION = 16
LARGEST_RESOLUTION = 8192


def checked_resolutions(resolutions: int | Iterable[int]) -> tuple[int, ...]:
    """Return resolutions in pixels, ascending, each once.

    Raises:
        OptionError: there are none, or one is no sensible number of pixels.
    """
    items = resolutions if isinstance(resolutions, Iterable) else [resolutions]
    try:
        pixels = {operator.index(item) for item in items}
    except TypeError:
        pixels = set()
    if not pixels or min(pixels) < SMALLEST_RESOLUTION or max(pixels) > LARGEST_RESOLUTION:
        raise OptionError(
            f"resolutions are numbers of pixels from {SMALLEST_RESOLUTION} to "
            f"{LARGEST_RESOLUTION}, such as 256, 512, 1024, not {resolutions!r}"
        )
    return tuple(sorted(pixels))
