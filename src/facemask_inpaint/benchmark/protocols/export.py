"""The masks of a protocol as files, and a manifest by which anyone checks that they have them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from facemask_inpaint import data, images
from facemask_inpaint._internal.concurrency import in_threads
from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint._internal.locks import locked
from facemask_inpaint.benchmark.protocols.records import Protocol
from facemask_inpaint.benchmark.stages.prepare import write_png
from facemask_inpaint.data import Face, Faces
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.masks.label_maps import open_label_map
from facemask_inpaint.masks.morphology import Hole

MANIFEST = "masks.sha256"
"""Name of the manifest in a folder of exported masks."""

_PROBE_KEYS = tuple(str(number) for number in range(8))


@dataclass(frozen=True)
class MaskManifest:
    """Which masks there are, with the hash of each one's pixels.

    Attributes:
        protocol: name, version and hash of the protocol.
        masks: path below the folder, with slashes, to the hash.
    """

    protocol: str
    masks: dict[str, str]

    @property
    def text(self) -> str:
        """Content of the manifest's file."""
        lines = [f"# {self.protocol}", *(f"{sha}  {path}" for path, sha in self.masks.items())]
        return "\n".join(lines) + "\n"

    @property
    def sha256(self) -> str:
        """SHA-256 of the manifest: the same wherever the same masks are."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @classmethod
    def read(cls, folder: str | Path) -> MaskManifest:
        """Read the manifest of a folder, whatever the ends of its lines.

        Raises:
            OptionError: there is none, or it is damaged.
        """
        path = Path(folder) / MANIFEST
        try:
            head, *lines = path.read_text(encoding="utf-8").splitlines()
            rows = [line.split("  ", 1) for line in lines if line]
            return cls(head.removeprefix("# "), {name: sha for sha, name in rows})
        except OSError as error:
            raise OptionError(
                f"{path} cannot be read ({error.strerror}); `facemask-inpaint protocol "
                "export-masks` writes such a folder"
            ) from None
        except ValueError:
            raise OptionError(f"{path} is no manifest of masks, or damaged") from None


def export_masks(
    protocol: Protocol,
    faces: Faces,
    out: str | Path,
    *,
    workers: int | None = None,
    progress: bool = True,
) -> MaskManifest:
    """Write the very masks that a run under a protocol gives to its methods.

    Example:
        >>> from facemask_inpaint import benchmark
        >>> protocol = benchmark.protocols.find_protocol("mat-celeba512")
        >>> faces = protocol.split.open("CelebAMask-HQ")  # doctest: +SKIP
        >>> manifest = benchmark.protocols.export_masks(
        ...     protocol, faces, "masks"
        ... )  # doctest: +SKIP

    Args:
        protocol: the protocol.
        faces: its portraits, see ``protocol.split.open``.
        out: folder to write: ``<resolution>/<class>/<key>.png``, 255 = hole, and the manifest.
        workers: threads; ``None`` for one per processor. Masks do not depend on it.
        progress: whether to show a progress bar.

    Returns:
        What was written.

    Raises:
        LabelMapError, ImageError: a label map cannot be read.
        FolderInUseError: another process works in ``out``.
    """
    folder = Path(out)

    def write(face: Face) -> list[tuple[str, str]]:
        rows = []
        for path, hole in _holes(protocol, face):
            write_png(Image.fromarray(hole.astype(np.uint8) * 255), folder / path)
            rows.append((path, pixel_digest(hole)))
        return rows

    with locked(folder, "protocol"):
        written = in_threads(
            write, list(faces), workers=workers, progress=progress, description="masks"
        )
        masks = dict(sorted(row for rows in written for row in rows))
        manifest = MaskManifest(protocol.label, masks)
        with atomic_path(folder / MANIFEST) as path:
            path.write_bytes(manifest.text.encode())
    return manifest


def verify_masks(folder: str | Path, *, progress: bool = True) -> list[str]:
    """Compare the masks of a folder with its manifest.

    The hashes are of pixels, so masks that another program has written again are the same.

    Example:
        >>> from facemask_inpaint import benchmark
        >>> benchmark.protocols.verify_masks("masks")  # doctest: +SKIP
        []

    Args:
        folder: as :func:`export_masks` has written it.
        progress: whether to show a progress bar.

    Returns:
        One sentence for each mask that is missing, changed or not in the manifest.

    Raises:
        OptionError: there is no manifest, or it is damaged.
    """
    root, manifest = Path(folder), MaskManifest.read(folder)

    def check(item: tuple[str, str]) -> str | None:
        path, expected = item
        try:
            image = images.read_image(root / path)
        except ImageError as error:
            return str(error)
        same = pixel_digest(np.asarray(image.convert("L")) > 127) == expected
        return None if same else f"{path} is another mask"

    found = in_threads(
        check, list(manifest.masks.items()), workers=None, progress=progress, description="masks"
    )
    there = {path.relative_to(root).as_posix() for path in root.rglob("*.png")}
    surplus = sorted(there - manifest.masks.keys())
    return [text for text in found if text] + [f"{path} is not in the manifest" for path in surplus]


def pixel_digest(hole: Hole) -> str:
    """Return the SHA-256 of a mask: its height and width, and its pixels as bits, row by row."""
    height, width = hole.shape
    return hashlib.sha256(f"{height} {width}\n".encode() + np.packbits(hole).tobytes()).hexdigest()


def probe_digest(protocol: Protocol) -> str:
    """Return the SHA-256 of a protocol's masks of the bundled portrait, under eight keys.

    It needs no data set, and tells whether this machine makes the masks of the protocol.
    """
    source, label_map = protocol.masks.source(), open_label_map(data.sample().label_map)
    digests = [
        pixel_digest(hole)
        for key in _PROBE_KEYS
        for size in protocol.resolutions
        for _, hole in source.holes(key, label_map, protocol.masks.classes, size)
    ]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _holes(protocol: Protocol, face: Face) -> Iterator[tuple[str, Hole]]:
    """Yield the holes of a portrait by their path below the folder."""
    classes: Sequence[str] = protocol.masks.classes
    label_map = face.read_label_map()
    for size in protocol.resolutions:
        for name, hole in protocol.masks.source().holes(face.key, label_map, classes, size):
            yield f"{size}/{name}/{face.key}.png", hole
