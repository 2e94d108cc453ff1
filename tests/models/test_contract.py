"""What every network keeps to, whatever it computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

import facemask_inpaint
from facemask_inpaint.errors import MaskError, MissingDependencyError, SizeError
from facemask_inpaint.metrics.features._precision import exact_float32
from facemask_inpaint.models import InpaintingNetwork, _registry
from tests.models.reduced import REDUCED, build

PORTRAIT = Path(facemask_inpaint.__file__).parent / "data" / "samples" / "portrait_256.png"


@pytest.fixture(scope="module", params=_registry.list_architectures())
def architecture(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def network(architecture: str) -> InpaintingNetwork:
    return build(architecture)


@pytest.fixture(scope="module")
def batch(architecture: str) -> tuple[Tensor, Tensor]:
    """Two different pictures with two different holes."""
    side = REDUCED[architecture].side
    picture = Image.open(PORTRAIT).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    image = torch.from_numpy(np.asarray(picture, dtype=np.float32)).permute(2, 0, 1) / 127.5 - 1
    images = torch.stack([image, image.flip(2).roll(7, 1)])
    masks = torch.zeros(2, 1, side, side)
    masks[0, :, side // 4 : side // 2, side // 4 : side // 2] = 1
    masks[1, :, side // 2 :, side // 3 : side // 2] = 1
    return images, masks


@torch.inference_mode()
def answer(network: InpaintingNetwork, image: Tensor, mask: Tensor, seed: int = 5) -> Tensor:
    """The network's answer with one generator per picture, so that a batch is no matter."""
    seeds = range(seed, seed + len(image))
    return network(image, mask, generator=[torch.Generator().manual_seed(s) for s in seeds])


def test_answers_in_shape_and_dtype(
    network: InpaintingNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    out = answer(network, *batch)
    assert (out.shape, out.dtype, out.device) == (batch[0].shape, torch.float32, batch[0].device)
    assert torch.isfinite(out).all()
    assert out.std() > 0.05, "too flat for these tests: raise its gain in reduced.py"


def test_is_built_for_inference_and_knows_its_options(
    architecture: str, network: InpaintingNetwork
) -> None:
    assert not network.training
    assert network.options == REDUCED[architecture].options


def test_same_seed_same_answer(network: InpaintingNetwork, batch: tuple[Tensor, Tensor]) -> None:
    assert torch.equal(answer(network, *batch), answer(network, *batch))


def test_batch_equals_single(network: InpaintingNetwork, batch: tuple[Tensor, Tensor]) -> None:
    together = answer(network, *batch)
    for i, (image, mask) in enumerate(zip(*batch)):
        alone = answer(network, image[None], mask[None], seed=5 + i)
        torch.testing.assert_close(together[i : i + 1], alone, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("garbage", [1.0, -1e4, 1e30])
def test_hidden_pixels_change_nothing(
    network: InpaintingNetwork, batch: tuple[Tensor, Tensor], garbage: float
) -> None:
    image, mask = batch
    spoilt = torch.where(mask == 1, torch.full_like(image, garbage), image)
    assert torch.equal(answer(network, image, mask), answer(network, spoilt, mask))


def test_known_pixels_matter_in_the_hole(
    network: InpaintingNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    image, mask = batch
    other = torch.where(mask == 1, image, -image)
    apart = (answer(network, image, mask) - answer(network, other, mask)).abs()
    assert (apart * mask).amax(dim=(1, 2, 3)).min() > 1e-5


def test_the_mask_matters(network: InpaintingNetwork, batch: tuple[Tensor, Tensor]) -> None:
    image, mask = batch
    assert not torch.allclose(answer(network, image, mask), answer(network, image, mask.flip(2)))


def test_state_dict_round_trip(
    architecture: str, network: InpaintingNetwork, batch: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    other = build(architecture, seed=1)
    _registry.load_exactly(other, load_file(tmp_path / "model.safetensors"))
    assert torch.equal(answer(network, *batch), answer(other, *batch))


def test_latents_are_named_and_repeat_a_run(
    network: InpaintingNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    image, mask = batch
    n, _, h, w = image.shape
    spec = network.latent_spec(n, h, w)
    assert all(shape[0] == n for shape in spec.values())
    generators = [torch.Generator().manual_seed(5 + i) for i in range(n)]
    drawn = {
        name: torch.cat([network.draw(name, (1, *shape[1:]), one) for one in generators])
        for name, shape in spec.items()
    }
    with torch.inference_mode():
        given = network(image, mask, latents=drawn)
    assert torch.equal(given, answer(network, image, mask))


def test_unknown_and_misshapen_latents_are_refused(
    network: InpaintingNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    with pytest.raises(ValueError, match="unknown latents"):
        network(*batch, latents={"no such draw": torch.zeros(2)})
    n, _, h, w = batch[0].shape
    for name in network.latent_spec(n, h, w):
        with pytest.raises(ValueError, match="has shape"):
            network(*batch, latents={name: torch.zeros(2, 3, 5, 7, 11)})


def test_impossible_sizes_are_refused_by_name(
    architecture: str, network: InpaintingNetwork
) -> None:
    side = REDUCED[architecture].side
    image, mask = torch.zeros(1, 3, side, side + 1), torch.ones(1, 1, side, side + 1)
    if network.any_size and network.size_multiple == 1:
        assert answer(network, image, mask).shape == image.shape
        return
    needed = network.size_multiple if network.any_size else network.native_resolution
    with pytest.raises(SizeError, match=str(needed)):
        network(image, mask)


def test_other_sizes_are_taken_where_promised(
    architecture: str, network: InpaintingNetwork
) -> None:
    if not network.any_size:
        pytest.skip("this network takes one size only")
    h = REDUCED[architecture].side
    w = h + network.size_multiple
    mask = torch.zeros(1, 1, h, w)
    mask[..., h // 4 : h // 2, h // 4 : h // 2] = 1
    assert answer(network, torch.zeros(1, 3, h, w), mask).shape == (1, 3, h, w)


def test_masks_must_be_two_valued_and_fit(
    network: InpaintingNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    image, mask = batch
    with pytest.raises(MaskError, match="0 \\(known\\) and 1 \\(hole\\)"):
        network(image, mask * 0.5)
    with pytest.raises(MaskError, match="mask must be"):
        network(image, mask[..., :-1])


def test_every_parameter_gets_a_gradient(architecture: str, batch: tuple[Tensor, Tensor]) -> None:
    network = build(architecture).train()
    if not REDUCED[architecture].trainable or not list(network.parameters()):
        pytest.skip("nothing to train")
    network(*batch, generator=torch.Generator().manual_seed(0)).square().mean().backward()
    parameters = dict(network.named_parameters())
    assert not [name for name, p in parameters.items() if p.grad is None]
    assert all(torch.isfinite(p.grad).all() for p in parameters.values())
    assert any(p.grad.abs().max() > 0 for p in parameters.values())


def test_bfloat16_runs(architecture: str, batch: tuple[Tensor, Tensor]) -> None:
    network = build(architecture).to(torch.bfloat16)
    out = answer(network, *(part.to(torch.bfloat16) for part in batch))
    assert out.dtype == torch.bfloat16
    assert torch.isfinite(out).all()


def test_weights_laid_out_for_a_cpu_change_nothing(
    architecture: str, batch: tuple[Tensor, Tensor]
) -> None:
    network = build(architecture)
    expected, state = answer(network, *batch), network.state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    network.lay_out()
    torch.testing.assert_close(answer(network, *batch), expected, atol=2e-5, rtol=1e-5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_channels_last_changes_nothing(
    network: InpaintingNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    last = (part.contiguous(memory_format=torch.channels_last) for part in batch)
    torch.testing.assert_close(
        answer(network, *last), answer(network, *batch), atol=2e-5, rtol=1e-5
    )


@pytest.mark.slow
def test_compiled_network_answers_alike(
    architecture: str, network: InpaintingNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    if not REDUCED[architecture].trainable:
        pytest.skip("nothing to compile")
    torch.testing.assert_close(
        answer(torch.compile(network), *batch), answer(network, *batch), atol=1e-4, rtol=1e-4
    )


@pytest.mark.cuda
def test_cuda_answers_like_the_cpu(architecture: str, batch: tuple[Tensor, Tensor]) -> None:
    try:
        network = build(architecture)
    except MissingDependencyError as error:  # GPU machines often have little installed
        pytest.skip(str(error))
    expected = answer(network, *batch)
    with exact_float32(torch.device("cuda")):  # the rounding of TF32 is PyTorch's, not ours
        ours = answer(network.cuda(), *(part.cuda() for part in batch))
    torch.testing.assert_close(ours.cpu(), expected, atol=1e-3, rtol=1e-3)
