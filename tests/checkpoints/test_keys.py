"""Selecting tensors by prefix and suffix."""

from __future__ import annotations

import pytest

from facemask_inpaint.checkpoints import prefix_before, select, without_prefix
from facemask_inpaint.errors import CheckpointError

KEYS = {"generator.model.1.w": 1, "generator.model.2.w": 2, "loss.net.w": 3}


def test_select() -> None:
    assert select(KEYS, "generator.") == {"model.1.w": 1, "model.2.w": 2}
    assert select(KEYS, "") == KEYS
    with pytest.raises(CheckpointError, match=r"'module\.'; keys start with: generator, loss"):
        select(KEYS, "module.")


def test_without_prefix() -> None:
    assert without_prefix({"module.a": 1, "module.b": 2}, "module.") == {"a": 1, "b": 2}
    assert without_prefix({"module.a": 1, "b": 2}, "module.") == {"module.a": 1, "b": 2}
    assert without_prefix({}, "module.") == {}


@pytest.mark.parametrize("outer", ["", "generator.", "model.", "a.b."])
def test_prefix_before(outer: str) -> None:
    tensors = {f"{outer}model.1.bn_l.running_mean": 1, f"{outer}model.2.bn_l.running_mean": 2}
    assert prefix_before(tensors, "model.1.bn_l.running_mean") == outer


def test_prefix_before_needs_exactly_one() -> None:
    with pytest.raises(CheckpointError, match="no keys end in 'x'"):
        prefix_before({"a.w": 1}, "x")
    with pytest.raises(CheckpointError, match=r"2 keys .*'a\.', 'b\.'"):
        prefix_before({"a.w": 1, "b.w": 2}, "w")
    with pytest.raises(CheckpointError, match="no keys"):
        prefix_before({"supermodel.1.w": 1}, "model.1.w")
