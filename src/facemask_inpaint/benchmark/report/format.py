"""How names and numbers read on the page."""

from __future__ import annotations

from facemask_inpaint.benchmark.report.markup import Html, element
from facemask_inpaint.benchmark.store.records import ClassEntry

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
"""Between the ends of a range, and where there is no number."""


def spoken(name: str) -> str:
    """A class, stage or setting as words: ``full_mouth`` is ``full mouth``."""
    return name.replace("_", " ")


def lettered(entry: ClassEntry) -> list[Html]:
    """A class with its letter in front, where it has one."""
    letter = element("span", entry.letter, class_="letter") if entry.letter else Html()
    name = spoken(entry.name)
    return [letter, element("span", name[:1].upper() + name[1:])]


def counted(count: int, noun: str) -> str:
    """``1 class``, ``12 classes``."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def share(part: int, whole: int) -> str:
    """Style that tints a cell by how much of the whole it holds."""
    return f"--share:{100 * part / whole:.0f}%"


def fixed(value: float, digits: int) -> str:
    """A number with so many digits after the point, a true minus sign, and no ``-0``."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def brief(value: float) -> str:
    """A number with three significant digits, whole from a thousand on."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", MINUS)
