"""The Inception network and its front ends against the published extractors' answers."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facemask_inpaint import checkpoints
from facemask_inpaint.errors import (
    CheckpointError,
    OptionError,
    UnknownNameError,
    WeightsNotFoundError,
)
from facemask_inpaint.metrics import InceptionExtractor
from facemask_inpaint.metrics.features._precision import exact_float32
from facemask_inpaint.metrics.features.extractors import WEIGHTS_VARIABLE
from facemask_inpaint.metrics.features.frontends import FRONT_ENDS
from facemask_inpaint.metrics.features.inception import Inception2015

from . import synth

SIZES = ("256x256", "512x512", "299x299", "218x178", "64x64")
FEATURE_TOLERANCE = 1e-4
# Published: 1e-5 for torch_fidelity, 5e-5 for stylegan, 2e-3/127.5 for clean.
INPUT_TOLERANCE = {
    "torch_fidelity": 1e-5,
    "stylegan": 5e-5,
    "clean": 2e-3 / 127.5,
    "pytorch_fid": 1e-5,
    "torchmetrics": 1e-5,
}


@pytest.fixture(scope="module")
def network(inception_tensors: Mapping[str, Tensor]) -> Inception2015:
    return Inception2015.from_official(inception_tensors)


def pictures_for(golden: Mapping[str, np.ndarray], tag: str, count: int = 1) -> Tensor:
    height, width = (int(side) for side in tag.split("x"))
    found = synth.pictures(count, height, width)
    assert [zlib.crc32(one.tobytes()) for one in found] == golden[f"crc32_{tag}"][:count].tolist()
    return torch.from_numpy(found).permute(0, 3, 1, 2)


@pytest.mark.parametrize("tag", SIZES)
@pytest.mark.parametrize("mode", FRONT_ENDS)
def test_front_end_input(golden: Mapping[str, np.ndarray], tag: str, mode: str) -> None:
    expected = golden[f"input_{mode}_{tag}"]
    step = {23: 13, 12: 26}[expected.shape[-1]]  # the bundled part is thinned once more
    found = FRONT_ENDS[mode](pictures_for(golden, tag))[0, :, ::step, ::step]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=INPUT_TOLERANCE[mode])


@pytest.mark.parametrize("tag", SIZES)
def test_features(network: Inception2015, golden: Mapping[str, np.ndarray], tag: str) -> None:
    picture = pictures_for(golden, tag)
    with torch.inference_mode():
        found = network(torch.cat([front_end(picture) for front_end in FRONT_ENDS.values()]))
    for mode, features in zip(FRONT_ENDS, found):
        expected = golden[f"{mode}_{tag}"][0]
        np.testing.assert_allclose(features, expected, rtol=0, atol=FEATURE_TOLERANCE, err_msg=mode)


def test_taps_and_logits(network: Inception2015, golden: Mapping[str, np.ndarray]) -> None:
    x = FRONT_ENDS["torch_fidelity"](pictures_for(golden, "256x256"))
    features = {tap: network(x, tap) for tap in (64, 192, 768, 2048)}
    found = {f"dim{tap}": features[tap] for tap in (64, 192, 768)}
    found["logits"] = network.logits(features[2048])
    found["logits_unbiased"] = network.logits(features[2048], bias=False)
    for name, values in found.items():
        expected = golden[f"torch_fidelity_{name}_256x256"][:1]
        np.testing.assert_allclose(values, expected, rtol=0, atol=FEATURE_TOLERANCE, err_msg=name)
    scripted = FRONT_ENDS["stylegan"](pictures_for(golden, "256x256"))
    probabilities = network.logits(network(scripted)).softmax(dim=1)
    np.testing.assert_allclose(probabilities, golden["stylegan_softmax_256x256"][:1], atol=1e-4)
    with pytest.raises(ValueError, match="no map of width 100"):
        network(x, 100)


def test_a_batch_is_its_pictures(inception: InceptionExtractor) -> None:
    batch = torch.from_numpy(synth.pictures(2, 64, 64)).permute(0, 3, 1, 2)
    together = inception(inception.prepare(batch))
    alone = torch.cat([inception(inception.prepare(one[None])) for one in batch])
    torch.testing.assert_close(together, alone, rtol=0, atol=2e-5)


# The names of StyleGAN's archive, restated from the published table.
SCRIPTED_BLOCKS = {
    "Conv2d_1a_3x3": "conv",
    "Conv2d_2a_3x3": "conv_1",
    "Conv2d_2b_3x3": "conv_2",
    "Conv2d_3b_1x1": "conv_3",
    "Conv2d_4a_3x3": "conv_4",
} | {
    f"Mixed_{name}": "mixed" + (f"_{index}" if index else "")
    for index, name in enumerate(["5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"])
}
SCRIPTED_BRANCHES = {
    "5": "branch1x1=conv branch5x5_1=tower.conv branch5x5_2=tower.conv_1 "
    "branch3x3dbl_1=tower_1.conv branch3x3dbl_2=tower_1.conv_1 branch3x3dbl_3=tower_1.conv_2 "
    "branch_pool=tower_2.conv",
    "6a": "branch3x3=conv branch3x3dbl_1=tower.conv branch3x3dbl_2=tower.conv_1 "
    "branch3x3dbl_3=tower.conv_2",
    "6": "branch1x1=conv branch7x7_1=tower.conv branch7x7_2=tower.conv_1 branch7x7_3=tower.conv_2 "
    "branch7x7dbl_1=tower_1.conv branch7x7dbl_2=tower_1.conv_1 branch7x7dbl_3=tower_1.conv_2 "
    "branch7x7dbl_4=tower_1.conv_3 branch7x7dbl_5=tower_1.conv_4 branch_pool=tower_2.conv",
    "7a": "branch3x3_1=tower.conv branch3x3_2=tower.conv_1 branch7x7x3_1=tower_1.conv "
    "branch7x7x3_2=tower_1.conv_1 branch7x7x3_3=tower_1.conv_2 branch7x7x3_4=tower_1.conv_3",
    "7": "branch1x1=conv branch3x3_1=tower_conv branch3x3_2a=tower_mixed_conv "
    "branch3x3_2b=tower_mixed_conv_1 branch3x3dbl_1=tower_1_conv branch3x3dbl_2=tower_1_conv_1 "
    "branch3x3dbl_3a=tower_1_mixed_conv branch3x3dbl_3b=tower_1_mixed_conv_1 "
    "branch_pool=tower_2_conv",
}
SCRIPTED_PARTS = {
    "conv.weight": "weight",
    "bn.bias": "beta",
    "bn.running_mean": "mean",
    "bn.running_var": "var",
}


def scripted_key(key: str) -> str | None:
    """StyleGAN's name of a tensor; ``None`` where its archive has none."""
    if key.startswith("fc."):
        return key.replace("fc", "output")
    block, *branch, module, part = key.split(".")
    if f"{module}.{part}" not in SCRIPTED_PARTS:
        return None
    name = f"layers.{SCRIPTED_BLOCKS[block]}"
    if branch:
        kind = block.removeprefix("Mixed_")
        table = SCRIPTED_BRANCHES.get(kind, SCRIPTED_BRANCHES[kind[0]])
        name += "." + dict(pair.split("=") for pair in table.split())[branch[0]]
    return f"{name}.{SCRIPTED_PARTS[f'{module}.{part}']}"


def scripted_module(tensors: Mapping[str, Tensor]) -> nn.Module:
    root = nn.Module()
    for key, tensor in tensors.items():
        *path, leaf = key.split(".")
        owner = root
        for name in path:
            if name not in owner._modules:
                owner.add_module(name, nn.Module())
            owner = owner.get_submodule(name)
        owner.register_buffer(leaf, tensor)
    return root


def test_three_containers_hold_the_same_network(
    inception_tensors: Mapping[str, Tensor], inception_file: Path, tmp_path: Path
) -> None:
    uncounted = {k: v for k, v in inception_tensors.items() if "num_batches" not in k}
    torch.save(uncounted, tmp_path / "weights-inception.pth")
    renamed = {scripted_key(key): tensor for key, tensor in inception_tensors.items()}
    del renamed[None]
    assert len(renamed) == 378
    archive = torch.jit.script(scripted_module(renamed))
    archive.save(str(tmp_path / "inception-2015-12-05.pt"))
    files = [inception_file, *sorted(tmp_path.iterdir())]
    digests = [Inception2015.from_official(checkpoints.read(f).tensors).digest() for f in files]
    assert len(files) == 3
    assert len(set(digests)) == 1


def test_weights_that_do_not_fit(inception_tensors: Mapping[str, Tensor]) -> None:
    tensors = dict(inception_tensors)
    del tensors["Mixed_6b.branch_pool.bn.bias"]
    with pytest.raises(CheckpointError, match=r"Mixed_6b.branch_pool.bn.bias.*is missing"):
        Inception2015.from_official(tensors)
    tensors = dict(inception_tensors) | {"fc.bias": torch.zeros(1000)}
    with pytest.raises(CheckpointError, match=r"\(1000,\), needed \(1008,\)"):
        Inception2015.from_official(tensors)


def test_truncated_file_is_refused(inception_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "short.pth"
    broken.write_bytes(inception_file.read_bytes()[:818_371])
    with pytest.raises(CheckpointError, match=r"short\.pth"):
        InceptionExtractor(weights=broken, device="cpu")


def test_weights_by_environment(
    inception_file: Path, monkeypatch: pytest.MonkeyPatch, inception: InceptionExtractor
) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(inception_file))
    assert InceptionExtractor(device="cpu").identity == inception.identity
    monkeypatch.setenv(WEIGHTS_VARIABLE, "nowhere.pth")
    with pytest.raises(WeightsNotFoundError, match=WEIGHTS_VARIABLE):
        InceptionExtractor(device="cpu")


def test_identity_tells_extractors_apart(inception_file: Path) -> None:
    made = [
        InceptionExtractor(name, weights=inception_file, device="cpu", dtype=dtype, tap=tap)
        for name, dtype, tap in (
            ("stylegan", "float32", 64),
            ("stylegan", "bfloat16", 64),
            ("clean", "float32", 64),
            ("stylegan", "float32", 192),
        )
    ]
    assert len({extractor.identity for extractor in made}) == 4
    picture = torch.from_numpy(synth.pictures(1, 64, 64)).permute(0, 3, 1, 2)
    exact, half = (extractor(extractor.prepare(picture)) for extractor in made[:2])
    assert half.dtype == torch.float32
    assert 1e-4 < float((exact - half).abs().max()) < 0.1


def test_unknown_options(inception_file: Path) -> None:
    with pytest.raises(UnknownNameError, match="stylegan, torch_fidelity"):
        InceptionExtractor("tensorflow", weights=inception_file)
    with pytest.raises(OptionError, match="float64"):
        InceptionExtractor(weights=inception_file, dtype="float64")
    with pytest.raises(OptionError, match="width 512"):
        InceptionExtractor(weights=inception_file, tap=512)


def test_tf32_is_off_inside_and_restored() -> None:
    def switches() -> tuple[object, object]:
        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        if hasattr(cudnn, "conv"):
            return cudnn.conv.fp32_precision, matmul.fp32_precision
        return cudnn.allow_tf32, matmul.allow_tf32

    before = switches()
    with exact_float32(torch.device("cuda")):
        inside = switches()
    assert inside in (("ieee", "ieee"), (False, False))
    assert switches() == before


@pytest.mark.cuda
def test_features_on_cuda(inception_file: Path, inception: InceptionExtractor) -> None:
    pictures = torch.from_numpy(synth.pictures(2, 256, 256)).permute(0, 3, 1, 2)
    on_device = InceptionExtractor(weights=inception_file, device="cuda")
    found = on_device(on_device.prepare(pictures.cuda())).cpu()
    expected = inception(inception.prepare(pictures))
    torch.testing.assert_close(found, expected, rtol=0, atol=FEATURE_TOLERANCE)
