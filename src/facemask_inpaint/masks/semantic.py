"""From a label map to the mask that hides a facial component."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemask_inpaint.errors import ComponentAbsentError, OptionError
from facemask_inpaint.labels import LabelOrder
from facemask_inpaint.masks import morphology
from facemask_inpaint.masks._label_batches import Mask, open_batch
from facemask_inpaint.masks._masker_options import (
    class_table,
    fraction_or_count,
    in_pixels,
    nth_object,
    require_one_of,
)
from facemask_inpaint.masks.availability import given_classes, require_given
from facemask_inpaint.masks.class_tables import resolve, select
from facemask_inpaint.masks.components import GLASSES, ClassTable, Component, ComponentLike
from facemask_inpaint.masks.instances import connected_objects
from facemask_inpaint.masks.label_maps import (
    Annotation,
    LabelMap,
    LabelMapLike,
    LabelSource,
    open_label_map,
)
from facemask_inpaint.masks.label_orders import named_order
from facemask_inpaint.masks.morphology import Hole, SizeLike, resize_hole
from facemask_inpaint.masks.parsers import (
    Parser,
    parse_photo,
    require_available,
    resolve_parser,
    unavailable_labels,
)
from facemask_inpaint.masks.vocabularies import FACES, Vocabulary, require_vocabulary
from facemask_inpaint.masks.vocabulary_files import open_vocabulary

if TYPE_CHECKING:
    from torch import Tensor

Missing = Literal["error", "empty"]
Glasses = Literal["include", "ignore"]
Instances = Literal["all", "one"]

DILATE = 0.01
"""How far masks are grown unless it is said: a share of the image's longer side."""

LoadedT = TypeVar("LoadedT", NDArray[Any], "Tensor", Image.Image, LabelMap, Annotation)


class SemanticMasker:
    """Cuts masks of facial components out of label maps or photos, so that they are *fully* hidden.

    The type of the mask follows that of the label map: a NumPy array gives ``(H, W)`` bool, a
    tensor a bool tensor on the same device, a PIL image or a path a PIL image of mode L
    (255 = hole), an annotation a NumPy array. True = hole everywhere.

    Args:
        dilate: how far masks are grown, since annotations are tight by a pixel or two: a fraction
            of the longer side when below 1, else a whole number of pixels; 0 for not at all.
        classes: your own mask classes in place of the twelve, as a table (:func:`parse_classes`)
            or as the path of a JSON or YAML file (:func:`load_classes`).
        missing: what a request for a component that is not there gets: an ``"error"`` or an
            ``"empty"`` mask.
        glasses: ``"include"`` covers eyeglasses over the eyes together with them (all of the
            glasses where no eye is labelled behind them), ``"ignore"`` leaves them.
        fill_holes: whether a mask also covers what it encloses: True for all classes, False for
            none, None for ``face_oval``, ``head`` and the custom classes that say so.
        min_area: a component with fewer labelled pixels counts as missing; a fraction of the
            image when below 1, else a number of pixels.
        feather: distance over which masks fade out *outside* the hole, given like ``dilate``, for
            soft blending. Masks are then float32 in [0, 1] (PIL: 0 … 255), 1 on the hole itself.
        parser: what turns photos into label maps: a name such as ``"small"`` (whose weights ship
            with the library) or ``"bisenet"``, or any callable from photo to label map; see
            :mod:`facemask_inpaint.parsing`. With a parser, images in colour, of floats, or of more
            levels of grey than there are labels are photos, and all others label maps.
        vocabulary: what label ids stand for, and the mask classes: :data:`FACES` unless another
            is given, as :func:`open_vocabulary` takes it.
        label_order: in which ids of faces are, if not in that of CelebAMask-HQ; see
            :func:`reorder_label_map`. Label maps that were opened already are not reordered.
        instances: whether a mask covers ``"all"`` objects of a class or ``"one"`` of them, the
            largest connected one unless a call names another. For streets rather than faces.

    Raises:
        OptionError: An argument is out of its range.
        UnknownNameError: There is no such parser, vocabulary or label order.
        WeightsNotFoundError: The parser's weights cannot be fetched.

    Example:
        >>> from facemask_inpaint import SemanticMasker, data
        >>> masker = SemanticMasker(dilate=4)
        >>> hole = masker(data.sample().label_map, "hair")
        >>> hole.shape, hole.dtype
        ((512, 512), dtype('bool'))
    """

    def __init__(
        self,
        dilate: float = DILATE,
        *,
        classes: ClassTable | str | Path | None = None,
        missing: Missing = "error",
        glasses: Glasses = "include",
        fill_holes: bool | None = None,
        min_area: float = 1,
        feather: float = 0,
        parser: str | Parser | None = None,
        vocabulary: str | Path | Vocabulary = FACES,
        label_order: str | LabelOrder | None = None,
        instances: Instances = "all",
    ) -> None:
        require_one_of("missing", missing, get_args(Missing))
        require_one_of("glasses", glasses, get_args(Glasses))
        require_one_of("instances", instances, get_args(Instances))
        self.vocabulary = open_vocabulary(vocabulary)
        self.label_order = None if label_order is None else named_order(label_order)
        if self.label_order is not None and self.vocabulary.labels != FACES.labels:
            raise OptionError(f"label_order is of faces; {self.vocabulary.name} has its own ids")
        self.instances = instances
        self.classes = class_table(classes, self.vocabulary)
        self.dilate = fraction_or_count("dilate", dilate)
        self.missing = missing
        self.glasses = glasses
        self.fill_holes = fill_holes
        self.min_area = fraction_or_count("min_area", min_area)
        self.feather = fraction_or_count("feather", feather)
        self.parser = resolve_parser(parser)

    @overload
    def __call__(
        self,
        label_map: NDArray[np.generic] | LabelMap | Annotation,
        component: ComponentLike,
        *,
        size: SizeLike | None = None,
        instance: int = 0,
    ) -> NDArray[Any]: ...

    @overload
    def __call__(
        self,
        label_map: Tensor,
        component: ComponentLike,
        *,
        size: SizeLike | None = None,
        instance: int = 0,
    ) -> Tensor: ...

    @overload
    def __call__(
        self,
        label_map: Image.Image | str | Path,
        component: ComponentLike,
        *,
        size: SizeLike | None = None,
        instance: int = 0,
    ) -> Image.Image: ...

    @overload
    def __call__(
        self,
        label_map: LabelMapLike,
        component: ComponentLike,
        *,
        size: SizeLike | None = None,
        instance: int = 0,
    ) -> Mask: ...

    def __call__(
        self,
        label_map: LabelMapLike,
        component: ComponentLike,
        *,
        size: SizeLike | None = None,
        instance: int = 0,
    ) -> Mask:
        """Cut the mask of one component, or of the union of several.

        Args:
            label_map: one label map in any form (see :data:`LabelMapLike`), or a batch
                ``(N, H, W)`` of NumPy or torch; or what :meth:`parse` takes for photos.
            component: class name or letter (``"hair"``, ``"G"``, ``MaskClass.HAIR``, a custom
                class), label name, or several of these such as ``{"nose", "mouth"}``.
            size: resolution, or height and width, of the mask. Shrinking marks a pixel as hole if
                any pixel under it is one.
            instance: which object, from 0, the largest, if the masker covers one at a time; see
                :meth:`count`.

        Returns:
            The mask, or masks ``(N, H, W)`` of a batch.

        Raises:
            ComponentAbsentError: The component is not there and ``missing`` is ``"error"``, or
                it cannot be told apart in data of this label order.
            OptionError: There are not so many objects.
            LabelMapError: This is no label map, or it has unknown ids.
            UnknownNameError: There is no such component.
            ImageError: No face is in a photo.
        """
        components = resolve(component, self.classes, self.vocabulary)
        parsed, order = self._parsed(label_map)
        if self.parser and parsed is not label_map and self.missing == "error":
            require_available(self.parser, components)
        sources, wrap = open_batch(parsed, self.vocabulary, order)
        require_given(sources[0].label_order, components)
        if self.missing == "error":
            self._require_present(sources, components)
        holes = [self._mask(source, components, size, instance) for source in sources]
        return wrap(np.stack(holes))

    @overload
    def all(
        self,
        label_map: NDArray[np.generic] | LabelMap | Annotation,
        *,
        size: SizeLike | None = None,
    ) -> dict[str, NDArray[Any]]: ...

    @overload
    def all(self, label_map: Tensor, *, size: SizeLike | None = None) -> dict[str, Tensor]: ...

    @overload
    def all(
        self, label_map: Image.Image | str | Path, *, size: SizeLike | None = None
    ) -> dict[str, Image.Image]: ...

    @overload
    def all(self, label_map: LabelMapLike, *, size: SizeLike | None = None) -> dict[str, Mask]: ...

    def all(self, label_map: LabelMapLike, *, size: SizeLike | None = None) -> Mapping[str, Mask]:
        """Cut the masks of all classes: the twelve by :class:`MaskClass`, or your own by name.

        Masks of missing components are empty; those that data of this label order cannot give
        are left out. Arguments and masks are as for a single request.
        """
        parsed, order = self._parsed(label_map)
        sources, wrap = open_batch(parsed, self.vocabulary, order)
        classes = given_classes(sources[0].label_order, self.classes)
        return {
            name: wrap(np.stack([self._mask(source, (component,), size) for source in sources]))
            for name, component in classes.items()
        }

    @overload
    def parse(self, photo: LoadedT) -> LoadedT: ...

    @overload
    def parse(self, photo: str | Path) -> Image.Image | str | Path: ...

    @overload
    def parse(self, photo: LabelMapLike) -> LabelMapLike: ...

    def parse(self, photo: LabelMapLike) -> LabelMapLike:
        """Return the label map of a photo by the masker's parser, to cut several masks from.

        Args:
            photo: a path or PIL image, NumPy ``(H, W)`` or ``(H, W, 3 or 4)``, torch floats
                ``(H, W)`` or ``(3, H, W)``, or a batch of the latter arrays. A label map comes
                back as it is, and so does everything if there is no parser.

        Returns:
            The label map, of the photo's own size and type (PIL for a path); upright.

        Raises:
            ImageError: The image cannot be read, or no face is in it.
        """
        label_map = parse_photo(photo, self.parser, self.vocabulary) if self.parser else None
        return photo if label_map is None else label_map

    def open(self, label_map: LabelMapLike) -> LabelSource:
        """Return a label map opened, or the label map of a photo, to cut several masks from."""
        parsed, order = self._parsed(label_map)
        source = open_label_map(parsed, self.vocabulary, order)
        require_vocabulary(source.vocabulary, self.vocabulary)
        return source

    def unavailable(self) -> list[str]:
        """Return the names of the classes that the parser can never find in a photo."""
        if self.parser is None:
            return []
        classes = self.classes.items()
        return [name for name, part in classes if unavailable_labels(self.parser, part)]

    def present(self, label_map: LabelMapLike) -> list[str]:
        """Return the names of the classes that occur in a label map, without cutting masks."""
        source = self.open(label_map)
        classes = given_classes(source.label_order, self.classes)
        return [name for name, part in classes.items() if self._is_present(source, (part,))]

    def count(self, label_map: LabelMapLike, component: ComponentLike) -> int:
        """Return how many connected objects of a component one label map has.

        Those with fewer pixels than ``min_area`` do not count, unless there are only such.
        """
        source = self.open(label_map)
        components = resolve(component, self.classes, self.vocabulary)
        if not self._is_present(source, components):
            return 0
        return len(connected_objects(self._union(source, components), self._least(source)))

    def select(self, spec: str | Iterable[str]) -> list[str]:
        """Return the names of the classes meant by text such as ``"all"`` or ``"A-D,hair"``.

        Raises:
            UnknownNameError: An item is no class of this masker.
        """
        return select(spec, self.classes, self.vocabulary)

    def settings(self) -> dict[str, float | str | bool | None]:
        """Return everything but classes and parser that decides what a mask covers, as JSON."""
        names = ("dilate", "glasses", "fill_holes", "min_area")
        values: dict[str, float | str | bool | None] = {n: getattr(self, n) for n in names}
        if self.vocabulary != FACES:
            values["vocabulary"] = f"{self.vocabulary.name} {self.vocabulary.digest}"
        if self.instances != "all":
            values["instances"] = self.instances
        return values

    def _parsed(self, label_map: LabelMapLike) -> tuple[LabelMapLike, LabelOrder | None]:
        """A label map, or that of a photo, and the order of its ids, which parsers do not share."""
        parsed = self.parse(label_map)
        return parsed, self.label_order if parsed is label_map else None

    def _mask(
        self,
        source: LabelSource,
        components: Sequence[Component],
        size: SizeLike | None,
        instance: int = 0,
    ) -> NDArray[np.bool_ | np.float32]:
        hole = np.zeros(source.shape, dtype=bool)
        if self._is_present(source, components):
            hole = self._union(source, components)
            if self.instances == "one":
                hole = nth_object(connected_objects(hole, self._least(source)), instance)
            reach = in_pixels(self.dilate, max(source.shape))
            # The sum of the sides reaches every corner; more would only cost memory.
            hole = morphology.dilate(hole, min(reach, sum(source.shape)))
        if size is not None:
            hole = resize_hole(hole, size)
        if not self.feather:
            return hole
        return morphology.feather(hole, in_pixels(self.feather, max(hole.shape)))

    def _union(self, source: LabelSource, components: Sequence[Component]) -> Hole:
        hole = self._cut(source, components[0])
        for component in components[1:]:
            hole |= self._cut(source, component)
        return hole

    def _cut(self, source: LabelSource, component: Component) -> Hole:
        hole = source.select(component.label_ids)
        if component.behind_glasses and self.glasses == "include":
            glasses = source.select((GLASSES,))
            hole |= morphology.touching(glasses, hole) if hole.any() else glasses
        if self.fill_holes:
            return morphology.fill_holes(hole)
        if component.filled_ids and self.fill_holes is None:
            hole |= morphology.fill_holes(source.select(component.filled_ids))
        return hole

    def _is_present(self, source: LabelSource, components: Iterable[Component]) -> bool:
        area = sum(self._area(component, source.areas) for component in components)
        return area >= self._least(source)

    def _least(self, source: LabelSource) -> int:
        height, width = source.shape
        return max(1, in_pixels(self.min_area, height * width))

    def _area(self, component: Component, areas: Sequence[int]) -> int:
        area = sum(areas[label] for label in component.label_ids)
        if not area and component.behind_glasses and self.glasses == "include":
            return areas[GLASSES]
        return area

    def _require_present(
        self, sources: Sequence[LabelSource], components: Sequence[Component]
    ) -> None:
        present = [self._is_present(source, components) for source in sources]
        if not all(present):
            absent = [str(index) for index, there in enumerate(present) if not there]
            names = " + ".join(str(component.name) for component in components)
            label_ids = dict.fromkeys(label for part in components for label in part.label_ids)
            labels = [self.vocabulary.names[label] for label in label_ids]
            shown = ", ".join(absent[:8]) + (", …" if len(absent) > 8 else "")
            where = f"label maps [{shown}] of the batch" if len(sources) > 1 else "this label map"
            raise ComponentAbsentError(
                f"{names} ({', '.join(labels)}) does not occur in {where}; "
                'missing="empty" gives an empty mask instead'
            )
