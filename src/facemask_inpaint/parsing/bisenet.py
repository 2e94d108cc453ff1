"""BiSeNet as trained for faces on CelebAMask-HQ.

C. Yu et al., "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation", ECCV
2018; with the backbone of K. He et al., "Deep Residual Learning for Image Recognition", CVPR
2016, in place of the spatial path. Published weights: github.com/zllrunning/face-parsing.PyTorch
(code MIT; weights from CelebAMask-HQ, for non-commercial research).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint.checkpoints import Source
from facemask_inpaint.labels import LABEL_ORDERS
from facemask_inpaint.parsing.label_network import PublishedParser, load_tensors

ORDER = "bisenet"
"""Key of :data:`facemask_inpaint.labels.LABEL_ORDERS` that names the channels."""

RESOLUTION = 512
"""Side in pixels of the square images that the published weights are for."""

_SHA256 = "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567"
_FILE = "79999_iter.pth"

_SIZE = 53_289_463

ANCHORS = ("cp.resnet.conv1.weight",)
"""Key by which the network is found behind whatever a wrapper puts in front of its keys."""

SOURCES = (
    Source(
        "url",
        "https://github.com/xinntao/facexlib/releases/download/v0.2.0/parsing_bisenet.pth",
        "parsing_bisenet.pth",
        sha256=_SHA256,
        size=_SIZE,
    ),
    Source("hf", "vivym/face-parsing-bisenet", _FILE, sha256=_SHA256, size=_SIZE),
    Source("hf", "ManyOtherFunctions/face-parse-bisent", _FILE, sha256=_SHA256, size=_SIZE),
    Source(
        "hf",
        "LogicGoInfotechSpaces/hair_Style_model",
        "pretrained_models/BiSeNet/face_parsing_79999_iter.pth",
        sha256=_SHA256,
        size=_SIZE,
    ),
)
"""Mirrors of the published file; its authors' page needs a browser."""


class BiSeNet(nn.Module):
    """Context path on a ResNet-18, fused with its own finer map.

    The names of the parts are those of the published checkpoint.

    Args:
        labels: number of channels of the scores.
    """

    def __init__(self, *, labels: int = 19) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusion(256)
        self.conv_out = Head(256, 256, labels)
        # Only training uses the other two; the published file holds them.
        self.conv_out16 = Head(128, 64, labels)
        self.conv_out32 = Head(128, 64, labels)

    def forward(self, rgb: Tensor) -> Tensor:
        """Return scores ``(N, labels, H, W)``, before the softmax.

        Args:
            rgb: ``(N, 3, H, W)`` normalised by ImageNet's mean and standard deviation; any size,
                made for 512.
        """
        scores = self.conv_out(self.ffm(*self.cp(rgb)))
        return F.interpolate(scores, rgb.shape[2:], mode="bilinear", align_corners=True)


class ContextPath(nn.Module):
    """ResNet-18 whose two coarsest maps are refined by attention and brought to 1/8 and 1/16."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.arm16 = AttentionRefinement(256, 128)
        self.arm32 = AttentionRefinement(512, 128)
        self.conv_head32 = ConvNormReLU(128, 128)
        self.conv_head16 = ConvNormReLU(128, 128)
        self.conv_avg = ConvNormReLU(512, 128, kernel=1)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and their context, both of 128 channels at 1/8 of the size."""
        at_8, at_16, at_32 = self.resnet(rgb)
        overall = self.conv_avg(at_32.mean(dim=(2, 3), keepdim=True))
        coarse = self.conv_head32(_repeat(self.arm32(at_32) + overall, at_16))
        return at_8, self.conv_head16(_repeat(self.arm16(at_16) + coarse, at_8))


class ResNet18(nn.Module):
    """The network of that name without its classifier, under torchvision's names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, stride=1)
        self.layer2 = _stage(64, 128, stride=2)
        self.layer3 = _stage(128, 256, stride=2)
        self.layer4 = _stage(256, 512, stride=2)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return maps at 1/8, 1/16 and 1/32 of the size, of 128, 256 and 512 channels."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(rgb))), 3, stride=2, padding=1)
        at_8 = self.layer2(self.layer1(x))
        at_16 = self.layer3(at_8)
        return at_8, at_16, self.layer4(at_16)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        body = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(self.downsample(x) + body)


class ConvNormReLU(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H, W)``."""
        return F.relu(self.bn(self.conv(x)))


class AttentionRefinement(nn.Module):
    """Features weighted by channel, after their mean over the map (section 3.2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ConvNormReLU(inputs, outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H, W)``."""
        features = self.conv(x)
        overall = features.mean(dim=(2, 3), keepdim=True)
        result: Tensor = features * self.bn_atten(self.conv_atten(overall)).sigmoid()
        return result


class FeatureFusion(nn.Module):
    """Fine features and context joined, with a squeeze-and-excite around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convblk = ConvNormReLU(channels, channels, kernel=1)
        self.conv1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, fine: Tensor, context: Tensor) -> Tensor:
        """Join two maps of half the channels each to one of all."""
        features = self.convblk(torch.cat([fine, context], dim=1))
        overall = features.mean(dim=(2, 3), keepdim=True)
        result: Tensor = features * self.conv2(F.relu(self.conv1(overall))).sigmoid() + features
        return result


class Head(nn.Module):
    """Scores of the labels from a feature map."""

    def __init__(self, inputs: int, width: int, labels: int) -> None:
        super().__init__()
        self.conv = ConvNormReLU(inputs, width)
        self.conv_out = nn.Conv2d(width, labels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, labels, H, W)``."""
        result: Tensor = self.conv_out(self.conv(x))
        return result


def from_official(tensors: Mapping[str, Tensor]) -> BiSeNet:
    """Return the network with the tensors of a published file, in evaluation mode.

    Args:
        tensors: under the published keys.

    Raises:
        CheckpointError: Keys or shapes are those of another network.
    """
    with torch.device("meta"):
        network = BiSeNet()
    return load_tensors(network, tensors, "BiSeNet for faces")


PARSER = PublishedParser(
    "bisenet", SOURCES, ANCHORS, from_official, RESOLUTION, LABEL_ORDERS[ORDER].labels
)
load = PARSER.load
"""Returns the network with its published weights, or those of a file."""


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))


def _repeat(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="nearest")
