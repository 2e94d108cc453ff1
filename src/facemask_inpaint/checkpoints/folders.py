"""The library's own form of a checkpoint, here and on the hub.

It is a folder of ``config.json`` and ``model.safetensors``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from safetensors.torch import save_file
from torch import Tensor

from facemask_inpaint._internal.files import atomic_path
from facemask_inpaint.checkpoints._transfer import hub_bars, why_unreachable
from facemask_inpaint.checkpoints.readers import read
from facemask_inpaint.errors import CheckpointError, WeightsNotFoundError

CONFIG_NAME = "config.json"
TENSORS_NAME = "model.safetensors"

_MAX_CONFIG_BYTES = 1 << 20


def is_folder(path: str | Path) -> bool:
    """Whether ``path`` is a folder that holds both files.

    Example:
        >>> is_folder("no such folder")
        False
    """
    return all((Path(path) / name).is_file() for name in (CONFIG_NAME, TENSORS_NAME))


def save_folder(
    folder: str | Path, config: Mapping[str, object], tensors: Mapping[str, Tensor]
) -> Path:
    """Write a checkpoint folder; both files appear complete, or neither does.

    Args:
        folder: made if need be; other files in it stay.
        config: what JSON can hold: architecture, constructor arguments, provenance.
        tensors: any device and dtype; shared memory is written once per key. None at all for
            networks that have none.

    Returns:
        The folder.

    Raises:
        CheckpointError: the config holds something JSON cannot, or ``folder`` is a file.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = save_folder(folder, {"architecture": "mine"}, {"w": torch.ones(2)})
        ...     config, tensors = load_folder(folder)
        >>> config, tensors["w"].tolist()
        ({'architecture': 'mine'}, [1.0, 1.0])
    """
    folder = Path(folder)
    try:
        text = json.dumps(dict(config), indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"config for {folder} cannot be written as JSON: {error}") from error
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file; a folder is needed")
    # Both are complete before either is renamed, and the tensors come first: a folder without
    # its config is no checkpoint folder.
    with (
        atomic_path(folder / CONFIG_NAME, durable=True) as config_path,
        atomic_path(folder / TENSORS_NAME, durable=True) as tensors_path,
    ):
        config_path.write_text(text, encoding="utf-8")
        save_file(_separate(tensors), tensors_path, metadata={"format": "pt"})
    return folder


def load_folder(folder: str | Path) -> tuple[dict[str, object], dict[str, Tensor]]:
    """Read config and tensors of a checkpoint folder.

    Raises:
        CheckpointError: a file is missing, damaged or not what it should be.

    Example:
        >>> config, tensors = load_folder("runs/mine/model")  # doctest: +SKIP
    """
    folder = Path(folder)
    if not is_folder(folder):
        raise CheckpointError(f"{folder} holds no {CONFIG_NAME} + {TENSORS_NAME}")
    config = _read_config(folder / CONFIG_NAME)
    return config, read(folder / TENSORS_NAME, "safetensors").tensors


def _read_config(path: Path) -> dict[str, object]:
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise CheckpointError(f"{path}: absurdly large for a config")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: holds a {type(config).__name__}, not a JSON object")
    return config


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous CPU tensors of which no two share memory, as the format wants them."""
    seen: set[int] = set()
    separate: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        address = plain.untyped_storage().data_ptr()
        separate[key] = plain.clone() if address in seen else plain
        seen.add(address)
    return separate


_FILES = [CONFIG_NAME, TENSORS_NAME]


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    token: str | None = None,
    commit_message: str = "Upload facemask_inpaint checkpoint",
) -> str:
    """Upload a checkpoint folder to a hub repository, made if need be.

    Only ``config.json``, ``model.safetensors`` and a ``README.md``, if there is one, are sent.

    Args:
        folder: written by :func:`~facemask_inpaint.checkpoints.save_folder`.
        repo_id: ``user/name``.
        private: for a repository that is made now.
        revision: branch to commit to; the main one by default.
        token: hub token; by default the one the hub client is logged in with.
        commit_message: first line of the commit.

    Returns:
        Address of the commit.

    Raises:
        CheckpointError: ``folder`` is no checkpoint folder; nothing was sent.

    Example:
        >>> push_folder("runs/mine/model", "me/my-network", private=True)  # doctest: +SKIP
    """
    if not is_folder(folder):
        raise CheckpointError(f"{folder} holds no {CONFIG_NAME} + {TENSORS_NAME}")
    api = HfApi(token=token)
    repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    commit = api.upload_folder(
        repo_id=repo_id,
        folder_path=folder,
        revision=revision,
        commit_message=commit_message,
        allow_patterns=[*_FILES, "README.md"],
    )
    return commit.commit_url


def load_hub(
    repo_id: str,
    revision: str | None = None,
    *,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    progress: bool = True,
    token: str | None = None,
) -> Path:
    """Return a local copy of a hub repository that holds ``config.json`` and ``model.safetensors``.

    Args:
        repo_id: ``user/name``.
        revision: commit, tag or branch; pin a commit to get the same files for ever.
        cache_dir: hub cache to use; the hub client's own by default.
        local_files_only: do not use the network.
        progress: show a bar.
        token: hub token for private repositories.

    Returns:
        A folder for :func:`~facemask_inpaint.checkpoints.load_folder`.

    Raises:
        WeightsNotFoundError: the repository cannot be reached or holds no such files.

    Example:
        >>> config, tensors = load_folder(load_hub("me/my-network"))  # doctest: +SKIP
    """
    try:
        with hub_bars(progress):
            folder = snapshot_download(
                repo_id,
                revision=revision,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                token=token,
                allow_patterns=_FILES,
            )
    except Exception as error:  # the hub client's error classes differ between its versions
        if why := why_unreachable(error):
            raise WeightsNotFoundError(
                f"hub repository {repo_id!r} is not on this machine and cannot be fetched without "
                f"a network ({why}): connect once and run this again"
            ) from error
        raise WeightsNotFoundError(f"hub repository {repo_id!r}: {error}") from error
    if not is_folder(folder):
        raise WeightsNotFoundError(
            f"hub repository {repo_id!r} holds no {CONFIG_NAME} + {TENSORS_NAME}"
        )
    return Path(folder)
