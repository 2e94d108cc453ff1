"""Statistics and features as other people's tools and disks leave them: right numbers or none."""

from __future__ import annotations

import io
import os
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch

from facemask_inpaint.errors import FacemaskInpaintError, ImageError, OptionError
from facemask_inpaint.metrics import (
    FeatureReader,
    FeatureSet,
    FeatureStatistics,
    compare,
    custom,
    evaluate,
    fid,
    kid,
    pids,
    psnr,
    uids,
)
from facemask_inpaint.metrics.features import _statistics_files

from .conftest import write_folder

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(60, 16))
OTHERS = RNG.normal(size=(60, 16)) + 0.5
MU, SIGMA = FEATURES.mean(0), np.cov(FEATURES, rowvar=False)
HALF = np.diag([1.0] * 15 + [-0.5])


def by_scipy(mu: np.ndarray, sigma: np.ndarray) -> float:
    """FID against the other features by the published tools' formula."""
    other, covariance = OTHERS.mean(0), np.cov(OTHERS, rowvar=False)
    root = scipy.linalg.sqrtm(sigma @ covariance).real
    return float(((mu - other) ** 2).sum() + np.trace(sigma + covariance - 2 * root))


def changed(array: np.ndarray, value: float, *at: int) -> np.ndarray:
    copy = array.copy()
    copy[at] = value
    return copy


WRONG: dict[str, dict[str, Any]] = {
    "nan in mu": {"mu": changed(MU, np.nan, 3)},
    "infinite mu": {"mu": changed(MU, -np.inf, 0)},
    "all nan": {"sigma": SIGMA * np.nan},
    "one nan in sigma": {"sigma": changed(SIGMA, np.nan, 0, 1)},
    "infinite sigma": {"sigma": changed(SIGMA, np.inf, 5, 5)},
    "huge sigma": {"sigma": SIGMA * 1e200},
    "sigma of another width": {"sigma": SIGMA[:9, :9]},
    "sigma not square": {"sigma": SIGMA[:, :9]},
    "sigma is its diagonal": {"sigma": np.diag(SIGMA)},
    "mu has two axes": {"mu": MU[None]},
    "mu is a number": {"mu": np.float64(3)},
    "mu is empty": {"mu": MU[:0], "sigma": SIGMA[:0, :0]},
    "complex sigma": {"sigma": SIGMA.astype(complex)},
    "integer mu": {"mu": np.arange(16)},
    "boolean mu": {"mu": np.ones(16, bool)},
    "texts": {"mu": np.array(["0.1"] * 16)},
    "objects": {"mu": np.array([None] * 16, dtype=object)},
    "not symmetric": {"sigma": changed(SIGMA, 0.9, 2, 7)},
    "negative variance": {"sigma": changed(SIGMA, -1.0, 4, 4)},
    "negative eigenvalue": {"sigma": HALF},
    "a root of the covariance": {"sigma": np.linalg.cholesky(SIGMA)},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_statistics_is_refused_with_the_files_name(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.npz"
    np.savez(path, **({"mu": MU, "sigma": SIGMA} | WRONG[name]))
    for sides in ((path, OTHERS), (OTHERS, path)):
        with pytest.raises(OptionError, match=r"theirs\.npz"):
            fid(*sides)


OWN: dict[str, dict[str, Any]] = {
    "nan in the mean": {"mean": changed(MU, np.nan, 3)},
    "nan in the scatter": {"scatter": changed(SIGMA, np.nan, 1, 1)},
    "no pictures": {"n": 0},
    "negative count": {"n": -60},
    "count that is no integer": {"n": 60.5},
    "several counts": {"n": np.array([60, 60])},
    "identity of numbers": {"identity": np.arange(3)},
    "scatter not square": {"scatter": SIGMA[:3]},
    "nan in the rows": {"rows": changed(FEATURES, np.nan, 2, 2)},
    "rows of integers": {"rows": np.arange(960).reshape(60, 16)},
    "other number of rows": {"rows": FEATURES[:10]},
    "no rows": {"rows": FEATURES[:0], "n": 0},
}


@pytest.mark.parametrize("name", OWN)
def test_own_files_are_checked_alike(name: str, tmp_path: Path) -> None:
    path = tmp_path / "ours.npz"
    sound = {"identity": "", "n": 60, "mean": MU, "scatter": 59 * SIGMA}
    np.savez(path, **(sound | OWN[name]))
    with pytest.raises(OptionError, match=r"ours\.npz"):
        fid(path, OTHERS)


@pytest.mark.filterwarnings("ignore:.*says neither")
@pytest.mark.parametrize("dtype", [">f8", "<f4", ">f4", "longdouble"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_sound_statistics_of_any_float_are_read(
    dtype: str, save: Callable[..., None], tmp_path: Path
) -> None:
    mu, sigma = MU.astype(dtype), np.asfortranarray(SIGMA.astype(dtype))
    save(tmp_path / "theirs.NPZ.npz", mu=mu, sigma=sigma, comment="made elsewhere")
    expected = by_scipy(MU, SIGMA)
    assert float(fid(tmp_path / "theirs.NPZ.npz", OTHERS)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.filterwarnings("ignore:.*says neither")
@pytest.mark.parametrize("rank", [0, 1, 9])
def test_singular_covariances_are_sound(rank: int, tmp_path: Path) -> None:
    rows = FEATURES[: rank + 1]
    sigma = np.cov(rows, rowvar=False) if rank else np.zeros((16, 16))
    for number in (sigma, sigma.astype(np.float32)):
        np.savez(tmp_path / "few.npz", mu=MU, sigma=number)
        found = float(fid(tmp_path / "few.npz", OTHERS))
        assert found == pytest.approx(by_scipy(MU, sigma), rel=1e-4)


def write_text(path: Path) -> None:
    path.write_text("mu sigma")


def write_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, MU)


def write_cut(path: Path) -> None:
    np.savez(path, mu=MU, sigma=SIGMA)
    path.write_bytes(path.read_bytes()[:1500])


def write_flipped(path: Path) -> None:
    np.savez_compressed(path, mu=MU, sigma=SIGMA)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def write_pickle(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mu.npy", b"cos\nsystem\n(S'false'\ntR.")


def write_newer(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mu.npy", b"\x93NUMPY\x09\x00v\x00" + b" " * 118)


def write_other(path: Path) -> None:
    np.savez(path, weight=MU)


UNREADABLE = (write_text, write_array, write_cut, write_flipped, write_pickle, write_newer)


@pytest.mark.parametrize("write", [*UNREADABLE, write_other, Path.touch])
def test_files_of_another_kind_are_refused(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    write(path)
    with pytest.raises(OptionError, match=r"bad\.npz: not a file of feature statistics"):
        fid(path, OTHERS)


def test_missing_files_and_pipes_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(OptionError, match=r"pipe\.npz: is not an ordinary file"):
        fid(tmp_path / "pipe.npz", OTHERS)
    with pytest.raises(OptionError, match=r"none\.npz: there is no such file"):
        fid(tmp_path / "none.npz", OTHERS)
    (tmp_path / "link.npz").symlink_to("nowhere")
    with pytest.raises(OptionError, match=r"link\.npz"):
        FeatureStatistics.load(tmp_path / "link.npz")


def promised(shape: tuple[int, ...]) -> bytes:
    """The head of an array that promises more than follows."""
    head = io.BytesIO()
    entry = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, entry)
    return head.getvalue() + bytes(128)


@pytest.mark.parametrize("shape", [(40_000, 40_000), (2**31, 2**31), (2**62,), (10**30,)])
def test_a_file_that_promises_gigabytes_is_refused_unopened(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("mu.npy", promised((16,)))
        archive.writestr("sigma.npy", promised(shape))
    with pytest.raises(OptionError, match=r"bomb\.npz: its arrays expand to more than 1,024 MiB"):
        fid(tmp_path / "bomb.npz", OTHERS)


def test_what_expands_is_limited_in_all_and_strangers_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "small.npz"
    np.savez_compressed(path, mu=np.zeros(128), sigma=np.zeros((128, 128)), log=np.zeros(10**6))
    assert path.stat().st_size < 20_000
    with pytest.warns(UserWarning, match="count"):
        assert FeatureStatistics.load(path).dim == 128
    monkeypatch.setattr(_statistics_files, "LARGEST_BYTES", 128 * 128 * 8)
    with pytest.raises(OptionError, match="expand"):
        FeatureStatistics.load(path)


def test_nothing_is_saved_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no features to save"):
        FeatureStatistics().save(tmp_path / "none.npz")


FEATURES_THAT_ARE_NONE: dict[str, Any] = {
    "nan": changed(FEATURES, np.nan, 7, 1),
    "infinity": changed(FEATURES, -np.inf, 7, 1),
    "overflowing": FEATURES * 1e200,
    "integers": FEATURES.astype(int),
    "complex": FEATURES.astype(complex),
    "objects": FEATURES.astype(object),
    "booleans": FEATURES > 0,
    "texts": FEATURES.astype(str),
    "no columns": FEATURES[:, :0],
    "masked": np.ma.masked_greater(FEATURES, 2),
    "meta": torch.empty(60, 16, device="meta"),
    "sparse": torch.from_numpy(FEATURES).to_sparse(),
    "csr": torch.eye(16).to_sparse_csr(),
    "integer tensor": torch.ones(60, 16, dtype=torch.int32),
    "complex tensor": torch.ones(60, 16, dtype=torch.complex64),
    "quantised": torch.quantize_per_tensor(torch.ones(60, 16), 0.1, 0, torch.quint8),
}
METRICS: dict[str, Callable[[Any, Any], Any]] = {
    "fid": fid,
    "kid": kid,
    "uids": uids,
    "pids": pids,
    "evaluate": lambda real, fake: evaluate(real, fake, "fid"),
    "compare": lambda real, fake: compare(real, {"a": fake, "b": fake}),
    "statistics": lambda real, fake: [FeatureStatistics.of(side) for side in (real, fake)],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", FEATURES_THAT_ARE_NONE)
def test_features_with_which_nothing_can_be_computed_are_refused(name: str, metric: str) -> None:
    with pytest.raises(OptionError, match="features"):
        METRICS[metric](FEATURES, FEATURES_THAT_ARE_NONE[name])


@pytest.mark.parametrize("metric", ["fid", "kid", "uids", "pids", "evaluate", "compare"])
@pytest.mark.parametrize("width", [1, 8, 15])
def test_features_of_other_widths_are_refused(metric: str, width: int) -> None:
    with pytest.raises(OptionError, match=rf"widths.*\b{width}\b"):
        METRICS[metric](FEATURES, OTHERS[:, :width])


def test_a_feature_set_made_by_hand_is_checked_too() -> None:
    values = torch.from_numpy(changed(FEATURES, np.nan, 2, 0))
    with pytest.raises(OptionError, match=r"features of b, c hold NaN"):
        FeatureSet(torch.cat([values[:1], values[2:3], values[2:3]]), ("a", "b", "c"), (None,) * 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_features_of_few_bits_are_features(dtype: torch.dtype) -> None:
    values = torch.from_numpy(FEATURES).to(dtype)
    assert float(fid(values, OTHERS)) == pytest.approx(float(fid(values.double(), OTHERS)))


def test_an_extractor_that_overflows_is_named_with_its_picture(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "real", 3)
    for value in (np.nan, np.inf, 1e35):
        broken = custom(lambda x, value=value: torch.full((len(x), 4), value), "broken")
        with pytest.raises(OptionError, match=r"features of .*000\.png"):
            fid(folder, folder, reader=FeatureReader(broken, progress=False))


@pytest.mark.parametrize("kind", ["meta", "sparse", "sparse batch", "meta batch"])
def test_pictures_without_pixels_are_refused(kind: str) -> None:
    batch = torch.zeros(3, 3, 20, 20, dtype=torch.uint8)
    given = batch.to("meta") if "meta" in kind else batch.to_sparse()
    source = given if "batch" in kind else [given[row] for row in range(3)]
    for metric in (psnr, lambda a, b: fid(a, b, reader=FeatureReader(custom(torch.sum, "sum")))):
        with pytest.raises((OptionError, ImageError), match="image"):
            metric(source, batch)


def test_no_score_of_extreme_features_is_anything_but_a_number() -> None:
    for scale in (1e-300, 1e-20, 1e20, 9e29):
        real, fake = FEATURES / np.abs(FEATURES).max() * scale, OTHERS / 10 * scale
        for metric in METRICS.values():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    found = metric(real, fake)
                except FacemaskInpaintError:
                    continue
            if hasattr(found, "to_json"):
                assert not re.search(r'"(value|difference|low|p_value)": null', found.to_json())


def test_no_features_and_files_instead_of_folders_are_told_as_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="at least two images; there are 0"):
        fid(FEATURES[:0], FEATURES)
    for name in ("features.npy", "statistics.npz", "picture.png"):
        (tmp_path / name).touch()
        with pytest.raises(ImageError, match=rf"{name} is a file: give a folder of images"):
            kid(tmp_path / name, FEATURES)
