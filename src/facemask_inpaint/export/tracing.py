"""From a network to an ONNX graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from facemask_inpaint.export import fourier
from facemask_inpaint.export.framing import Entry, Exit, Framing
from facemask_inpaint.export.linear_algebra import TRANSLATIONS
from facemask_inpaint.models._conditions import check_conditions
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.lama.generator import FourierUnit

if TYPE_CHECKING:
    import onnx

Argument: TypeAlias = Tensor | tuple[Tensor, ...]
FreeAxes: TypeAlias = dict[int, object] | tuple[dict[int, object], ...]
"""Which axes of an argument are free, each with a value of ``torch.export.Dim``."""

OPSET = 18
"""Version of the operators in the graphs; onnxruntime knows it from 1.14 on."""

EXAMPLE_BATCH = 2
"""Images that a graph is traced with: one would count as a size that never changes."""


class BareGraph(nn.Module):
    """What the graph of a network computes: its prediction, without the checks of ``forward``.

    Args:
        network: in inference mode. What it can be told keeps its default.
    """

    def __init__(self, network: InpaintingNetwork) -> None:
        super().__init__()
        self.network = network
        # Those of one image; where they become a tensor, it is spread over the batch.
        self.conditions = check_conditions(network.condition_spec(), {}, 1, network.architecture)

    def forward(self, image: Tensor, mask: Tensor, latents: tuple[Tensor, ...] = ()) -> Tensor:
        """Predict ``(N, 3, H, W)`` from image, mask and the latents in their spec's order."""
        names = self.network.latent_spec(1, *image.shape[2:])
        masked_image = image.masked_fill(mask == 1, 0)
        return self.network.fill_conditioned(
            masked_image, mask, dict(zip(names, latents)), self.conditions
        )


def trace_network(
    network: InpaintingNetwork, size: tuple[int, int], *, dynamic: bool
) -> onnx.ModelProto:
    """Return the graph of a network: ``image``, ``mask`` and its latents in, ``prediction`` out.

    The number of images is free.

    Args:
        network: on the CPU, in inference mode.
        size: height and width of the example that is traced; different ones where they are free.
        dynamic: whether height and width are free too.
    """
    n, free = EXAMPLE_BATCH, {0: FREE}
    plane = {0: FREE, 2: FREE, 3: FREE} if dynamic else free
    mask = torch.zeros(n, 1, *size)
    mask[:, :, size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = 1
    latents = network.draw_latents(n, *size, generator=torch.Generator().manual_seed(0))
    arguments: list[Argument] = [torch.zeros(n, 3, *size), mask]
    shapes: list[FreeAxes] = [plane, plane]
    if latents:
        arguments.append(tuple(latents.values()))
        shapes.append(tuple(free for _ in latents))
    with _in_real_numbers(network):
        return to_onnx(
            BareGraph(network),
            arguments,
            shapes,
            inputs=["image", "mask", *latents],
            outputs=["prediction"],
        )


def trace_entry(framing: Framing) -> onnx.ModelProto:
    """Return the graph from ``image`` and ``mask`` in uint8 to ``masked_image`` and ``hole``."""
    return to_onnx(
        Entry(framing),
        _pixels(),
        [FREE_PIXELS] * 2,
        inputs=["image", "mask"],
        outputs=["masked_image", "hole"],
    )


def trace_exit(framing: Framing) -> onnx.ModelProto:
    """Return the graph from ``image``, ``mask`` and ``prediction`` to ``composite``."""
    pixels = _pixels()
    masked_image, _ = Entry(framing)(*pixels)
    free = {0: FREE} if framing.square else {0: FREE, 2: FREE, 3: FREE}
    return to_onnx(
        Exit(framing),
        [*pixels, masked_image],
        [FREE_PIXELS, FREE_PIXELS, free],
        inputs=["image", "mask", "prediction"],
        outputs=["composite"],
    )


FREE = torch.export.Dim.DYNAMIC
FREE_PIXELS = {0: FREE, 1: FREE, 2: FREE}


def _pixels() -> list[Tensor]:
    """An image and a mask to trace with, of no special size."""
    mask = torch.zeros(EXAMPLE_BATCH, 300, 401, dtype=torch.uint8)
    mask[:, 50:100, 60:160] = 255
    return [torch.zeros(EXAMPLE_BATCH, 300, 401, 3, dtype=torch.uint8), mask]


def to_onnx(
    module: nn.Module,
    arguments: Sequence[Argument],
    shapes: Sequence[FreeAxes],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """Return a module as an ONNX graph.

    Args:
        module: whose ``forward`` is traced.
        arguments: to trace it with.
        shapes: for each, which of its axes are free.
        inputs: names of the arguments in the graph.
        outputs: names of what is returned.
    """
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            tuple(arguments),
            dynamo=True,
            dynamic_shapes=tuple(shapes),
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            custom_translation_table=TRANSLATIONS,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    # Names of inner sizes are guesses of the tracer, and runtimes reuse memory by them.
    del model.graph.value_info[:]
    return model


@contextmanager
def _in_real_numbers(network: nn.Module) -> Iterator[None]:
    """Let Fourier units do without complex numbers, which ONNX has not, for the time of a trace."""
    units = [module for module in network.modules() if isinstance(module, FourierUnit)]
    for unit in units:
        unit.forward_float32 = partial(fourier.fourier_unit, unit)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for unit in units:
            del unit.forward_float32


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the exporter says about itself: packages it does not need, its own plans."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
