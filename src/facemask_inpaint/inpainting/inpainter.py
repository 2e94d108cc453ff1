"""One call for every network: pictures and masks of any kind in, the same kind out."""

from __future__ import annotations

import logging
import operator
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, SupportsIndex, get_args

import numpy as np
import torch
from torch import Tensor

from facemask_inpaint import checkpoints, images, models
from facemask_inpaint._internal.devices import resolve_device, resolve_dtype
from facemask_inpaint._internal.progress import progress_bar
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.errors import OptionError
from facemask_inpaint.inpainting import pretrained
from facemask_inpaint.inpainting.strategies import Crop, Strategy, choose_crop, default_strategy
from facemask_inpaint.models import InpaintingNetwork, PipelineNetwork
from facemask_inpaint.models._conditions import conditions_of_images, joined_conditions
from facemask_inpaint.models.layers.diffusion import Stepped

Blend = Literal["none", "feather", "poisson"]

_log = logging.getLogger(__name__)


class Inpainter:
    """A network together with everything around it: sizes, devices, batches, compositing.

    Example:
        >>> import facemask_inpaint as fmi
        >>> sample = fmi.data.sample(256)
        >>> mask = fmi.SemanticMasker()(sample.label_map, "eyes")
        >>> inpainter = fmi.Inpainter.from_pretrained("harmonic")
        >>> inpainter(sample.image, mask).size
        (256, 256)

    Args:
        network: any :class:`~facemask_inpaint.models.InpaintingNetwork`.
        card: where the weights come from, for provenance.
        device: ``None`` means CUDA when there, else CPU.
        dtype: ``torch.float32``, ``"bfloat16"`` …: what the network computes in.
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
                by :meth:`save_pretrained`, or a hub repository ``"owner/name"`` of that form.
            device: ``None`` means CUDA when there, else CPU.
            dtype: what the network computes in.
            revision: commit or branch of a hub repository.
            cache_dir: where downloads are kept; see ``checkpoints.fetch``.
            local_files_only: never use the network.
            progress: show a bar while downloading.

        Raises:
            UnknownNameError: no such name; the message lists the near ones.
            WeightsNotFoundError: weights are not published or cannot be fetched; the message says
                where to get them and what to do with them.
            IntegrityError: a file's hash is not the pinned one.
        """
        # Refused before a long download.
        device, dtype = resolve_device(device), resolve_dtype(dtype)
        download = pretrained.Download(cache_dir, local_files_only, progress)
        loaded = pretrained.load(name, revision=revision, download=download)
        return cls(loaded.network, card=loaded.card, device=device, dtype=dtype)

    @classmethod
    def from_checkpoint(
        cls,
        path: pretrained.Paths,
        architecture: str,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype = torch.float32,
        **options: Any,
    ) -> Inpainter:
        """Load an official checkpoint file as its authors published it, without running it.

        Args:
            path: the file; for networks published in parts all files, in the card's order or as a
                mapping from role to file.
            architecture: an architecture or registry name; it says how the file is laid out.
            device: ``None`` means CUDA when there, else CPU.
            dtype: what the network computes in.
            **options: constructor arguments of the network that the file does not tell.

        Raises:
            CheckpointError: the file is damaged or of another network.
            UnsafeCheckpointError: the file asks for something that weights do not need.
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
        """Take an inpainting pipeline of ``diffusers`` as the network.

        Args:
            source: a pipeline, which stays on its device and in its precision unless others are
                given; or the folder or hub repository of one.
            device: ``None`` is the pipeline's own, of a loaded one CUDA when there, else CPU.
            dtype: ``None`` is the pipeline's own, of a loaded one float32.
            revision: commit or branch of a hub repository.
            cache_dir: where downloads are kept.
            local_files_only: never use the network.
            **options: ``prompt`` (one, or one per mask class), ``negative_prompt``, ``steps``,
                ``guidance_scale``, ``strength``, ``resolution`` and ``arguments``, see
                :class:`~facemask_inpaint.models.pipeline.PipelineNetwork`.

        Raises:
            OptionError: this is no inpainting pipeline, or an option makes no sense.
            WeightsNotFoundError: the repository cannot be reached or holds no pipeline.
            CheckpointError: the folder holds no pipeline that can inpaint.
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

        Raises:
            OptionError: the network is not one of the registry's, so it could not be loaded again.
        """
        if not self.network.architecture:
            raise OptionError(
                f"{type(self.network).__name__} is not a network of the registry; build it with "
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

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload the folder form to a hub repository and return its address."""
        with tempfile.TemporaryDirectory() as folder:
            return checkpoints.push_folder(
                self.save_pretrained(folder), repo_id, private=private, token=token
            )

    @ordinary_torch()
    def __call__(
        self,
        image: Any,
        mask: Any,
        *,
        seed: int | Sequence[int] = 0,
        num_samples: int = 1,
        mask_class: str | Sequence[str | None] | None = None,
        prompt: str | Sequence[str | None] | None = None,
        negative_prompt: str | Sequence[str | None] | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        strategy: Strategy | None = None,
        margin: float = 0.5,
        blend: Blend = "none",
        border: int = 8,
        batch_size: int = 8,
        value_range: tuple[float, float] | None = None,
        progress: bool = False,
    ) -> Any:
        """Fill the hole of one picture, a list of pictures, or a batch.

        Known pixels come back bit for bit, unless ``blend="feather"`` asks for a soft border.
        Hidden pixels have no influence: they are zeroed before anything else looks.

        Args:
            image: path, PIL image, NumPy ``(H, W, 3)``, tensor ``(3, H, W)``; a list of these; or
                a batch ``(N, H, W, 3)`` / ``(N, 3, H, W)``. Any size.
            mask: 1 / True / 255 = hole, of the picture's own size; one for all, or one each.
            seed: decides every random draw. One number for all pictures, or one per picture; a
                picture's result does not depend on what else is in the call.
            num_samples: how many different results; more than one needs a network that draws.
            mask_class: name of the hole's mask class, for class-conditional networks; one for all
                pictures, or one each. So are the four below for networks that take them, which
                ``network.condition_spec()`` tells; others refuse them.
            prompt: what is to be seen in the hole, in words.
            negative_prompt: what is not to be seen there.
            steps: steps of a diffusion network's run; more are slower.
            guidance_scale: how much the prompt counts; 1 is not at all beyond its wording.
            strategy: ``"pad"``, ``"resize"`` or ``"crop"`` (see ``strategies``); ``None`` is the
                network's own.
            margin: context around the hole for ``"crop"``, as a share of the hole's longer side.
            blend: ``"none"``; ``"feather"`` (cross-fade over ``border`` pixels outside the hole);
                ``"poisson"`` (gradient-domain: colours inside the hole meet those around it).
            border: width of the feather in pixels.
            batch_size: pictures per network call; halved by itself when memory runs out.
            value_range: (low, high) of float pictures; inferred as [0, 1] or [-1, 1] when omitted.
            progress: show a bar.

        Returns:
            The same arrangement, type, size, device and value range as ``image``. With
            ``num_samples`` > 1 a list of that many such results.

        Raises:
            ImageError: a picture cannot be read.
            MaskError: a mask is empty, of another size, or not a mask.
            SizeError: the network cannot take the picture under this strategy.
            OptionError: an argument makes no sense, alone or for this network.
        """
        self._check_call(num_samples, batch_size, blend)
        pictures, regroup = images.decode_images(image, value_range=value_range)
        holes = images.decode_masks(mask, [picture.size for picture in pictures])
        seeds = _as_seeds(seed, len(pictures))
        given = {
            "mask_class": mask_class,
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "steps": steps,
            "guidance_scale": guidance_scale,
        }
        named = {name: value for name, value in given.items() if value is not None}
        label = self.network.architecture or type(self.network).__name__
        spec = self.network.condition_spec()
        conditions = conditions_of_images(spec, named, len(pictures), label)
        chosen = strategy or default_strategy(self.network)
        tasks = []
        for index, (picture, hole) in enumerate(zip(pictures, holes)):
            window = choose_crop(chosen, self.network, hole, margin)
            hole = hole.to(picture.rgb.device)
            own = conditions[index]
            tasks += [
                _Task(index, sample, picture, hole, window, _mix(seeds[index], sample), own)
                for sample in range(num_samples)
            ]
        results: dict[tuple[int, int], object] = {}
        bar = progress_bar(total=len(tasks), shown=progress, unit="picture")
        with bar, _steps_shown(self.network, progress):
            for task, answer in self._answers(tasks, batch_size):
                results[task.sample, task.position] = task.composite(answer, blend, border)
                bar.update()
        samples = [
            regroup([results[sample, index] for index in range(len(pictures))])
            for sample in range(num_samples)
        ]
        return samples if num_samples > 1 else samples[0]

    def _check_call(self, num_samples: int, batch_size: int, blend: str) -> None:
        if num_samples < 1 or batch_size < 1:
            raise OptionError("num_samples and batch_size must be at least 1")
        if blend not in get_args(Blend):
            raise OptionError(
                f"unknown blend {blend!r}; choose one of {', '.join(get_args(Blend))}"
            )
        side = self.network.native_size or self.network.size_multiple
        if num_samples > 1 and not self.network.latent_spec(1, side, side):
            raise OptionError(
                f"{type(self.network).__name__} is deterministic, its samples would all be alike; "
                "use num_samples=1 or a network that draws"
            )

    def _answers(self, tasks: list[_Task], batch_size: int) -> Iterator[tuple[_Task, Tensor]]:
        """Every task with the network's answer ``(3, h, w)``, in batches of equal size."""
        queue = sorted(tasks, key=lambda task: task.window.padded)
        while queue:
            size = queue[0].window.padded
            batch = [task for task in queue[:batch_size] if task.window.padded == size]
            try:
                answers = self._run(batch)
            except RuntimeError as error:
                if not _is_out_of_memory(error) or len(batch) == 1:
                    raise
                batch_size = len(batch) // 2
                _log.warning("out of memory: going on with batches of %d", batch_size)
                continue
            queue = queue[len(batch) :]
            yield from zip(batch, answers)

    @torch.inference_mode()
    def _run(self, batch: list[_Task]) -> Tensor:
        looks = [task.window.crop(task.picture.rgb, task.hole) for task in batch]
        visible = torch.stack([rgb.to(self.device, self.dtype) for rgb, _ in looks])
        hole = torch.stack([mask.to(self.device, self.dtype) for _, mask in looks])
        generators = [torch.Generator().manual_seed(task.seed) for task in batch]
        spec = self.network.condition_spec()
        conditions = joined_conditions(spec, [task.conditions for task in batch])
        answer = self.network(visible, hole, generator=generators, conditions=conditions)
        return answer.float()


class _Task(NamedTuple):
    """One result to make: a picture, its hole, where the network looks, a seed, conditions."""

    position: int
    sample: int
    picture: images.DecodedImage
    hole: Tensor
    window: Crop
    seed: int
    conditions: Mapping[str, Any]

    def composite(self, answer: Tensor, blend: Blend, border: int) -> object:
        """The caller's own kind of picture with the hole filled from the network's answer."""
        filled = self.window.uncrop(answer, self.picture.rgb)
        if blend == "poisson":
            filled = images.poisson_blend(self.picture.rgb, filled, self.hole)
        alpha = images.feather_alpha(self.hole, border) if blend == "feather" else None
        return self.picture.compose(filled, self.hole, alpha)


@contextmanager
def _steps_shown(network: InpaintingNetwork, progress: bool) -> Iterator[None]:
    """Let a network of many steps show them for the time of a call."""
    if not (progress and isinstance(network, Stepped)):
        yield
        return
    before, network.progress = network.progress, True
    try:
        yield
    finally:
        network.progress = before


def _mix(seed: int, sample: int) -> int:
    """Seed of one sample; sample 0 has the caller's own, so more samples change nothing."""
    if sample == 0:
        return seed
    return int(np.random.SeedSequence((abs(seed), sample)).generate_state(1, np.uint64)[0] >> 1)


def _as_seeds(seed: int | Sequence[int], count: int) -> list[int]:
    """One seed per picture; whatever counts as a whole number will do."""
    try:
        given = [seed] * count if isinstance(seed, SupportsIndex) else list(seed)
        seeds = [operator.index(one) for one in given]
    except TypeError:
        raise OptionError(
            f"seed must be a whole number, or one per picture, not {seed!r}"
        ) from None
    if len(seeds) != count:
        raise OptionError(f"{len(seeds)} seeds for {count} pictures")
    if not all(-(2**63) <= one < 2**63 for one in seeds):
        raise OptionError(f"a seed must fit into 64 bits, got {seed!r}")
    return seeds


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
