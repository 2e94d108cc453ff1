"""The compact parser as a graph: pixels of any size in, their label map out."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.errors import OptionError
from facemask_inpaint.export.framing import Framing, mirrored, resampling
from facemask_inpaint.parsing.label_network import LabelNetwork


class LabelGraph(nn.Module):
    """A label network between the pixels of a photo and its label map.

    The whole photo is looked at once, as an aligned portrait. Left and right are not told apart:
    the left one's id stands for both.

    Args:
        network: on the CPU.
    """

    ids: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, network: LabelNetwork) -> None:
        super().__init__()
        self.framing, self.network = Framing(network.resolution, square=True), network.module
        for name, values in (("mean", network.mean), ("std", network.std)):
            colour = 255 * torch.tensor(values)[:, None, None]
            self.register_buffer(name, colour, persistent=False)
        self.register_buffer("ids", torch.from_numpy(network.ids), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the label ids ``(N, H, W)`` uint8 of ``(N, H, W, 3)`` uint8."""
        colours = (image.permute(0, 3, 1, 2).float() - self.mean) / self.std
        lengths, side = image.shape[1:3], self.framing.padded(0)
        scaled = self.framing.scaled(*lengths)
        down, across = (
            resampling(mirrored(side, want), have, want, have).float()
            for have, want in zip(lengths, scaled)
        )
        scores = F.interpolate(
            self.network(down @ colours @ across.mT), size=(side, side), mode="bilinear"
        )
        up, along = (
            resampling(torch.arange(have), want, have, side).float()
            for have, want in zip(lengths, scaled)
        )
        best = (up @ scores @ along.mT).argmax(dim=1)
        return self.ids[best]


def export_parser(network: LabelNetwork, path: str | Path) -> Path:
    """Write a label network as one ONNX graph from ``image`` to ``label_map``, both uint8.

    Args:
        network: ``parsing.load_parser("small").network``, on the CPU.
        path: file to write, whole or not at all.

    Raises:
        OptionError: the path does not end in ``.onnx``.
        MissingDependencyError: the ``onnx`` extra is not installed.

    Example:
        >>> from facemask_inpaint import export, parsing
        >>> network = parsing.load_parser("small", device="cpu").network
        >>> export.export_parser(network, "exported/parser.onnx")  # doctest: +SKIP
    """
    from facemask_inpaint.export import tracing
    from facemask_inpaint.export._extra import require

    if Path(path).suffix != ".onnx":
        raise OptionError(f"{path}: the name of a graph ends in .onnx")
    require("onnxscript")
    example = torch.zeros(tracing.EXAMPLE_BATCH, 300, 401, 3, dtype=torch.uint8)
    model = tracing.to_onnx(
        LabelGraph(network),
        [example],
        [tracing.FREE_PIXELS],
        inputs=["image"],
        outputs=["label_map"],
    )
    with atomic_path(path, durable=True) as temporary:
        temporary.write_bytes(model.SerializeToString())
    return Path(path)
