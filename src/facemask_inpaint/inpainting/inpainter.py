"""One call for every network: images and masks of any type in, images of the same type out."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Unpack, get_args, overload

import numpy as np
from PIL import Image

from facemask_inpaint import images
from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint._internal.types import (
    Blend,
    Conditions,
    ImageLike,
    ImagesLike,
    ImagesT,
    InpaintingOptions,
    LoadedImage,
    LoadedImages,
    MasksLike,
    PathLike,
    PerImage,
    Strategy,
    ValueRange,
)
from facemask_inpaint.errors import OptionError
from facemask_inpaint.export import export_network
from facemask_inpaint.inpainting._batches import (
    Task,
    predict_all,
    seeds_of_images,
)
from facemask_inpaint.inpainting._pretrained_network import PretrainedNetwork
from facemask_inpaint.inpainting.strategies import choose_crop
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
            pipeline: whether to write ``pipeline.onnx`` too.
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
        mask: MasksLike,
        *,
        num_samples: Literal[1] = 1,
        **options: Unpack[InpaintingOptions],
    ) -> ImagesT: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        image: PathLike,
        mask: MasksLike,
        *,
        num_samples: Literal[1] = 1,
        **options: Unpack[InpaintingOptions],
    ) -> Image.Image: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        image: Sequence[ImageLike],
        mask: MasksLike,
        *,
        num_samples: Literal[1] = 1,
        **options: Unpack[InpaintingOptions],
    ) -> list[LoadedImage] | tuple[LoadedImage, ...]: ...
    @overload
    def __call__(
        self,
        image: ImagesT,
        mask: MasksLike,
        *,
        num_samples: int,
        **options: Unpack[InpaintingOptions],
    ) -> list[ImagesT]: ...
    @overload
    def __call__(
        self,
        image: PathLike | Sequence[ImageLike],
        mask: MasksLike,
        *,
        num_samples: int,
        **options: Unpack[InpaintingOptions],
    ) -> list[LoadedImages]: ...

    @ordinary_torch()
    def __call__(
        self,
        image: ImagesLike,
        mask: MasksLike,
        *,
        seed: PerImage[int] = 0,
        num_samples: int = 1,
        strategy: Strategy | None = None,
        margin: float = 0.5,
        blend: Blend = "none",
        border: int = 8,
        batch_size: int = 8,
        value_range: ValueRange | None = None,
        progress: bool = False,
        **conditions: Unpack[Conditions],
    ) -> object:
        """Inpaint the hole of one image, of a list of images, or of a batch.

        Known pixels are returned bit for bit unless ``blend`` is ``"feather"``; hidden pixels have
        no influence. Conditions that the network's ``condition_spec()`` lacks are refused.

        Args:
            image: a path, PIL image, array ``(H, W, 3)`` or tensor ``(3, H, W)``, a list of these,
                or a batch ``(N, H, W, 3)`` or ``(N, 3, H, W)``; of any size.
            mask: 1 / True / 255 = hole, of the image's size; one for all images, or one each.
            seed: of all random draws; one for all images, or one each.
            num_samples: samples per image; more than one needs a network that draws.
            strategy: ``"pad"``, ``"resize"`` or ``"crop"``; ``None`` takes the network's own.
            margin: context around the hole for ``"crop"``, as a share of the hole's longer side.
            blend: ``"none"``, ``"feather"`` (cross-fade) or ``"poisson"`` (gradient domain).
            border: width of the feather in pixels.
            batch_size: images per call of the network; halved when memory runs out.
            value_range: (low, high) of float images; by default inferred as [0, 1] or [-1, 1].
            progress: show a progress bar.
            **conditions: what the network is told, such as ``mask_class`` or ``prompt``.

        Returns:
            Images of the same arrangement, type, size, device and value range as ``image``; with
            ``num_samples`` above 1, a list of that many.

        Raises:
            ImageError: an image cannot be read.
            MaskError: a mask is empty, of another size, or not a mask.
            SizeError: the network cannot take the image under this strategy.
            OptionError: an argument makes no sense, alone or for this network.
        """
        self._check_options(num_samples, batch_size, blend)
        decoded, regroup = images.decode_images(image, value_range=value_range)
        holes = images.decode_masks(mask, [each.size for each in decoded])
        seeds = seeds_of_images(seed, len(decoded))
        per_image = self._conditions_of_images(conditions, len(decoded))
        crops = [choose_crop(strategy, self.network, hole, margin) for hole in holes]
        tasks = [
            Task(*inputs).of_sample(number)
            for inputs in zip(decoded, holes, crops, seeds, per_image)
            for number in range(num_samples)
        ]
        composites = self._composites(tasks, batch_size, blend, border, progress)
        samples = [regroup(composites[number::num_samples]) for number in range(num_samples)]
        return samples if num_samples > 1 else samples[0]

    def _check_options(self, num_samples: int, batch_size: int, blend: str) -> None:
        if num_samples < 1 or batch_size < 1:
            raise OptionError("num_samples and batch_size must be at least 1")
        if blend not in get_args(Blend):
            raise OptionError(
                f"unknown blend {blend!r}; choose one of {', '.join(get_args(Blend))}"
            )
        resolution = self.network.native_resolution or self.network.size_multiple
        if num_samples > 1 and not self.network.latent_spec(1, resolution, resolution):
            raise OptionError(
                f"{type(self.network).__name__} is deterministic, so its samples would all be "
                "alike; use num_samples=1 or a network that draws"
            )

    def check_conditions(self, **conditions: Unpack[Conditions]) -> None:
        """Refuse conditions that the network does not take, as a call with them does.

        Raises:
            OptionError: the network does not take one, or its value makes no sense.
        """
        self._conditions_of_images(conditions, 1)

    def _conditions_of_images(
        self, conditions: Mapping[str, object], count: int
    ) -> list[dict[str, object]]:
        """What the network is told for each image."""
        spec = self.network.condition_spec()
        if unknown := conditions.keys() - spec.keys() - Conditions.__annotations__.keys():
            raise TypeError(f"unexpected keyword argument {min(unknown)!r}")
        values = {name: value for name, value in conditions.items() if value is not None}
        name = self.network.architecture or type(self.network).__name__
        return conditions_of_images(spec, values, count, name)

    def _composites(
        self, tasks: list[Task], batch_size: int, blend: Blend, border: int, progress: bool
    ) -> list[LoadedImage]:
        """The tasks' results, in the tasks' order."""
        composites: dict[int, LoadedImage] = {}
        bar = progress_bar(total=len(tasks), shown=progress, unit="image")
        with bar, _steps_shown(self.network, progress):
            for index, prediction in predict_all(
                self.network, tasks, batch_size, device=self.device, dtype=self.dtype
            ):
                composites[index] = tasks[index].composite(prediction, blend, border)
                bar.update()
        return [composites[index] for index in range(len(tasks))]


@contextmanager
def _steps_shown(network: InpaintingNetwork, progress: bool) -> Iterator[None]:
    """Let a network of many steps show them for the time of a call."""
    before, network.progress = network.progress, progress or network.progress
    try:
        yield
    finally:
        network.progress = before
