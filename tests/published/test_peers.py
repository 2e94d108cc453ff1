"""Files that other people's code wrote, and what their networks answer.

The checkpoints in ``omegaconf/`` were each written by that version of omegaconf and ``torch.save``:
a Lightning dictionary with a configuration that holds every kind of value, and one tensor.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import nullcontext
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import facemask_inpaint as fmi
from facemask_inpaint import checkpoints
from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.models import Card, card
from tests.checkpoints.hub_server import Site
from tests.checkpoints.writers import foreign_modules
from tests.parity import recipe
from tests.published import layouts, replicas

CHECKPOINTS = sorted(Path(__file__).with_name("omegaconf").glob("*.ckpt"))


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.stem)
def test_configurations_of_every_omegaconf_are_read_past(path: Path) -> None:
    read = checkpoints.read(path)
    assert read.container == "lightning"
    (key,) = read.tensors
    assert key == "generator.model.1.ffc.convl2l.weight"
    assert torch.equal(read.tensors[key], torch.arange(6.0).reshape(2, 3))


@pytest.fixture(scope="module")
def spandrel() -> Any:
    """The networks of spandrel, which wants torchvision only for other ones."""
    if importlib.util.find_spec("spandrel_extra_arches") is None:
        pytest.skip("needs spandrel and spandrel_extra_arches")

    class InterpolationMode(Enum):
        BILINEAR = "bilinear"

    functional = {"InterpolationMode": InterpolationMode, "rotate": None, "normalize": None}
    stub = foreign_modules(torchvision__ops={}, torchvision__transforms__functional=functional)
    with nullcontext() if importlib.util.find_spec("torchvision") else stub:
        from spandrel.architectures.LaMa import LaMa
        from spandrel_extra_arches.architectures.MAT import MAT
    return {"lama": LaMa, "mat": MAT}


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "model."])
def test_spandrels_mat_at_its_published_size(
    prefix: str,
    spandrel: Any,
    site: Site,
    expect: Callable[[Card], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published = card("mat-celebahq-512")
    source = published.files[0].sources[0]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = spandrel["mat"]().model.eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half())
    shapes = recipe.official_shapes("mat", "manifest.json")
    ours = layouts.without_noise({key: torch.empty(shape) for key, shape in shapes.items()})
    assert {k: t.shape for k, t in network.state_dict().items()} == {
        key: t.shape for key, t in ours.items()
    }
    half = {prefix + key: tensor.half() for key, tensor in network.state_dict().items()}
    content = layouts.safetensors_file(half).content
    assert prefix or len(content) == source.size == 125_280_246
    inpainter = opened(published, source, content, site, expect)
    image, hole = scene(512)
    z = torch.randn(1, 512, generator=torch.Generator().manual_seed(5))
    latents = {"z": z, **kept(inpainter.network.latent_spec(1, 512, 512))}
    with torch.inference_mode():
        ours = inpainter.network(image, hole, latents=latents)
        # Theirs drops out what it was not asked to; a kept half counts whole.
        monkeypatch.setattr(torch.nn.functional, "dropout", lambda x, **options: 2 * x)
        theirs = network(image * (1 - hole), 1 - hole, z, torch.zeros(1, 0), noise_mode="none")
    difference = (ours - theirs).abs().max()
    assert difference <= 1e-3 * theirs.abs().max(), difference


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["lama torchscript", "lama lightning", "lama safetensors"])
def test_spandrels_lama_at_its_published_size(
    layout: str, spandrel: Any, site: Site, expect: Callable[[Card], None]
) -> None:
    published = card("big-lama")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = spandrel["lama"](in_nc=4, out_nc=3).eval()
    state = {key.removeprefix("model."): t for key, t in network.state_dict().items()}
    content = layouts.LAYOUTS[layout](state).content
    source = source_of(published, layout)
    inpainter = opened(published, source, content, site, expect)
    image, hole = scene(256)
    with torch.inference_mode():
        ours = inpainter.network(image, hole)
        theirs = network.model((image + 1) / 2 * (1 - hole), hole) * 2 - 1
    difference = (ours - theirs).abs().max()
    assert difference <= 1e-4, difference


def source_of(published: Card, layout: str) -> Source:
    """The first of a card's sources whose file has this layout."""
    sources = (s for file in published.files for form in file.forms for s in form.sources)
    return next(s for s in sources if layout in replicas.known_layouts(published.name, s))


def opened(
    published: Card, source: Source, content: bytes, site: Site, expect: Callable[[Card], None]
) -> fmi.Inpainter:
    """The card by its name, from this one source."""
    replicas.publish(site, Path(), source, content)
    expect(replicas.pinned(published, {source: content}))
    return fmi.Inpainter.from_pretrained(published.name, device="cpu", progress=False)


def scene(side: int) -> tuple[Tensor, Tensor]:
    """The bundled portrait in [-1, 1], and a hole in its middle."""
    picture = np.asarray(fmi.data.sample(side).image, dtype=np.float32)
    hole = torch.zeros(1, 1, side, side)
    hole[..., side // 3 : side // 2, side // 4 : side // 2] = 1
    return torch.from_numpy(picture).permute(2, 0, 1)[None] / 127.5 - 1, hole


def kept(spec: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Nothing dropped out."""
    return {name: torch.ones(shape) for name, shape in spec.items() if name.startswith("keep")}
