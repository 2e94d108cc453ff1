"""Replicas at full width weigh what the published files weigh."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models import card, list_cards
from tests.published import layouts, replicas
from tests.published.tensors import Tensors, full_shapes
from tests.published.test_other_networks import ALEX, NETWORKS, vgg

Shapes = dict[str, tuple[int, ...]]

HEADERS = 120
"""Bytes a tensor by which containers of two versions of torch may differ."""

CODE = 1_200
"""Bytes a tensor of code and debugging notes that a trace may hold beside."""

LARGE = 300_000_000
"""Bytes from which on a file is made in the slow suite only."""


def of_torchvision(
    convolutions: tuple[tuple[int, ...], ...], classifier: dict[int, tuple[int, int]]
) -> Shapes:
    kernels = {
        f"features.{place}": (outputs, inputs, side, side)
        for place, inputs, outputs, side in convolutions
    }
    kernels |= {f"classifier.{place}": shape for place, shape in classifier.items()}
    return {
        f"{name}.{part}": shape if part == "weight" else shape[:1]
        for name, shape in kernels.items()
        for part in ("weight", "bias")
    }


VGG_CLASSIFIER = {0: (4096, 25088), 3: (4096, 4096), 6: (1000, 4096)}
OTHERS: dict[str, Shapes] = {
    "alexnet-owt-7be5be79.pth": of_torchvision(
        ALEX, {1: (4096, 9216), 4: (4096, 4096), 6: (1000, 4096)}
    ),
    "vgg16-397923af.pth": of_torchvision(vgg(2, 2, 3, 3, 3), VGG_CLASSIFIER),
    "vgg19-dcbb9e9d.pth": of_torchvision(vgg(2, 2, 4, 4, 4), VGG_CLASSIFIER),
}
"""Shapes in files that are made without the classifier elsewhere."""


TRAINING_STATE = {"lama lightning", "latentcode lightning"}
"""Layouts whose files also hold what nobody has listed: critics, optimisers, loss networks."""


def sized() -> Iterator[tuple[str, Source, str]]:
    """Files of known size, each once: whose, where, and in which layout."""
    sources = [
        (one.name, source)
        for one in list_cards()
        for file in one.files
        for form in file.forms
        for source in form.sources
        if not one.ships
    ]
    sources += [(name, source) for name, net in NETWORKS.items() for p in net.parts for source in p]
    found: dict[tuple[str, int], tuple[str, Source, str]] = {}
    for name, source in sources:
        for layout in replicas.known_layouts(name, source):
            if source.size and layout not in TRAINING_STATE:
                found.setdefault((layout, source.size), (name, source, layout))
    yield from found.values()


def full_size(name: str, source: Source) -> Tensors:
    """Zeros under the published keys, in the published shapes."""
    if name not in NETWORKS:
        roles = {s: f.role for f in card(name).files for form in f.forms for s in form.sources}
        shapes = full_shapes(card(name))[roles[source]]
    elif source.filename in OTHERS:
        shapes = OTHERS[source.filename]
    else:
        parts = zip(NETWORKS[name].parts, NETWORKS[name].tensors())
        (tensors,) = (tensors for sources, tensors in parts if source in sources)
        shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    return {key: torch.zeros(shape) for key, shape in shapes.items()}


@pytest.mark.parametrize(
    ("name", "source", "layout"),
    [
        pytest.param(
            *one,
            id=f"{one[0]} {one[1].filename}".replace(" ", "_"),
            marks=[pytest.mark.slow] if (one[1].size or 0) > LARGE or "script" in one[2] else [],
        )
        for one in sized()
    ],
)
def test_a_replica_weighs_what_is_published(name: str, source: Source, layout: str) -> None:
    tensors = full_size(name, source)
    written = len(layouts.LAYOUTS[layout](tensors).content)
    exact = layout.startswith("mat half")
    spread = 0 if exact else len(tensors) * (CODE if "torchscript" in layout else HEADERS)
    assert source.size is not None
    assert abs(written - source.size) <= spread, written - source.size


def test_lamas_checkpoints_differ_by_what_nine_blocks_weigh() -> None:
    """What else the trainer saved is the same in both; nobody has listed it."""
    small, big = card("lama-places-256"), card("big-lama")
    published = [one.files[0].sources[0].size for one in (small, big)]
    assert None not in published
    sizes, counts = [], []
    for one in (small, big):
        shapes = full_shapes(one)["network"]
        tensors = {key: torch.zeros(shape) for key, shape in shapes.items()}
        sizes.append(len(layouts.lama_lightning(tensors).content))
        counts.append(len(tensors))
    difference = (sizes[1] - sizes[0]) - (published[1] - published[0])
    assert abs(difference) <= HEADERS * (counts[1] - counts[0]), difference
