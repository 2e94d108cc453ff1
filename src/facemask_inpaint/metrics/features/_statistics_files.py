"""Reading saved feature statistics, which other people's tools and disks have had in their hands.

A damaged number in them does not show: FID of what is not a covariance is just another number. So
everything is checked here, and what is wrong is said with the file's name.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemask_inpaint.errors import OptionError
from facemask_inpaint.images import as_tensor
from facemask_inpaint.images.opening import is_file
from facemask_inpaint.metrics.features.sets import LARGEST, sensible

LARGEST_BYTES = 2**30
"""What a file's arrays may hold: a covariance of 11,000 features, five times Inception's."""

_ARRAYS = ("rows", "n", "mean", "scatter", "mu", "sigma", "identity")
# Shares of the largest entry, and of the trace: what float32 on the way leaves in a covariance.
_ASYMMETRY = 1e-5
_NEGATIVE = 1e-6
# What damaged, encrypted and otherwise unreadable archives raise.
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)


def read_arrays(path: str | Path) -> dict[str, NDArray[np.generic]]:
    """Read the arrays that statistics consist of, by name; what else the file holds is not read.

    Nothing is unpacked before its size is known.

    Raises:
        OptionError: the file is missing, damaged, too large, or no ``.npz``.
    """
    if not is_file(path):
        what = "is not an ordinary file" if Path(path).exists() else "there is no such file"
        raise OptionError(f"{path}: {what} of feature statistics")
    with _named_failures(path), zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy") for name in archive.namelist()}
        names = [name for name in _ARRAYS if name in members]
        left = LARGEST_BYTES
        arrays = {}
        for name in names:
            with archive.open(f"{name}.npy") as file:
                left -= _promised_bytes(file)
            if left < 0:
                raise OptionError(
                    f"{path}: its arrays expand to more than {LARGEST_BYTES / 2**20:,.0f} MiB; "
                    "feature statistics are smaller"
                )
            with archive.open(f"{name}.npy") as file:
                arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
        if not arrays:
            others = ", ".join(sorted(members)[:5])
            raise OptionError(f"{path}: not a file of feature statistics (has {others})")
    return arrays


def checked_mean(name: str, value: NDArray[np.generic]) -> Tensor:
    """Return the mean ``(d,)`` float64; ``name`` is said where it is none."""
    if value.dtype.kind != "f" or value.ndim != 1 or not value.size:
        raise OptionError(f"{name}: needed (d,) floats, not {value.shape} {value.dtype}")
    mean = as_tensor(value).double()
    if not sensible(mean):
        raise OptionError(f"{name} holds NaN, infinity or numbers beyond {LARGEST:g}")
    return mean


def checked_covariance(name: str, value: NDArray[np.generic], dim: int) -> Tensor:
    """Return a covariance, or a multiple, ``(d, d)`` float64; ``name`` is said where it is none."""
    if value.dtype.kind != "f" or value.shape != (dim, dim):
        raise OptionError(f"{name}: needed ({dim}, {dim}) floats, not {value.shape} {value.dtype}")
    matrix = as_tensor(value).double()
    if not sensible(matrix, LARGEST**2):
        raise OptionError(f"{name} holds NaN, infinity or numbers beyond {LARGEST**2:g}")
    if float((matrix - matrix.T).abs().max()) > _ASYMMETRY * float(matrix.abs().max()):
        raise OptionError(f"{name} is not symmetric, so it is no covariance")
    matrix = (matrix + matrix.T) / 2
    # Succeeds when no eigenvalue is below the negative shift, at a tenth of eigenvalues' price.
    shift = max(_NEGATIVE * float(matrix.trace()), torch.finfo(torch.float64).tiny)
    shifted = matrix.clone()
    shifted.diagonal().add_(shift)
    if int(torch.linalg.cholesky_ex(shifted).info):
        raise OptionError(f"{name} has negative eigenvalues, so it is no covariance")
    return matrix


def checked_count(name: str, value: NDArray[np.generic]) -> int:
    """Check a number of images; ``name`` is said where it is none."""
    if value.dtype.kind not in "iu" or value.shape != () or int(value) < 1:
        raise OptionError(f"{name}: needed a number of images, not {value!r}")
    return int(value)


def checked_identity(name: str, value: NDArray[np.generic]) -> str | None:
    """Return an extractor's identity, ``None`` if empty; ``name`` is said where it is none."""
    if value.dtype.kind != "U" or value.shape != ():
        raise OptionError(f"{name}: needed one text, not {value.shape} {value.dtype}")
    return str(value) or None


def _promised_bytes(file: IO[bytes]) -> int:
    """Return how large the array of an opened ``.npy`` gets, by its own account."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"array format {version}")
    size = dtype.itemsize
    for length in shape:
        size *= int(length)
    return size


@contextmanager
def _named_failures(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OptionError:
        raise
    except _UNREADABLE as error:
        raise OptionError(f"{path}: not a file of feature statistics ({error})") from error
    except MemoryError:
        raise OptionError(f"{path}: there is not enough memory for its arrays") from None
