"""Sources that only a browser can use: Google Drive files and folders."""

from __future__ import annotations

from facemask_inpaint.checkpoints.sources import Source


def drive_file(
    file_id: str, filename: str, *, sha256: str | None = None, size: int | None = None
) -> Source:
    """Return a single file on Google Drive, which asks for a confirmation before it serves one."""
    page = f"https://drive.google.com/file/d/{file_id}/view"
    return Source("manual", page, filename, sha256=sha256, size=size)


def drive_folder(
    folder_id: str, filename: str, *, sha256: str | None = None, size: int | None = None
) -> Source:
    """Return a file in a Google Drive folder; ``filename`` keeps the folder's own layout."""
    page = f"https://drive.google.com/drive/folders/{folder_id}"
    return Source("manual", page, filename, sha256=sha256, size=size)
