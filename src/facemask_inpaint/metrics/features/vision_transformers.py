"""DINOv2 and CLIP, the vision transformers behind FD-DINOv2 and CMMD.

The networks are those of the optional package ``transformers``. How images are prepared, and what
of the output counts as features, follows the code that the distances were published with:

- Stein et al., "Exposing flaws of generative model evaluation metrics and their unfair treatment
  of diffusion models" (NeurIPS 2023), for DINOv2;
- Jayasumana et al., "Rethinking FID: Towards a Better Evaluation Metric for Image Generation"
  (CVPR 2024), for CLIP.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from facemask_inpaint import checkpoints
from facemask_inpaint._internal.devices import resolve_device
from facemask_inpaint._internal.torch_state import ordinary_torch, without_draws
from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.errors import CheckpointError, MissingDependencyError, unknown_name
from facemask_inpaint.metrics.features._precision import exact_float32, feature_dtype
from facemask_inpaint.metrics.table import CLIP, DINOV2

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class VisionTransformer:
    """A published vision transformer, and how a feature distance uses it.

    Attributes:
        identity: what the features are called in a :attr:`FeatureExtractor.identity`.
        classes: names of its classes in ``transformers``: configuration and network.
        config: what its configuration has other than the class's own default.
        side: of the square images that the network sees; they are resized by PIL's bicubic rule.
        crop: whether images are cut to their middle square first, rather than squeezed.
        mean: of the channels of its training images in 0..1; subtracted.
        std: of the same channels; divided by.
        output: attribute of the network's output that holds the features.
        unit: whether features are scaled to length 1.
        source: of the published weights.
        table: name of the table of position embeddings, if it has to be resampled.

    Example:
        >>> from facemask_inpaint.metrics.features.vision_transformers import VISION_TRANSFORMERS
        >>> VISION_TRANSFORMERS["dinov2"].side
        224
    """

    identity: str
    classes: tuple[str, str]
    config: Mapping[str, int | str]
    side: int
    crop: bool
    mean: Triple
    std: Triple
    output: str
    unit: bool
    source: Source
    table: str | None = None


_VIT_L_14: Mapping[str, int] = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
}

VISION_TRANSFORMERS = {
    DINOV2: VisionTransformer(
        identity="dinov2-vit-l-14 bicubic-224",
        classes=("Dinov2Config", "Dinov2Model"),
        config=_VIT_L_14,
        side=224,
        crop=False,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        output="pooler_output",
        unit=False,
        source=Source(
            "hf",
            "facebook/dinov2-large",
            "model.safetensors",
            revision="47b73eefe95e8d44ec3623f8890bd894b6ea2d6c",
            sha256="399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23",
            size=1_217_522_888,
        ),
        table="embeddings.position_embeddings",
    ),
    CLIP: VisionTransformer(
        identity="clip-vit-l-14 middle-square bicubic-336",
        classes=("CLIPVisionConfig", "CLIPVisionModelWithProjection"),
        config={
            **_VIT_L_14,
            "intermediate_size": 4096,
            "projection_dim": 768,
            "hidden_act": "quick_gelu",
        },
        side=336,
        crop=True,
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
        output="image_embeds",
        unit=True,
        source=Source(
            "hf",
            "openai/clip-vit-large-patch14-336",
            "pytorch_model.bin",
            revision="ce19dc912ca5cd21c8a653c79e251e808ccabcd1",
            sha256="c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801",
            size=1_711_974_081,
        ),
    ),
}
"""All of them, by the name of their extractor."""

# Names in files and in older releases of transformers, and in newer ones.
_RENAMED = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
}


class VisionTransformerExtractor:
    """Features of one of the published vision transformers.

    Example:
        >>> from facemask_inpaint.metrics import FeatureReader, VisionTransformerExtractor
        >>> extractor = VisionTransformerExtractor("dinov2", device="cuda")  # doctest: +SKIP
        >>> features = FeatureReader(extractor).read("faces/real")  # doctest: +SKIP

    Args:
        transformer: ``"dinov2"``, ``"clip"``, or a record of one's own.
        weights: local copy of the published file, under the names that ``transformers`` gives its
            tensors; ``None`` downloads it, with a pinned hash.
        device: ``None`` is CUDA when there, else the CPU.
        dtype: ``"float32"`` (TF32 switched off), ``"float16"`` or ``"bfloat16"``.

    Raises:
        UnknownNameError: no such transformer.
        OptionError: no such dtype.
        MissingDependencyError: ``transformers`` is not installed.
        WeightsNotFoundError: the weights are neither there nor to be had.
        CheckpointError: the file does not hold this network.
    """

    def __init__(
        self,
        transformer: str | VisionTransformer = DINOV2,
        *,
        weights: str | Path | None = None,
        device: str | torch.device | None = None,
        dtype: str = "float32",
    ) -> None:
        record = _record(transformer) if isinstance(transformer, str) else transformer
        self._record = record
        self._dtype = feature_dtype(dtype)
        self.device = resolve_device(device)
        package = _transformers()
        path = Path(weights) if weights else checkpoints.fetch([record.source])
        with ordinary_torch(), without_draws():
            network = _network(record, package, checkpoints.read(path).tensors)
        self.identity = f"{record.identity} dtype={dtype} weights={_digest(network)[:16]}"
        self._network = network.to(self.device, self._dtype)
        self._mean, self._std = (
            torch.tensor(values, device=self.device).view(3, 1, 1)
            for values in (record.mean, record.std)
        )

    @ordinary_torch()
    def prepare(self, images: Tensor) -> Tensor:
        """Resize and scale images.

        Args:
            images: ``(N, 3, H, W)`` uint8.

        Returns:
            ``(N, 3, side, side)`` float32 on the extractor's device.
        """
        arrays = images.movedim(1, -1).cpu().numpy()
        resized = np.stack([_resized(array, self._record) for array in arrays])
        planes = torch.from_numpy(resized).movedim(-1, 1).to(self.device)
        return (planes.float() / 255 - self._mean) / self._std

    @ordinary_torch()
    @torch.inference_mode()
    def __call__(self, prepared: Tensor) -> Tensor:
        """Compute features ``(N, d)`` float32 of prepared images."""
        with exact_float32(self.device):
            output = self._network(pixel_values=prepared.to(self._dtype))
        features: Tensor = getattr(output, self._record.output).float()
        return F.normalize(features, dim=1) if self._record.unit else features


def _record(name: str) -> VisionTransformer:
    if name not in VISION_TRANSFORMERS:
        raise unknown_name("vision transformer", name, VISION_TRANSFORMERS)
    return VISION_TRANSFORMERS[name]


def _transformers() -> ModuleType:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise MissingDependencyError(
            "DINOv2 and CLIP are networks of transformers, which is not installed: "
            "pip install 'facemask-inpaint[distances]'"
        ) from error


def _network(
    record: VisionTransformer, package: ModuleType, tensors: Mapping[str, Tensor]
) -> nn.Module:
    config, network = (getattr(package, name) for name in record.classes)
    built: nn.Module = network(config(**record.config, image_size=record.side))
    own = built.state_dict()
    named = {_current_name(key, own): tensor for key, tensor in tensors.items()}
    if record.table in named:
        named[record.table] = resampled_positions(named[record.table], own[record.table].shape[1])
    for key, tensor in own.items():
        shape = named[key].shape if key in named else None
        if shape != tensor.shape:
            there = "missing" if shape is None else f"of shape {tuple(shape)}"
            raise CheckpointError(
                f"not the weights of {record.identity}: tensor {key!r} is {there}, needed is "
                f"{tuple(tensor.shape)}"
            )
    # CLIP's file holds its text encoder too.
    built.load_state_dict({key: named[key] for key in own})
    return built.eval().requires_grad_(False)


def _current_name(key: str, known: Mapping[str, Tensor]) -> str:
    if key not in known:
        for old, new in _RENAMED.items():
            key = key.replace(old, new)
    return key


def resampled_positions(table: Tensor, count: int) -> Tensor:
    """Resample position embeddings for smaller images, as the authors' own code does.

    Its bicubic grid is scaled by (side + 0.1) / side of the published table, which shifts the
    embeddings a little; ``transformers`` leaves the 0.1 out.

    Args:
        table: ``(1, 1 + n, d)``, the embedding of the class token first.
        count: number of embeddings that are needed, 1 + m.

    Returns:
        ``(1, 1 + m, d)``.
    """
    if table.ndim != 3 or table.shape[1] == count:
        return table
    old, new = (round((number - 1) ** 0.5) for number in (table.shape[1], count))
    grid = table[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    scale = (new + 0.1) / old
    scaled = F.interpolate(grid.float(), scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([table[:, :1], scaled.flatten(2).mT.to(table.dtype)], dim=1)


def _digest(network: nn.Module) -> str:
    total = hashlib.sha256()
    for tensor in network.state_dict().values():
        total.update(tensor.float().contiguous().numpy().tobytes())
    return total.hexdigest()


def _resized(pixels: np.ndarray, record: VisionTransformer) -> np.ndarray:
    """``(side, side, 3)`` uint8 of ``(H, W, 3)``."""
    image = Image.fromarray(pixels)
    if record.crop:
        short = min(image.size)
        left, top = ((length - short) // 2 for length in image.size)
        image = image.crop((left, top, left + short, top + short))
    return np.asarray(image.resize((record.side, record.side), Image.Resampling.BICUBIC))
