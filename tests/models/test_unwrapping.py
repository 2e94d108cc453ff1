"""Published copies that differ in prefixes, in the order of axes, and in what was left out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from facemask_inpaint.errors import CheckpointError
from facemask_inpaint.models import _registry
from facemask_inpaint.models._unwrapping import channels_first, roles_of, unwrapped
from tests.parity import recipe

LAYOUTS = [
    *(("aotgan", "manifest"), ("cmt", "manifest"), ("comodgan", "manifest")),
    *(("comodgan", "manifest.tf"), ("comodgan", "manifest.thirdparty"), ("madf", "manifest")),
    *(("deepfillv2", "manifest"), ("deepfillv2", "manifest.pt"), ("lama", "manifest")),
    *(("latentcode", "manifest"), ("ldm", "manifest.celeba256"), ("ldm", "manifest")),
    *(("mat", "manifest"), ("migan", "manifest"), ("repaint", "manifest")),
    ("tformer", "manifest"),
]
WRAPPERS = ["module.", "_orig_mod.", "generator.", "netG.", "G_ema.", "model.generator.", "x:y."]


def published(architecture: str, manifest: str) -> dict[str, Tensor]:
    """Tensors of the right shapes, without memory, under the keys of the published file."""
    shapes = recipe.official_shapes(architecture, f"{manifest}.json")
    roles = roles_of(_registry.network_class(architecture))
    named = {}
    for key, shape in shapes.items():
        file, parted, own = key.partition("::")
        role = next((one for one in roles if parted and one in file), "")
        named[f"{role}/{own}" if role else key] = torch.empty(shape, device="meta")
    return named


def wrapped(tensors: dict[str, Tensor], wrapper: str, roles: list[str]) -> dict[str, Tensor]:
    """The same with ``wrapper`` before every key, and a stranger beside them."""
    starts = [role for role in roles if any(key.startswith(f"{role}/") for key in tensors)]
    for role in starts:
        tensors = {
            key.replace(f"{role}/", f"{role}/{wrapper}", 1)
            if key.startswith(f"{role}/")
            else key: t
            for key, t in tensors.items()
        }
    if not starts:
        tensors = {wrapper + key: t for key, t in tensors.items()}
    return {**tensors, "discriminator.w": torch.empty(1, device="meta")}


each_layout = pytest.mark.parametrize(
    ("architecture", "manifest"), LAYOUTS, ids=["-".join(layout) for layout in LAYOUTS]
)


@each_layout
def test_no_wrapper_hides_a_network(architecture: str, manifest: str) -> None:
    network = _registry.network_class(architecture)
    tensors = unwrapped(network, published(architecture, manifest))
    assert network.official_options(tensors)
    for wrapper in WRAPPERS:
        found = unwrapped(network, wrapped(dict(tensors), wrapper, roles_of(network)))
        assert found.keys() == tensors.keys(), wrapper


def test_every_network_with_weights_can_be_found() -> None:
    weightless = {"harmonic"}
    classes = {name: _registry.network_class(name) for name in _registry.list_architectures()}
    assert {name for name, one in classes.items() if not one.anchors} == weightless


def test_kernels_in_the_order_of_mlx_are_turned() -> None:
    """All kernels as MLX keeps them, or all but a constant that a converter left alone."""
    tensors = migan_tensors()
    constant = "synthesis.b8.upsample.filter_const"
    expected = _registry.from_official("migan", tensors).state_dict()
    for kept in ((), (constant,)):
        turned = {
            key: t.permute(0, 2, 3, 1).contiguous() if t.ndim == 4 and key not in kept else t
            for key, t in tensors.items()
        }
        assert turned["encoder.b4.conv1.conv1.weight"].shape == (32, 3, 3, 1)
        found = _registry.from_official("migan", turned).state_dict()
        assert all(torch.equal(found[key], t) for key, t in expected.items())


@each_layout
def test_kernels_in_the_order_of_torch_are_left_alone(architecture: str, manifest: str) -> None:
    tensors = published(architecture, manifest)
    assert all(channels_first(tensors)[key] is tensor for key, tensor in tensors.items())


def migan_tensors() -> dict[str, Tensor]:
    """Random tensors under MI-GAN's official keys, narrow and for 16 x 16 pictures."""
    torch.manual_seed(0)
    shapes = recipe.official_shapes("migan", "manifest.json")
    narrow = {
        key: tuple(size // 16 if size >= 64 else size for size in shape)
        for key, shape in shapes.items()
        if key.split(".")[1] in ("b4", "b8", "b16")
    }
    narrow |= {
        key.replace("b256", "b16"): (32, *shape[1:])[: len(shape)]
        for key, shape in shapes.items()
        if "fromrgb" in key
    }
    return {key: torch.randn(shape) for key, shape in narrow.items()}


@pytest.mark.parametrize(
    ("left_out", "lost"),
    [
        ("noise_const", ["noise"]),
        ("noise_strength", ["noise_strength"]),
        ("noise_", ["noise", "noise_strength"]),
        ("filter", []),
    ],
)
def test_migan_without_constants_loads(left_out: str, lost: list[str]) -> None:
    tensors = migan_tensors()
    network = _registry.from_official("migan", without(tensors, left_out))
    state = network.state_dict()
    whole = _registry.from_official("migan", tensors).state_dict()
    for key, tensor in whole.items():
        gone = key.rpartition(".")[2] in lost
        assert torch.equal(state[key], torch.zeros_like(tensor) if gone else tensor), key


def test_noise_that_is_partly_there_is_a_damaged_file() -> None:
    tensors = migan_tensors()
    del tensors["synthesis.b8.conv1.noise_const"]
    with pytest.raises(CheckpointError, match=r"missing decoder\.1\.enter\.noise"):
        _registry.from_official("migan", tensors)


def without(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in tensors.items() if f".{name}" not in key}


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: torch.zeros(()),
        lambda t: torch.zeros(0),
        lambda t: t[None, None],
        lambda t: t.flatten()[None],
    ],
    ids=["scalar", "empty", "deeper", "flat"],
)
@pytest.mark.parametrize("architecture", ["lama", "mat", "migan", "aotgan", "repaint", "tformer"])
def test_surprising_shapes_end_in_one_sentence(
    architecture: str, spoil: Callable[[Tensor], Tensor]
) -> None:
    shapes = recipe.official_shapes(architecture, "manifest.json")
    with torch.device("meta"):
        tensors = {key: torch.empty(shape) for key, shape in shapes.items()}
        anchor = _registry.network_class(architecture).anchors[0]
        (spoilt,) = (key for key in tensors if key == anchor or key.endswith(f".{anchor}"))
        tensors[spoilt] = spoil(tensors[spoilt])
        with pytest.raises(CheckpointError):
            _registry.from_official(architecture, tensors)
