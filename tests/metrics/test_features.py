"""Reading pictures into features: kinds of sources, bad files, pairing, and the cache."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from facemask_inpaint._internal.concurrency import in_order
from facemask_inpaint.errors import ImageError, OptionError
from facemask_inpaint.metrics import FeatureReader, FeatureSet, custom, fid
from facemask_inpaint.metrics.features._cache import CachedFeature, FeatureCache
from facemask_inpaint.metrics.features.custom import CustomExtractor
from facemask_inpaint.metrics.features.sets import input_warnings
from facemask_inpaint.metrics.inputs import match, open_images

from . import synth
from .conftest import means_and_spreads, write_folder


class Counting:
    """An extractor's function that counts the pictures it has seen."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, pictures: Tensor) -> Tensor:
        self.seen += len(pictures)
        return means_and_spreads(pictures)


@pytest.fixture
def counting() -> tuple[Counting, CustomExtractor]:
    function = Counting()
    return function, custom(function, "counted")


def corrupt(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def test_every_kind_of_source_is_the_same_pictures(tmp_path: Path, reader: FeatureReader) -> None:
    folder = write_folder(tmp_path / "real", 5)
    paths = sorted(folder.iterdir())
    arrays = [np.asarray(Image.open(path)) for path in paths]
    batch = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
    expected = means_and_spreads(batch)
    for source in (
        folder,
        str(folder),
        paths,
        [Image.open(path) for path in paths],
        arrays,
        np.stack(arrays),
        batch,
        iter(arrays),
        (path for path in paths),
    ):
        found = reader.read(source)
        torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-6)
        assert found.sizes == ((24, 20),) * 5
    assert reader.read(folder).keys == ("000", "001", "002", "003", "004")
    assert reader.read(batch).names[3] == "#3"
    assert reader.read(expected).values is expected


def test_batches_and_workers_change_nothing(tmp_path: Path, cheap: CustomExtractor) -> None:
    folder = write_folder(tmp_path / "real", 7)
    sets = [
        FeatureReader(cheap, batch_size=size, workers=workers, progress=False).read(folder)
        for size, workers in ((1, 1), (3, 4), (32, None))
    ]
    assert len({one.names for one in sets}) == 1
    for one in sets[1:]:
        torch.testing.assert_close(one.values, sets[0].values, rtol=0, atol=1e-6)


def test_modes_become_rgb(tmp_path: Path, reader: FeatureReader) -> None:
    colour = Image.fromarray(synth.picture(24, 20, "modes"))
    modes = {"RGB": colour, "RGBA": colour.convert("RGBA"), "L": colour.convert("L")}
    modes["P"] = colour.quantize(64)
    for mode, image in modes.items():
        image.save(tmp_path / f"{mode}.png")
    features = reader.read(tmp_path)
    found = dict(zip(features.keys, features.values))
    torch.testing.assert_close(found["RGBA"], found["RGB"])
    for mode in ("L", "P"):
        expected = torch.from_numpy(np.array(modes[mode].convert("RGB"))).permute(2, 0, 1)[None]
        torch.testing.assert_close(found[mode], means_and_spreads(expected)[0])


def test_deep_grey_files_are_scaled_and_float_arrays_refused(
    tmp_path: Path, reader: FeatureReader
) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(grey).save(tmp_path / "l.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "i16.png")
    Image.fromarray(grey.astype(np.int32) * 257).save(tmp_path / "i.tif")
    Image.fromarray(grey.astype(np.float32) / 255).save(tmp_path / "f.tif")
    read = [reader.read([path]).values for path in sorted(tmp_path.iterdir())]
    assert len(read) == 4
    assert all(torch.equal(values, read[0]) for values in read)
    with pytest.raises(ImageError, match="float32 samples; pass uint8"):
        reader.read([torch.rand(3, 8, 8)])
    with pytest.raises(ImageError, match=r"shape \(4, 8, 8\)"):
        reader.read([torch.zeros(4, 8, 8, dtype=torch.uint8)])


def test_mixed_sizes(tmp_path: Path, reader: FeatureReader) -> None:
    pictures = [synth.picture(side, 20, str(side)) for side in (16, 16, 24, 16)]
    with pytest.raises(OptionError, match="different sizes for an extractor that does not resize"):
        reader.read(pictures)

    class Resizing(CustomExtractor):
        def prepare(self, pictures: Tensor) -> Tensor:
            return torch.nn.functional.interpolate(pictures.float(), (8, 8))

    resizing = Resizing(means_and_spreads, "resizing", torch.device("cpu"))
    found = FeatureReader(resizing, progress=False).read(pictures)
    alone = [FeatureReader(resizing, progress=False).read([one]).values for one in pictures]
    torch.testing.assert_close(found.values, torch.cat(alone))
    (warning,) = input_warnings(found, found)
    assert "3 of 16x20, 1 of 24x20" in warning


def test_one_corrupt_file_in_a_thousand(tmp_path: Path, cheap: CustomExtractor) -> None:
    folder = write_folder(tmp_path / "fake", 1000)
    corrupt(folder / "417.png")
    real = synth.pictures(300, 24, 20)
    with pytest.raises(ImageError, match=r"417\.png: truncated or damaged"):
        fid(real, folder, reader=FeatureReader(cheap, progress=False))
    skipping = FeatureReader(cheap, on_error="skip", progress=False)
    result = fid(real, folder, reader=skipping)
    others = [path for path in sorted(folder.iterdir()) if path.stem != "417"]
    assert float(result) == float(fid(real, others, reader=skipping))
    assert result.provenance["n_fake"] == 999
    assert result.provenance["skipped_fake"] == [str(folder / "417.png")]
    assert any("1 fake images were left out" in text for text in result.warnings)


def test_nothing_usable(tmp_path: Path, cheap: CustomExtractor) -> None:
    skipping = FeatureReader(cheap, on_error="skip", progress=False)
    corrupt(write_folder(tmp_path / "bad", 1) / "000.png")
    with pytest.raises(ImageError, match="not one of the images"):
        skipping.read(tmp_path / "bad")
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(ImageError, match=source.name):
            skipping.read(source)
    with pytest.raises(OptionError, match="list is empty"):
        skipping.read([])
    with pytest.raises(OptionError, match="cannot be read from a int"):
        skipping.read(3)
    with pytest.raises(OptionError, match="four axes"):
        skipping.read(np.zeros((8, 8, 3), np.uint8))


def test_streams_are_read_as_they_come(cheap: CustomExtractor) -> None:
    taken = 0

    def stream() -> Iterator[np.ndarray]:
        nonlocal taken
        for index in range(50):
            taken += 1
            yield synth.picture(8, 8, str(index))

    results = in_order(lambda picture: picture.pixels(), open_images(stream()), 2, ahead=4)
    next(results)
    assert taken <= 6
    results.close()
    assert len(FeatureReader(cheap, progress=False).read(stream())) == 50


def test_pairs_by_stem(tmp_path: Path, reader: FeatureReader) -> None:
    real = write_folder(tmp_path / "real", 4)
    fake = tmp_path / "fake"
    fake.mkdir()
    for path in real.iterdir():
        Image.open(path).save(fake / f"{path.stem}.bmp")
    shuffled = [fake / f"{stem}.bmp" for stem in ("002", "000", "003", "001")]
    one, other = reader.read_pair(real, shuffled)
    assert one.keys == other.keys
    torch.testing.assert_close(one.values, other.values)


def test_unmatched_files_are_named(tmp_path: Path, reader: FeatureReader) -> None:
    real, fake = write_folder(tmp_path / "real", 4), write_folder(tmp_path / "fake", 4)
    (fake / "001.png").unlink()
    (fake / "003.png").rename(fake / "003_out.png")
    corrupt(real / "000.png")  # never looked at: names are checked first
    with pytest.raises(OptionError, match=r"2 real without fake: 001, 003; 1 fake.*: 003_out"):
        reader.read_pair(real, fake)
    with pytest.raises(OptionError, match="3 real images cannot be paired with 2 fake"):
        match([None] * 3, [None] * 2)
    with pytest.raises(OptionError, match="the real images have stems twice: a"):
        match(["a", "a"], ["a", "b"])


def test_a_pair_goes_with_either_side(tmp_path: Path, cheap: CustomExtractor) -> None:
    real, fake = write_folder(tmp_path / "real", 5), write_folder(tmp_path / "fake", 5, "x")
    corrupt(real / "001.png")
    corrupt(fake / "003.png")
    one, other = FeatureReader(cheap, on_error="skip", progress=False).read_pair(real, fake)
    assert one.keys == other.keys == ("000", "002", "004")
    assert [Path(name).name for name, _ in (*one.skipped, *other.skipped)] == ["001.png", "003.png"]


def test_lossy_files_on_one_side(tmp_path: Path, reader: FeatureReader) -> None:
    real, fake = write_folder(tmp_path / "real", 3), tmp_path / "fake"
    fake.mkdir()
    for path in real.iterdir():
        Image.open(path).save(fake / f"{path.stem}.jpg")
    assert any("lossy" in text for text in fid(real, fake, reader=reader).warnings)
    assert not any("lossy" in text for text in fid(real, real, reader=reader).warnings)


def test_wrong_answers_of_an_extractor() -> None:
    pictures = synth.pictures(3, 8, 8)
    flat = custom(lambda batch: batch.float().mean(), "one number")
    with pytest.raises(OptionError, match=r"3 images gave \(\)"):
        FeatureReader(flat, progress=False).read(pictures)
    broken = custom(lambda batch: batch.float().mean((2, 3)) * torch.inf, "infinite")
    with pytest.raises(OptionError, match="NaN or infinity"):
        FeatureReader(broken, progress=False).read(pictures)
    with pytest.raises(OptionError, match="needs an identity"):
        custom(means_and_spreads, " ")
    with pytest.raises(OptionError, match="'raise' or 'skip'"):
        FeatureReader(on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="not on cuda"):
        FeatureReader(flat, device="cuda").read(pictures)


def test_cache_answers_for_the_content(
    tmp_path: Path, counting: tuple[Counting, CustomExtractor]
) -> None:
    function, extractor = counting
    folder = write_folder(tmp_path / "real", 6)
    cached = FeatureReader(extractor, cache=tmp_path / "cache", progress=False)
    first = cached.read(folder)
    (folder / "002.png").rename(folder / "zzz.png")
    Image.fromarray(synth.picture(24, 20, "new")).save(folder / "004.png")
    second = cached.read(folder)
    assert function.seen == 7
    fresh = FeatureReader(extractor, progress=False).read(folder)
    torch.testing.assert_close(second.values, fresh.values, rtol=0, atol=1e-6)
    assert second.sizes == fresh.sizes
    assert float((first.values[4] - second.values[3]).abs().max()) > 1e-3
    other = FeatureReader(custom(function, "another"), cache=tmp_path / "cache", progress=False)
    other.read(folder)
    assert function.seen == 7 + 6 + 6  # the uncached reading, then another extractor


def test_damaged_cache_files_are_ignored(
    tmp_path: Path, counting: tuple[Counting, CustomExtractor], caplog: pytest.LogCaptureFixture
) -> None:
    function, extractor = counting
    folder = write_folder(tmp_path / "real", 3)
    cached = FeatureReader(extractor, cache=tmp_path / "cache", progress=False)
    cached.read(folder)
    (shard,) = (tmp_path / "cache").glob("*/*.npy")
    shard.write_bytes(shard.read_bytes()[:50])
    half = shard.parent / ".left-behind.fmi.part.npy"
    half.write_bytes(b"")
    cached.read(folder)
    assert function.seen == 6
    assert "damaged" in caplog.text
    assert not half.exists()


def fill_cache(folder: Path, start: int, stop: int, die: bool) -> None:
    cache = FeatureCache(folder, "shared")
    for index in range(start, stop):
        cache.put(f"{index:064d}", CachedFeature(np.full(4, index, np.float32), (1, index)))
        if index % 10 == 9:
            cache.flush()
    if die:
        cache.put("f" * 64, CachedFeature(np.zeros(4, np.float32), (1, 1)))
        os.kill(os.getpid(), signal.SIGKILL)


def test_cache_survives_company_and_murder(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    jobs = [(0, 60, False), (30, 90, False), (80, 120, True)]
    running = [spawn.Process(target=fill_cache, args=(tmp_path, *job)) for job in jobs]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0, 0, -signal.SIGKILL]
    cache = FeatureCache(tmp_path, "shared")
    for index in range(120):
        known = cache.get(f"{index:064d}")
        assert known is not None
        assert known.size == (1, index)
        np.testing.assert_array_equal(known.values, np.full(4, index, np.float32))
    assert cache.get("f" * 64) is None


def test_interrupted_reading_keeps_what_it_had(
    tmp_path: Path, counting: tuple[Counting, CustomExtractor]
) -> None:
    function, extractor = counting
    folder = write_folder(tmp_path / "real", 8)
    corrupt(folder / "005.png")
    options = {"batch_size": 2, "cache": tmp_path / "cache", "progress": False}
    with pytest.raises(ImageError, match=r"005\.png"):
        FeatureReader(extractor, **options).read(folder)
    before = function.seen
    assert before == 4
    FeatureReader(extractor, on_error="skip", **options).read(folder)
    assert function.seen == 7


def test_arrays_and_selection() -> None:
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    chosen = FeatureSet.from_array(values).select([2, 0])
    assert chosen.names == ("#2", "#0")
    np.testing.assert_array_equal(chosen.values, values[[2, 0]])
    for wrong in (values.astype(int), values[0]):
        with pytest.raises(OptionError, match=r"\(n, d\) array of floats"):
            FeatureSet.from_array(wrong)


@pytest.mark.cuda
def test_features_stay_on_the_device() -> None:
    extractor = custom(means_and_spreads, "on device", "cuda")
    pictures = synth.pictures(5, 24, 20)
    found = FeatureReader(extractor, batch_size=2, progress=False).read(pictures)
    assert found.device.type == "cuda"
    expected = means_and_spreads(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    torch.testing.assert_close(found.values.cpu(), expected, rtol=0, atol=1e-6)
