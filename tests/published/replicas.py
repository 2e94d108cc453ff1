"""Replicas of published files: which layout each has, and the card that expects them."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product, zip_longest
from pathlib import Path

from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models import Card, WeightFile, list_cards
from tests.checkpoints.hub_server import Site
from tests.published import layouts
from tests.published.tensors import Tensors, manifests, official

TABLE = Path(__file__).with_name("replicas.toml")
ROWS = tomllib.loads(TABLE.read_text(encoding="utf-8"))["replica"]


@dataclass(frozen=True)
class Case:
    """One way in which a card's weights can be had, and one layout for each of the files.

    Attributes:
        card: the published model.
        sources: where each of its parts comes from, by role.
        layouts: names of the replicas' layouts, by role.
    """

    card: Card
    sources: Mapping[str, Source]
    layouts: Mapping[str, str]

    @property
    def layout(self) -> str:
        """Layout of the first part."""
        return next(iter(self.layouts.values()))

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
            known = (known_layouts(card.name, source) for source in sources.values())
            yield from (Case(card, sources, dict(zip(sources, one))) for one in product(*known))


def listed(names: Iterable[str]) -> set[str]:
    """Files of these cards or other networks in the table, each as the table writes it."""
    wanted = set(names)
    every = {one for row in ROWS for one in row["files"]}
    return {one for one in every if one.partition(": ")[0] in wanted}


def known_layouts(name: str, source: Source) -> list[str]:
    """Layouts that the table knows for a file of a card or another network."""
    return [row["layout"] for row in ROWS if f"{name}: {source.filename}" in row["files"]]


@dataclass(frozen=True)
class Replica:
    """Files by role, and the official tensors that they amount to together."""

    contents: Mapping[str, bytes]
    amounts_to: Tensors


def write(case: Case) -> Replica:
    """Replicas of all files of a case."""
    named = tuple(manifests(case.card).items())
    return _write(case.card.architecture, named, tuple(case.layouts.items()))


@lru_cache(maxsize=1)
def _write(
    architecture: str, named: tuple[tuple[str, str], ...], chosen: tuple[tuple[str, str], ...]
) -> Replica:
    parts = official(architecture, dict(named))
    if ("unet", "diffusers") in chosen:
        (tensors,) = parts.values()
        return Replica(layouts.diffusers_parts(tensors), tensors)
    written = {role: layouts.write(name, parts[role], role) for role, name in chosen}
    amounts_to = {role: one.amounts_to for role, one in written.items()}
    contents = {role: one.content for role, one in written.items()}
    return Replica(contents, joined(amounts_to) if len(written) > 1 else amounts_to["network"])


def joined(parts: Mapping[str, Tensors]) -> Tensors:
    """Tensors of several files under ``role/key``."""
    return {f"{role}/{key}": tensor for role, part in parts.items() for key, tensor in part.items()}


def publish(site: Site, folder: Path, source: Source, content: bytes) -> None:
    """Put a file where its source says: on the server, or into the folder of a user."""
    if source.kind == "manual":
        path = folder / source.filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    elif source.kind == "hf":
        site.files[f"{source.location}/{source.filename}"] = content
    else:
        site.files[address(source).removeprefix("https://")] = content


def pinned(card: Card, contents: Mapping[Source, bytes]) -> Card:
    """The card with the hashes and sizes of replicas in place of the published ones."""

    def pin_file(file: WeightFile) -> WeightFile:
        return replace(
            file,
            sources=tuple(pin(one, contents.get(one)) for one in file.sources),
            alternatives=tuple(map(pin_file, file.alternatives)),
        )

    return replace(card, files=tuple(map(pin_file, card.files)))


def pin(source: Source, content: bytes | None) -> Source:
    """A source that pins of ``content`` what it pinned of the published file."""
    if content is None:
        return source
    sha256 = hashlib.sha256(content).hexdigest() if source.sha256 else None
    md5 = hashlib.md5(content).hexdigest() if source.md5 else None
    return replace(source, sha256=sha256, md5=md5, size=len(content) if source.size else None)


def address(source: Source) -> str:
    """What the server is asked for."""
    if source.kind == "hf":
        return f"/{source.location}/resolve/{source.revision or 'main'}/{source.filename}"
    return source.location.partition("?")[0]
