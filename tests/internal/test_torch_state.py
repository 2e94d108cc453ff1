"""The host program's settings of PyTorch: no result depends on them, and none is changed."""

from __future__ import annotations

import contextlib
import locale
import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import facemask_inpaint as fmi
from facemask_inpaint import data, images, metrics, models
from facemask_inpaint._internal.torch_state import Override, ordinary_torch
from facemask_inpaint.images.masks import allow_large_holes
from tests.models.reduced import REDUCED, build

HOSTS = ("float64", "bfloat16", "device", "autocast", "inference_mode", "no_grad")


@contextlib.contextmanager
def host(kind: str) -> Iterator[None]:
    """A program that has set something before it calls the library."""
    blocks = {
        "autocast": torch.autocast("cpu", torch.bfloat16),
        "inference_mode": torch.inference_mode(),
        "no_grad": torch.no_grad(),
    }
    try:
        if kind in ("float64", "bfloat16"):
            torch.set_default_dtype(getattr(torch, kind))
        if kind == "device":
            torch.set_default_device("meta")
        with blocks.get(kind, contextlib.nullcontext()):
            yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


def _jobs() -> dict[str, Callable[[], Any]]:
    sample = data.sample(256)
    hole = fmi.SemanticMasker()(sample.label_map, "nose")
    image = np.asarray(sample.image.resize((64, 64)))
    square = np.zeros((64, 64), dtype=bool)
    square[20:40, 20:40] = True
    reduced = {name: build(name) for name in ("comodgan", "mat", "lama")}
    harmonic = fmi.Inpainter.from_pretrained("harmonic")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 40, 8)).astype(np.float32)

    def inpaint(name: str) -> np.ndarray:
        side = REDUCED[name].side
        picture = np.asarray(sample.image.resize((side, side)))
        mask = np.zeros((side, side), dtype=bool)
        mask[side // 4 : side // 2, side // 4 : side // 2] = True
        return fmi.Inpainter(reduced[name], device="cpu")(picture, mask, seed=3)

    def created() -> list[np.ndarray]:
        torch.manual_seed(5)
        network = models.create("lama", width=8, blocks=1)
        return [one.detach().numpy() for one in network.parameters()]

    def pixels() -> list[float]:
        other = np.roll(image, 3, axis=1)
        reader = metrics.PairReader(device="cpu", progress=False)
        return [m([image], [other], reader=reader).value for m in (metrics.psnr, metrics.ssim)]

    def of_features() -> list[float]:
        reader = metrics.FeatureReader(progress=False)
        return [m(*features, reader=reader).value for m in (metrics.fid, metrics.kid, metrics.uids)]

    def masks() -> np.ndarray:
        sampler = fmi.MixedMaskSampler(64, seed=1)
        batch = sampler.batch([sample.label_map] * 3, indices=range(3))
        assert batch.dtype == torch.float32
        assert batch.device.type == "cpu"
        return batch.numpy()

    return {
        "lite": lambda: np.asarray(fmi.Inpainter.from_pretrained("lite")(sample.image, hole)),
        "poisson": lambda: harmonic(image, square, blend="poisson"),
        "crop": lambda: fmi.Inpainter.from_pretrained("lite")(image, square, strategy="crop"),
        "parser": lambda: fmi.SemanticMasker(parser="small")(np.asarray(sample.image), "eyes"),
        "created": created,
        "pixels": pixels,
        "features": of_features,
        "masks": masks,
        **{name: lambda name=name: inpaint(name) for name in reduced},
    }


@pytest.fixture(scope="module")
def jobs() -> dict[str, Callable[[], Any]]:
    return _jobs()


@pytest.fixture(scope="module")
def expected(jobs: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    return {name: job() for name, job in jobs.items()}


NAMES = ("lite", "poisson", "crop", "parser", "created", "pixels", "features", "masks")
NAMES += ("comodgan", "mat", "lama")


@pytest.mark.parametrize("kind", HOSTS)
@pytest.mark.parametrize("name", NAMES)
def test_results_do_not_depend_on_the_host(
    name: str, kind: str, jobs: dict[str, Callable[[], Any]], expected: dict[str, Any]
) -> None:
    with host(kind):
        before = state()
        found = jobs[name]()
        assert {**state(), "rng": None} == {**before, "rng": None}
    for one, other in zip(flat(found), flat(expected[name]), strict=True):
        np.testing.assert_array_equal(one, other)


def flat(found: Any) -> list[np.ndarray]:
    return [np.asarray(one) for one in found] if isinstance(found, list) else [np.asarray(found)]


def state() -> dict[str, Any]:
    """What a call must leave as it was."""
    cudnn = torch.backends.cudnn
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "threads": torch.get_num_threads(),
        "cudnn": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic),
        "precision": torch.get_float32_matmul_precision(),
        "rng": torch.random.default_generator.get_state().numpy().tobytes(),
        "numpy": repr(np.random.get_state()),
        "errstate": np.geterr(),
        "filters": list(warnings.filters),
        "folder": os.getcwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "environment": dict(os.environ),
    }


@pytest.mark.parametrize("name", [name for name in NAMES if name != "created"])
def test_nothing_is_changed(name: str, jobs: dict[str, Callable[[], Any]]) -> None:
    before = state()
    jobs[name]()
    assert state() == before


@pytest.mark.parametrize("name", ["migan", "ldm", "latentcode"])
def test_loading_weights_draws_nothing(name: str, tmp_path: Path) -> None:
    folder = fmi.Inpainter(build(name), device="cpu").save_pretrained(tmp_path / name)
    before = state()
    loaded = fmi.Inpainter.from_pretrained(folder, device="cpu").network.state_dict()
    assert state() == before
    for key, value in build(name).state_dict().items():
        assert torch.equal(loaded[key], value.float() if value.is_floating_point() else value)


@pytest.mark.parametrize("kind", ["float64", "device", "inference_mode"])
def test_what_a_host_loads_can_be_trained_afterwards(kind: str) -> None:
    with host(kind):
        network = fmi.Inpainter.from_pretrained("lite", device="cpu").network
    image, hole = torch.zeros(1, 3, 256, 256), torch.zeros(1, 1, 256, 256)
    hole[..., 16:32, 16:32] = 1
    network.train().requires_grad_(True)
    network(image, hole).sum().backward()
    assert all(p.dtype == torch.float32 and p.device.type == "cpu" for p in network.parameters())


@pytest.mark.parametrize("kind", ["float64", "device", "no_grad"])
@pytest.mark.parametrize("name", ["lite", "comodgan", "ldm"])
def test_bare_networks_draw_and_compute_alike(name: str, kind: str) -> None:
    side, network = REDUCED[name].side, build(name)
    image = torch.linspace(-1, 1, 3 * side * side).reshape(1, 3, side, side)
    hole = torch.zeros(1, 1, side, side)
    hole[..., side // 4 : side // 2, side // 4 : side // 2] = 1

    def answer() -> torch.Tensor:
        return network(image, hole, generator=torch.Generator().manual_seed(1)).detach()

    expected = answer()
    with host(kind):
        found = answer()
    assert torch.equal(found, expected)


def test_other_threads_keep_the_host_s_defaults() -> None:
    """PyTorch's own switch would reach them."""
    seen, inside, done = [], threading.Event(), threading.Event()

    def bystander() -> None:
        inside.wait()
        seen.append(torch.zeros(1).dtype)
        done.set()

    thread = threading.Thread(target=bystander)
    thread.start()
    with host("float64"):
        with ordinary_torch():
            inside.set()
            done.wait()
            assert torch.zeros(1).dtype == torch.float32
        assert torch.zeros(1).dtype == torch.float64
    thread.join()
    assert seen == [torch.float64]


def test_large_holes_in_threads_leave_the_filters_alone() -> None:
    before = list(warnings.filters)

    def ask() -> None:
        for _ in range(20):
            with allow_large_holes():
                images.decode_mask(np.ones((4, 4), dtype=bool), (4, 4))
                time.sleep(0.001)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert caught == []
    assert list(warnings.filters) == before


def test_overlapping_overrides_put_back_what_was_there() -> None:
    switch = {"threads": 8}
    override = Override(lambda: switch["threads"], lambda v: switch.update(threads=v), 1)
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    first.enter_context(override)
    second.enter_context(override)
    first.close()  # the first to come is the first to go
    assert switch == {"threads": 1}
    second.close()
    assert switch == {"threads": 8}
