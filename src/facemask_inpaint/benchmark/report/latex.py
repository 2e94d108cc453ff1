"""Tables in LaTeX that fit their column: font size, column gaps and line breaks are computed.

Widths are those of Computer Modern, which is wider than the fonts of most journals.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from facemask_inpaint.benchmark.report.text_tables import MISSING, Cell, Table
from facemask_inpaint.errors import OptionError

COLUMN = 345.0
"""Width in points of the text of an article, LaTeX's own."""

PACKAGES = r"% \usepackage{booktabs,graphicx,array,longtable}"
"""First line of every file: what a document has to load."""

_RANKS = {1: r"\textbf{{{}}}", 2: r"\underline{{{}}}", 3: r"\textit{{{}}}"}
_SPECIAL = {char: f"\\{char}" for char in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "±": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{EM DASH}": "---",
    "…": r"\ldots{}",
    MISSING: "--",
    '"': "''",
}
_WIDTHS = {
    2.8: " .,:;il'!",
    3.1: "fj",
    3.4: "-[]",
    4.0: "rst()",
    4.5: "cez",
    5.0: f"ago0123456789/{MISSING}↓↑_",
    5.3: "kvxyqJ",
    5.6: "bdhnpuS",
    6.3: "ILZ",
    6.9: "EFP",
    7.4: "BCRTw",
    8.0: "ADGHKNOQUVXY+=<>≤≥±\N{MINUS SIGN}",
    8.4: "m%",
    9.2: "M",
}
_BY_CHARACTER = {char: width for width, chars in _WIDTHS.items() for char in chars}
_WIDEST = 10.3
_BOLD = 1.15

_SEPARATORS = re.compile(r" |(?<=\w[/_-])(?=\w)")
"""Where a line may end."""

_LONG = 45
"""Lines from which a table runs over several pages."""

_NARROWEST = 52.0
"""Points that a column of text with line breaks needs at least."""


class FontSize(NamedTuple):
    """A font size of LaTeX.

    Attributes:
        command: such as ``"small"``.
        scale: width of its letters relative to the normal size.
        gap: half the distance of columns in points.
    """

    command: str
    scale: float
    gap: float


SIZES = (
    FontSize("normalsize", 1.0, 6.0),
    FontSize("small", 0.925, 5.0),
    FontSize("footnotesize", 0.85, 4.0),
    FontSize("scriptsize", 0.8, 3.0),
)
"""From the largest to the smallest that is still read without effort."""


@dataclass(frozen=True)
class PaperStyle:
    """How tables are set for a paper.

    Attributes:
        width: of the column in points; LaTeX's ``\\the\\columnwidth`` tells it.
        spans_columns: whether tables span both columns of a page (``table*``).
        intervals: whether values show half their 95 % interval after a ± sign.

    Raises:
        OptionError: the width is below 150 points.

    Example:
        >>> from facemask_inpaint.benchmark.report import PaperStyle
        >>> PaperStyle(width=252).spans_columns
        False
    """

    width: float = COLUMN
    spans_columns: bool = False
    intervals: bool = False

    def __post_init__(self) -> None:
        if not self.width >= 150:
            raise OptionError(f"a table needs a width of at least 150 points, not {self.width}")

    @property
    def environment(self) -> str:
        """Name of the float."""
        return "table*" if self.spans_columns else "table"


def escaped(text: str) -> str:
    """Return text as LaTeX shows it."""
    return "".join(_SPECIAL.get(char, char) for char in text)


def marked(cell: Cell) -> str:
    """Return a cell: best in bold, second underlined, third in italics."""
    text = escaped(cell.text)
    return _RANKS[cell.rank].format(text) if cell.rank in _RANKS else text


def text_width(text: str) -> float:
    """Return the width of text in Computer Modern at 10 points."""
    return sum(_BY_CHARACTER.get(char, _WIDEST) for char in text)


def cell_width(cell: Cell) -> float:
    """Return the width of a cell at 10 points."""
    return text_width(cell.text) * (_BOLD if cell.rank == 1 else 1)


def table_width(columns: Sequence[float], size: FontSize) -> float:
    """Return the width of a table in points from those of its columns at 10 points."""
    return size.scale * sum(columns) + 2 * size.gap * (len(columns) - 1)


def float_lines(
    style: PaperStyle, size: FontSize, caption: str, label: str, body: Sequence[str]
) -> list[str]:
    """Return a floating table around its body."""
    return [
        rf"\begin{{{style.environment}}}",
        r"\centering",
        rf"\caption{{{escaped(caption)}}}",
        rf"\label{{tab:{label}}}",
        r"\par\smallskip",
        rf"\{size.command}",
        rf"\setlength{{\tabcolsep}}{{{size.gap:g}pt}}",
        *body,
        rf"\end{{{style.environment}}}",
    ]


def note_lines(notes: Sequence[str]) -> list[str]:
    """Return all notes as one block below a table."""
    if not notes:
        return []
    text = " ".join(escaped(note if note.endswith(".") else f"{note}.") for note in notes)
    block = rf"\noindent\parbox{{\linewidth}}{{\raggedright\scriptsize {text}}}"
    return [r"\par\smallskip", block]


def plain_table(table: Table, label: str, style: PaperStyle | None = None) -> str:
    """Return a table of text and numbers, none of them ranked, as LaTeX.

    Args:
        table: the table.
        label: what ``\\ref{tab:…}`` calls it.
        style: width and float; default an article's column.
    """
    style = style or PaperStyle()
    columns = list(zip(table.header, *([cell.text for cell in row] for row in table.rows)))
    size, breaks = _sizes(columns, style.width)
    alignments = [
        rf">{{\raggedright\arraybackslash}}p{{{breaks[index]:.0f}pt}}"
        if index in breaks
        else ("r" if index and _is_number(columns[index][1:]) else "l")
        for index in range(len(columns))
    ]
    spec = "@{}" + "".join(alignments) + "@{}"
    head = " & ".join(map(escaped, table.header)) + r" \\"
    rows = [
        " & ".join(
            _breakable(marked(cell)) if index in breaks else marked(cell)
            for index, cell in enumerate(row)
        )
        + r" \\"
        for row in table.rows
    ]
    if _line_count(table, size, breaks) > _LONG:
        return _long_table(table, label, size, spec, head, rows)
    body = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", head, r"\midrule", *rows]
    body += [r"\bottomrule", r"\end{tabular}", *note_lines(table.notes)]
    return "\n".join(float_lines(style, size, table.caption, label, body)) + "\n"


def _long_table(
    table: Table, label: str, size: FontSize, spec: str, head: str, rows: Sequence[str]
) -> str:
    lines = [
        rf"{{\{size.command}\setlength{{\tabcolsep}}{{{size.gap:g}pt}}",
        rf"\begin{{longtable}}{{{spec}}}",
        rf"\caption{{{escaped(table.caption)}}}\label{{tab:{label}}}\\",
        *(r"\toprule", head, r"\midrule", r"\endfirsthead"),
        *(r"\toprule", head, r"\midrule", r"\endhead"),
        r"\bottomrule",
        r"\endfoot",
        *rows,
        r"\end{longtable}",
        *(line for line in note_lines(table.notes) if "smallskip" not in line),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _line_count(table: Table, size: FontSize, breaks: Mapping[int, float]) -> int:
    """Return about how many lines the rows of a table take."""
    return sum(
        1
        + max(
            (int(1.2 * size.scale * text_width(row[i].text) / breaks[i]) for i in breaks), default=0
        )
        for row in table.rows
    )


def _sizes(columns: Sequence[Sequence[str]], width: float) -> tuple[FontSize, dict[int, float]]:
    """Return the font size, and the columns whose text has to be broken, with their widths.

    Args:
        columns: the texts of each column.
        width: of the table in points.
    """
    whole = [max(map(text_width, column)) for column in columns]
    words = [
        max(text_width(word) for text in column for word in _SEPARATORS.split(text))
        for column in columns
    ]
    for size in SIZES[:-1]:
        if table_width(whole, size) <= width:
            return size, {}
    for size in SIZES[-2:]:
        breaks = _breaks(whole, words, width, size)
        if min(breaks.values()) >= _NARROWEST:
            break
    return size, breaks


def _breaks(
    whole: Sequence[float], words: Sequence[float], width: float, size: FontSize
) -> dict[int, float]:
    """Return the columns that are wider than the widest for which there is room, and that width."""
    room = (width - 2 * size.gap * (len(whole) - 1)) / size.scale
    limit = room
    while limit > 0 and sum(_limited(whole, words, limit)) > room:
        limit -= 1
    kept = _limited(whole, words, limit)
    return {
        index: size.scale * kept[index] for index in range(len(whole)) if kept[index] < whole[index]
    } or {0: size.scale * kept[0]}


def _limited(whole: Sequence[float], words: Sequence[float], limit: float) -> list[float]:
    """Return widths of columns cut to a limit, but not below their longest word."""
    return [max(min(each, limit), word) for each, word in zip(whole, words)]


def _breakable(text: str) -> str:
    """Allow line breaks inside names, after what separates their parts."""
    return re.sub(r"(?<=\w)(/|\\_|-)(?=\w)", r"\1\\allowbreak{}", text)


def _is_number(texts: Sequence[str]) -> bool:
    return all(re.fullmatch(rf"[≤<]? ?[-\d.,e+]+|{MISSING}| *", text) for text in texts)
