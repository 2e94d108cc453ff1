"""Checkpoint folders on the hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from facemask_inpaint.checkpoints.bars import hub_bars
from facemask_inpaint.checkpoints.folders import CONFIG_NAME, TENSORS_NAME, is_folder
from facemask_inpaint.checkpoints.reachability import why_unreachable
from facemask_inpaint.errors import CheckpointError, WeightsNotFoundError

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
    """Local copy of a hub repository that holds ``config.json`` and ``model.safetensors``.

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
