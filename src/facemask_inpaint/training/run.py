"""From a recipe and a folder of portraits to a trained network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from facemask_inpaint import data as datasets
from facemask_inpaint._internal import distributed
from facemask_inpaint._internal.devices import own_device
from facemask_inpaint._internal.files import remove_abandoned
from facemask_inpaint._internal.locks import locked
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.data import Faces
from facemask_inpaint.errors import OptionError
from facemask_inpaint.inpainting import pretrained
from facemask_inpaint.inpainting.inpainter import Inpainter
from facemask_inpaint.masks import AdaptiveMaskSampler, MixedMaskSampler, SemanticMasker
from facemask_inpaint.metrics import FeatureReader
from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.training import perceptual, state
from facemask_inpaint.training.adversarial import AdversarialPair, create_pair
from facemask_inpaint.training.dataset import TrainingImages, digest
from facemask_inpaint.training.loop import End, Trainer
from facemask_inpaint.training.objective import Objective
from facemask_inpaint.training.recipes import MaskKind, Recipe
from facemask_inpaint.training.shipped_recipes import open_recipe
from facemask_inpaint.training.validation import Validation

PREPARED_BY = 2000
"""At most so many training pictures are shown to a network that prepares itself by some."""

MAY_CHANGE = {"epochs", "steps", "minutes", "validate_every", "save_every", "passes", "unknown"}
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
    device: str | torch.device | None = None,
    workers: int | None = None,
    progress: bool = True,
    on_end: Callable[[End, int], None] | None = None,
) -> Inpainter:
    """Train a network from scratch, or go on with the run in ``out``.

    Under ``torchrun`` each process takes its share of every batch.

    Args:
        recipe: name, YAML file or :class:`Recipe`.
        data: portraits with label maps, or their folder (see ``data.open_faces``), of which the
            split ``"train"`` is taken where there is one, else everything.
        out: folder of the run: ``recipe.yaml``, ``log.jsonl``, ``samples``, ``checkpoints`` and,
            at the end, ``model``, which ``Inpainter.from_pretrained`` loads.
        masks: ``"random"``, ``"semantic"`` or ``"mixed"``, in place of the recipe's.
        validation: held-out portraits, or their folder.
        reader: makes features for FID in validation; ``None`` leaves FID out.
        device: ``None`` means CUDA when there, else CPU.
        workers: processes that read pictures; ``None`` for a few on CUDA, none on the CPU.
        progress: show a bar.
        on_end: told at the end why the run is over (``"complete"``, ``"time"`` or ``"stopped"``,
            by SIGTERM or Ctrl-C), and how many steps are done.

    Returns:
        The averaged network, ready to fill.

    Raises:
        OptionError: settings make no sense together, or ``out`` holds a run of another recipe.
        FolderInUseError: another process works in ``out``.
        WeightsNotFoundError: a loss needs pinned weights that cannot be had; nothing was started.
        DivergedError: a loss is not a number.
    """
    recipe = open_recipe(recipe)
    if masks is not None:
        recipe = recipe.changed(**{"masks.kind": masks})
    out = Path(out)
    chosen = own_device(device)
    backend = "nccl" if chosen.type == "cuda" else "gloo"
    with distributed.process_group(backend), locked(out, "train"):
        faces = data
        if isinstance(faces, str | Path):
            faces = datasets.open_faces(faces, preferred="train")
        saved = _saved(recipe, faces, out)
        # Nothing is written before everything is at hand.
        pictures = TrainingImages(
            faces, recipe.side, _sampler(recipe), recipe.augmentation, recipe.seed
        )
        players = _players(recipe, pictures, fresh=saved is None)
        watched = _validation(recipe, validation, reader)
        objective = Objective(recipe.losses, _perceptual(recipe, chosen))
        trainer = Trainer(
            recipe,
            players,
            objective,
            pictures,
            out,
            device=chosen,
            saved=saved,
            validation=watched,
            workers=workers if workers is not None else (4 if chosen.type == "cuda" else 0),
            progress=progress,
        )
        if distributed.rank() == 0:
            recipe.save(out / "recipe.yaml")
        inpainter = trainer.run()
        if on_end is not None and trainer.end is not None:
            on_end(trainer.end, trainer.step)
        return inpainter


@runtime_checkable
class Prepared(Protocol):
    """A network that looks at training pictures before the first step."""

    def prepare(self, pictures: Iterable[Tensor]) -> None:
        """Take what it needs from pictures ``(3, S, S)`` in [-1, 1], one after the other."""


def _saved(recipe: Recipe, faces: Faces, out: Path) -> dict[str, Any] | None:
    """The newest checkpoint of this run; one of another run beside it is passed over.

    Raises:
        OptionError: there are checkpoints of other runs only.
    """
    if distributed.rank() == 0:
        remove_abandoned(out)
    refusal: OptionError | None = None
    for saved in state.usable(out / "checkpoints"):
        differing = _differences(recipe, faces, saved)
        if not differing:
            return saved
        refusal = refusal or OptionError(
            f"{out} holds a run with another {', '.join(differing)}; go on with its own "
            f"{out / 'recipe.yaml'}, or choose another folder"
        )
    if refusal is not None:
        raise refusal
    return None


def _differences(recipe: Recipe, faces: Faces, saved: Mapping[str, Any]) -> list[str]:
    """Settings in which a checkpoint is another run's."""
    old, new = (Recipe.from_yaml(text) for text in (saved["recipe"], recipe.to_yaml()))
    differing = [
        name
        for name in vars(old)
        if name not in MAY_CHANGE and getattr(old, name) != getattr(new, name)
    ]
    if saved["portraits"] != digest(faces):
        differing.append("set of portraits")
    return differing


def _players(recipe: Recipe, pictures: TrainingImages, fresh: bool) -> AdversarialPair:
    """The recipe's players; those of a run that goes on get their weights from its checkpoint."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        players = create_pair(
            recipe.architecture,
            recipe.options,
            side=recipe.side,
            discriminator_options=recipe.discriminator_options,
        )
    if not fresh:
        return players
    if isinstance(players.generator, Prepared):
        players.generator.prepare(pictures.first(PREPARED_BY))
    if recipe.start is not None:
        _start_from(players.generator, recipe.start)
    return players


def _start_from(network: InpaintingNetwork, start: str) -> None:
    """Give a network another's weights; all of them must have a place in it."""
    state = pretrained.load(start, download=pretrained.Download()).network.state_dict()
    own = network.state_dict()
    strange = [key for key in state if key not in own or own[key].shape != state[key].shape]
    if strange:
        raise OptionError(
            f"{start} does not fit {type(network).__name__} with options {dict(network.options)}: "
            f"{', '.join(strange[:3])} and {max(0, len(strange) - 3)} more have no place"
        )
    network.load_state_dict({**own, **state})


def _perceptual(recipe: Recipe, device: torch.device) -> Any:
    return perceptual.load(device) if recipe.losses.perceptual else None


def _sampler(recipe: Recipe) -> MixedMaskSampler:
    masks = recipe.masks
    options: dict[str, Any] = {
        "classes": masks.classes,
        "class_weights": dict(masks.class_weights) or None,
        "random": masks.random,
        "masker": SemanticMasker(dilate=masks.dilate),
    }
    if masks.adaptive:
        return AdaptiveMaskSampler(
            recipe.side, masks.share, recipe.seed, strength=masks.adaptive, **options
        )
    return MixedMaskSampler(recipe.side, masks.share, recipe.seed, **options)


def _validation(
    recipe: Recipe, given: Faces | str | Path | None, reader: FeatureReader | None
) -> Validation | None:
    if given is None or not recipe.validate_every:
        if recipe.masks.adaptive:
            raise OptionError("adaptive masks follow validation: give validation pictures")
        return None
    faces = datasets.open_faces(given) if isinstance(given, str | Path) else given
    return Validation(faces, recipe.side, recipe.masks, reader=reader)
