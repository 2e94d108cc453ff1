"""A network with its card, device and precision: how it is loaded and saved."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self, Unpack

import torch

from facemask_inpaint import checkpoints, models
from facemask_inpaint._internal.devices import resolve_device, resolve_dtype
from facemask_inpaint._internal.torch_state import ordinary_torch
from facemask_inpaint.errors import OptionError
from facemask_inpaint.inpainting import pretrained
from facemask_inpaint.inpainting._compiling import callable_parts, require_compiler
from facemask_inpaint.inpainting.pretrained import PipelineOptions
from facemask_inpaint.models import InpaintingNetwork, PipelineNetwork
from facemask_inpaint.models._pipeline_files import Pipeline


class PretrainedNetwork:
    """The part of :class:`~facemask_inpaint.Inpainter` that loads and saves its network.

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
        if self.device.type == "cpu":
            self.network.lay_out()

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
    ) -> Self:
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
            >>> import facemask_inpaint as fmi
            >>> fmi.Inpainter.from_pretrained("lite", device="cpu").card.name
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
        **options: object,
    ) -> Self:
        """Load an official checkpoint file as its authors published it; nothing in it runs.

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
            >>> import facemask_inpaint as fmi
            >>> fmi.Inpainter.from_checkpoint("big-lama/models/best.ckpt", "lama")  # doctest: +SKIP
        """
        device, dtype = resolve_device(device), resolve_dtype(dtype)
        loaded = pretrained.load_checkpoint(path, architecture, **options)
        return cls(loaded.network, card=loaded.card, device=device, dtype=dtype)

    @classmethod
    def from_diffusers(
        cls,
        source: Pipeline | str | Path,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        **options: Unpack[PipelineOptions],
    ) -> Self:
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
            >>> import facemask_inpaint as fmi
            >>> fmi.Inpainter.from_diffusers("owner/pipeline", steps=20)  # doctest: +SKIP
        """
        if isinstance(source, str | Path):
            download = pretrained.Download(cache_dir, local_files_only)
            network = pretrained.open_pipeline(source, revision, download, **options)
            return cls(network, device=device, dtype=dtype or torch.float32)
        in_place = device is None and dtype is None
        network = PipelineNetwork(source, in_place=in_place, **options)
        return cls(network, device=device or source.device, dtype=dtype or source.dtype)

    @classmethod
    def from_onnx(cls, folder: str | Path, *, device: str | torch.device | None = None) -> Self:
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

    @ordinary_torch()
    def compile(
        self,
        *,
        backend: str = "inductor",
        mode: str | None = None,
        dynamic: bool | None = None,
        options: Mapping[str, str | int | bool] | None = None,
    ) -> Self:
        """Let ``torch.compile`` build the parts of the network.

        Each part is built when it first meets a size, which takes up to minutes. Predictions then
        differ by rounding, about 1e-5 on the scale [-1, 1] in float32. Checks, random draws
        and the steps of diffusion stay as they are. The network can be saved, moved and exported
        as before; its copies are not compiled. Errors of PyTorch's compiler in building a part
        reach the caller of the first prediction.

        Args:
            backend: of ``torch.compile``, like all further arguments.
            mode: such as ``"max-autotune"``.
            dynamic: whether to build once for all sizes; ``None`` does so from the second size on.
            options: settings of the backend, such as ``{"freezing": True}``.

        Returns:
            This inpainter.

        Raises:
            MissingDependencyError: the backend cannot build anything here; for ``"inductor"`` on
                a CPU, a C++ compiler is needed.

        Example:
            >>> import facemask_inpaint as fmi
            >>> inpainter = fmi.Inpainter.from_pretrained("lite", device="cpu")
            >>> inpainter = inpainter.compile(backend="eager")
        """
        chosen: dict[str, object] = {"backend": backend, "mode": mode, "dynamic": dynamic}
        chosen["options"] = None if options is None else dict(options)
        require_compiler(self.device, chosen)
        for part in callable_parts(self.network):
            part.compile(**chosen)
        return self

    @ordinary_torch()
    def save_pretrained(self, folder: str | Path) -> Path:
        """Write ``config.json`` and ``model.safetensors`` (float32), whole or not at all.

        Args:
            folder: to write; :meth:`from_pretrained` loads it.

        Raises:
            OptionError: the network is not in the registry, so it could not be loaded again.

        Example:
            >>> import tempfile
            >>> import facemask_inpaint as fmi
            >>> inpainter = fmi.Inpainter.from_pretrained("lite", device="cpu")
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
