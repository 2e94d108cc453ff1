"""Do published files work here? Each is read, loaded into its network, and used to inpaint."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from facemask_inpaint import checkpoints, data, models
from facemask_inpaint._internal.files import sha256_of
from facemask_inpaint.errors import CheckpointError, FacemaskInpaintError
from facemask_inpaint.inpainting import pretrained
from facemask_inpaint.inpainting.inpainter import Inpainter
from facemask_inpaint.masks import SemanticMasker
from facemask_inpaint.models._recognition import Match, file_of, recognise
from facemask_inpaint.models._registry import network_class
from facemask_inpaint.models._unwrapping import WHOLE, anchors_of, part_name
from facemask_inpaint.parsing import bisenet, load_parser, segformer

_FEW_STEPS = 3


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Attributes:
        subject: name of a model, or path of a file.
        status: ``"works"``, ``"fails"``, or ``"skipped"`` for files of no published model.
        text: what was found, in one line.

    Example:
        >>> print(CheckResult("weights.pt", "works", "2 of 2 tensors"))
        weights.pt: works: 2 of 2 tensors
    """

    subject: str
    status: Literal["works", "fails", "skipped"]
    text: str

    def __str__(self) -> str:
        text = "; ".join(line.strip() for line in self.text.splitlines())
        return f"{self.subject}: {self.status}: {text}"


def check_model(
    name: str,
    files: Sequence[str | Path] = (),
    *,
    download: pretrained.Download | None = None,
    device: str | None = None,
) -> CheckResult:
    """Check that a published model's files can be read and make a network that inpaints.

    Diffusion networks take a few steps only: the check shows that they work, not how well.

    Args:
        name: a registry name.
        files: the model's files in the card's order; by default they are fetched.
        download: how they are fetched.
        device: where the network runs; ``None`` means CUDA when there, else CPU.

    Raises:
        UnknownNameError: there is no such model.

    Example:
        >>> check_model("lite", device="cpu").status
        'works'
    """
    card = models.card(name)
    try:
        if files:
            loaded = pretrained.load_checkpoint(files, card.name)
        else:
            loaded = pretrained.load(card.name, download=download or pretrained.Download())
        facts = [_describe(card, role, path) for role, path in loaded.files.items()]
        return CheckResult(card.name, "works", "; ".join([*facts, _try_out(loaded, device)]))
    except (FacemaskInpaintError, OSError, RuntimeError, MemoryError) as error:
        return CheckResult(card.name, "fails", str(error) or type(error).__name__)


def check_folder(folder: str | Path, *, device: str | None = None) -> Iterator[CheckResult]:
    """Check the files of published models in a folder and below; others are skipped.

    A file's card is recognised by its hash, else by keys and shapes. Models that are published in
    several files are checked where all of them are there.

    Args:
        folder: where to look; links to folders are not followed.
        device: where networks run; ``None`` means CUDA when there, else CPU.

    Raises:
        CheckpointError: there is no such folder.

    Example:
        >>> import tempfile
        >>> list(check_folder(tempfile.mkdtemp()))
        []
    """
    parts: dict[str, dict[str, Path]] = {}
    for path in _files_below(Path(folder)):
        try:
            matches = recognise(path)
        except (FacemaskInpaintError, OSError) as error:
            reason = str(error).removeprefix(f"{path}: ")
            yield CheckResult(str(path), "skipped", f"not the weights of a model ({reason})")
            continue
        if not matches:
            yield _check_parser(path, device)
        elif matches[0].role == WHOLE:
            yield _check_file(path, matches, device)
        else:
            for match in matches:
                parts.setdefault(match.card.name, {}).setdefault(match.role, path)
    yield from _check_parts(parts, device)


def _check_file(path: Path, matches: Sequence[Match], device: str | None) -> CheckResult:
    result = check_model(matches[0].card.name, [path], device=device)
    names = " or ".join(match.card.name for match in matches)
    return CheckResult(str(path), result.status, f"{names}, by {matches[0].by}; {result.text}")


def _check_parser(path: Path, device: str | None) -> CheckResult:
    """A file of none of the models may still be that of a face parser."""
    keys = checkpoints.survey(path).keys
    for name, module in (("bisenet", bisenet), ("segformer", segformer)):
        try:
            checkpoints.own_keys(keys, module.ANCHORS, name)
        except FacemaskInpaintError:
            continue
        try:
            parser = load_parser(name, weights=path, align=False, device=device)
            label_map = parser(data.sample(256).image)
        except FacemaskInpaintError as error:
            return CheckResult(str(path), "fails", f"the parser {name}; {error}")
        return CheckResult(
            str(path),
            "works",
            f"the parser {name}; found {len(np.unique(label_map))} labels in the bundled portrait",
        )
    return CheckResult(str(path), "skipped", "tensors of no network that a card names")


def _check_parts(
    parts: Mapping[str, Mapping[str, Path]], device: str | None
) -> Iterator[CheckResult]:
    """Models in several files: those that are complete, and what the others' files lack."""
    used: set[Path] = set()
    for name, paths in parts.items():
        roles = [file.role for file in models.card(name).files]
        if all(role in paths for role in roles) and len(set(paths.values())) == len(paths):
            used.update(paths.values())
            files = [paths[role] for role in roles]
            result = check_model(name, files, device=device)
            yield CheckResult(", ".join(map(str, files)), result.status, f"{name}; {result.text}")
    roles_of_file: dict[Path, list[str]] = {}
    for name, paths in parts.items():
        for role, path in paths.items():
            roles_of_file.setdefault(path, []).append(f"{role} of {name}")
    for path, names in roles_of_file.items():
        if path not in used:
            text = f"{' or '.join(names)}, whose other files are not here"
            yield CheckResult(str(path), "skipped", text)


def _files_below(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: there is no such folder")
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(names) if (path := Path(parent, name)).is_file())


def _describe(card: models.Card, role: str, path: Path) -> str:
    """Name, bytes, hash, container and layout of a file."""
    sha256, contents = sha256_of(path), checkpoints.survey(path)
    sources = [source for form in file_of(card, role).forms for source in form.sources]
    pinned = any(s.sha256 and sha256.startswith(s.sha256) for s in sources)
    known = "as published" if pinned else "which no source of the card pins"
    return (
        f"{path.name} ({path.stat().st_size:,} bytes, SHA-256 {sha256}, {known}; "
        f"{contents.container}, {_layout(card, role, contents.keys)})"
    )


def _layout(card: models.Card, role: str, keys: Sequence[str]) -> str:
    """How many of a file's tensors are the network's, and what stands before their keys."""
    network = network_class(card.architecture)
    names = checkpoints.own_keys(keys, anchors_of(network, role), part_name(network, role))
    own, key = next(iter(names.items()))
    prefix = key.removesuffix(own)
    return f"{len(names)} of {len(keys)} tensors" + (f" behind {prefix!r}" if prefix else "")


def _try_out(loaded: pretrained.Loaded, device: str | None) -> str:
    """Inpaint a component of the bundled portrait, and check the result."""
    inpainter = Inpainter(loaded.network, card=loaded.card, device=device)
    steps = _FEW_STEPS if "steps" in loaded.network.condition_spec() else None
    sample = data.sample(256)
    hole = SemanticMasker()(sample.label_map, "nose")
    image = np.asarray(sample.image)
    begun = time.perf_counter()
    composite = inpainter(image, hole, steps=steps)
    seconds = time.perf_counter() - begun
    if not np.array_equal(composite[~hole], image[~hole]):
        raise FacemaskInpaintError("the network changed pixels outside the hole")
    if not np.ptp(composite[hole]):
        raise FacemaskInpaintError("the prediction is of one colour")
    return f"inpainted a nose in {seconds:.1f} s"
