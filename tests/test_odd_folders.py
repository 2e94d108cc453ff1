"""Folders whose ``config.json`` says odd things: one sentence, and no memory."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest

from facemask_inpaint import Inpainter
from facemask_inpaint.errors import CheckpointError, FacemaskInpaintError
from facemask_inpaint.models import _registry
from tests.models.reduced import REDUCED

MEBIBYTE = 1024  # of ru_maxrss on Linux

ODD: dict[str, Any] = {
    "a million blocks": {"options": {"blocks": 1_000_000}},
    "a million dilations": {"options": {"dilations": [1] * 100_000}},
    "a huge width": {"options": {"width": 900_000}},
    "an absurd width": {"options": {"width": 10**18}},
    "a hundred thousand digits": '{"architecture": "aotgan", "options": {"width": 1'
    + "0" * 9999
    + "}}",
    "a negative width": {"options": {"width": -8}},
    "no width": {"options": {"width": 0}},
    "half a block": {"options": {"blocks": 1.5}},
    "a number as text": {"options": {"width": "8"}},
    "true blocks": {"options": {"blocks": True}},
    "no number": '{"architecture": "aotgan", "options": {"width": NaN}}',
    "infinity": '{"architecture": "aotgan", "options": {"width": Infinity}}',
    "an unknown option": {"options": {"widht": 8}},
    "an option of Python's": {"options": {"self": 1}},
    "the name once more": {"options": {"architecture": "lite"}},
    "options in a list": {"options": ["width", 8]},
    "options as text": {"options": "width=8"},
    "no options": {"options": None},
    "dilations as text": {"options": {"dilations": "1248"}},
    "nested dilations": {"options": {"dilations": [[1], [2]]}},
    "an unknown architecture": {"architecture": "aotgam"},
    "an architecture with a path": {"architecture": "../../etc/passwd"},
    "an architecture of Python's": {"architecture": "os:system"},
    "an architecture in a list": {"architecture": ["aotgan"]},
    "an architecture as a number": {"architecture": 3},
    "another architecture": {"architecture": "migan", "options": {}},
    "nothing": {"architecture": None, "options": None},
    "a list": [],
    "deep": "[" * 100_000,
    "deep options": {"options": {"dilations": eval("[" * 60 + "]" * 60)}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = _registry.create("aotgan", **REDUCED["aotgan"].options)
    return Inpainter(network, device="cpu").save_pretrained(tmp_path_factory.mktemp("model"))


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize("name", ODD)
def test_odd_config_is_refused_in_one_sentence(name: str, folder: Path) -> None:
    path, change = folder / "config.json", ODD[name]
    sound = path.read_text()
    if isinstance(change, dict):
        config = json.loads(sound)
        change = json.dumps({**config, **change})
    elif isinstance(change, list):
        change = json.dumps(change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path.write_text(change)
    try:
        with pytest.raises(FacemaskInpaintError) as caught:
            Inpainter.from_pretrained(folder, device="cpu")
    finally:
        path.write_text(sound)
    assert isinstance(caught.value, CheckpointError)
    assert "config.json" in str(caught.value) or "these tensors" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * MEBIBYTE
    Inpainter.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize("card", [3, None, ["x"], "nobody's", {"name": "lama"}])
def test_a_card_that_nobody_knows_costs_nothing(card: Any, folder: Path) -> None:
    path = folder / "config.json"
    sound = path.read_text()
    path.write_text(json.dumps({**json.loads(sound), "card": card}))
    try:
        assert Inpainter.from_pretrained(folder, device="cpu").card is None
    finally:
        path.write_text(sound)


@pytest.mark.parametrize("architecture", _registry.list_architectures())
def test_every_network_can_be_measured_before_it_is_built(architecture: str) -> None:
    """Else a folder of it could ask for any amount of memory."""
    from facemask_inpaint.models._building import require_size

    options = REDUCED[architecture].options
    if architecture == "harmonic":  # has no numbers at all
        return
    with pytest.raises(FacemaskInpaintError, match="too large"):
        require_size(_registry.network_class(architecture), options, 10**12, 10, "too large")
    require_size(_registry.network_class(architecture), options, 2**31, 4000, "too large")
