"""Every published file, as it is published, opens by its card's name and answers as it should."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import facemask_inpaint as fmi
from facemask_inpaint.models import Card, list_cards, registry
from tests.checkpoints.hub_server import Site
from tests.published import replicas
from tests.published.replicas import Case
from tests.published.tensors import quicken

AWAITED = {
    "lama lightning",
    "lama torchscript",
    "lama safetensors",
    "mat half",
    "mat half with metadata",
    "mat state dict",
    "migan torchscript without noise",
}
"""Layouts that are not read yet."""

CASES = [
    pytest.param(
        case,
        id=str(case),
        marks=[pytest.mark.xfail(reason="not read yet")] if case.layout in AWAITED else [],
    )
    for case in replicas.cases()
]


def test_every_published_file_has_a_replica() -> None:
    published = {
        f"{card.name}: {source.filename}"
        for card in list_cards()
        if not card.ships
        for file in card.files
        for form in file.forms
        for source in form.sources
    }
    listed = [name for row in replicas.ROWS for name in row["files"]]
    assert published == set(listed)


@pytest.mark.parametrize("case", CASES)
def test_a_published_file_gives_the_official_picture(
    case: Case, site: Site, expect: Callable[[Card], None], tmp_path: Path
) -> None:
    replica = replicas.write(case)
    replicas.publish(site, tmp_path / "weights", case.sources, replica)
    contents = {source: replica.contents[role] for role, source in case.sources.items()}
    expect(replicas.pinned(case.card, contents))
    inpainter = fmi.Inpainter.from_pretrained(case.card.name, device="cpu", progress=False)
    network = registry.from_official(
        case.card.architecture, replica.amounts_to, **case.card.options
    )
    ours, expected = (filled(one) for one in (inpainter, fmi.Inpainter(network, device="cpu")))
    np.testing.assert_array_equal(ours, expected)
    downloads = [replicas.address(one) for one in contents if one.kind != "manual"]
    assert set(downloads) <= {asked for _, asked, _ in site.requests}
    assert len(site.transfers) == len(set(site.transfers)) == len(downloads)


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
