"""The model zoo and the table for choosing a model, written from the cards.

Parity figures come from the networks' pages, times from the page on performance, and from the test
suite how the published files were rebuilt.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from sphinx.application import Sphinx
from sphinx.util import logging

from facemask_inpaint import models
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models import DATA_SETS, Card

_COMMERCIAL = {True: "yes", False: "no", None: "not settled"}
_REPLICAS = Path(__file__).parents[2] / "tests" / "published" / "replicas.toml"
_FRAMED = {"celebahq": "CelebA-HQ", "ffhq": "FFHQ", "none": "any"}
_ROW = re.compile(r"^\|(.+)\|\s*$")
_logger = logging.getLogger(__name__)


def zoo(pages: Path) -> str:
    """Markdown of the zoo.

    Args:
        pages: folder of the networks' own pages, ``<architecture>.md``.
    """
    architectures = list(dict.fromkeys(card.architecture for card in models.list_cards()))
    groups = {name: models.list_cards(name) for name in architectures}
    texts = {name: page_of(pages, name) for name in architectures}
    overview = [_overview(cards, title(texts[name])) for name, cards in groups.items()]
    head = ("network", "published for", "weights", "commercial use")
    sections = [_section(cards, texts[name]) for name, cards in groups.items()]
    return "\n\n".join([_table(head, overview), *sections]) + "\n"


def choosing(pages: Path, performance: str) -> str:
    """Return the table that helps to choose a model of faces, in Markdown.

    Args:
        pages: folder of the networks' own pages.
        performance: text of the page with the measured times.
    """
    cards = filter(_fills_faces, models.list_cards())
    by_resolution = sorted(cards, key=lambda card: card.resolution or 0)
    head = (
        *("model", "trained on", "resolution", "framing", "pluralistic"),
        *("commercial", "weights", "s (CPU)", "ms (GPU)"),
    )
    return _table(head, [_choice(card, pages, performance) for card in by_resolution]) + "\n"


def _fills_faces(card: Card) -> bool:
    return not card.needs_weights or (card.weights_published and card.framing != "none")


def _choice(card: Card, pages: Path, performance: str) -> tuple[str, ...]:
    text = page_of(pages, card.architecture)
    draws = fact(text, "random draws")
    return (
        f"[`{card.name}`](models/{card.architecture}.md)" if draws else f"`{card.name}`",
        _unbroken(_data(card).partition(" of members")[0]),
        str(card.resolution or "any"),
        _unbroken(_FRAMED[card.framing]),
        "no" if draws.startswith("none") else "yes" if draws else "\u2013",
        _COMMERCIAL[card.commercial_use],
        _weights_in_a_word(card),
        _seconds(performance, card) or "\u2013",
        measured(performance, "float32, batch 8", card.architecture, card.resolution or 256)
        or "\u2013",
    )


def _weights_in_a_word(card: Card) -> str:
    if not card.needs_weights:
        return "none needed"
    if card.ships:
        return "included"
    return "download" if card.downloadable else "by browser"


def _unbroken(name: str) -> str:
    """Return a name whose hyphens do not end a line."""
    return name.replace("-", "\u2011")


def _seconds(performance: str, card: Card) -> str:
    resolution = card.resolution or 256
    single = measured(performance, "seconds per image", card.architecture, resolution)
    steps = measured(performance, "20 steps", card.architecture, resolution)
    return single or steps.replace(" minutes", "\u00a0min")


def measured(performance: str, column: str, architecture: str, resolution: int) -> str:
    """Return a network's entry in the page's tables; empty if there is none.

    Args:
        performance: text of the page.
        column: heading of the column; tables without it are passed over.
        architecture: name of the network, in the first column.
        resolution: resolution in pixels, in the second column where there is such a column.
    """
    head: list[str] = []
    for line in performance.splitlines():
        if (match := _ROW.match(line)) is None:
            head = []
            continue
        cells = _cells(match[1])
        head = head or cells
        named = [f"`{architecture}`", str(resolution)][: 2 if "resolution" in head else 1]
        if column in head and cells[: len(named)] == named:
            return cells[head.index(column)]
    return ""


def page_of(pages: Path, architecture: str) -> str:
    """Return a network's page; of a network that has none yet, a page with its name alone."""
    path = pages / f"{architecture}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else f"# {architecture}\n"


def title(text: str) -> str:
    """First heading of a page."""
    return text.lstrip().splitlines()[0].removeprefix("#").strip()


def fact(text: str, name: str) -> str:
    """What the first table of a network's page says under ``name``; empty if it does not.

    Several columns come back as one text, each with its heading.
    """
    rows = [_cells(match[1]) for line in text.splitlines() if (match := _ROW.match(line))]
    found = next((row for row in rows if row[0] == name), None)
    if found is None:
        return ""
    columns = [f"{head}: {cell}" if head else cell for head, cell in zip(rows[0][1:], found[1:])]
    return "; ".join(columns)


def _overview(cards: Sequence[Card], heading: str) -> tuple[str, ...]:
    sides: dict[str, list[str]] = {}
    for card in cards:
        if card.weights_published:
            sides.setdefault(_data(card), []).append(str(card.resolution))
    published = [f"{data} at {', '.join(dict.fromkeys(at))}" for data, at in sides.items()]
    return (
        f"[{heading}](#{_anchor(heading)})",
        "; ".join(published) or "\u2013",
        "; ".join(dict.fromkeys(card.availability for card in cards)),
        "; ".join(dict.fromkeys(_COMMERCIAL[card.commercial_use] for card in cards)),
    )


def _section(cards: Sequence[Card], text: str) -> str:
    card, heading = cards[0], title(text)
    parity = fact(text, "parity")
    if card.repository and not parity:
        _logger.warning("docs/models/%s.md states no parity", card.architecture)
    facts = {
        "parameters": fact(text, "parameters"),
        "parity": parity or "there is no other implementation to compare with",
        "licence": _licences(cards),
    }
    rows = [(f"**{name}**", value) for name, value in facts.items() if value]
    head = (
        *("name", "trained on", "framing", "resolution", "size", "commercial use", "weights"),
        "replica in the tests",
    )
    parts = [
        f"## {heading}",
        _origin(card, bool(fact(text, "random draws"))),
        _table(("", ""), rows),
    ]
    return "\n\n".join([*parts, _table(head, [_edition(one) for one in cards])])


def _origin(card: Card, has_page: bool) -> str:
    page = f"[What it does and what to expect](models/{card.architecture}.md)"
    links = [page] if has_page else []
    if card.arxiv:
        links.append(f"[arXiv {card.arxiv}](https://arxiv.org/abs/{card.arxiv})")
    if card.repository:
        links.append(f"[authors' code]({card.repository})")
    line = " · ".join(links)
    return line if card.paper.startswith("none") else f"{card.paper}.\n{line}".rstrip()


def _licences(cards: Sequence[Card]) -> str:
    names: dict[str, list[str]] = {}
    for card in cards:
        names.setdefault(card.licence, []).append(f"`{card.name}`")
    if len(names) == 1:
        return cards[0].licence
    return "<br>".join(f"{', '.join(which)}: {licence}" for licence, which in names.items())


def _edition(card: Card) -> tuple[str, ...]:
    mark = " (default)" if card.default else ""
    return (
        f"`{card.name}`{mark}",
        _data(card) if card.weights_published else "\u2013",
        _FRAMED[card.framing] if card.weights_published else "\u2013",
        str(card.resolution or "any"),
        _size(card),
        _COMMERCIAL[card.commercial_use],
        _weights(card),
        replicas(card),
    )


def replicas(card: Card) -> str:
    """How the suite's replicas of a card's published files are made, in the card's order."""
    rows = tomllib.loads(_REPLICAS.read_text(encoding="utf-8"))["replica"]
    sources = [source for file in card.files for form in file.forms for source in form.sources]
    names = [f"{card.name}: {source.filename}" for source in sources]
    ways = [row["how"] for name in names for row in rows if name in row["files"]]
    return "; ".join(dict.fromkeys(ways)) or "\u2013"


def _data(card: Card) -> str:
    """Title of the training data; what follows a comma in it is for the card alone."""
    return DATA_SETS[card.data][0].partition(",")[0]


def _size(card: Card) -> str:
    if not card.files:
        return "\u2013"
    places = [[one for form in file.forms for one in form.sources] for file in card.files]
    sizes = [next((one.size for one in sources if one.size), None) for sources in places]
    if None in sizes:
        return "not recorded"
    return f"{sum(size for size in sizes if size) / 1e6:,.0f} MB"


def _weights(card: Card) -> str:
    sources = [source for file in card.files for form in file.forms for source in form.sources]
    wanted = [one for one in sources if not card.downloadable or one.kind != "manual"]
    if card.ships or not wanted:
        return card.availability
    address = _address(wanted[0])
    return f"{card.availability}: [{urlsplit(address).hostname}]({address})"


def _address(source: Source) -> str:
    return f"https://huggingface.co/{source.location}" if source.kind == "hf" else source.location


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "", heading.lower().replace(" ", "-"))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.split("|")]


def write_pages(app: Sphinx) -> None:
    """Write the parts that ``zoo.md`` and ``choosing.md`` include."""
    source = Path(app.srcdir)
    performance = (source / "performance.md").read_text(encoding="utf-8")
    parts = {
        "zoo": zoo(source / "models"),
        "choosing": choosing(source / "models", performance),
    }
    for stem, text in parts.items():
        with atomic_path(source / "_generated" / f"{stem}.md") as temporary:
            temporary.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write before the pages are read."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
