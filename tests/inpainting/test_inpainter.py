"""One call for every network: kinds, sizes, strategies, seeds, batches, memory."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import facemask_inpaint as fmi
from facemask_inpaint import models
from facemask_inpaint.errors import (
    CheckpointError,
    ImageError,
    MaskError,
    OptionError,
    SizeError,
    UnknownNameError,
    WeightsNotFoundError,
)
from facemask_inpaint.inpainting.strategies import STRATEGIES
from facemask_inpaint.models import InpaintingNetwork
from tests.parity import recipe

SIZES = [(64, 64), (50, 80), (131, 77)]


class Drawing(InpaintingNetwork):
    """A network that draws: per-picture noise through one convolution, at one size only."""

    native_resolution = 32
    any_size = False

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix = nn.Conv2d(5, 3, 3, padding=1)
        self.largest_batch = 99

    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        return {"z": (n, 1, h, w)}

    def fill(self, visible: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        if len(visible) > self.largest_batch:
            raise torch.OutOfMemoryError("this network is small")
        return torch.tanh(self.mix(torch.cat([visible, hole, latents["z"]], dim=1)))


@pytest.fixture
def drawing() -> fmi.Inpainter:
    return fmi.Inpainter(Drawing(), device="cpu")


@pytest.fixture(scope="module")
def harmonic() -> fmi.Inpainter:
    return fmi.Inpainter.from_pretrained("harmonic", device="cpu")


@pytest.fixture(scope="module")
def lama() -> fmi.Inpainter:
    torch.manual_seed(0)
    return fmi.Inpainter(models.create("lama", blocks=1, width=8), device="cpu")


def _scene(size: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    picture = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    hole = np.zeros(size, dtype=bool)
    hole[size[0] // 3 : size[0] // 2, size[1] // 4 : size[1] // 2] = True
    return picture, hole


def _kinds(picture: np.ndarray) -> dict[str, object]:
    chw = torch.from_numpy(picture).permute(2, 0, 1).contiguous()
    image = Image.fromarray(picture)
    return {
        "RGB": image,
        "L": image.convert("L"),
        "RGBA": image.convert("RGBA"),
        "CMYK": image.convert("CMYK"),
        "uint8 array": picture,
        "uint16 array": picture.astype(np.uint16) * 257,
        "float array": (picture / 255).astype(np.float32),
        "uint8 tensor": chw,
        "signed tensor": chw.double() / 127.5 - 1,
    }


def _values(thing: object) -> np.ndarray:
    """Pixels as (H, W, …), for comparing known ones."""
    if isinstance(thing, Tensor):
        return thing.permute(1, 2, 0).numpy()
    return np.asarray(thing)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("which", ["harmonic", "lama", "drawing"])
def test_known_pixels_are_exact_for_every_kind(request, which, strategy, size) -> None:
    inpainter = request.getfixturevalue(which)
    if which == "drawing" and strategy == "pad":
        pytest.skip("a fixed-size network cannot pad larger pictures")
    picture, hole = _scene(size)
    for name, thing in _kinds(picture).items():
        result = inpainter(thing, hole, strategy=strategy)
        assert type(result) is type(thing), name
        before, after = _values(thing), _values(result)
        assert before.dtype == after.dtype, name
        assert np.array_equal(before[~hole], after[~hole]), name
        assert not np.array_equal(before[hole], after[hole]), name


def test_poisson_keeps_known_pixels_and_feather_only_touches_the_border(lama) -> None:
    picture, hole = _scene((64, 64))
    assert np.array_equal(lama(picture, hole, blend="poisson")[~hole], picture[~hole])
    feathered = lama(picture, hole, blend="feather", border=3)
    near = np.zeros_like(hole)
    rows, columns = np.nonzero(hole)
    near[rows.min() - 3 : rows.max() + 4, columns.min() - 3 : columns.max() + 4] = True
    assert np.array_equal(feathered[~near], picture[~near])


def test_hidden_pixels_have_no_influence(harmonic, lama, drawing) -> None:
    picture, hole = _scene((70, 90))
    other = picture.copy()
    other[hole] = 255 - other[hole]
    for inpainter in (harmonic, lama, drawing):
        for strategy in ("resize", "crop"):
            first = inpainter(picture, hole, strategy=strategy)
            assert np.array_equal(first, inpainter(other, hole, strategy=strategy))


def test_a_batch_of_eight_equals_eight_single_calls(drawing) -> None:
    scenes = [_scene((40, 40), seed) for seed in range(8)]
    batch = np.stack([picture for picture, _ in scenes])
    together = drawing(batch, scenes[0][1], seed=range(8))
    assert together.shape == batch.shape
    for index, (picture, hole) in enumerate(scenes):
        assert np.array_equal(together[index], drawing(picture, hole, seed=index))


def test_lists_may_mix_sizes_and_kinds(drawing) -> None:
    small, small_hole = _scene((40, 40))
    large, large_hole = _scene((60, 80))
    results = drawing([small, Image.fromarray(large)], [small_hole, large_hole])
    assert np.array_equal(results[0], drawing(small, small_hole))
    assert results[1].size == (80, 60)


def test_seeds_and_samples(drawing) -> None:
    picture, hole = _scene((40, 40))
    samples = drawing(picture, hole, num_samples=3, seed=5)
    assert np.array_equal(samples[0], drawing(picture, hole, seed=5))
    assert not np.array_equal(samples[0], samples[1])
    assert not np.array_equal(samples[1], samples[2])
    again = drawing(picture, hole, num_samples=3, seed=5)
    assert all(np.array_equal(a, b) for a, b in zip(samples, again))


def test_the_global_random_state_is_left_alone(drawing) -> None:
    picture, hole = _scene((40, 40))
    before = torch.get_rng_state()
    drawing(picture, hole)
    assert torch.equal(before, torch.get_rng_state())


def test_running_out_of_memory_halves_the_batch(drawing, caplog) -> None:
    picture, hole = _scene((40, 40))
    expected = drawing([picture] * 8, hole, seed=range(8))
    drawing.network.largest_batch = 3
    results = drawing([picture] * 8, hole, seed=range(8))
    assert all(np.array_equal(a, b) for a, b in zip(expected, results))
    assert "batches of 2" in caplog.text
    drawing.network.largest_batch = 0
    with pytest.raises(torch.OutOfMemoryError):
        drawing(picture, hole)


def test_the_processor_running_out_of_memory_counts_too(drawing, monkeypatch) -> None:
    picture, hole = _scene((40, 40))
    expected = drawing([picture] * 4, hole)
    fill = drawing.network.fill

    def greedy(visible: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        if len(visible) > 2:
            torch.empty(2**55)
        return fill(visible, hole, latents)

    monkeypatch.setattr(drawing.network, "fill", greedy)
    results = drawing([picture] * 4, hole)
    assert all(np.array_equal(a, b) for a, b in zip(expected, results))


def test_a_hole_that_is_everything_is_filled_with_a_warning(harmonic, lama, drawing) -> None:
    picture, hole = _scene((40, 40))
    for inpainter in (harmonic, lama, drawing):
        for strategy in ("resize", "crop"):
            with pytest.warns(UserWarning, match="100%"):
                result = inpainter(picture, np.ones_like(hole), strategy=strategy)
            assert result.shape == picture.shape


@pytest.mark.filterwarnings("ignore:100% of mask is hole")
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 400)], ids=str)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_extreme_sizes(harmonic, lama, strategy, size) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    hole = np.zeros(size, dtype=bool)
    hole[0, 0] = True
    for inpainter in (harmonic, lama):
        result = inpainter(picture, hole, strategy=strategy)
        assert result.shape == picture.shape
        assert np.array_equal(result[~hole], picture[~hole])


def test_copies_and_threads_answer_alike(lama) -> None:
    scenes = [_scene((48, 40), seed) for seed in range(6)]
    expected = [lama(*scene) for scene in scenes]
    again = pickle.loads(pickle.dumps(lama))
    assert np.array_equal(again(*scenes[0]), expected[0])
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda scene: lama(*scene), scenes))
    assert all(np.array_equal(a, b) for a, b in zip(expected, results))


def test_half_precision_stays_close(lama) -> None:
    picture, hole = _scene((64, 64))
    torch.manual_seed(0)
    half = fmi.Inpainter(models.create("lama", blocks=1, width=8), device="cpu", dtype="bfloat16")
    difference = half(picture, hole).astype(int) - lama(picture, hole)
    assert np.abs(difference).max() <= 12


def test_phone_photo_comes_back_upright_and_aligned(harmonic, tmp_path) -> None:
    sample = fmi.data.sample(256)
    upright = np.asarray(sample.image)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the stored picture lies on its side
    Image.fromarray(np.rot90(upright)).save(tmp_path / "phone.png", exif=exif)
    hole = fmi.SemanticMasker()(sample.label_map, "eyes")
    result = harmonic(tmp_path / "phone.png", hole)
    assert np.array_equal(np.asarray(result)[~hole], upright[~hole])


class TestBadInput:
    def test_masks(self, harmonic) -> None:
        picture, hole = _scene((40, 40))
        with pytest.raises(MaskError, match=r"40.*20|20.*40"):
            harmonic(picture, hole[:20])
        with pytest.raises(MaskError, match=r"empty|no hole"):
            harmonic(picture, np.zeros_like(hole))
        with pytest.raises(MaskError):
            harmonic(picture, np.full((40, 40), np.nan))

    def test_pictures(self, harmonic, tmp_path) -> None:
        picture, hole = _scene((40, 40))
        with pytest.raises(ImageError, match="nowhere"):
            harmonic(tmp_path / "nowhere.png", hole)
        with pytest.raises(ImageError):
            harmonic(np.full((40, 40, 3), np.nan, dtype=np.float32), hole)
        whole = tmp_path / "whole.png"
        Image.fromarray(picture).save(whole)
        (tmp_path / "half.png").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(ImageError, match=r"half\.png"):
            harmonic(tmp_path / "half.png", hole)

    def test_options(self, harmonic, drawing) -> None:
        picture, hole = _scene((40, 40))
        for wrong in ({"strategy": "stretch"}, {"blend": "soft"}, {"num_samples": 0}):
            with pytest.raises(OptionError):
                drawing(picture, hole, **wrong)
        with pytest.raises(OptionError, match="deterministic"):
            harmonic(picture, hole, num_samples=2)
        for seed in (None, 1.5, "7", [None], 2**70):
            with pytest.raises(OptionError, match="seed"):
                drawing(picture, hole, seed=seed)
        assert np.array_equal(
            drawing(picture, hole, seed=np.int64(3)), drawing(picture, hole, seed=3)
        )
        for margin in (-1.0, float("nan"), float("inf")):
            with pytest.raises(OptionError, match="margin"):
                drawing(picture, hole, strategy="crop", margin=margin)
        for device in ("nonsense", "cuda:x", "meta"):
            with pytest.raises(OptionError, match=device):
                fmi.Inpainter(Drawing(), device=device)
        with pytest.raises(OptionError, match="2 seeds for 1"):
            drawing(picture, hole, seed=[1, 2])
        with pytest.raises(SizeError, match="resize"):
            drawing(picture, hole, strategy="pad")
        with pytest.raises(OptionError, match="bfloat16"):
            fmi.Inpainter(Drawing(), dtype="int8")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"batch_size": None},
            {"batch_size": 1.5},
            {"margin": "a"},
            {"margin": -1},
            {"value_range": 5},
            {"value_range": (255, 0)},
            {"border": -3},
            {"border": "x"},
            {"num_samples": "2"},
            {"num_samples": None},
        ],
        ids=str,
    )
    def test_numbers_of_other_types_are_named(self, harmonic, wrong: dict[str, object]) -> None:
        picture, hole = _scene((40, 40))
        with pytest.raises(OptionError, match=f"^{next(iter(wrong))} "):
            harmonic(Image.fromarray(picture), hole, **wrong)

    def test_whole_floats_count_and_misspelt_options_are_hinted_at(self, harmonic) -> None:
        picture, hole = _scene((40, 40))
        expected = harmonic(picture, hole, blend="feather", border=4)
        given = {"blend": "feather", "border": 4.0, "num_samples": 1.0}
        assert np.array_equal(harmonic(picture, hole, **given), expected)
        with pytest.raises(TypeError, match="did you mean 'strategy'"):
            harmonic(picture, hole, stratgy="pad")

    def test_names(self, tmp_path) -> None:
        with pytest.raises(UnknownNameError, match="lama"):
            fmi.Inpainter.from_pretrained("lamma")
        with pytest.raises(CheckpointError, match=r"config\.json"):
            fmi.Inpainter.from_pretrained(tmp_path)
        with pytest.raises(CheckpointError, match="from_checkpoint"):
            fmi.Inpainter.from_pretrained(__file__)
        with pytest.raises(OptionError, match="dtype"):  # said before anything is fetched
            fmi.Inpainter.from_pretrained("lama", dtype="float23", local_files_only=True)
        with pytest.raises(WeightsNotFoundError, match=r"T-former|tformer"):
            fmi.Inpainter.from_pretrained("tformer")
        (tmp_path / "config.json").write_text("{}")
        (tmp_path / "model.safetensors").write_bytes(b"nothing")
        with pytest.raises(CheckpointError):
            fmi.Inpainter.from_pretrained(tmp_path)


class TestSaving:
    def test_folder_round_trip_is_exact(self, lama, tmp_path) -> None:
        picture, hole = _scene((64, 64))
        folder = lama.save_pretrained(tmp_path / "lama")
        again = fmi.Inpainter.from_pretrained(folder, device="cpu")
        assert again.network.options == {"blocks": 1, "width": 8}
        assert np.array_equal(lama(picture, hole), again(picture, hole))

    def test_official_file_equals_its_converted_folder(self, tmp_path, official_lama) -> None:
        picture, hole = _scene((64, 64))
        direct = fmi.Inpainter.from_checkpoint(official_lama, "lama", device="cpu")
        direct.save_pretrained(tmp_path / "lama")
        again = fmi.Inpainter.from_pretrained(tmp_path / "lama", device="cpu")
        assert np.array_equal(direct(picture, hole), again(picture, hole))

    def test_a_section_may_have_been_saved_alone(self, tmp_path) -> None:
        tensors = recipe.official_tensors("deepfillv2", "manifest.json")
        torch.save({"G": tensors, "D": {"weight": torch.zeros(1)}}, tmp_path / "whole.pth")
        torch.save(tensors, tmp_path / "alone.pth")
        whole, alone = (
            fmi.Inpainter.from_checkpoint(tmp_path / name, "deepfillv2", device="cpu").network
            for name in ("whole.pth", "alone.pth")
        )
        own = alone.state_dict()
        assert all(torch.equal(own[key], value) for key, value in whole.state_dict().items())
