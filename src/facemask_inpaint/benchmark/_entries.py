"""What a run records of networks: where they come from, and a hash that pins them."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

import torch

from facemask_inpaint import Inpainter, checkpoints, export, models
from facemask_inpaint._internal.identity import content_of
from facemask_inpaint.benchmark.store.records import MethodEntry
from facemask_inpaint.checkpoints.folders import CONFIG_NAME, TENSORS_NAME
from facemask_inpaint.inpainting import pretrained
from facemask_inpaint.masks import MaskClass
from facemask_inpaint.models import DATA_SETS, TRAINING_SPLITS
from facemask_inpaint.models._pipeline_files import (
    conditions_of_folder,
    is_pipeline_folder,
    pipeline_identity,
)

NOT_RECORDED = "not recorded"
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def entry_of_source(name: str | None, source: str) -> MethodEntry:
    """Return the entry of a registry name, folder or hub repository.

    Args:
        name: in tables; ``None`` takes the source's own.
        source: as ``Inpainter.from_pretrained`` takes it.

    Raises:
        UnknownNameError: there is no such model.
    """
    if pretrained.is_pipeline(source):
        folder = pretrained.pipeline_folder(source, None, pretrained.Download())
        label = Path(source).resolve().name if is_pipeline_folder(source) else source
        return _entry_of_pipeline(name or label.rpartition("/")[2], source, folder)
    if export.is_exported(source):
        return _entry_of_export(name or Path(source).resolve().name, source)
    if checkpoints.is_folder(source):
        return _entry_of_folder(name or Path(source).resolve().name, source, Path(source))
    if _REPOSITORY.fullmatch(source) and not Path(source).exists():
        folder = checkpoints.load_hub(source)
        return _entry_of_folder(name or source.rpartition("/")[2], source, folder)
    card = models.card(source)
    return _entry_of_card(name or card.name, card.name, card, card.digest)


def _entry_of_folder(name: str, source: str, folder: Path) -> MethodEntry:
    config, _ = checkpoints.load_folder(folder)
    card_name, options = str(config.get("card")), config.get("options")
    digest = content_of([folder / CONFIG_NAME, folder / TENSORS_NAME])
    if card_name in models.list_pretrained():
        return _entry_of_card(name, source, models.card(card_name), digest)
    resolution = options.get("resolution") if isinstance(options, dict) else None
    return MethodEntry(name, source, digest, training=NOT_RECORDED, resolution=resolution)


def _entry_of_export(name: str, source: str) -> MethodEntry:
    config = export.ExportConfig.read(source)
    digest = content_of(export.files_of(source))
    if config.card in models.list_pretrained():
        return _entry_of_card(name, source, models.card(config.card), digest)
    resolution = config.size[0] if config.size else config.native_resolution
    return MethodEntry(name, source, digest, training=NOT_RECORDED, resolution=resolution)


def _entry_of_pipeline(name: str, source: str, folder: Path) -> MethodEntry:
    conditions, digest = conditions_of_folder(folder, MaskClass), pipeline_identity(folder)
    return MethodEntry(name, source, digest, training=NOT_RECORDED, conditions=conditions)


def _entry_of_card(name: str, source: str, card: models.Card, digest: str) -> MethodEntry:
    training = "nothing: it has no weights"
    if card.needs_weights:
        training = f"{DATA_SETS[card.data][0]}; CelebA-HQ: {TRAINING_SPLITS[card.training_split]}"
    return MethodEntry(
        name, source, digest, card.licence, training, card.training_split, card.resolution
    )


def entry_of_inpainter(name: str | None, inpainter: Inpainter) -> MethodEntry:
    """Return the entry of an inpainter that is in memory.

    Args:
        name: in tables; ``None`` takes that of its card or architecture.
        inpainter: the inpainter.
    """
    network, card = inpainter.network, inpainter.card
    architecture = network.architecture or type(network).__name__
    digest, conditions = _digest_of(inpainter), network.default_conditions(MaskClass)
    if card is not None:
        entry = _entry_of_card(name or card.name, card.name, card, digest)
        return dataclasses.replace(entry, conditions=conditions)
    source = f"Inpainter({architecture})"
    return MethodEntry(
        name or architecture,
        source,
        digest,
        training=NOT_RECORDED,
        resolution=network.native_resolution,
        conditions=conditions,
    )


def _digest_of(inpainter: Inpainter) -> str:
    """Return the SHA-256 of weights, options, conditions and dtype."""
    network = inpainter.network
    settings = f"{dict(network.options)} {network.default_conditions(MaskClass)}"
    total = hashlib.sha256(f"{settings} {inpainter.dtype}\n".encode())
    for key, value in sorted(network.state_dict().items()):
        total.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return total.hexdigest()
