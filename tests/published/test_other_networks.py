"""Parsers, the Inception network and the perceptual distances, each from its published files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product, zip_longest
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.metrics import InceptionExtractor
from facemask_inpaint.metrics.features import extractors, perceptual
from facemask_inpaint.metrics.features.inception import Inception2015
from facemask_inpaint.parsing import PhotoParser, bisenet, load_parser, segformer
from facemask_inpaint.training import perceptual as perceptual_loss
from tests.checkpoints.hub_server import Site
from tests.official import inception_tensors
from tests.parity import recipe
from tests.published import layouts, replicas
from tests.published.tensors import Tensors

SMALL: dict[str, Any] = {
    "depths": (1, 2, 3, 1),
    "widths": (32, 64, 160, 256),
    "heads": (1, 2, 5, 8),
    "head_width": 128,
}
CPU = torch.device("cpu")
Parts = list[tuple[Source, ...]]
ALEX = ((0, 3, 64, 11), (3, 64, 192, 5), (6, 192, 384, 3), (8, 384, 256, 3), (10, 256, 256, 3))


@dataclass(frozen=True)
class Published:
    """A network that is fetched by name.

    Attributes:
        parts: sources of each of its files.
        tensors: what each file holds, under the published keys.
        place: puts other sources in place of the published ones.
        load: the network by its name.
        expected: the network of the tensors.
    """

    parts: Parts
    tensors: Callable[[], list[Tensors]]
    place: Callable[[pytest.MonkeyPatch, Parts], None]
    load: Callable[[], nn.Module]
    expected: Callable[[list[Tensors]], nn.Module]


def parsed(name: str) -> nn.Module:
    parser = load_parser(name, device="cpu", progress=False)
    assert isinstance(parser, PhotoParser)
    return parser.network.module


def place_segformer(monkeypatch: pytest.MonkeyPatch, parts: Parts) -> None:
    """Its sources, and a small network to fill."""
    monkeypatch.setattr(segformer, "load", replace(segformer.PARSER, sources=parts[0]).load)
    monkeypatch.setattr(segformer, "SegFormer", partial(segformer.SegFormer, **SMALL))


def place_inception(monkeypatch: pytest.MonkeyPatch, parts: Parts) -> None:
    monkeypatch.delenv(extractors.WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setattr(extractors, "INCEPTION_SOURCES", parts[0])


def lpips(name: str, convolutions: tuple[tuple[int, ...], ...]) -> Published:
    """A distance; torchvision's classifier, which it does not read, is a corner here."""
    backbone = perceptual.BACKBONES[name]

    def tensors() -> list[Tensors]:
        heads = [part.weight.shape for part in perceptual.PerceptualDistance(backbone).heads]
        return [
            torchvision(convolutions),
            {f"lin{i}.model.1.weight": filled(shape, i).abs() for i, shape in enumerate(heads)},
        ]

    def place(monkeypatch: pytest.MonkeyPatch, parts: Parts) -> None:
        (features,), (heads,) = parts
        placed = replace(backbone, features=features, heads=heads)
        monkeypatch.setitem(perceptual.BACKBONES, name, placed)

    return Published(
        [(backbone.features,), (backbone.heads,)],
        tensors,
        place,
        lambda: perceptual.load_perceptual_distance(name, device="cpu"),
        lambda parts: perceptual.PerceptualDistance.from_official(name, *parts),
    )


@lru_cache(maxsize=1)
def torchvision(convolutions: tuple[tuple[int, ...], ...]) -> Tensors:
    """Convolutions as (place, inputs, outputs, kernel) under torchvision's keys."""
    tensors = {"classifier.6.weight": torch.zeros(3, 4)}
    for place, inputs, outputs, kernel in convolutions:
        tensors[f"features.{place}.weight"] = filled((outputs, inputs, kernel, kernel), place)
        tensors[f"features.{place}.bias"] = filled((outputs,), place)
    return tensors


def filled(shape: tuple[int, ...], seed: int) -> Tensor:
    return 0.05 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def vgg(*counts: int) -> tuple[tuple[int, ...], ...]:
    """Convolutions of a VGG whose blocks, of 64 to 512 channels, have so many each."""
    place, inputs, found = 0, 3, []
    for width, count in zip((64, 128, 256, 512, 512), counts):
        for _ in range(count):
            found.append((place, inputs, width, 3))
            place, inputs = place + 2, width
        place += 1
    return tuple(found)


def loss_of(parts: list[Tensors]) -> nn.Module:
    loss = perceptual_loss.PerceptualLoss()
    loss.load_official(parts[0])
    return loss


NETWORKS: dict[str, Published] = {
    "bisenet": Published(
        [bisenet.SOURCES],
        lambda: [recipe.official_tensors("face_parsing_bisenet", "manifest.json")],
        lambda monkeypatch, parts: monkeypatch.setattr(
            bisenet, "load", replace(bisenet.PARSER, sources=parts[0]).load
        ),
        lambda: parsed("bisenet"),
        lambda parts: bisenet.from_official(parts[0]),
    ),
    "segformer": Published(
        [segformer.SOURCES],
        lambda: [recipe.official_tensors("face_parsing_segformer", "manifest.small.json")],
        place_segformer,
        lambda: parsed("segformer"),
        lambda parts: segformer.from_official(parts[0]),
    ),
    "inception": Published(
        [extractors.INCEPTION_SOURCES],
        lambda: [inception_tensors()],
        place_inception,
        lambda: InceptionExtractor(device="cpu")._network,
        lambda parts: Inception2015.from_official(parts[0]),
    ),
    "lpips-alex": lpips("alex", ALEX),
    "lpips-vgg": lpips("vgg", vgg(2, 2, 3, 3, 3)),
    "perceptual loss": Published(
        [(perceptual_loss.SOURCE,)],
        lambda: [torchvision(vgg(2, 2, 4, 4, 4))],
        lambda monkeypatch, parts: monkeypatch.setattr(perceptual_loss, "SOURCE", parts[0][0]),
        lambda: perceptual_loss.load(CPU),
        loss_of,
    ),
}


@dataclass(frozen=True)
class Case:
    """One place for each of a network's files, and one layout for each."""

    name: str
    sources: tuple[Source, ...]
    layouts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.sources[0].location} {self.layouts[0]}".replace(" ", "_")


CASES = [
    Case(name, sources, chosen)
    for name, published in NETWORKS.items()
    for sources in zip_longest(*published.parts)
    for chosen in product(*(replicas.known_layouts(name, source) for source in sources))
]


def test_every_file_has_a_replica() -> None:
    published = {
        f"{name}: {source.filename}"
        for name, network in NETWORKS.items()
        for sources in network.parts
        for source in sources
    }
    assert published == replicas.listed(NETWORKS)


@lru_cache(maxsize=1)
def written(name: str, chosen: tuple[str, ...]) -> tuple[list[Tensors], list[bytes]]:
    parts = NETWORKS[name].tensors()
    return parts, [layouts.LAYOUTS[one](part).content for one, part in zip(chosen, parts)]


def put(case: Case, site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Tensors]:
    """Publish replicas where the case says, pin them, and tell which tensors they hold."""
    tensors, contents = written(case.name, case.layouts)
    for source, content in zip(case.sources, contents):
        replicas.publish(site, folder, source, content)
    pinned = [
        tuple(replicas.pin(source, content) for source in sources)
        for sources, content in zip(NETWORKS[case.name].parts, contents)
    ]
    NETWORKS[case.name].place(monkeypatch, pinned)
    return tensors


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_published_file_gives_the_official_network(
    case: Case, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = NETWORKS[case.name]
    tensors = put(case, site, tmp_path, monkeypatch)
    state, expected = network.load().state_dict(), network.expected(tensors).state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], value) for key, value in expected.items())
    asked = {address for _, address, _ in site.requests}
    assert {replicas.address(source) for source in case.sources} <= asked
    assert len(site.transfers) == len(case.sources)
