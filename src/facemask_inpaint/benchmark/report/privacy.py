"""The privacy report of a run: which mask class hides whom from which face recogniser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from facemask_inpaint.benchmark.report.text_tables import MISSING, Cell, Table
from facemask_inpaint.benchmark.store.features import FeatureStore
from facemask_inpaint.benchmark.store.layout import Run
from facemask_inpaint.errors import OptionError
from facemask_inpaint.images.folders import listed
from facemask_inpaint.metrics import FACE_NETWORKS, FeaturePair, FeatureReader
from facemask_inpaint.metrics.faces.scores import FaceComparison, compare_faces
from facemask_inpaint.metrics.pair_means import Values, share_interval

CONFIDENCE = 0.95

CAUTIONS = (
    "One recogniser is not all. Another recogniser, or a person who knows the face, may recognise "
    "what this one does not: hair, ears, clothes and background stay in the image unless the mask "
    "covers them.",
    "These figures cannot show that an image is anonymous. They can show that it is not: where "
    "faces are recognised, the class does not hide them.",
    "A face that is not found counts as not recognised. It is hidden from this detector only.",
    "0 of n is not never: the upper limit says how large the true share may be, for people and "
    "photos like these. The data set is no sample of all people.",
    "Re-identification gets harder as the gallery grows. A share among n people is not that among "
    "thousands, and whoever knows who may be in the photo searches among fewer.",
)
"""What every privacy report says."""


@dataclass(frozen=True, eq=False)
class PrivacyEntry:
    """What a recogniser says of the predictions of one method for one mask class.

    Attributes:
        resolution: height and width in pixels.
        embedder: name of the recogniser.
        method: name of the method.
        mask_class: name of the class.
        keys: of the portraits whose original shows a face to the recogniser.
        recognised: per portrait, whether it is taken for the same person.
        reidentified: per portrait, whether its own original is the nearest.
        found: per portrait, whether a face is found in the prediction.
        distance: median distance to the original; NaN where no face is found.
    """

    resolution: int
    embedder: str
    method: str
    mask_class: str
    keys: tuple[str, ...]
    recognised: tuple[bool, ...]
    reidentified: tuple[bool, ...]
    found: tuple[bool, ...]
    distance: float

    @classmethod
    def of(
        cls, names: tuple[int, str, str, str], keys: Sequence[str], faces: FaceComparison
    ) -> PrivacyEntry:
        """Keep those portraits whose original shows a face.

        Args:
            names: resolution, recogniser, method and class.
            keys: of all portraits, in order.
            faces: what the recogniser says of them.
        """
        known = np.flatnonzero(~np.isnan(faces.found)).tolist()

        def flags(values: Values) -> tuple[bool, ...]:
            return tuple(bool(values[row]) for row in known)

        apart = faces.distance[~np.isnan(faces.distance)]
        return cls(
            *names,
            tuple(keys[row] for row in known),
            flags(faces.recognised),
            flags(faces.reidentified),
            flags(faces.found),
            float(np.median(apart)) if len(apart) else float("nan"),
        )

    @property
    def hidden(self) -> list[str]:
        """Keys of the portraits that are not recognised."""
        return [key for key, known in zip(self.keys, self.recognised) if not known]


@dataclass(frozen=True)
class PrivacyReport:
    """Which mask class hides whom from which recogniser, with what such figures cannot say.

    Attributes:
        dataset: name of the data set.
        entries: by resolution, recogniser, class and method.
    """

    dataset: str
    entries: tuple[PrivacyEntry, ...]

    @classmethod
    def of_run(cls, run: Run, embedders: Sequence[str] = ("dlib",)) -> PrivacyReport:
        """Compare originals and predictions of a run; embeddings are kept in its folder.

        Args:
            run: finished or not.
            embedders: names of face recognisers.

        Raises:
            UnknownNameError: there is no such recogniser.
            MissingDependencyError: its packages are not installed.
            OptionError: the run has no predictions.
        """
        entries = [entry for name in embedders for entry in _entries(run, name)]
        if not entries:
            raise OptionError(f"{run.folder} holds no predictions: finish the benchmark first")
        return cls(run.dataset, tuple(entries))

    def __str__(self) -> str:
        groups = dict.fromkeys((entry.resolution, entry.embedder) for entry in self.entries)
        parts = [f"# Privacy report: {self.dataset}"]
        parts += ["\n".join(f"- {text}" for text in CAUTIONS)]
        parts += [self._table(*group).markdown() for group in groups]
        parts += ["## Who is not recognised", "\n".join(self._people())]
        return "\n\n".join(parts) + "\n"

    def _table(self, resolution: int, embedder: str) -> Table:
        chosen = [
            entry
            for entry in self.entries
            if (entry.resolution, entry.embedder) == (resolution, embedder)
        ]
        header = (
            *("class", "method", "n", "recognised", "95 %", "re-identified", "95 %"),
            *("no face found", "median distance"),
        )
        rows = tuple(_row(entry) for entry in chosen)
        caption = f"Recogniser {embedder}, {resolution} x {resolution}"
        return Table(caption, header, rows, tuple(_notes(embedder)))

    def _people(self) -> Iterator[str]:
        for entry in self.entries:
            where = f"{entry.mask_class}, {entry.method}, {entry.embedder} at {entry.resolution}"
            hidden = entry.hidden
            names = listed(hidden) if hidden else "nobody"
            yield f"- {where}: {len(hidden)} of {len(entry.keys)}: {names}"


def _entries(run: Run, embedder: str) -> Iterator[PrivacyEntry]:
    reader = FeatureReader(embedder)
    store = FeatureStore(run.folder, run.layout.work / "features", reader)
    for resolution in run.resolutions:
        for entry in run.classes:
            for method in run.methods:
                names = (resolution, method.name, entry.name)
                keys = [key for key in run.keys if run.prediction(*names, key).exists()]
                if not keys:
                    continue
                pair = FeaturePair(
                    store.load([run.original(resolution, key) for key in keys]),
                    store.load([run.prediction(*names, key) for key in keys]),
                )
                faces = compare_faces(pair)
                yield PrivacyEntry.of((resolution, embedder, *names[1:]), keys, faces)


def _row(entry: PrivacyEntry) -> tuple[Cell, ...]:
    count = len(entry.keys)
    texts = [entry.mask_class.replace("_", " "), entry.method, str(count)]
    for flags in (entry.recognised, entry.reidentified):
        limits = share_interval(sum(flags), count, CONFIDENCE)
        texts.append(f"{sum(flags) / count:.0%}" if count else MISSING)
        texts.append(f"{limits[0]:.0%} to {limits[1]:.0%}" if limits else MISSING)
    texts.append(str(count - sum(entry.found)))
    texts.append(MISSING if np.isnan(entry.distance) else f"{entry.distance:.2f}")
    return tuple(map(Cell, texts))


def _notes(embedder: str) -> Iterator[str]:
    """What a reader has to know of a recogniser's figures."""
    card = FACE_NETWORKS[embedder]
    yield (
        f"Recognised: {card.distance} distance to the own original below {card.threshold:g} "
        f"({card.threshold_source})"
    )
    yield "Re-identified: no other of the n originals is nearer; by chance 1 in n"
    yield f"Network: {card.paper}; trained on {card.data}; framing: {card.framing}"
    yield "n counts the portraits that have the component and a face that is found; 95 %: Wilson's"
