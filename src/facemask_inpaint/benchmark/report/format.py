"""How names and numbers read in the report."""

from __future__ import annotations

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
"""Between the ends of a range, and where there is no number."""


def spoken(name: object) -> str:
    """Return a class, stage or setting as words: ``full_mouth`` is ``full mouth``."""
    return str(name).replace("_", " ")


def counted(count: int, noun: str) -> str:
    """Return ``1 class``, ``12 classes``."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def counted_of(count: int, whole: int, noun: str) -> str:
    """Return ``2 classes`` where these are all, else ``2 of 3 classes``."""
    return counted(whole, noun) if count == whole else f"{count:,} of {counted(whole, noun)}"


def fixed(value: float, digits: int) -> str:
    """Return a number with so many digits after the point and a true minus sign.

    Zero is ``0``, and what would be rounded to it ``<0.001``.
    """
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        least = f"{10.0**-digits:.{digits}f}"
        return "0" if value == 0 else f"<{least}" if value > 0 else f">{MINUS}{least}"
    return text.replace("-", MINUS)


def brief(value: float) -> str:
    """Return a number with three significant digits, whole from a thousand on."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", MINUS)


def interval(low: float | None, high: float | None, digits: int) -> str:
    """Return ``[1.00, 2.00]``, or nothing where there is no interval."""
    if low is None or high is None:
        return ""
    return f"[{fixed(low, digits)}, {fixed(high, digits)}]"
