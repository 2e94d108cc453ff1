"""MADF: inpainting by cascaded refinement with mask awareness.

Zhu et al., "Image Inpainting by End-to-End Cascaded Refinement with Mask Awareness", IEEE TIP
2021 (arXiv 2104.13743). Official code and weights: github.com/MADF-inpainting/Pytorch-MADF,
GPL-3.0; this module shares no code with it.

The encoder's convolutions take other kernels at each position, generated from the mask around it
(*mask-aware dynamic filtering*). A recovery decoder paints a coarse image; two refinement
decoders, each guided by the maps of the decoder before it, paint it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.errors import CheckpointError
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers.official import OfficialTensors, prefixed

KERNEL_SIZES = (7, 5, 3, 3, 3, 3, 3)
"""Side of the kernels of each encoder level; every level halves height and width."""

REFINEMENTS = 2
SLOPE = 0.2
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class MADF(InpaintingNetwork):
    """MADF generator; deterministic, for heights and widths that are multiples of 128.

    It was trained on 512 x 512 images. Nothing bounds its prediction, which leaves [-1, 1] here
    and there.

    Args:
        width: channels of the first level's map; deeper maps have up to eight times as many.
        mask_features: channels that describe the mask at each level.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create("madf", width=8, mask_features=4)
        >>> network(torch.zeros(1, 3, 128, 128), torch.ones(1, 1, 128, 128)).shape
        torch.Size([1, 3, 128, 128])
    """

    anchors = ("enc_up_1.0.weight",)
    native_resolution = 512
    preferred_strategy = "resize"
    size_multiple = 2 ** len(KERNEL_SIZES)
    mean: Tensor
    std: Tensor

    def __init__(self, *, width: int = 64, mask_features: int = 16) -> None:
        super().__init__()
        self.encoder = Encoder(width, mask_features)
        self.recovery = RecoveryDecoder(width)
        self.refinements = nn.ModuleList(
            RefinementDecoder(width, images=1 + i) for i in range(REFINEMENTS)
        )
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            constant = torch.tensor(values).view(3, 1, 1)
            self.register_buffer(name, constant, persistent=False)

    @override
    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        return self.stages(masked_image, hole)[-1]

    def stages(self, masked_image: Tensor, hole: Tensor) -> list[Tensor]:
        """Return the coarse, refined and final image; training supervises all three.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1]; the hole's pixels do not matter.
            hole: ``(N, 1, H, W)`` in {0, 1}, 1 = fill.

        Returns:
            Three images ``(N, 3, H, W)``, not bounded to [-1, 1].
        """
        known = (1 - hole).expand_as(masked_image)
        mean_coloured_hole = ((masked_image + 1) / 2 - self.mean) / self.std * known
        entry = torch.cat([mean_coloured_hole, known], dim=1)
        *skips, deepest = self.encoder(entry, known)
        skips = [entry, *skips]
        guides, image = self.recovery(deepest, skips)
        images = [image]
        for refine in self.refinements:
            guides, image = refine(deepest, guides, [*images, entry])
            images.append(image)
        return [2 * (image * self.std + self.mean) - 1 for image in images]

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        official = OfficialTensors(tensors, cls.__name__)
        width, mask_features = (
            official.take(f"{key}.weight").shape[0] for key in ("enc_up_1.0", "filter_gen_1.conv.0")
        )
        return {"width": width, "mask_features": mask_features}

    @override
    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        official = OfficialTensors(tensors, cls.__name__)
        # Batch norms that the authors' code builds but never applies.
        official.take_all("enc_conv_")
        state = _encoder_state(official) | _recovery_state(official)
        for i in range(REFINEMENTS):
            state |= prefixed(f"refinements.{i}.", _refinement_state(official, f"dec_ref{i}"))
        official.finish()
        return state


class Encoder(nn.Module):
    """Downsamples the image level by level, with kernels made from the mask."""

    def __init__(self, width: int, mask_features: int) -> None:
        super().__init__()
        filtered = [min(width // 4 << level, 2 * width) for level in range(len(KERNEL_SIZES))]
        self.levels = nn.ModuleList()
        mask_inputs, inputs = 3, 6
        for kernel_size, outputs, skip in zip(KERNEL_SIZES, filtered, _map_widths(width)):
            read_mask = nn.Conv2d(
                mask_inputs, mask_features, kernel_size, stride=2, padding=kernel_size // 2
            )
            filtering = MaskAwareConv(inputs, outputs, mask_features, kernel_size)
            self.levels.append(EncoderLevel(read_mask, filtering, nn.Conv2d(outputs, skip, 1)))
            mask_inputs, inputs = mask_features, outputs

    def forward(self, entry: Tensor, known: Tensor) -> list[Tensor]:
        """Return the map of every level, from half the height and width downwards."""
        x, mask, skips = entry, known, []
        for level in self.levels:
            x, mask, skip = level(x, mask)
            skips.append(skip)
        return skips


class EncoderLevel(nn.Module):
    """Gives image and mask features for the next level, and a wider map for the decoders."""

    def __init__(self, read_mask: nn.Conv2d, filtering: MaskAwareConv, expand: nn.Conv2d) -> None:
        super().__init__()
        self.read_mask = read_mask
        self.filtering = filtering
        self.expand = expand

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return image features, mask features, and the map for the decoders."""
        mask = F.relu(self.read_mask(mask), inplace=True)
        x = F.relu(self.filtering(x, mask), inplace=True)
        return x, mask, F.relu(self.expand(x), inplace=True)


class MaskAwareConv(nn.Module):
    """Convolution of stride 2 whose kernel at each position is an affine map of mask features.

    The kernel at position p is ``K[p] = B + sum over h of M[h, p] A[h]``, so its output is
    ``conv(x; B)[p] + sum over h of M[h, p] conv(x; A[h])[p]``: one ordinary convolution with all
    of B and A, mixed position by position. The kernels themselves, more than a gigabyte at
    512 x 512, are never made.

    Args:
        inputs: channels in.
        outputs: channels out.
        mask_features: number of mask features M.
        kernel_size: side of the kernels, odd.
    """

    def __init__(self, inputs: int, outputs: int, mask_features: int, kernel_size: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.padding = kernel_size // 2
        kernels = torch.empty((1 + mask_features) * outputs, inputs, kernel_size, kernel_size)
        # As a 1 x 1 convolution from the mask features to the kernels would start.
        bound = mask_features**-0.5
        self.kernels = nn.Parameter(nn.init.uniform_(kernels, -bound, bound))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Filter ``x`` ``(N, C, 2H, 2W)`` as the mask features ``(N, M, H, W)`` tell."""
        responses = F.conv2d(x, self.kernels, stride=2, padding=self.padding)
        mixed, *modulated = torch.split(responses, self.outputs, dim=1)
        for feature, response in zip(torch.split(mask, 1, dim=1), modulated):
            mixed = torch.addcmul(mixed, feature, response)
        return mixed


class RecoveryDecoder(nn.Module):
    """Paints the coarse image, and gives the maps that guide the first refinement."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            RecoveryStep(inputs, outputs) for inputs, outputs in _decoder_widths(width)
        )
        self.upsample = _doubling(width, 3)
        self.merge = nn.Conv2d(6 + 3, 3, 3, padding=1)

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Return maps and image from the deepest map; ``skips`` starts with the network's input."""
        maps = []
        for step, skip in zip(self.steps, skips[:0:-1]):
            x = step(x, skip)
            maps.append(x)
        return maps, self.merge(torch.cat([skips[0], self.upsample(x)], dim=1))


class RecoveryStep(nn.Module):
    """Upsamples by two and merges the encoder's map in."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.upsample = _doubling(inputs, outputs)
        self.norm = nn.BatchNorm2d(outputs)
        self.merge = nn.Conv2d(2 * outputs, outputs, 3, padding=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` and a skip of twice the size to ``(N, outputs, 2H, 2W)``."""
        x = F.leaky_relu(self.norm(self.upsample(x)), SLOPE, inplace=True)
        return F.relu(self.merge(torch.cat([skip, x], dim=1)), inplace=True)


class RefinementDecoder(nn.Module):
    """Paints an image anew under the guidance of the previous decoder's maps.

    Args:
        width: channels of the last map.
        images: number of images painted before.
    """

    def __init__(self, width: int, *, images: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            RefinementStep(inputs, outputs, 2 * width) for inputs, outputs in _decoder_widths(width)
        )
        self.head = nn.Conv2d(width + 3 * images + 6, 3, 1)

    def forward(
        self, x: Tensor, guides: Iterable[Tensor], context: Sequence[Tensor]
    ) -> tuple[list[Tensor], Tensor]:
        """Return maps and image from the deepest map; ``context`` has the full height and width."""
        maps = []
        for step, guide in zip(self.steps, guides):
            x = step(x, guide)
            maps.append(x)
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return maps, self.head(torch.cat([x, *context], dim=1))


class RefinementStep(nn.Module):
    """Upsamples by two and normalises as the guide of the new size tells."""

    def __init__(self, inputs: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.upsample = _doubling(inputs, outputs)
        self.norm = GuidedNorm(outputs, hidden)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` and a guide of twice the size to ``(N, outputs, 2H, 2W)``."""
        return F.leaky_relu(self.norm(self.upsample(x), guide), SLOPE, inplace=True)


class GuidedNorm(nn.Module):
    """Point-wise normalisation: batch norm, then scale and shift per position from a guide."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Conv2d(channels, hidden, 3, padding=1)
        self.scale = nn.Conv2d(hidden, channels, 3, padding=1)
        self.shift = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """Normalise ``(N, C, H, W)`` as a guide of the same shape tells."""
        hints = F.relu(self.shared(guide), inplace=True)
        x = self.norm(x) * (1 + self.scale(hints)) + self.shift(hints)
        return x


def _map_widths(width: int) -> list[int]:
    """Channels of the encoder's maps, from half the height and width downwards."""
    return [min(width << level, 8 * width) for level in range(len(KERNEL_SIZES))]


def _decoder_widths(width: int) -> list[tuple[int, int]]:
    """Channels in and out of each decoder step, deepest first."""
    upwards = _map_widths(width)[::-1]
    return list(pairwise(upwards))


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


def _encoder_state(official: OfficialTensors) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for level, kernel_size in enumerate(KERNEL_SIZES):
        theirs, ours = f"filter_gen_{level + 1}", f"encoder.levels.{level}"
        state |= official.move(f"{theirs}.conv.0", f"{ours}.read_mask")
        expand = official.take(f"enc_up_{level + 1}.0.weight")
        state[f"{ours}.expand.weight"] = expand
        state[f"{ours}.expand.bias"] = official.take(f"enc_up_{level + 1}.0.bias")
        state[f"{ours}.filtering.kernels"] = all_kernels(
            official.take(f"{theirs}.conv1.0.weight"),
            official.take(f"{theirs}.conv1.0.bias"),
            outputs=expand.shape[1],
            side=kernel_size,
        )
    return state


def all_kernels(weight: Tensor, bias: Tensor, *, outputs: int, side: int) -> Tensor:
    """Return the kernels of a :class:`MaskAwareConv` from an official 1 x 1 kernel generator.

    Args:
        weight: ``(C * side * side * outputs, M, 1, 1)``; the first axis counts input channel,
            row, column and, fastest, output channel.
        bias: ``(C * side * side * outputs,)``: the kernel where all mask features are 0.
        outputs: output channels.
        side: height and width of the kernels.

    Returns:
        ``((1 + M) * outputs, C, side, side)``, those of the bias first.

    Raises:
        CheckpointError: the first axis is no multiple of ``side * side * outputs``.
    """
    if len(bias) % (side * side * outputs):
        raise CheckpointError(
            f"a kernel generator of {len(bias)} channels cannot make {side}x{side} kernels for "
            f"{outputs} output channels"
        )
    affine = torch.cat([bias[:, None], weight.flatten(1)], dim=1)
    return rearrange(affine, "(c ky kx o) h -> (h o) c ky kx", o=outputs, ky=side, kx=side)


def _recovery_state(official: OfficialTensors) -> dict[str, Tensor]:
    levels = len(KERNEL_SIZES)
    state: dict[str, Tensor] = {}
    for step, level in enumerate(range(levels, 1, -1)):
        ours = f"recovery.steps.{step}"
        state |= official.move(f"deconv_{level}.0", f"{ours}.upsample")
        state |= official.move(f"deconv_{level}.1", f"{ours}.norm")
        state |= official.move(f"att_conv_{level}.conv.0", f"{ours}.merge")
    state |= official.move("deconv_1.0", "recovery.upsample")
    state |= official.move("att_conv_1.conv.0", "recovery.merge")
    return state


def _refinement_state(official: OfficialTensors, theirs: str) -> dict[str, Tensor]:
    levels = len(KERNEL_SIZES)
    parts = {
        "upsample": "deconv",
        "norm.norm": "bn.batch_norm",
        "norm.shared": "bn.mlp_shared.0",
        "norm.scale": "bn.mlp_scale",
        "norm.shift": "bn.mlp_bias",
    }
    state: dict[str, Tensor] = {}
    for step, level in enumerate(range(levels, 1, -1)):
        for ours, part in parts.items():
            state |= official.move(f"{theirs}_{level}.{part}", f"steps.{step}.{ours}")
    return state | official.move(f"{theirs}_1", "head")
