"""From a recipe and a folder of portraits to a trained network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from facemask_inpaint import data as datasets
from facemask_inpaint._internal import distributed
from facemask_inpaint._internal.devices import own_device
from facemask_inpaint._internal.files import remove_abandoned
from facemask_inpaint._internal.locks import locked
from facemask_inpaint._internal.settings import Range
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.data import Faces
from facemask_inpaint.errors import OptionError
from facemask_inpaint.inpainting import pretrained
from facemask_inpaint.inpainting.inpainter import Inpainter
from facemask_inpaint.masks import AdaptiveMaskSampler, MixedMaskSampler, open_vocabulary
from facemask_inpaint.masks.adaptive import SamplerOptions
from facemask_inpaint.metrics import FeatureReader
from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.training import perceptual, state
from facemask_inpaint.training.adversarial import AdversarialPair, create_pair
from facemask_inpaint.training.dataset import TrainingImages, digest, label_meaning
from facemask_inpaint.training.loop import End, Trainer
from facemask_inpaint.training.objective import Objective
from facemask_inpaint.training.readable import readable_only
from facemask_inpaint.training.recipes import MaskKind, Recipe
from facemask_inpaint.training.shipped_recipes import open_recipe
from facemask_inpaint.training.validation import Validation

_log = logging.getLogger(__name__)

PREPARATION_IMAGES = 2000
"""Largest number of training images shown to a network that prepares itself by some."""

MAY_CHANGE = {
    *("epochs", "steps", "minutes", "validate_every", "save_every"),
    *("gradient_accumulation", "assumptions"),
}
"""Settings that a resumed run may have other than before."""


@ordinary_torch()
def train(
    recipe: str | Path | Recipe,
    data: Faces | str | Path,
    *,
    out: str | Path,
    masks: MaskKind | None = None,
    validation: Faces | str | Path | None = None,
    reader: FeatureReader | None = None,
    skip_unreadable: bool = False,
    device: str | torch.device | None = None,
    workers: int | None = None,
    progress: bool = True,
    on_end: Callable[[End, int], None] | None = None,
) -> Inpainter:
    """Train a network, or continue the run in ``out``.

    Args:
        recipe: name, YAML file or :class:`Recipe`.
        data: portraits with label maps, or their folder (see ``data.open_faces``), of which the
            split ``"train"`` is taken where there is one, else everything. Where all masks are
            free-form, label maps are neither needed nor read.
        out: folder of the run; at the end ``out/model`` is what ``from_pretrained`` loads.
        masks: ``"random"``, ``"semantic"`` or ``"mixed"``, instead of the recipe's.
        validation: held-out portraits, or their folder.
        reader: extracts features for FID in validation; ``None`` leaves FID out.
        skip_unreadable: check all portraits first, and leave out those that cannot be used.
        device: ``None`` means CUDA if available, else CPU.
        workers: processes that read images; ``None`` for four on CUDA, none on the CPU.
        progress: show a progress bar.
        on_end: called at the end with the reason, an :data:`End`, and the number of steps done.

    Returns:
        The averaged network, ready to fill holes.

    Raises:
        OptionError: Settings do not fit together, or ``out`` holds a run of other ones or data.
        DataSetError: Portraits cannot be used; the message lists all of them.
        FolderInUseError: Another process works in ``out``.
        WeightsNotFoundError: A loss needs pinned weights that cannot be fetched.
        DivergedError: A loss is not a finite number.

    Example:
        >>> from facemask_inpaint import training
        >>> inpainter = training.train("lite-smoke", "faces", out="runs/smoke")  # doctest: +SKIP
    """
    Range(0).require(workers, "workers")
    recipe, device = _resolved(recipe, masks), own_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    with distributed.process_group(backend), locked(Path(out), "train"):
        faces = _faces(recipe, data, skip_unreadable, progress)
        held_out = _validation(recipe, validation, reader)
        trainer = _trainer(
            recipe, faces, Path(out), held_out, device=device, workers=workers, progress=progress
        )
        inpainter = trainer.run()
        if on_end is not None and trainer.end is not None:
            on_end(trainer.end, trainer.learner.step)
        return inpainter


def _resolved(recipe: str | Path | Recipe, masks: MaskKind | None) -> Recipe:
    recipe = open_recipe(recipe)
    return recipe if masks is None else recipe.changed(**{"masks.kind": masks})


def _faces(
    recipe: Recipe, data: Faces | str | Path, skip_unreadable: bool, progress: bool
) -> Faces:
    faces, needed = data, recipe.masks.need_label_maps
    if isinstance(faces, str | Path):
        faces = datasets.open_faces(faces, preferred="train", label_maps=needed)
    if needed and not any(face.label_map for face in faces):
        raise OptionError(
            f"{faces.name} has no label maps, which the recipe's masks are cut from; "
            "masks of the kind random do without"
        )
    return readable_only(faces, label_maps=needed, progress=progress) if skip_unreadable else faces


def _trainer(
    recipe: Recipe,
    faces: Faces,
    out: Path,
    validation: Validation | None,
    *,
    device: torch.device,
    workers: int | None,
    progress: bool,
) -> Trainer:
    """Gather what a run needs; nothing is written before everything is at hand."""
    saved = _checkpoint(recipe, faces, out)
    if saved is not None and saved["step"] > recipe.length(len(faces)):
        _log.warning("%s: %d steps are done already", out, saved["step"])
        recipe = recipe.changed(steps=saved["step"])
    dataset = TrainingImages(
        faces,
        recipe.resolution,
        _sampler(recipe, faces),
        recipe.augmentation,
        recipe.seed,
        label_maps=recipe.masks.need_label_maps,
    )
    with dataset.reading(progress=progress):
        pair = _pair(recipe, dataset, is_new=saved is None)
    objective = Objective(recipe.losses, _perceptual(recipe, device))
    trainer = Trainer(
        recipe,
        pair,
        objective,
        dataset,
        out,
        device=device,
        saved=saved,
        validation=validation,
        workers=workers if workers is not None else (4 if device.type == "cuda" else 0),
        progress=progress,
    )
    if distributed.rank() == 0:
        recipe.save(out / "recipe.yaml")
    return trainer


@runtime_checkable
class Prepared(Protocol):
    """A network that looks at training images before the first step."""

    def prepare(self, images: Iterable[Tensor]) -> None:
        """Take what it needs from images ``(3, S, S)`` in [-1, 1], one after the other."""


def _checkpoint(recipe: Recipe, faces: Faces, out: Path) -> state.TrainingState | None:
    """The newest checkpoint of this run; one of another run beside it is passed over.

    Raises:
        OptionError: There are checkpoints of other runs only.
    """
    if distributed.rank() == 0:
        remove_abandoned(out)
    refusal: OptionError | None = None
    for saved in state.usable(out / "checkpoints"):
        differing = _differences(recipe, faces, saved)
        if not differing:
            return saved
        refusal = refusal or OptionError(
            f"{out} holds a run with another {', '.join(differing)}; continue it with its own "
            f"{out / 'recipe.yaml'}, or choose another folder"
        )
    if refusal is not None:
        raise refusal
    return None


def _differences(recipe: Recipe, faces: Faces, saved: state.TrainingState) -> list[str]:
    """Settings in which a checkpoint belongs to another run."""
    try:
        old, new = (Recipe.from_yaml(text) for text in (saved["recipe"], recipe.to_yaml()))
        same_data = saved["data"] == digest(faces)
    except (KeyError, ValueError):  # written by another version of the library
        return ["version of the library"]
    differing = [
        name
        for name in vars(old)
        if name not in MAY_CHANGE and getattr(old, name) != getattr(new, name)
    ]
    labels = {}
    if recipe.masks.need_label_maps:
        labels = label_meaning(faces, open_vocabulary(recipe.masks.vocabulary))
    before = saved.get("labels", labels)
    differing += [name for name in labels if before.get(name) != labels[name]]
    return differing if same_data else [*differing, "set of portraits"]


def _sampler(recipe: Recipe, faces: Faces) -> MixedMaskSampler:
    """The recipe's masks, of those classes that the data can give.

    Raises:
        OptionError: The data can give none of them, or are of another vocabulary.
    """
    masks, masker = recipe.masks, recipe.masks.masker()
    if masker.vocabulary.labels != faces.vocabulary.labels:
        raise OptionError(
            f"{faces.name} has label maps of {faces.vocabulary.name}, the recipe masks of "
            f"{masker.vocabulary.name}: set masks.vocabulary={faces.vocabulary.name}"
        )
    given = masker.select(masks.classes)
    if masks.probability:
        given = faces.given({name: masker.classes[name] for name in given})
    weights = {name: value for name, value in masks.class_weights.items() if name in given}
    options: SamplerOptions = {
        "classes": given,
        "class_weights": weights or None,
        "random": masks.random,
        "masker": masker,
    }
    if masks.adaptive:
        return AdaptiveMaskSampler(
            recipe.resolution, masks.probability, recipe.seed, strength=masks.adaptive, **options
        )
    return MixedMaskSampler(recipe.resolution, masks.probability, recipe.seed, **options)


def _pair(recipe: Recipe, dataset: TrainingImages, is_new: bool) -> AdversarialPair:
    """The recipe's networks; those of a resumed run get their weights from its checkpoint."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        pair = create_pair(
            recipe.architecture,
            recipe.options,
            resolution=recipe.resolution,
            discriminator_options=recipe.discriminator_options,
        )
    if not is_new:
        return pair
    if isinstance(pair.generator, Prepared):
        pair.generator.prepare(dataset.first(PREPARATION_IMAGES))
    if recipe.initial_weights is not None:
        _load_weights(pair.generator, recipe.initial_weights)
    return pair


def _load_weights(network: InpaintingNetwork, source: str) -> None:
    """Give a network the weights of another; each of them must have a place in it."""
    weights = pretrained.load(source, download=pretrained.Download()).network.state_dict()
    own = network.state_dict()
    foreign = [key for key in weights if key not in own or own[key].shape != weights[key].shape]
    if foreign:
        raise OptionError(
            f"{source} does not fit {type(network).__name__} with options "
            f"{dict(network.options)}: {', '.join(foreign[:3])} and {max(0, len(foreign) - 3)} "
            "more have no place"
        )
    network.load_state_dict({**own, **weights})


def _perceptual(recipe: Recipe, device: torch.device) -> perceptual.PerceptualLoss | None:
    return perceptual.load(device) if recipe.losses.perceptual else None


def _validation(
    recipe: Recipe, portraits: Faces | str | Path | None, reader: FeatureReader | None
) -> Validation | None:
    if portraits is None or not recipe.validate_every:
        if recipe.masks.adaptive:
            raise OptionError("adaptive masks follow validation: give validation portraits")
        return None
    if isinstance(portraits, str | Path):
        portraits = datasets.open_faces(portraits, label_maps=recipe.masks.need_label_maps)
    return Validation(portraits, recipe.resolution, recipe.masks, reader=reader)
