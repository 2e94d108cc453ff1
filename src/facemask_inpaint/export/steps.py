"""One step of a diffusion network as a graph; the loop around it is the caller's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from facemask_inpaint.export.checks import BATCHES, TOLERANCE, accepted, open_session, run
from facemask_inpaint.export.tracing import EXAMPLE_BATCH, FREE, to_onnx
from facemask_inpaint.models._denoising import DenoisingStep
from facemask_inpaint.models._network import InpaintingNetwork

if TYPE_CHECKING:
    import onnx

INTEGERS = {"timestep": 1000, "tokens": 20}
"""Inputs that are whole numbers, with the number of values that each has."""


class StepGraph(nn.Module):
    """What the graph of a step computes.

    Args:
        network: whose weights the step uses.
        step: of the network.
    """

    def __init__(self, network: InpaintingNetwork, step: DenoisingStep) -> None:
        super().__init__()
        self.network, self.step = network, step

    def forward(self, *inputs: Tensor) -> Tensor:
        """Predict from the inputs in the order of the step's."""
        return self.step.predict(*inputs)


def trace_step(network: InpaintingNetwork, step: DenoisingStep) -> onnx.ModelProto:
    """Return the graph of a step; the number of images is free.

    Args:
        network: on the CPU, in inference mode.
        step: of the network, at the size that the graph is to take.
    """
    inputs = _examples(step, EXAMPLE_BATCH)
    return to_onnx(
        StepGraph(network, step),
        list(inputs.values()),
        [tuple({0: FREE} for _ in inputs)],
        inputs=list(inputs),
        outputs=["prediction"],
    )


@torch.inference_mode()
def check_step(path: Path, step: DenoisingStep) -> float:
    """Compare the graph of a step with PyTorch, for one image and for several.

    Raises:
        ExportError: they differ by more than :data:`~.checks.TOLERANCE`.
    """
    session, worst = open_session(path), 0.0
    for n in BATCHES:
        inputs = _examples(step, n)
        expected = step.predict(*inputs.values()).numpy()
        where = f"one step of {n} image{'s' * (n > 1)}"
        predicted = run(session, {name: value.numpy() for name, value in inputs.items()}, where)
        apart = np.abs(predicted - expected).max() / max(1.0, np.abs(expected).max())
        worst = max(worst, accepted(float(apart), TOLERANCE["float32"], where))
    return worst


def _examples(step: DenoisingStep, n: int) -> dict[str, Tensor]:
    """Random inputs for ``n`` images; masks of two values."""
    generator = torch.Generator().manual_seed(n)
    inputs = {}
    for name, shape in step.inputs.items():
        if name in INTEGERS:
            inputs[name] = torch.randint(INTEGERS[name], (n, *shape), generator=generator)
        else:
            inputs[name] = torch.randn(n, *shape, generator=generator)
        if name == "mask":
            inputs[name] = (inputs[name] > 0).float()
    return inputs
