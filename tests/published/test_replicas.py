"""Every published file, as it is published, opens by its card's name and answers as it should."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import facemask_inpaint as fmi
from facemask_inpaint.models import Card, InpaintingNetwork, _registry, list_cards
from tests.checkpoints.hub_server import Site
from tests.published import replicas
from tests.published.replicas import Case
from tests.published.tensors import quicken


def test_every_published_file_has_a_replica() -> None:
    published = {
        f"{card.name}: {source.filename}"
        for card in list_cards()
        if not card.ships
        for file in card.files
        for form in file.forms
        for source in form.sources
    }
    assert published == replicas.listed(card.name for card in list_cards())


def parameters() -> Iterator[object]:
    """Every case; each card draws a picture at least once, and so does each layout."""
    seen: set[object] = set()
    for case in replicas.cases():
        kinds = {case.card.name, (case.card.architecture, case.card.resolution, case.layout)}
        yield pytest.param(case, not kinds <= seen, id=str(case))
        seen |= kinds


@pytest.mark.parametrize(("case", "draws"), list(parameters()))
def test_a_published_file_gives_the_official_network(
    case: Case, draws: bool, site: Site, expect: Callable[[Card], None], tmp_path: Path
) -> None:
    replica = replicas.write(case)
    contents = {source: replica.contents[role] for role, source in case.sources.items()}
    for source, content in contents.items():
        replicas.publish(site, tmp_path / "weights", source, content)
    expect(replicas.pinned(case.card, contents))
    ours = fmi.Inpainter.from_pretrained(case.card.name, device="cpu", progress=False)
    network = _registry.from_official(
        case.card.architecture, replica.amounts_to, **case.card.options
    )
    same_network(ours.network, network)
    if draws:
        expected = filled(fmi.Inpainter(network, device="cpu"))
        np.testing.assert_array_equal(filled(ours), expected)
    downloads = [replicas.address(one) for one in contents if one.kind != "manual"]
    assert set(downloads) <= {asked for _, asked, _ in site.requests}
    assert len(site.transfers) == len(set(site.transfers)) == len(downloads)


def same_network(ours: InpaintingNetwork, expected: InpaintingNetwork) -> None:
    assert ours.options == expected.options
    state, other = ours.state_dict(), expected.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(state[key], tensor) for key, tensor in other.items())


def filled(inpainter: fmi.Inpainter) -> np.ndarray:
    """The bundled portrait with its middle filled."""
    quicken(inpainter.network)
    picture = np.asarray(fmi.data.sample(256).image.resize((96, 96)))
    hole = np.zeros((96, 96), dtype=bool)
    hole[30:66, 24:72] = True
    answer = inpainter(picture, hole, seed=3)
    np.testing.assert_array_equal(answer[~hole], picture[~hole])
    assert answer[hole].std() > 1
    return answer
