"""First stage: portraits and masks at every resolution, made once and kept in the run's folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint._internal.concurrency import in_order
from facemask_inpaint._internal.distributed import Ranks
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint._internal.identity import Identity
from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint.benchmark.mask_sources import MaskSource
from facemask_inpaint.benchmark.store.failures import FailureLog
from facemask_inpaint.benchmark.store.journal import Journal
from facemask_inpaint.benchmark.store.layout import Layout
from facemask_inpaint.benchmark.store.settings import Settings
from facemask_inpaint.data.faces import Face, Faces
from facemask_inpaint.errors import FacemaskInpaintError, ImageError, OptionError
from facemask_inpaint.masks.label_maps import LabelMap, LabelSource
from facemask_inpaint.masks.morphology import Hole

_COMPRESSION = 1
"""Of PNG files: higher levels take five times as long and save a tenth."""


def write_png(image: Image.Image, path: Path) -> None:
    """Write a PNG file, whole or not at all."""
    with atomic_path(path) as temporary:
        image.save(temporary, "PNG", compress_level=_COMPRESSION)


class Portrait(NamedTuple):
    """What is known of a portrait at one resolution.

    Attributes:
        size: side in pixels of the square image as it was read.
        shares: class to the share of the image that its mask covers; 0 where it is absent.
    """

    size: int
    shares: Mapping[str, float]


@dataclass(frozen=True)
class PreparedPortraits:
    """Which portrait has which component.

    Attributes:
        keys: all portraits of the run, in order.
        portraits: by resolution and key; what could not be read is missing.
    """

    keys: tuple[str, ...]
    portraits: Mapping[tuple[int, str], Portrait]

    def readable(self, resolution: int) -> tuple[str, ...]:
        """Return the keys of the portraits that are there at this resolution, in order."""
        return tuple(key for key in self.keys if (resolution, key) in self.portraits)

    def present(self, resolution: int, mask_class: str) -> tuple[str, ...]:
        """Return the keys of the portraits that have this component, in order."""
        return self._present.get((resolution, mask_class), ())

    def share(self, resolution: int, mask_class: str, key: str) -> float:
        """Return the share of the image that is hole, 0 to 1."""
        return self.portraits[resolution, key].shares[mask_class]

    def upsampled(self, resolution: int) -> int:
        """Return how many portraits were smaller than this resolution."""
        return sum(
            portrait.size < resolution
            for (at, _), portrait in self.portraits.items()
            if at == resolution
        )

    @cached_property
    def _present(self) -> dict[tuple[int, str], tuple[str, ...]]:
        row = {key: index for index, key in enumerate(self.keys)}
        present: dict[tuple[int, str], list[str]] = defaultdict(list)
        for (resolution, key), portrait in self.portraits.items():
            for name, share in portrait.shares.items():
                if share:
                    present[resolution, name].append(key)
        return {
            position: tuple(sorted(keys, key=row.__getitem__)) for position, keys in present.items()
        }


class _PreparedLine(TypedDict):
    key: str
    resolution: int
    size: int
    shares: dict[str, float]
    source: dict[str, str]


class PreparationStage:
    """Reads portraits and label maps, and writes what the run works on.

    Args:
        layout: of the run.
        settings: of the run.
        masks: makes the holes.
        ranks: the processes of the run.
        failures: records what cannot be read.
    """

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        masks: MaskSource,
        ranks: Ranks,
        failures: FailureLog,
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._masks = masks
        self._ranks = ranks
        self._failures = failures
        self._journal = Journal(layout.work, "prepared", ranks.rank)

    def require_same_sources(self, faces: Faces) -> None:
        """Refuse portraits and label maps that are other files than those the run began with.

        Raises:
            OptionError: some are; the message names the first few.
        """
        lines = self._journal.read(_PreparedLine)
        sources = {line["key"]: Identity(**line["source"]) for line in lines}
        changed = [
            face.key
            for face in faces
            if face.key in sources and not sources[face.key].holds(face.source_files())
        ]
        if changed:
            shown = ", ".join(changed[:5]) + (" …" if len(changed) > 5 else "")
            raise OptionError(
                f"{self._layout.folder}: this run was begun with other portraits or label maps "
                f"({len(changed)} are not what they were: {shown}): go on with the same files, or "
                "give another folder"
            )

    def run(self, faces: Faces, *, progress: bool) -> None:
        """Prepare this rank's share of what is not there yet."""
        known = self._known()
        jobs = []
        for face in self._ranks.shard(faces):
            missing = self._missing(face.key, known)
            if missing:
                jobs.append((face, missing))
        done = in_order(self._prepare, jobs, None, ahead=16)
        shown = progress and bool(jobs)
        for _ in progress_bar(done, "portraits", total=len(jobs), shown=shown, unit="portrait"):
            pass

    def prepared(self) -> PreparedPortraits:
        """Return what all ranks have prepared."""
        wanted = {entry.name for entry in self._settings.classes}
        keys = set(self._settings.keys)
        portraits = {
            (resolution, key): portrait
            for (resolution, key), portrait in self._known().items()
            if key in keys
            and resolution in self._settings.resolutions
            and wanted <= portrait.shares.keys()
        }
        return PreparedPortraits(self._settings.keys, portraits)

    def _known(self) -> dict[tuple[int, str], Portrait]:
        known: dict[tuple[int, str], Portrait] = {}
        for line in self._journal.read(_PreparedLine):
            position = (line["resolution"], line["key"])
            before = known[position].shares if position in known else {}
            known[position] = Portrait(line["size"], {**before, **line["shares"]})
        return known

    def _missing(self, key: str, known: Mapping[tuple[int, str], Portrait]) -> dict[int, list[str]]:
        """Return by resolution the classes that were not looked at yet."""
        names = [entry.name for entry in self._settings.classes]
        missing = {}
        for resolution in self._settings.resolutions:
            seen = known[resolution, key].shares if (resolution, key) in known else {}
            if absent := [name for name in names if name not in seen]:
                missing[resolution] = absent
        return missing

    def _prepare(self, job: tuple[Face, dict[int, list[str]]]) -> None:
        """Prepare one portrait, in a worker thread."""
        face, missing = job
        try:
            source = asdict(Identity.of(face.source_files()))
            image, labels = face.read_image(), face.read_label_map()
            _require_square(face.image, image.size)
            _require_square(f"label map of {face.image}", labels.shape)
            holes = {
                resolution: dict(self._masks.holes(face.key, labels, names, resolution))
                for resolution, names in missing.items()
            }
        except (FacemaskInpaintError, OSError) as error:
            self._failures.add("read", error, key=face.key)
            return
        for resolution, names in missing.items():
            try:
                shares = dict(
                    self._write(face.key, resolution, image, labels, names, holes[resolution])
                )
                line: _PreparedLine = {
                    "key": face.key,
                    "resolution": resolution,
                    "size": image.width,
                    "shares": shares,
                    "source": source,
                }
                self._journal.append(line)
            except ImageError as error:
                self._failures.add("read", error, resolution=resolution, key=face.key)
            except OSError as error:
                self._failures.add("write", error, resolution=resolution, key=face.key)

    def _write(
        self,
        key: str,
        resolution: int,
        image: Image.Image,
        labels: LabelSource,
        names: Sequence[str],
        holes: Mapping[str, Hole],
    ) -> Iterator[tuple[str, float]]:
        """Write the portrait and its masks, and yield each class with the share that is hole."""
        ids = labels.ids if isinstance(labels, LabelMap) else labels.merged()
        small = Image.fromarray(ids).resize((resolution, resolution), Image.Resampling.NEAREST)
        _write_or_compare(small, self._layout.label_map(resolution, key))
        portrait = image.resize((resolution, resolution), Image.Resampling.LANCZOS)
        _write_or_compare(portrait, self._layout.original(resolution, key))
        for name in names:
            share, path = 0.0, self._layout.mask(resolution, name, key)
            if name in holes:
                share = float(holes[name].mean())
                _write_or_compare(Image.fromarray(holes[name].astype(np.uint8) * 255), path)
            elif path.exists():
                raise _other_source(path)
            yield name, share


def _write_or_compare(image: Image.Image, path: Path) -> None:
    """Write what is not there yet; what is there has been given to methods and must be the same.

    Raises:
        ImageError: another image is there.
    """
    if not path.exists():
        write_png(image, path)
    elif not np.array_equal(np.asarray(images.read_image(path)), np.asarray(image)):
        raise _other_source(path)


def _other_source(path: Path) -> ImageError:
    return ImageError(
        f"{path} was made from another file than the data set has now; give another folder"
    )


def _require_square(name: object, size: tuple[int, int]) -> None:
    if size[0] != size[1]:
        raise ImageError(f"{name} is {size[0]} x {size[1]} pixels; crop it to a square first")
