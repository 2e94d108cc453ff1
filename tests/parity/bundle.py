"""Make the slim fixtures that the suite carries from a folder of full ones.

Example: ``python -m tests.parity.bundle ../shared/parity lama cases.npz:0,1 cases.big.npz:0``
"""

from __future__ import annotations

import argparse
import lzma
import shutil
from pathlib import Path

import numpy as np

from tests.parity.cases import Case, encoded_png
from tests.parity.recipe import DATA, manifest_path

COARSE_SIDE = 64
"""Whole float16 answers are thinned until their sides are about this many pixels."""


def bundle(source: Path, network: str, selection: list[str], dropped: list[str]) -> None:
    """Write ``data/<network>/``: manifests, literals and the selected cases of ``source``.

    Args:
        source: folder of full fixtures, one folder per network.
        network: which network.
        selection: ``cases.X.npz:0,1`` for every archive to take cases from, or
            ``cases.X.npz=NAME,NAME`` to take arrays under their own names.
        dropped: names of arrays (without case number) to leave out.
    """
    (DATA / network).mkdir(parents=True, exist_ok=True)
    for manifest in (source / network).glob("manifest*.json"):
        path = manifest_path(network, manifest.name)
        path.write_bytes(lzma.compress(manifest.read_bytes(), preset=9))
    for name in ("literals.npz", "cases.json"):
        if (source / network / name).exists():
            shutil.copyfile(source / network / name, DATA / network / name)
    for item in selection:
        if "=" in item:
            _bundle_arrays(source / network, DATA / network, *item.split("="))
            continue
        name, _, numbers = item.partition(":")
        chosen = [Case(network, source / network / name, int(i)) for i in numbers.split(",")]
        np.savez_compressed(DATA / network / name, **_slim_archive(chosen, dropped))


def _bundle_arrays(source: Path, target: Path, archive: str, names: str) -> None:
    with np.load(source / archive) as whole:
        kept = {name: _encoded(whole[name]) for name in names.split(",")}
    np.savez_compressed(target / archive, **kept)


def slim(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A case's arrays with 8-bit pictures as PNG, and without what ``raw32`` makes needless."""
    kept = {name: array for name, array in arrays.items() if name != "raw"}
    if "raw32" not in arrays and "raw" in arrays:
        kept["raw"] = thinned(arrays["raw"])
    return {name: _encoded(array) for name, array in kept.items()}


def _slim_archive(chosen: list[Case], dropped: list[str]) -> dict[str, np.ndarray]:
    return {
        f"{name}_{case.index}": array
        for case in chosen
        for name, array in slim(case.arrays).items()
        if name not in dropped
    }


def thinned(raw: np.ndarray) -> np.ndarray:
    """Every s-th row and column of a ``raw`` answer in either layout."""
    stride = max(1, raw.shape[1] // COARSE_SIDE)
    return raw[::stride, ::stride] if raw.shape[-1] == 3 else raw[:, ::stride, ::stride]


def _encoded(array: np.ndarray) -> np.ndarray:
    is_picture = array.dtype == np.uint8 and array.ndim in (2, 3) and min(array.shape[:2]) >= 32
    return encoded_png(array) if is_picture else array


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder of full fixtures")
    parser.add_argument("network", help="folder in it")
    parser.add_argument("selection", nargs="+", help="archive:case,case,…")
    parser.add_argument("--drop", nargs="*", default=[], help="arrays to leave out")
    arguments = parser.parse_args()
    bundle(arguments.source, arguments.network, arguments.selection, arguments.drop)


if __name__ == "__main__":
    main()
