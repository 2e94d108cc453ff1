"""How data sets lay out their files: one record each, and one reader for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from facemask_inpaint.data.faces import Face, Faces
from facemask_inpaint.errors import OptionError, unknown_name
from facemask_inpaint.images.folders import compose
from facemask_inpaint.images.formats import image_suffixes
from facemask_inpaint.labels import LabelOrder
from facemask_inpaint.masks.label_orders import named_order
from facemask_inpaint.masks.vocabularies import FACES, Vocabulary
from facemask_inpaint.masks.vocabulary_files import open_vocabulary

ALL = "all"
"""The split that every data set has: everything."""


@dataclass(frozen=True)
class DataLayout:
    """Where a data set keeps its images and label maps, relative to its folder.

    In the paths, ``{split}`` is the folder of a split, ``{folder}`` the folder that an image is in,
    and ``{key}`` what stands before the ending of its name; ``*`` is anything.

    Attributes:
        title: name of the data set.
        images: path of the images.
        label_maps: path of the label map of an image.
        marker: path that is there in this layout only.
        splits: name of a split to its folder.
        default: the split that is taken unless another is named.
        folder: name of the folder in the data set's archive.
        label_order: of faces; with ``vocabulary`` left at faces and no order, it must be named.
        vocabulary: of the label maps.

    Example:
        >>> from facemask_inpaint.data import LAYOUTS
        >>> LAYOUTS["cityscapes"].images
        'leftImg8bit/{split}/*/*_leftImg8bit.png'
    """

    title: str
    images: str
    label_maps: str
    marker: str
    splits: Mapping[str, str] = field(default_factory=lambda: {ALL: ""})
    default: str = ALL
    folder: str = ""
    label_order: str | None = None
    vocabulary: str = FACES.name

    def find_root(self, path: Path) -> Path | None:
        """Return the data set's folder: this one, or one in it named as in the archive."""
        candidates = (path, path / self.folder) if self.folder else (path,)
        return next((root for root in candidates if self._fits(root)), None)

    def faces(
        self,
        root: Path,
        split: str | None = None,
        *,
        label_order: str | LabelOrder | None = None,
        vocabulary: str | Path | Vocabulary | None = None,
    ) -> Faces:
        """Return the images of a split, whether or not their label maps are there.

        Args:
            root: of the data set; see :meth:`find_root`.
            split: ``None`` for the default, ``"all"`` for all of them.
            label_order: of the label maps, instead of the data set's own.
            vocabulary: of the label maps, likewise.

        Raises:
            OptionError: Nothing says in which order label ids are, or there are no images.
            UnknownNameError: There is no such split, label order or vocabulary.
        """
        split = split or self.default
        if split not in (*self.splits, ALL):
            raise unknown_name(f"split of {self.title}", split, [*self.splits, ALL])
        folders = [self.splits[split]] if split in self.splits else list(self.splits.values())
        labels = open_vocabulary(self.vocabulary if vocabulary is None else vocabulary)
        order = self._order(root, label_order, labels)
        faces = tuple(
            Face(key, image, label_map, labels, order)
            for folder in folders
            for key, image, label_map in self._files(root, folder)
        )
        own = label_order is None or label_order == self.label_order
        note = "" if own or order is None else f" (label order {order.title})"
        return Faces(f"{self.title} {split}{note}", faces)

    def _order(
        self, root: Path, label_order: str | LabelOrder | None, vocabulary: Vocabulary
    ) -> LabelOrder | None:
        if label_order is not None:
            return named_order(label_order)
        if vocabulary != FACES:
            return None
        if self.label_order is None:
            raise OptionError(
                f"{root} is laid out like {self.title}, and others; name the order of its label "
                "ids by label_order= or --label-order (celebamask-hq, lapa, easyportrait, …)"
            )
        return named_order(self.label_order)

    def _fits(self, root: Path) -> bool:
        folders = self.splits.values()
        return any(any(root.glob(self.marker.format(split=folder))) for folder in folders)

    def _files(self, root: Path, folder: str) -> list[tuple[str, Path, Path]]:
        """Key, image and label map of each image of a split, by name."""
        ending = self.images.rpartition("*")[2]
        files = []
        for image in sorted(root.glob(self.images.format(split=folder))):
            if image.suffix.lower() not in image_suffixes():
                continue
            key = image.name.removesuffix(ending) if ending else image.stem
            place = {"split": folder, "folder": image.parent.name, "key": key}
            files.append((compose(key), image, root / self.label_maps.format(**place)))
        label_maps = {label_map for _, _, label_map in files}
        return [entry for entry in files if entry[1] not in label_maps]


_THREE = {name: name for name in ("train", "val", "test")}

LAYOUTS: Mapping[str, DataLayout] = {
    "facesynthetics": DataLayout(
        title="FaceSynthetics",
        images="*.png",
        label_maps="{key}_seg.png",
        marker="*_seg.png",
        label_order="facesynthetics",
    ),
    "lapa": DataLayout(
        title="LaPa",
        images="{split}/images/*.jpg",
        label_maps="{split}/labels/{key}.png",
        marker="{split}/landmarks",
        splits=_THREE,
        default="test",
        folder="LaPa",
        label_order="lapa",
    ),
    "ibugmask": DataLayout(
        title="iBugMask",
        images="{split}/*.jpg",
        label_maps="{split}/{key}.png",
        marker="{split}/*_landmark.txt",
        splits={"train": "train", "test": "test"},
        default="test",
        folder="ibugmask_release",
        label_order="lapa",
    ),
    "cityscapes": DataLayout(
        title="Cityscapes",
        images="leftImg8bit/{split}/*/*_leftImg8bit.png",
        label_maps="gtFine/{split}/{folder}/{key}_gtFine_labelTrainIds.png",
        marker="gtFine/{split}",
        splits={"train": "train", "val": "val"},
        default="val",
        vocabulary="cityscapes",
    ),
    "ade20k": DataLayout(
        title="ADE20K",
        images="images/{split}/*.jpg",
        label_maps="annotations/{split}/{key}.png",
        marker="annotations/{split}",
        splits={"train": "training", "val": "validation"},
        default="val",
        folder="ADEChallengeData2016",
        vocabulary="ade20k",
    ),
    "lip": DataLayout(
        title="LIP",
        images="TrainVal_images/{split}_images/*.jpg",
        label_maps="TrainVal_parsing_annotations/{split}_segmentations/{key}.png",
        marker="TrainVal_parsing_annotations/{split}_segmentations",
        splits={"train": "train", "val": "val"},
        default="val",
        folder="LIP",
        vocabulary="lip",
    ),
    "atr": DataLayout(
        title="ATR",
        images="JPEGImages/*.jpg",
        label_maps="SegmentationClassAug/{key}.png",
        marker="SegmentationClassAug",
        folder="humanparsing",
        vocabulary="atr",
    ),
    "easyportrait": DataLayout(
        title="EasyPortrait",
        images="images/{split}/*.jpg",
        label_maps="annotations/{split}/{key}.png",
        marker="annotations/{split}",
        splits=_THREE,
        default="test",
    ),
    "splits": DataLayout(
        title="a folder of splits",
        images="{split}/images/*",
        label_maps="{split}/labels/{key}.png",
        marker="{split}/labels",
        splits=_THREE,
        default="test",
    ),
}
"""Layouts that :func:`open_faces` knows besides CelebAMask-HQ's and a folder of one's own. In the
last two, which are also used by others, the label order has to be named."""
