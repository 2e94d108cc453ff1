"""Weights that were saved sparse, quantised, complex or without numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from facemask_inpaint.errors import CheckpointError
from facemask_inpaint.models import InpaintingNetwork, _registry
from tests.models.reduced import REDUCED

TAKEN: dict[str, Callable[[Tensor], Tensor]] = {
    "sparse": lambda t: t.to_sparse(),
    "sparse rows": lambda t: t.to_sparse(1),
    "quantised": lambda t: torch.quantize_per_tensor(t, 2**-10, 0, torch.qint32),
    "float8": lambda t: t.to(torch.float8_e5m2),
    "float64": lambda t: t.double(),
    "bfloat16": lambda t: t.bfloat16(),
}

REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "meta": (lambda t: t.to("meta"), "no numbers"),
    "complex": (lambda t: t.to(torch.complex64), "complex64, needed torch.float32"),
    "nested": (lambda t: torch.nested.nested_tensor([t[0], t[0]]), "nested"),
    "sparse and absurdly large": (
        lambda t: torch.sparse_coo_tensor([[2**40]], [1.0], (2**41,)),
        "no weight",
    ),
}


@pytest.fixture
def network() -> InpaintingNetwork:
    return _registry.create("aotgan", **REDUCED["aotgan"].options)


def _replaced(network: InpaintingNetwork, change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    state = dict(network.state_dict())
    key = next(key for key, value in state.items() if value.ndim == 4)
    state[key] = change(state[key])
    return state


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", TAKEN)
def test_numbers_in_another_form_are_taken(name: str, network: InpaintingNetwork) -> None:
    state = _replaced(network, TAKEN[name])
    other = _registry.create(network.architecture, **network.options)
    _registry.load_exactly(other, state)
    for key, value in network.state_dict().items():
        assert torch.allclose(other.state_dict()[key], value, rtol=0.15, atol=2**-10)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_weight_is_refused(name: str, network: InpaintingNetwork) -> None:
    change, message = REFUSED[name]
    with pytest.raises(CheckpointError, match=message):
        _registry.load_exactly(network, _replaced(network, change))
