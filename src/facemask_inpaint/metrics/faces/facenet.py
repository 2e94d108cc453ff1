"""FaceNet as facenet-pytorch has it: Inception-ResNet v1, trained on VGGFace2.

Schroff et al., "FaceNet: A Unified Embedding for Face Recognition and Clustering" (2015). The
network is the package's; its weights are downloaded. The package pins an old torch and imports
torchvision for a detector that is not needed here: install it with ``--no-deps``.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask_inpaint import checkpoints
from facemask_inpaint._internal.devices import resolve_device
from facemask_inpaint._internal.files import sha256_of
from facemask_inpaint._internal.torch_state import ordinary_torch, without_draws
from facemask_inpaint.errors import CheckpointError, MissingDependencyError
from facemask_inpaint.metrics.faces.cards import FaceNetworkCard
from facemask_inpaint.metrics.faces.dlib_networks import FrontalFaces, as_arrays

_PACKAGE = "facenet_pytorch"
_SIDE = 160
_ENLARGED = 1.3
"""Side of the crop over that of dlib's box, which ends at the eyebrows and the chin."""


class FaceNetEmbedder:
    """Embeddings ``(N, 512)`` of length 1; rows of zeros where no face is found.

    Example:
        >>> from facemask_inpaint import metrics
        >>> embedder = metrics.open_extractor("facenet-vggface2")  # doctest: +SKIP

    Args:
        card: of the network.
        device: ``None`` is CUDA when there, else the CPU; faces are found on the CPU.

    Raises:
        MissingDependencyError: facenet-pytorch or dlib is not installed.
        WeightsNotFoundError: the weights cannot be had.
        CheckpointError: the file does not hold this network.
    """

    def __init__(self, card: FaceNetworkCard, device: str | torch.device | None = None) -> None:
        self.device = resolve_device(device)
        self._faces = FrontalFaces()
        build = architecture(card.install)
        path = checkpoints.fetch(card.files)
        with ordinary_torch(), without_draws():
            network: nn.Module = build()
        _load(network, dict(checkpoints.read(path).tensors))
        self._network = network.eval().requires_grad_(False).to(self.device)
        self.identity = f"{card.name} weights={sha256_of(path)[:16]} {card.rule}"

    def prepare(self, images: Tensor) -> Tensor:
        """Cut the faces out.

        Args:
            images: ``(N, 3, H, W)`` uint8.

        Returns:
            ``(N, 3, 160, 160)`` in 0 to 255; NaN where no face is found.
        """
        return torch.stack([self._crop(image) for image in images])

    @ordinary_torch()
    @torch.inference_mode()
    def __call__(self, prepared: Tensor) -> Tensor:
        """Compute embeddings ``(N, 512)`` float32 of what :meth:`prepare` returned."""
        missing = prepared.isnan().flatten(1).any(dim=1)
        scaled = (prepared.nan_to_num(127.5) - 127.5) / 128
        embeddings: Tensor = self._network(scaled)
        return embeddings.masked_fill(missing[:, None], 0)

    @ordinary_torch()
    def _crop(self, image: Tensor) -> Tensor:
        box = self._faces.box(as_arrays(image[None])[0])
        if box is None:
            return torch.full((3, _SIDE, _SIDE), torch.nan, device=image.device)
        reach = _ENLARGED * (box.right() - box.left() + 1) / 2
        x, y = (box.left() + box.right() + 1) / 2, (box.top() + box.bottom() + 1) / 2
        top, left = max(0, round(y - reach)), max(0, round(x - reach))
        crop = image[:, top : round(y + reach), left : round(x + reach)].float()
        return F.interpolate(crop[None], (_SIDE, _SIDE), mode="bilinear", antialias=True)[0]


def architecture(install: str) -> type[nn.Module]:
    """Return the package's network without importing the package, which needs torchvision.

    Args:
        install: what to do where it is missing.

    Raises:
        MissingDependencyError: it is not installed.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(f"FaceNet's network is not installed: {install}")
    shell = sys.modules.setdefault(f"_{_PACKAGE}", ModuleType(f"_{_PACKAGE}"))
    shell.__path__ = list(spec.submodule_search_locations)
    module = importlib.import_module(f"_{_PACKAGE}.models.inception_resnet_v1")
    network: type[nn.Module] = module.InceptionResnetV1
    return network


def _load(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Fill the network; the classifier of the training's people is not used."""
    embedding = {key: value for key, value in tensors.items() if not key.startswith("logits.")}
    try:
        network.load_state_dict(embedding)
    except RuntimeError as error:
        raise CheckpointError(f"not the weights of FaceNet: {error}") from error
