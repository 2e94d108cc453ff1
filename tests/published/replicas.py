"""Replicas of published files: which layout each has, and the card that expects them."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models import Card, WeightFile, list_cards
from tests.checkpoints.hub_server import Site
from tests.models import test_latentcode_files as latentcode
from tests.published import layouts
from tests.published.tensors import Tensors, official

TABLE = Path(__file__).with_name("replicas.toml")
ROWS = tomllib.loads(TABLE.read_text(encoding="utf-8"))["replica"]


@dataclass(frozen=True)
class Case:
    """One way in which a card's weights can be had, and one layout that the files may have.

    Attributes:
        card: the published model.
        sources: where each of its parts comes from, by role.
        layout: name of the replica's layout.
    """

    card: Card
    sources: Mapping[str, Source]
    layout: str

    def __str__(self) -> str:
        (first, *_) = self.sources.values()
        place = "by hand" if first.kind == "manual" else first.location.split("/")[-1]
        return f"{self.card.name} {place} {first.basename} {self.layout}".replace(" ", "_")


def cases() -> Iterator[Case]:
    """Every source of every card, in every layout that the table knows for it."""
    for card in list_cards():
        if card.ships:
            continue
        parts = [
            [(file.role, source) for form in file.forms for source in form.sources]
            for file in card.files
        ]
        for chosen in zip_longest(*parts):
            sources = dict(pair for pair in chosen if pair)
            names = {name for source in sources.values() for name in known_layouts(card, source)}
            yield from (Case(card, sources, name) for name in sorted(names))


def known_layouts(card: Card, source: Source) -> list[str]:
    """Layouts that the table knows for a file."""
    return [row["layout"] for row in ROWS if f"{card.name}: {source.filename}" in row["files"]]


@dataclass(frozen=True)
class Replica:
    """Files by role, and the official tensors that they amount to together."""

    contents: Mapping[str, bytes]
    amounts_to: Tensors


def write(case: Case) -> Replica:
    """Replicas of all files of a case."""
    parts = official(case.card)
    if case.layout == "latentcode lightning":
        return Replica(layouts.latentcode_parts(parts), latentcode.joined(parts))
    if case.layout == "latent categories":
        return Replica(*layouts.latent_category_parts(parts))
    (tensors,) = parts.values()
    if case.layout == "diffusers":
        return Replica(layouts.diffusers_parts(tensors), tensors)
    content, amounts_to = layouts.LAYOUTS[case.layout](tensors)
    return Replica(dict.fromkeys(case.sources, content), amounts_to)


def publish(site: Site, folder: Path, sources: Mapping[str, Source], replica: Replica) -> None:
    """Put files where their sources say: on the server, or into the folder of a user."""
    for role, source in sources.items():
        content = replica.contents[role]
        if source.kind == "manual":
            path = folder / source.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elif source.kind == "hf":
            site.files[f"{source.location}/{source.filename}"] = content
        else:
            site.files[source.location.removeprefix("https://").partition("?")[0]] = content


def pinned(card: Card, contents: Mapping[Source, bytes]) -> Card:
    """The card with the hashes and sizes of replicas in place of the published ones."""

    def pin_source(source: Source) -> Source:
        content = contents.get(source)
        if content is None:
            return source
        sha256 = hashlib.sha256(content).hexdigest() if source.sha256 else None
        md5 = hashlib.md5(content).hexdigest() if source.md5 else None
        size = len(content) if source.size else None
        return replace(source, sha256=sha256, md5=md5, size=size)

    def pin_file(file: WeightFile) -> WeightFile:
        return replace(
            file,
            sources=tuple(map(pin_source, file.sources)),
            alternatives=tuple(map(pin_file, file.alternatives)),
        )

    return replace(card, files=tuple(map(pin_file, card.files)))


def address(source: Source) -> str:
    """What the server is asked for."""
    if source.kind == "hf":
        return f"/{source.location}/resolve/{source.revision or 'main'}/{source.filename}"
    return source.location.partition("?")[0]
