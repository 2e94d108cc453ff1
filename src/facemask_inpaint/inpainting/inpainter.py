"""One call for every network: images and masks of any type in, images of the same type out."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Literal, Unpack, overload

import numpy as np
from PIL import Image
from torch import Tensor

from facemask_inpaint import images
from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint._internal.types import (
    Conditions,
    ImageLike,
    ImagesLike,
    ImagesT,
    LoadedImage,
    LoadedImages,
    MasksLike,
    PathLike,
)
from facemask_inpaint.errors import OptionError
from facemask_inpaint.export import export_network
from facemask_inpaint.export.writing import require_exportable
from facemask_inpaint.inpainting._batches import (
    Task,
    predict_all,
    seed_of_sample,
    seeds_of_images,
)
from facemask_inpaint.inpainting._canvas import Border, Canvas
from facemask_inpaint.inpainting._plans import Plan, Rules, plan_image
from facemask_inpaint.inpainting._pretrained_network import PretrainedNetwork
from facemask_inpaint.inpainting._requests import (
    MaskClasses,
    Request,
    classes_of_images,
    name_of_class,
    require_known_class,
    sources_of_images,
)
from facemask_inpaint.inpainting.framing import framing_of
from facemask_inpaint.inpainting.options import CallOptions, InpaintingOptions, number_of
from facemask_inpaint.inpainting.results import Inpainted
from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models._conditions import conditions_of_images


class Inpainter(PretrainedNetwork):
    """A network with everything around it: sizes, devices, batches, seeds, compositing.

    Example:
        >>> import facemask_inpaint as fmi
        >>> sample = fmi.data.sample(256)
        >>> mask = fmi.SemanticMasker()(sample.label_map, "eyes")
        >>> inpainter = fmi.Inpainter.from_pretrained("harmonic")
        >>> inpainter(sample.image, mask).size
        (256, 256)

    Args:
        network: any :class:`~facemask_inpaint.models.InpaintingNetwork`.
        card: of the weights, for provenance.
        device: where the network runs; ``None`` means CUDA when there, else CPU.
        dtype: precision of the network, such as ``torch.float32`` or ``"bfloat16"``.
    """

    def export(
        self,
        folder: str | Path,
        *,
        format: str = "onnx",
        size: int | None = None,
        pipeline: bool = True,
        dtype: str = "float32",
    ) -> Path:
        """Write the network as ONNX graphs that other programs run, once they are checked.

        ``model.onnx`` is the network alone; ``pipeline.onnx`` takes pixels and a mask of any size
        and returns pixels, with the known ones as they were. ``config.json`` says how to feed
        them. Each is compared with PyTorch at five sizes and for several images at a time; one
        that differs is not written. Needs the ``onnx`` extra.

        Args:
            folder: to write to; it is made if need be.
            format: ``"onnx"``.
            size: side in pixels of the square that the graph takes; ``None`` leaves height and
                width free where the network takes any.
            pipeline: whether to write ``pipeline.onnx`` too. Diffusion networks, which run many
                steps, have no such graph; for them ``False`` writes ``step.onnx``, one step.
            dtype: what the graph computes in, ``"float32"`` or ``"float16"``.

        Returns:
            The folder, which :meth:`from_onnx` opens.

        Raises:
            OptionError: an option makes no sense, or the network cannot be exported.
            SizeError: the network does not take this size.
            ExportError: the graph differs from the network.
            MissingDependencyError: the ``onnx`` extra is not installed.

        Example:
            >>> import facemask_inpaint as fmi
            >>> fmi.Inpainter.from_pretrained("lite").export("exported/lite")  # doctest: +SKIP
        """
        if format != "onnx":
            raise OptionError(f'format must be "onnx", not {format!r}')
        require_exportable(self.network, dtype)
        reference = Inpainter(copy.deepcopy(self.network), device="cpu")

        def composite(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
            return reference(image, hole, seed=0)

        return export_network(
            reference.network,
            folder,
            composite,
            card=self.card,
            size=size,
            pipeline=pipeline,
            dtype=dtype,
        )

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        image: ImagesT,
        mask: MasksLike | None = None,
        *,
        num_samples: Literal[1] = 1,
        **options: Unpack[InpaintingOptions],
    ) -> ImagesT: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        image: PathLike,
        mask: MasksLike | None = None,
        *,
        num_samples: Literal[1] = 1,
        **options: Unpack[InpaintingOptions],
    ) -> Image.Image: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        image: Sequence[ImageLike],
        mask: MasksLike | None = None,
        *,
        num_samples: Literal[1] = 1,
        **options: Unpack[InpaintingOptions],
    ) -> list[LoadedImage] | tuple[LoadedImage, ...]: ...
    @overload
    def __call__(
        self,
        image: ImagesT,
        mask: MasksLike | None = None,
        *,
        num_samples: int,
        **options: Unpack[InpaintingOptions],
    ) -> list[ImagesT]: ...
    @overload
    def __call__(
        self,
        image: PathLike | Sequence[ImageLike],
        mask: MasksLike | None = None,
        *,
        num_samples: int,
        **options: Unpack[InpaintingOptions],
    ) -> list[LoadedImages]: ...

    @ordinary_torch()
    def __call__(
        self,
        image: ImagesLike,
        mask: MasksLike | None = None,
        *,
        num_samples: int = 1,
        **options: Unpack[InpaintingOptions],
    ) -> object:
        """Inpaint the hole of one image, of a list of images, or of a batch.

        The arguments are those of :meth:`inpaint`, which also says which faces it found.

        Returns:
            Images of the same arrangement, type, size, device and value range as ``image``; with
            ``num_samples`` above 1, a list of that many.
        """
        return self.inpaint(image, mask, num_samples=num_samples, **options).images

    @ordinary_torch()
    def inpaint(
        self,
        image: ImagesLike,
        mask: MasksLike | None = None,
        *,
        num_samples: int = 1,
        **options: Unpack[InpaintingOptions],
    ) -> Inpainted:
        """Inpaint as a call does, and say which faces were found and filled.

        Known pixels are returned bit for bit unless ``blend`` is ``"feather"``; hidden pixels have
        no influence. Conditions that the network's ``condition_spec()`` lacks are refused.

        Args:
            image: a path, PIL image, array ``(H, W, 3)`` or tensor ``(3, H, W)``, a list of these,
                or a batch ``(N, H, W, 3)`` or ``(N, 3, H, W)``; of any size.
            mask: 1 / True / 255 = hole, of the image's size; one for all images, or one each.
                ``None`` cuts it from the label map or the photo, as ``mask_class`` says.
            num_samples: samples per image; more than one needs a network that draws.
            **options: how faces are found, how the network sees the image, and more; see
                :class:`~.options.InpaintingOptions`. Conditions such as ``mask_class`` or
                ``prompt`` are what the network is told. Where no mask is given, ``mask_class`` says
                what to hide: ``"eyes"``, ``"eyes,hair"``, or for several images one each. Only a
                network that takes a mask class is told it then.

        Raises:
            ImageError: an image cannot be read, or a face is needed and there is none.
            MaskError: a mask is empty, of another size, or not a mask.
            LabelMapError: a label map is of another size, or none.
            ComponentAbsentError: no chosen face shows the mask class.
            SizeError: the network cannot take the image under this strategy.
            OptionError: an argument makes no sense, alone or for this network.
            UnknownNameError: a network that is told mask classes of faces knows no such class.

        Example:
            >>> import facemask_inpaint as fmi
            >>> inpainter = fmi.Inpainter.from_pretrained("lite", device="cpu")
            >>> result = inpainter.inpaint(fmi.data.sample(256).image, mask_class="eyes")
            >>> result.images.size, len(result.faces)
            ((256, 256), 1)
        """
        chosen, conditions = CallOptions.of(options)
        num_samples = self._checked_number(num_samples)
        decoded, regroup = images.decode_images(image, value_range=chosen.value_range)
        classes = classes_of_images(options.get("mask_class"), len(decoded))
        by_image = self._conditions_of_call(conditions, classes, cut=mask is None)
        seeds = seeds_of_images(chosen.seed, len(decoded))
        plans = self._plans(mask, decoded, classes, chosen)
        meeting = Border(chosen.blend, chosen.border, chosen.match)
        canvases = [
            [Canvas(plan, meeting, seed_of_sample(own, number)) for plan, own in zip(plans, seeds)]
            for number in range(num_samples)
        ]
        self._fill(canvases, by_image, chosen.batch_size, chosen.progress)
        samples = [regroup([canvas.result() for canvas in sample]) for sample in canvases]
        return Inpainted(
            samples if num_samples > 1 else samples[0],
            tuple(plan.hole.cpu().numpy() for plan in plans),
            tuple(face for plan in plans for face in plan.faces),
        )

    def _plans(
        self,
        mask: MasksLike | None,
        decoded: Sequence[images.DecodedImage],
        classes: Sequence[MaskClasses | None],
        options: CallOptions,
    ) -> list[Plan]:
        """What is filled in each image, and how the network sees it."""
        holes: Sequence[Tensor | None] = [None] * len(decoded)
        if mask is not None:
            holes = images.decode_masks(mask, [each.size for each in decoded])
        sources = sources_of_images(
            options.label_map,
            options.parser,
            len(decoded),
            needed=mask is None or options.strategy == "face",
            device=self.device,
        )
        requests = map(Request, holes, classes, sources)
        pairs, rules = enumerate(zip(decoded, requests)), self._rules(options)
        return [plan_image(index, *pair, rules) for index, pair in pairs]

    def _checked_number(self, num_samples: object) -> int:
        """A number of samples; several of a network that does not draw are refused."""
        number = int(number_of("num_samples", num_samples))
        resolution = self.network.native_resolution or self.network.size_multiple
        if number > 1 and not self.network.latent_spec(1, resolution, resolution):
            raise OptionError(
                f"{type(self.network).__name__} is deterministic, so its samples would all be "
                "alike; use num_samples=1 or a network that draws"
            )
        return number

    def check_conditions(self, **conditions: Unpack[Conditions]) -> None:
        """Refuse conditions that the network does not take, as a call with them does.

        Raises:
            OptionError: the network does not take one, or its value makes no sense.
        """
        self._conditions_of_images(conditions, 1)

    def _conditions_of_images(
        self, conditions: Mapping[str, object], count: int
    ) -> list[dict[str, object]]:
        """The network's conditions for each image."""
        spec = self.network.condition_spec()
        if unknown := conditions.keys() - spec.keys() - Conditions.__annotations__.keys():
            known = [*InpaintingOptions.__annotations__, "num_samples"]
            near = difflib.get_close_matches(min(unknown), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"unexpected keyword argument {min(unknown)!r}{hint}")
        values = {name: value for name, value in conditions.items() if value is not None}
        name = self.network.architecture or type(self.network).__name__
        by_image = conditions_of_images(spec, values, count, name)
        for each in by_image:
            require_known_class(spec, each)
        return by_image

    def _conditions_of_call(
        self,
        conditions: Mapping[str, object],
        classes: Sequence[MaskClasses | None],
        *,
        cut: bool,
    ) -> list[dict[str, object]]:
        """Conditions of each image; masks that are ``cut`` here name their own mask class."""
        if not cut:
            return self._conditions_of_images(conditions, len(classes))
        others = {name: value for name, value in conditions.items() if name != "mask_class"}
        if "mask_class" in self.network.condition_spec():
            others["mask_class"] = [name_of_class(each) for each in classes]
        return self._conditions_of_images(others, len(classes))

    def _rules(self, options: CallOptions) -> Rules:
        return Rules(
            self.network,
            framing_of(self.card),
            options.strategy,
            self.card is None or self.card.framing != "none",
            options.faces,
            options.margin,
        )

    def _fill(
        self,
        canvases: Sequence[Sequence[Canvas]],
        by_image: Sequence[Mapping[str, object]],
        batch_size: int,
        progress: bool,
    ) -> None:
        """Fill every image of every sample: first their faces, then what is left."""
        first, then = (
            [
                Task(canvas, part, conditions)
                for sample in canvases
                for canvas, conditions in zip(sample, by_image)
                for part in parts(canvas.plan)
            ]
            for parts in (attrgetter("parts"), attrgetter("rest"))
        )
        bar = progress_bar(total=len(first) + len(then), shown=progress, unit="image")
        with bar, _steps_shown(self.network, progress):
            for tasks in (first, then):
                if tasks is then:
                    for canvas in {task.canvas for task in tasks}:
                        canvas.show_filled()
                for index, prediction in predict_all(
                    self.network, tasks, batch_size, device=self.device, dtype=self.dtype
                ):
                    tasks[index].canvas.fill(tasks[index].part, prediction)
                    bar.update()


@contextmanager
def _steps_shown(network: InpaintingNetwork, progress: bool) -> Iterator[None]:
    """Let a network of many steps show them for the time of a call."""
    before, network.progress = network.progress, progress or network.progress
    try:
        yield
    finally:
        network.progress = before
