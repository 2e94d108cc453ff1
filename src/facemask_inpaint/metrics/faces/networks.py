"""Face recognisers and landmark finders by name, or made of one's own functions."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import torch
from torch import Tensor

from facemask_inpaint.errors import OptionError, unknown_name
from facemask_inpaint.metrics.faces.cards import FACE_NETWORKS, DistanceName, same_person_rule
from facemask_inpaint.metrics.features.custom import CustomExtractor, FeatureExtractor, custom


def open_face_network(name: str, device: str | torch.device | None = None) -> FeatureExtractor:
    """Open a recogniser or landmark finder as an extractor of features.

    Example:
        >>> open_face_network("dlib")  # doctest: +SKIP

    Args:
        name: one of :data:`~.cards.FACE_NETWORKS`.
        device: ``None`` is CUDA when there, else the CPU; dlib runs on the CPU in any case.

    Raises:
        UnknownNameError: there is none of that name.
        MissingDependencyError: its packages are not installed.
        WeightsNotFoundError: its weights cannot be had.
    """
    if name not in FACE_NETWORKS:
        raise unknown_name("face network", name, FACE_NETWORKS)
    card = FACE_NETWORKS[name]
    module, _, network = card.network.partition(":")
    opened: FeatureExtractor = getattr(importlib.import_module(module), network)(card, device)
    return opened


def embedder(
    function: Callable[[Tensor], Tensor],
    identity: str,
    *,
    threshold: float,
    distance: DistanceName = "cosine",
    device: str | torch.device = "cpu",
) -> CustomExtractor:
    """Make a face recogniser of one's own network, for :func:`~.scores.identity`.

    Example:
        >>> from facemask_inpaint import metrics
        >>> def mean_colour(images):
        ...     return images.float().mean((2, 3))
        >>> recogniser = metrics.embedder(mean_colour, "mean colour", threshold=0.01)

    Args:
        function: takes images ``(N, 3, H, W)`` uint8 on ``device``, finds and frames one face in
            each, and returns embeddings ``(N, d)``; a row of zeros where it finds no face.
        identity: line that names network, weights and framing.
        threshold: distance below which two faces count as the same person.
        distance: ``"euclidean"``, or ``"cosine"``, which is 1 less the cosine of the angle.
        device: where the function wants its images.

    Raises:
        OptionError: the identity is empty, the threshold not positive, or no such distance.
    """
    if distance not in ("euclidean", "cosine"):
        raise OptionError(f"distance is 'euclidean' or 'cosine', not {distance!r}")
    if not threshold > 0:
        raise OptionError(f"threshold is a distance above 0, not {threshold}")
    named = custom(function, identity, device)
    named.identity = f"{identity} {same_person_rule(distance, threshold)}"
    return named


def landmark_finder(
    function: Callable[[Tensor], Tensor], identity: str, *, device: str | torch.device = "cpu"
) -> CustomExtractor:
    """Make a landmark finder of one's own network, for :func:`~.landmarks.landmarks`.

    Example:
        >>> import torch
        >>> from facemask_inpaint import metrics
        >>> finder = metrics.landmark_finder(lambda images: torch.zeros(len(images), 136), "none")

    Args:
        function: takes images ``(N, 3, H, W)`` uint8 on ``device`` and returns ``(N, 136)``: x and
            y in pixels of the 68 points of iBUG 300-W (or of dlib's five points, ``(N, 10)``); a
            row of zeros where it finds no face.
        identity: line that names network and weights.
        device: where the function wants its images.

    Raises:
        OptionError: the identity is empty.
    """
    return custom(function, identity, device)
