"""One Co-Mod-GAN under the keys of all who published it, by the rules of the manifests."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from tests.parity import recipe

Tensors = dict[str, Tensor]


def teacher(tensorflow: Mapping[str, Tensor], side: int) -> Tensors:
    """Variables of the original under the keys of the MI-GAN authors' teacher."""
    return {
        rule["teacher_key"]: _carried_out(rule["to_teacher"], tensorflow[key])
        for key, rule in _rules("manifest.tf.json", side).items()
        if key in tensorflow and rule["teacher_key"]
    }


def conversion(tensorflow: Mapping[str, Tensor], side: int) -> Tensors:
    """Variables of the original under the keys of the PyTorch conversion."""
    return {
        key: _carried_out(rule["from_tf"], tensorflow[rule["tf_variable"]])
        for key, rule in _rules("manifest.thirdparty.json", side).items()
        if rule["tf_variable"] in tensorflow
    }


def _rules(manifest: str, side: int) -> dict[str, dict[str, Any]]:
    """Rules of the 512 network, and the same for the outermost layers of one of ``side``."""
    text = lzma.decompress(recipe.manifest_path("comodgan", manifest).read_bytes()).decode()
    other = text.replace("512x512", f"{side}x{side}").replace("b512", f"b{side}")
    return json.loads(text)["tensors"] | json.loads(other)["tensors"]


_STEPS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda t: t,
    "conv: transpose (3,2,0,1)": lambda t: t.permute(3, 2, 0, 1),
    "dense: transpose (1,0)": lambda t: t.T,
    "flip both kernel axes": lambda t: t.flip(2, 3),
    "add a leading axis of 1": lambda t: t[None],
    "add 1": lambda t: t + 1,
    "squeeze to [h, w]": lambda t: t[0, 0],
    "reshape to [1]": lambda t: t.reshape(1),
    "reshape to [1,3,1,1]": lambda t: t.reshape(1, 3, 1, 1),
}


def _carried_out(rule: str, tensor: Tensor) -> Tensor:
    for step in rule.split(", then "):
        tensor = _STEPS[step](tensor)
    return tensor
