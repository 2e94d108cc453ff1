"""DeepFill v2: free-form inpainting with gated convolutions and contextual attention.

Yu et al., "Free-Form Image Inpainting with Gated Convolution", ICCV 2019 (arXiv 1806.03589).
Official code and weights: github.com/JiahuiYu/generative_inpainting (TensorFlow 1), CC BY-NC 4.0;
in PyTorch form: github.com/nipponjo/deepfillv2-pytorch, no licence. This module shares no code
with either.

A first stage paints a coarse image. The second has two branches: one refines it by
dilated convolutions, the other rebuilds it from patches of the known region that resemble each
place (*contextual attention*). Every convolution is gated: half of its outputs decide how much of
the other half passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from facemask_inpaint.errors import OptionError
from facemask_inpaint.models._network import InpaintingNetwork
from facemask_inpaint.models.layers.cheaper_convs import ImageConv2d, doubled
from facemask_inpaint.models.layers.contextual_attention import (
    ContextualAttention,
    Sampling,
    nearest,
)
from facemask_inpaint.models.layers.in_place import multiply
from facemask_inpaint.models.layers.memory_order import fast_maps
from facemask_inpaint.models.layers.official import OfficialTensors

Padding = Literal["same", "symmetric"]


class DeepFillV2(InpaintingNetwork):
    """DeepFill v2 generator; deterministic, for heights and widths that are multiples of 8.

    Three networks go by this name, whose predictions with the same weights differ by more than 1
    in places. The defaults are those of the authors' TensorFlow code. Its PyTorch port runs the
    same weights with ``fuse=False, mask_steps=1``; the port's own, fine-tuned weights need
    ``padding="symmetric", sampling="floor"``. Attention always computes in float32.

    Args:
        width: channels after the first convolution, even; at a quarter of height and width
            there are four times as many.
        padding: where convolutions of stride 2 add their zeros: at the ends alone (``"same"``, as
            TensorFlow) or on both sides (``"symmetric"``).
        sampling: nearest neighbour when maps and masks shrink: with the corners aligned, rounded
            half up (``"corners"``), or the first of each group (``"floor"``).
        fuse: let neighbouring patches vote for each other before the softmax.
        mask_steps: reduce the mask to the attention's grid in 1 step, or by 4 and then by 2;
            makes no difference under ``"floor"``.
        bgr: whether the weights expect blue first; images are RGB outside in any case.

    Raises:
        OptionError: an option has a value that is not listed above.

    Example:
        >>> import torch
        >>> from facemask_inpaint import models
        >>> network = models.create("deepfillv2", width=8)
        >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    anchors = ("conv2_downsample.conv.weight", "stage1.conv1.conv.weight")
    native_resolution = 256
    size_multiple = 8

    def __init__(
        self,
        *,
        width: int = 24,
        padding: Padding = "same",
        sampling: Sampling = "corners",
        fuse: bool = True,
        mask_steps: Literal[1, 2] = 2,
        bgr: bool = False,
    ) -> None:
        super().__init__()
        _check_options(width, padding, sampling, mask_steps)
        self.bgr, self.sampling, self.mask_steps = bgr, sampling, mask_steps
        top = 4 * width
        widths = (width, 2 * width, 2 * width, top, top)
        self.coarse = nn.Sequential(
            *_encoder(5, widths, padding),
            *_bottleneck(top, padding),
            *_decoder(top, width, padding),
        )
        widths = (width, width, 2 * width, 2 * width, top)
        self.detail = nn.Sequential(*_encoder(3, widths, padding), *_bottleneck(top, padding))
        widths = (width, width, 2 * width, top, top)
        self.matching = nn.Sequential(
            *_encoder(3, widths, padding), GatedConv(top, top, padding, activation=F.relu)
        )
        self.attention = ContextualAttention(sampling=sampling, fuse=fuse)
        self.attended = nn.Sequential(*(GatedConv(top, top, padding) for _ in range(2)))
        self.merge = nn.Sequential(*_decoder(2 * top, width, padding))

    @override
    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        return self.stages(masked_image, hole)[-1]

    def stages(self, masked_image: Tensor, hole: Tensor) -> list[Tensor]:
        """Return the coarse and final image; training supervises both.

        Args:
            masked_image: ``(N, 3, H, W)`` in [-1, 1], 0 in the hole.
            hole: ``(N, 1, H, W)`` in {0, 1}, 1 = fill.

        Returns:
            Two images ``(N, 3, H, W)`` in [-1, 1].
        """
        masked_image = masked_image.flip(1) if self.bgr else masked_image
        # The plane of ones is where the authors' edge-guided variant reads its sketch.
        entry = torch.cat([masked_image, torch.ones_like(hole), hole], dim=1)
        coarse = torch.tanh(self.coarse(entry))
        pasted = torch.lerp(masked_image, coarse, hole)
        attended = self.attention(self.matching(pasted), self._usable(hole))
        branches = [self.detail(pasted), self.attended(attended)]
        final = torch.tanh(self.merge(torch.cat(branches, dim=1)))
        return [image.flip(1) if self.bgr else image for image in (coarse, final)]

    def _usable(self, hole: Tensor) -> Tensor:
        """Cells ``(N, 1, H/8, W/8)`` bool whose 3 x 3 neighbourhood shows no hole."""
        for factor in (8,) if self.mask_steps == 1 else (4, 2):
            hole = nearest(hole, factor, self.sampling)
        return F.max_pool2d(hole, 3, stride=1, padding=1) == 0

    @override
    @classmethod
    def official_options(cls, tensors: Mapping[str, Tensor]) -> dict[str, object]:
        official = OfficialTensors(tensors, cls.__name__)
        if _is_tuned(tensors):
            first = official.take("stage1.conv1.conv.bias")
            layout: dict[str, Any] = {"padding": "symmetric", "sampling": "floor"}
        else:
            first = official.take("conv1.conv.bias")
            layout = {"padding": "same", "sampling": "corners"}
        return {"width": len(first) // 2, **layout}

    @override
    @classmethod
    def translate_official(cls, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        official = OfficialTensors(tensors, cls.__name__)
        # A constant that files made before the port's last revision do not hold.
        official.take_all("stage2.contextual_attention.fuse_weight")
        state = {}
        keys = _tuned_keys() if _is_tuned(tensors) else _converted_keys()
        for part, names in keys.items():
            for i, name in enumerate(names):
                inner = "conv.conv" if name.endswith("_upsample") else "conv"
                for parameter in ("weight", "bias"):
                    state[f"{part}.{i}.{parameter}"] = official.take(f"{name}.{inner}.{parameter}")
        official.finish()
        return state


class BorderedConv(nn.Conv2d):
    """Convolution whose output is ``stride`` times smaller than its input, whatever the kernel.

    Args:
        inputs: channels in.
        outputs: channels out.
        padding: where the zeros of the border go; see :class:`DeepFillV2`.
        kernel_size: side of the kernel, odd.
        stride: 1 or 2; with 2, heights and widths must be even.
        dilation: distance of the kernel's taps.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        padding: Padding,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        reach = dilation * (kernel_size // 2)
        own = reach if padding == "symmetric" else 0
        super().__init__(inputs, outputs, kernel_size, stride, padding=own, dilation=dilation)
        before = reach + 1 - stride
        # Apart from the convolution even where both sides are alike: that is how the official
        # code does it, and attention is sharp enough to show another rounding.
        self.border = (before, reach, before, reach) if padding == "same" else None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        return super().forward(F.pad(x, self.border) if self.border else x)


class GatedConv(BorderedConv):
    """Convolution whose second half of outputs gates the activated first half."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        padding: Padding,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        dilation: int = 1,
        activation: Callable[[Tensor], Tensor] = F.elu,
    ) -> None:
        super().__init__(
            inputs, 2 * outputs, padding, kernel_size=kernel_size, stride=stride, dilation=dilation
        )
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        return self.gated(super().forward(x))

    def gated(self, x: Tensor) -> Tensor:
        """Map the convolution's output ``(N, 2 * outputs, H, W)`` to half as many channels."""
        passing, gate = x.chunk(2, dim=1)
        return multiply(self.activation(passing), torch.sigmoid(gate))


class GatedUp(GatedConv):
    """Doubles height and width by repeating pixels, then convolves."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, 2H, 2W)``."""
        return self.gated(doubled(fast_maps(x), self.weight, self.bias))


def _encoder(inputs: int, widths: tuple[int, ...], padding: Padding) -> list[nn.Module]:
    """Five convolutions that downsample an image four times."""
    a, b, c, d, e = widths
    return [
        GatedConv(inputs, a, padding, kernel_size=5),
        GatedConv(a, b, padding, stride=2),
        GatedConv(b, c, padding),
        GatedConv(c, d, padding, stride=2),
        GatedConv(d, e, padding),
    ]


def _bottleneck(channels: int, padding: Padding) -> list[nn.Module]:
    """Five convolutions that see further and further."""
    return [GatedConv(channels, channels, padding, dilation=d) for d in (1, 2, 4, 8, 16)]


def _decoder(inputs: int, width: int, padding: Padding) -> list[nn.Module]:
    """Seven convolutions that upsample a map four times and end in an image."""
    return [
        GatedConv(inputs, 4 * width, padding),
        GatedConv(4 * width, 4 * width, padding),
        GatedUp(4 * width, 2 * width, padding),
        GatedConv(2 * width, 2 * width, padding),
        GatedUp(2 * width, width, padding),
        GatedConv(width, width // 2, padding),
        ImageConv2d(width // 2, 3, 3, padding=1),
    ]


def _check_options(width: int, padding: str, sampling: str, mask_steps: int) -> None:
    if width < 2 or width % 2:
        raise OptionError(f"width must be even and positive, got {width}")
    for name, value, known in (
        ("padding", padding, get_args(Padding)),
        ("sampling", sampling, get_args(Sampling)),
        ("mask_steps", mask_steps, (1, 2)),
    ):
        if value not in known:
            raise OptionError(f"{name} must be one of {known}, got {value!r}")


def _is_tuned(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the keys are those of the port's fine-tuned weights, not of converted ones."""
    return any(key.startswith("stage1.") for key in tensors)


def _converted_keys() -> dict[str, list[str]]:
    """Part of ours to the official names of its convolutions in order, for converted weights."""
    tails = dict.fromkeys((2, 4), "_downsample") | dict.fromkeys((13, 15), "_upsample")
    tails |= dict.fromkeys((7, 8, 9, 10), "_atrous")
    return {
        "coarse": [f"conv{i}{tails.get(i, '')}" for i in range(1, 18)],
        "detail": [f"xconv{i}{tails.get(i, '')}" for i in range(1, 11)],
        "matching": [f"pmconv{i}{tails.get(i, '')}" for i in range(1, 7)],
        "attended": ["pmconv9", "pmconv10"],
        "merge": [f"allconv{i}{tails.get(i, '')}" for i in range(11, 18)],
    }


def _tuned_keys() -> dict[str, list[str]]:
    """As :func:`_converted_keys`, for fine-tuned weights."""
    down = [f"down_block{i}.{name}" for i in (1, 2) for name in ("conv1_downsample", "conv2")]
    up = [f"up_block{i}.{name}" for i in (1, 2) for name in ("conv1_upsample", "conv2")]
    inner = [f"conv_bn{i}" for i in range(1, 6)]
    last = ["conv_bn6", "conv_bn7", *up, "conv_to_rgb"]
    return {
        "coarse": [f"stage1.{name}" for name in ("conv1", *down, *inner, *last)],
        "detail": [f"stage2.conv_{name}" for name in ("conv1", *down, *inner)],
        "matching": [f"stage2.ca_{name}" for name in ("conv1", *down, "conv_bn1")],
        "attended": ["stage2.ca_conv_bn4", "stage2.ca_conv_bn5"],
        "merge": [f"stage2.{name}" for name in last],
    }
