"""One call for every network: images and masks of any type in, images of the same type out."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Unpack, get_args, overload

import numpy as np
import torch
from PIL import Image

from facemask_inpaint import checkpoints, images, models
from facemask_inpaint._internal.devices import resolve_device, resolve_dtype
from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint._internal.types import (
    Blend,
    Conditions,
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
from facemask_inpaint.inpainting import pretrained
from facemask_inpaint.inpainting._batches import (
    Task,
    predict_all,
    seeds_of_images,
)
from facemask_inpaint.inpainting.strategies import choose_crop
from facemask_inpaint.models import InpaintingNetwork, PipelineNetwork
from facemask_inpaint.models._conditions import conditions_of_images


class Inpainter:
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

    @ordinary_torch()
    def __init__(
        self,
        network: InpaintingNetwork,
        *,
        card: models.Card | None = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype = torch.float32,
    ) -> None:
        self.card = card
        self.device = resolve_device(device)
        self.dtype = resolve_dtype(dtype)
        self.network = network.to(self.device, self.dtype).eval()

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype = torch.float32,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        progress: bool = True,
    ) -> Inpainter:
        """Load a model by registry name, or from a folder or hub repository.

        Args:
            name: a registry name or alias (``"lama-celebahq-256"``, ``"lama"``), a folder written
                by :meth:`save_pretrained` or :meth:`export`, or a hub repository ``"owner/name"``
                of the former's form.
            device: ``None`` means CUDA when there, else CPU.
            dtype: precision of the network.
            revision: commit or branch of a hub repository.
            cache_dir: folder of downloads; see ``checkpoints.fetch``.
            local_files_only: do not download anything.
            progress: show a progress bar while downloading.

        Raises:
            UnknownNameError: there is no such name; the message lists similar ones.
            WeightsNotFoundError: the weights are not published or cannot be fetched; the message
                says where to get them and what to do with them.
            IntegrityError: the hash of a file is not the pinned one.

        Example:
            >>> Inpainter.from_pretrained("lite", device="cpu").card.name
            'lite-portraits-256'
        """
        # Refused before a long download.
        device, dtype = resolve_device(device), resolve_dtype(dtype)
        download = pretrained.Download(cache_dir, local_files_only, progress)
        loaded = pretrained.load(name, revision=revision, download=download)
        return cls(loaded.network, card=loaded.card, device=device, dtype=dtype)

    @classmethod
    def from_checkpoint(
        cls,
        path: pretrained.CheckpointPaths,
        architecture: str,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype = torch.float32,
        **options: Any,
    ) -> Inpainter:
        """Load an official checkpoint file as its authors published it; nothing in it is run.

        Args:
            path: the file; for networks published in parts all files, in the card's order or as a
                mapping from role to file.
            architecture: an architecture or registry name, which says how the file is laid out.
            device: ``None`` means CUDA when there, else CPU.
            dtype: precision of the network.
            **options: constructor arguments of the network that cannot be read off the file.

        Raises:
            CheckpointError: the file is damaged or of another network.
            UnsafeCheckpointError: the file asks for something that weights do not need.

        Example:
            >>> Inpainter.from_checkpoint("big-lama/models/best.ckpt", "lama")  # doctest: +SKIP
        """
        device, dtype = resolve_device(device), resolve_dtype(dtype)
        loaded = pretrained.load_checkpoint(path, architecture, **options)
        return cls(loaded.network, card=loaded.card, device=device, dtype=dtype)

    @classmethod
    def from_diffusers(
        cls,
        source: Any,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        **options: Any,
    ) -> Inpainter:
        """Use an inpainting pipeline of ``diffusers`` as the network.

        Args:
            source: a pipeline, or the folder or hub repository of one.
            device: ``None`` keeps a given pipeline where it is; one that is loaded goes to CUDA
                when there, else the CPU.
            dtype: ``None`` keeps a given pipeline's precision; one that is loaded is float32.
            revision: commit or branch of a hub repository.
            cache_dir: folder of downloads.
            local_files_only: do not download anything.
            **options: ``prompt`` (one, or one per mask class), ``negative_prompt``, ``steps``,
                ``guidance_scale``, ``strength``, ``resolution`` and ``arguments``, see
                :class:`~facemask_inpaint.models.pipeline.PipelineNetwork`.

        Raises:
            OptionError: the pipeline cannot inpaint, or an option makes no sense.
            WeightsNotFoundError: the repository cannot be reached or holds no pipeline.
            CheckpointError: the folder holds no pipeline that can inpaint.

        Example:
            >>> Inpainter.from_diffusers("owner/inpainting-pipeline", steps=20)  # doctest: +SKIP
        """
        if isinstance(source, str | Path):
            download = pretrained.Download(cache_dir, local_files_only)
            network = pretrained.open_pipeline(source, revision, download, **options)
            return cls(network, device=device, dtype=dtype or torch.float32)
        in_place = device is None and dtype is None
        network = PipelineNetwork(source, in_place=in_place, **options)
        return cls(network, device=device or source.device, dtype=dtype or source.dtype)

    @ordinary_torch()
    def save_pretrained(self, folder: str | Path) -> Path:
        """Write ``config.json`` and ``model.safetensors`` (float32), whole or not at all.

        Args:
            folder: to write; :meth:`from_pretrained` loads it.

        Raises:
            OptionError: the network is not in the registry, so it could not be loaded again.

        Example:
            >>> import tempfile
            >>> inpainter = Inpainter.from_pretrained("lite", device="cpu")
            >>> folder = inpainter.save_pretrained(tempfile.mkdtemp())
            >>> sorted(path.name for path in folder.iterdir())
            ['config.json', 'model.safetensors']
        """
        if not self.network.architecture:
            raise OptionError(
                f"{type(self.network).__name__} is not a network of the registry; create it with "
                "models.create to save it"
            )
        config = {
            "architecture": self.network.architecture,
            "options": dict(self.network.options),
        }
        if self.card is not None:
            config |= {"card": self.card.name, "licence": self.card.licence}
        state = {
            key: value.float().cpu() if value.is_floating_point() else value.cpu()
            for key, value in self.network.state_dict().items()
        }
        return checkpoints.save_folder(folder, config, state)

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

    @classmethod
    def from_onnx(
        cls, folder: str | Path, *, device: str | torch.device | None = None
    ) -> Inpainter:
        """Open a folder that :meth:`export` wrote; its graph runs in onnxruntime, on the CPU.

        Args:
            folder: with ``config.json`` and ``model.onnx``, which may have been quantised.
            device: where images are kept while they are prepared.

        Raises:
            CheckpointError: the folder holds no export.
            IntegrityError: the graph is not the one that was exported.
            MissingDependencyError: the ``onnx`` extra is not installed.
        """
        loaded = pretrained.load_exported(folder)
        return cls(loaded.network, card=loaded.card, device=device)

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload the network, as :meth:`save_pretrained` writes it, and return its address.

        Args:
            repo_id: ``owner/name`` of the hub repository, which is created if need be.
            private: whether a new repository is private.
            token: of the hub; ``None`` takes that of the last login.
        """
        with tempfile.TemporaryDirectory() as folder:
            return checkpoints.push_folder(
                self.save_pretrained(folder), repo_id, private=private, token=token
            )

    # A number of samples that is 1 only at run time is typed as several.
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
        image: ImagesLike,
        mask: MasksLike,
        *,
        num_samples: Literal[1] = 1,
        **options: Unpack[InpaintingOptions],
    ) -> LoadedImages: ...
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
        image: ImagesLike,
        mask: MasksLike,
        *,
        num_samples: int,
        **options: Unpack[InpaintingOptions],
    ) -> list[Any]: ...

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

        Known pixels are returned bit for bit unless ``blend`` is ``"feather"``. Hidden pixels have
        no influence: they are zeroed before anything else looks at the image.

        Args:
            image: a path, PIL image, array ``(H, W, 3)`` or tensor ``(3, H, W)``, a list of these,
                or a batch ``(N, H, W, 3)`` or ``(N, 3, H, W)``; of any size.
            mask: 1 / True / 255 = hole, of the image's size; one for all images, or one each.
            seed: of all random draws; one for all images, or one each.
            num_samples: samples per image; more than one needs a network that draws.
            strategy: ``"pad"``, ``"resize"`` or ``"crop"`` (see ``strategies``); ``None`` takes
                the network's own.
            margin: context around the hole for ``"crop"``, as a share of the hole's longer side.
            blend: ``"none"``, ``"feather"`` (cross-fade outside the hole) or ``"poisson"``
                (gradient-domain: the colours in the hole meet those around it).
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
        told = self._conditions_of_images(conditions, len(decoded))
        crops = [choose_crop(strategy, self.network, hole, margin) for hole in holes]
        tasks = [
            Task(*inputs).of_sample(number)
            for inputs in zip(decoded, holes, crops, seeds, told)
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
        side = self.network.native_resolution or self.network.size_multiple
        if num_samples > 1 and not self.network.latent_spec(1, side, side):
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
        self, conditions: Mapping[str, Any], count: int
    ) -> list[dict[str, Any]]:
        """What the network is told for each image."""
        spec = self.network.condition_spec()
        if unknown := conditions.keys() - spec.keys() - Conditions.__annotations__.keys():
            raise TypeError(f"unexpected keyword argument {min(unknown)!r}")
        told = {name: value for name, value in conditions.items() if value is not None}
        name = self.network.architecture or type(self.network).__name__
        return conditions_of_images(spec, told, count, name)

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
