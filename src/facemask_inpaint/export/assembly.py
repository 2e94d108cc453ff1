"""Graphs put together: draws that may be left out, and a network between its entry and its exit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from facemask_inpaint.export._extra import require

if TYPE_CHECKING:
    import onnx


def with_default_latents(model: onnx.ModelProto, latents: Mapping[str, np.ndarray]) -> None:
    """Let inputs of a graph be left out; they then hold the values given here.

    Args:
        model: changed in place.
        latents: by the name of the input, ``(1, …)``: the same for every image of a batch.
    """
    onnx = require("onnx")
    graph, added = model.graph, []
    for name, values in latents.items():
        _rename_reads(graph, {name: f"{name}_of_images"})
        shape = np.array(values.shape[1:], dtype=np.int64)
        graph.initializer.append(onnx.numpy_helper.from_array(shape, f"{name}_shape"))
        graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        added += [
            onnx.helper.make_node("Shape", ["image"], [f"{name}_count"], start=0, end=1),
            onnx.helper.make_node(
                "Concat", [f"{name}_count", f"{name}_shape"], [f"{name}_size"], axis=0
            ),
            onnx.helper.make_node("Expand", [name, f"{name}_size"], [f"{name}_of_images"]),
        ]
        (entry,) = (value for value in graph.input if value.name == name)
        entry.type.tensor_type.shape.dim[0].dim_param = f"{name}_given"
    _prepend(graph, added)


def joined(
    entry: onnx.ModelProto, network: onnx.ModelProto, exit_: onnx.ModelProto
) -> onnx.ModelProto:
    """Return the pipeline's graph: ``image`` and ``mask`` in, ``composite`` out.

    Args:
        entry: pixels to ``masked_image`` and ``hole``, see :class:`framing.Entry`.
        network: ``image``, ``mask`` and latents to ``prediction``.
        exit_: pixels and ``prediction`` to ``composite``, see :class:`framing.Exit`.
    """
    onnx = require("onnx")
    model = onnx.ModelProto()
    model.CopyFrom(network)
    graph = model.graph
    given = {"image", "mask"}
    _rename_reads(graph, {"image": "masked_image", "mask": "hole"})
    before = _prefixed(entry.graph, "entry_", keep=given | {"masked_image", "hole"})
    after = _prefixed(exit_.graph, "exit_", keep=given | {"prediction", "composite"})
    latents = [value for value in graph.input if value.name not in given]
    _prepend(graph, list(before.node))
    graph.node.extend(after.node)
    graph.initializer.extend([*before.initializer, *after.initializer])
    inputs, outputs = [*before.input, *latents], list(after.output)
    del graph.input[:], graph.output[:]
    graph.input.extend(inputs)
    graph.output.extend(outputs)
    onnx.checker.check_model(model)
    return model


def _prefixed(graph: onnx.GraphProto, prefix: str, keep: set[str]) -> onnx.GraphProto:
    """A copy of a graph without inner graphs whose names begin with a prefix, but those to keep."""
    onnx = require("onnx")
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)

    def renamed(name: str) -> str:
        return name if name in keep or not name else prefix + name

    for node in copy.node:
        node.name = renamed(node.name)
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
    for tensor in copy.initializer:
        tensor.name = renamed(tensor.name)
    return copy


def _rename_reads(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Let the nodes of a graph read other values, by the names they read now."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]


def _prepend(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
