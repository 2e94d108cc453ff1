"""Rows of the table of metrics that are computed from pairs of faces."""

from __future__ import annotations

from typing import Literal

from facemask_inpaint.metrics.metric import FeatureMetric

_PACKAGE = "facemask_inpaint.metrics.faces"


def _of_faces(
    name: str,
    label: str,
    better: Literal["lower", "higher"],
    meaning: str,
    function: str,
    *,
    extractor: str = "dlib",
    ranks: bool = False,
) -> FeatureMetric:
    """Return the row of a mean over pairs of faces; the recogniser's do not rank, see the docs."""
    module = f"{_PACKAGE}.{function}"
    return FeatureMetric(
        name=name,
        label=label,
        better=better,
        meaning=meaning,
        function=module,
        interval=f"{module}.interval",
        needs=frozenset({"features", "pairs"}),
        extractor=extractor,
        ranks=ranks,
    )


def _landmark_error(component: str, meaning: str) -> FeatureMetric:
    suffix = "" if component == "overall" else f"_{component}"
    return _of_faces(
        f"landmark_error{suffix}",
        f"landmark error{suffix.replace('_', ' of ')}",
        "lower",
        f"mean distance of the landmarks{meaning}, in distances of the outer eye corners",
        f"landmarks:{component}",
        extractor="dlib-68",
        ranks=True,
    )


FACE_METRICS = (
    _of_faces(
        "identity_distance",
        "identity distance",
        "lower",
        "distance of the face embeddings, in the recogniser's own measure",
        "scores:distance",
    ),
    _of_faces(
        "identity_cosine",
        "identity cosine distance",
        "lower",
        "1 less the cosine of the angle between the face embeddings",
        "scores:cosine",
    ),
    _of_faces(
        "recognised",
        "recognised",
        "higher",
        "share of faces that the recogniser takes for the same person",
        "scores:recognised",
    ),
    _of_faces(
        "reidentified",
        "rank-1 re-identified",
        "higher",
        "share of faces whose own original is the nearest of all originals",
        "scores:reidentified",
    ),
    _landmark_error("overall", ""),
    _landmark_error("eyes", " of the eyes"),
    _landmark_error("eyebrows", " of the eyebrows"),
    _landmark_error("nose", " of the nose"),
    _landmark_error("mouth", " of the mouth"),
    _landmark_error("jaw", " of the jaw"),
    _of_faces(
        "faces_found",
        "faces found",
        "higher",
        "share of predictions in which a face is found",
        "landmarks:found",
        extractor="dlib-68",
    ),
)
"""What a face recogniser and a landmark finder measure, in the order of the tables."""
