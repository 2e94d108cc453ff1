"""Where things are computed."""

from __future__ import annotations

import pytest
import torch

from facemask_inpaint._internal.devices import numbered, own_device, resolve_device
from facemask_inpaint.errors import OptionError


def test_none_is_cuda_when_there_else_the_cpu() -> None:
    assert resolve_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["nonsense", "cuda:99"])
def test_what_is_not_there_is_refused_with_a_way_out(name: str) -> None:
    with pytest.raises(OptionError, match="cpu"):
        resolve_device(name)


def test_every_process_has_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    devices = [str(numbered(torch.device(name))) for name in ("cuda", "cuda:1", "cpu")]
    assert devices == ["cuda:3", "cuda:1", "cpu"]
    assert str(own_device("cpu")) == "cpu"


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="has an MPS device")
def test_a_missing_backend_is_said_in_one_sentence() -> None:
    with pytest.raises(OptionError, match="device 'mps' cannot be used here") as raised:
        resolve_device("mps")
    assert len(str(raised.value)) < 300
