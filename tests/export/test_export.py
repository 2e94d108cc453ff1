"""Exported graphs: what they compute, what is refused, and what a killed export leaves."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

from facemask_inpaint import Inpainter, benchmark, data
from facemask_inpaint.cli import main
from facemask_inpaint.errors import (
    CheckpointError,
    ExportError,
    IntegrityError,
    OptionError,
    SizeError,
)
from facemask_inpaint.export import ExportConfig, OnnxNetwork, checks, tracing, writing
from facemask_inpaint.inpainting import pretrained
from facemask_inpaint.metrics import FeatureReader, random_convolutions
from facemask_inpaint.models import InpaintingNetwork
from facemask_inpaint.models._denoising import DenoisingStep
from tests.models.reduced import build

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


class Drawing(InpaintingNetwork):
    """A network of one size that draws, small enough to be traced in a second."""

    architecture = "migan"
    native_resolution = 64
    any_size = False

    def latent_spec(self, n: int, h: int, w: int) -> dict[str, tuple[int, ...]]:
        return {"colour": (n, 3), "grain": (n, 1, 64, 64)}

    def fill(self, masked_image: Tensor, hole: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        mean = F.avg_pool2d(masked_image, 9, stride=1, padding=4)
        colour = latents["colour"][:, :, None, None]
        return torch.tanh(mean + hole * (colour + latents["grain"]) / 4)


class Denoising(InpaintingNetwork):
    """A diffusion network, small enough to be traced in a second."""

    architecture = "ldm"
    native_resolution = 64

    def __init__(self) -> None:
        super().__init__()
        self.unet = torch.nn.Conv2d(3, 3, 3, padding=1)

    def denoising_step(self, h: int, w: int) -> DenoisingStep:
        def predict(sample: Tensor, timestep: Tensor) -> Tensor:
            noise: Tensor = self.unet(sample) + timestep[:, None, None, None] / 1000
            return noise

        return DenoisingStep(predict, {"sample": (3, h, w), "timestep": ()}, [0.9, 0.5])


def _network(name: str) -> InpaintingNetwork:
    return Drawing().eval() if name == "drawing" else build(name)


@pytest.fixture(scope="module")
def drawing(exports: Path) -> Path:
    """A network that draws, of one size, with its pipeline."""
    return Inpainter(Drawing(), device="cpu").export(exports / "drawing")


@pytest.fixture(scope="module")
def lama(exports: Path) -> Path:
    """A network without draws, of any size, with its pipeline."""
    return Inpainter(build("lama"), device="cpu").export(exports / "lama")


def _image(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    hole = np.zeros((height, width), dtype=bool)
    hole[height // 4 : height // 2, width // 3 : width // 2] = True
    return pixels, hole


@pytest.mark.parametrize("name", ["drawing", "lama"])
@pytest.mark.parametrize("size", [(64, 64), (70, 83), (31, 88)])
def test_export_fills_as_the_network_does(
    name: str, size: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(name)
    image, hole = _image(*size)
    expected = Inpainter(_network(name), device="cpu")(image, hole, seed=4).astype(int)
    filled = Inpainter.from_onnx(folder)(image, hole, seed=4)
    assert np.abs(filled - expected).max() <= 1


@pytest.mark.parametrize("name", ["drawing", "lama"])
@pytest.mark.parametrize("of_ones", [False, True])
def test_pipeline_takes_pixels_of_any_size_and_keeps_the_known_ones(
    name: str, of_ones: bool, request: pytest.FixtureRequest
) -> None:
    session = checks.open_session(request.getfixturevalue(name) / "pipeline.onnx")
    image, hole = _image(59, 77)
    mask = hole.astype(np.uint8) * (1 if of_ones else 255)
    images, masks = np.stack([image, image[::-1]]), np.stack([mask, mask])
    composites = session.run(None, {"image": images, "mask": masks})[0]
    assert np.array_equal(composites[:, ~hole], images[:, ~hole])
    expected = Inpainter(_network(name), device="cpu")(list(images), [hole, hole], seed=0)
    for composite, filled in zip(composites, expected):
        assert np.abs(composite.astype(int) - filled).max() <= 1


def test_hidden_pixels_change_nothing_in_either_graph(drawing: Path) -> None:
    image, hole = _image(64, 64)
    spoilt = np.where(hole[..., None], 255 - image, image)
    pipeline = checks.open_session(drawing / "pipeline.onnx")
    network = checks.open_session(drawing / "model.onnx")
    mask = hole[None].astype(np.uint8)
    answers = []
    for pixels in (image, spoilt):
        planes = pixels.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
        prediction = network.run(None, {"image": planes, "mask": mask[:, None].astype(np.float32)})
        composite = pipeline.run(None, {"image": pixels[None], "mask": mask})
        answers.append((prediction[0], composite[0][0][hole]))
    assert all(np.array_equal(first, second) for first, second in zip(*answers))


def test_latents_are_inputs_that_may_be_left_out(drawing: Path) -> None:
    network = _network("drawing")
    session = checks.open_session(drawing / "model.onnx")
    image, mask = torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    mask[..., 16:40, 16:40] = 1
    feeds = {"image": image.numpy(), "mask": mask.numpy()}
    latents = network.draw_latents(1, 64, 64, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        drawn = network(image, mask, latents=latents)
        of_seed_0 = network(image, mask, generator=[torch.Generator().manual_seed(0)])
    given = session.run(None, feeds | {name: value.numpy() for name, value in latents.items()})[0]
    np.testing.assert_allclose(given, drawn, atol=1e-5)
    np.testing.assert_allclose(session.run(None, feeds)[0], of_seed_0, atol=1e-5)
    assert set(ExportConfig.read(drawing).latents) == set(latents)


def test_config_says_how_to_feed_the_graphs(lama: Path) -> None:
    config = json.loads((lama / "config.json").read_text())
    assert (config["size"], config["size_multiple"], config["strategy"]) == (None, 8, "pad")
    assert "1 = hole" in config["conventions"]["network"]["mask"]
    assert config["sha256"].keys() == {"model.onnx", "pipeline.onnx"}
    assert config["largest_difference"]["network"] <= 1e-5


def test_graph_holds_no_check_of_the_mask(lama: Path) -> None:
    graph = onnx.load(lama / "model.onnx").graph
    assert [value.name for value in graph.input] == ["image", "mask"]
    assert not {node.op_type for node in graph.node} & {"If", "Loop", "ReduceMin", "DFT"}


def test_changed_graph_and_missing_config_are_refused(lama: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.onnx"):
        (tmp_path / name).write_bytes((lama / name).read_bytes())
    with (tmp_path / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(IntegrityError, match="export it again"):
        OnnxNetwork(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"no config of an exported network"):
        OnnxNetwork(tmp_path)
    with pytest.raises(CheckpointError, match=r"holds no config\.json"):
        Inpainter.from_onnx(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("lama", {"format": "coreml"}, "format must be"),
        ("lama", {"dtype": "bfloat16"}, "float32 or float16"),
        ("lama", {"dtype": "float16"}, "FourierUnit leaves float16's range"),
        ("lama", {"size": 0}, "size must be a number"),
        ("repaint", {}, "many steps"),
        ("harmonic", {}, "solves a system of equations"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_sentence(
    name: str, arguments: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        Inpainter(_network(name), device="cpu").export(tmp_path / "out", **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_size_that_a_network_does_not_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SizeError, match="multiples of 8"):
        Inpainter(build("lama"), device="cpu").export(tmp_path, size=65)


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    inpainter = Inpainter(build("lama"), device="cpu")
    inpainter.save_pretrained(tmp_path)
    with pytest.raises(OptionError, match="choose another folder"):
        inpainter.export(tmp_path)


class _Different(InpaintingNetwork):
    """Answers otherwise when it is traced."""

    architecture = "lama"

    def fill(self, masked_image, hole, latents):  # type: ignore[no-untyped-def]
        return masked_image + 1e-3 * torch.compiler.is_exporting()


def test_graph_that_differs_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="differs from PyTorch"):
        writing.export_network(_Different(), tmp_path / "out", lambda image, hole: image)
    assert not list((tmp_path / "out").iterdir())


_KILLED = """
import sys
from facemask_inpaint import Inpainter, benchmark, data
from facemask_inpaint.export import checks
from tests.export.test_export import Drawing
def stop(*arguments):
    print("checking", flush=True)
    sys.stdin.read()
checks.check_network = stop
Inpainter(Drawing(), device="cpu").export(sys.argv[1], pipeline=False)
"""


def test_half_precision_stays_within_its_tolerance(drawing: Path, tmp_path: Path) -> None:
    folder = Inpainter(Drawing(), device="cpu").export(tmp_path / "half", dtype="float16")
    config = ExportConfig.read(folder)
    assert config.dtype == "float16"
    assert 1e-5 < config.largest_difference["network"] <= 2e-2
    image, hole = _image(64, 64)
    apart = Inpainter.from_onnx(folder)(image, hole, seed=4).astype(int)
    apart -= Inpainter.from_onnx(drawing)(image, hole, seed=4)
    assert np.abs(apart).max() <= 3


def test_lite_in_half_precision(tmp_path: Path) -> None:
    """Its clamps and its guard against infinite values stand in functions of the graph."""
    inpainter = Inpainter.from_pretrained("lite", device="cpu")
    folder = inpainter.export(tmp_path / "half", dtype="float16", pipeline=False, size=256)
    assert 1e-5 < ExportConfig.read(folder).largest_difference["network"] <= 2e-2


def test_a_graph_that_does_not_load_is_an_export_error(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ExportError, match="cannot load"):
        checks.open_session(tmp_path / "model.onnx")


def test_exports_are_copied_and_pickled_but_not_exported(drawing: Path, tmp_path: Path) -> None:
    inpainter = Inpainter.from_onnx(drawing)
    image, hole = _image(64, 64)
    expected = inpainter(image, hole, seed=4)
    for again in (copy.deepcopy(inpainter), pickle.loads(pickle.dumps(inpainter))):
        assert np.array_equal(again(image, hole, seed=4), expected)
    with pytest.raises(OptionError, match="cannot be exported"):
        inpainter.export(tmp_path / "again")


def test_diffusion_network_gives_one_step(tmp_path: Path) -> None:
    network = Denoising().eval()
    with pytest.raises(OptionError, match="pipeline=False"):
        Inpainter(network, device="cpu").export(tmp_path / "whole")
    assert not (tmp_path / "whole").exists()
    folder = Inpainter(network, device="cpu").export(tmp_path / "step", pipeline=False, size=32)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "step.onnx"]
    config = ExportConfig.read(folder)
    assert (config.step["sample"], list(config.alphas_cumprod)) == ((3, 32, 32), [0.9, 0.5])
    sample, timestep = torch.randn(5, 3, 32, 32), torch.arange(5)
    feeds = {"sample": sample.numpy(), "timestep": timestep.numpy()}
    predicted = checks.open_session(folder / "step.onnx").run(None, feeds)[0]
    with torch.no_grad():
        expected = network.denoising_step(32, 32).predict(sample, timestep)
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    with pytest.raises(CheckpointError, match=r"one step of ldm"):
        Inpainter.from_onnx(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ldm", "moebius", "repaint"])
def test_every_diffusion_network_exports_its_step(name: str, tmp_path: Path) -> None:
    inpainter = Inpainter(build(name), device="cpu")
    folder = inpainter.export(tmp_path / name, pipeline=False, size=256)
    assert ExportConfig.read(folder).largest_difference["step"] <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["aotgan", "cmt", "comodgan", "deepfillv2", "lite", "madf", "mat", "migan", "tformer"]
)
def test_every_network_exports(name: str, tmp_path: Path) -> None:
    folder = Inpainter(build(name), device="cpu").export(tmp_path / name)
    assert ExportConfig.read(folder).largest_difference["network"] <= 1e-5


def test_systems_of_equations_are_solved_as_by_torch() -> None:
    class Solve(torch.nn.Module):
        def forward(self, matrix: Tensor, right: Tensor) -> Tensor:
            vector = torch.linalg.solve_ex(matrix, right).result
            factor = torch.linalg.cholesky_ex(matrix).L
            solved = torch.cholesky_solve(right[:, :, None], factor)
            return vector + torch.linalg.solve_triangular(factor.mT, solved, upper=True)[:, :, 0]

    half = torch.randn(2, 9, 20, generator=torch.Generator().manual_seed(0))
    matrix, right = half @ half.mT, half[:, :, 0]
    free = {0: torch.export.Dim.DYNAMIC}
    model = tracing.to_onnx(
        Solve(), [matrix, right], [free, free], inputs=["matrix", "right"], outputs=["solved"]
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    solved = session.run(None, {"matrix": matrix.numpy(), "right": right.numpy()})[0]
    np.testing.assert_allclose(solved, Solve()(matrix, right), rtol=1e-5)


def test_killed_export_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "checking\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not [path for path in folder.iterdir() if not path.name.startswith(".")]
    with pytest.raises(CheckpointError):
        Inpainter.from_onnx(folder)


def test_exported_folder_is_a_method_of_the_benchmark(tmp_path: Path, lama: Path) -> None:
    faces = data.open_faces(Path(__file__).parents[1] / "data_portraits")[:2]
    run = benchmark.run(
        [lama],
        faces,
        out=tmp_path / "run",
        classes="eyes",
        resolutions=[64],
        reader=FeatureReader(random_convolutions("cpu")),
        device="cpu",
        progress=False,
    )
    assert not run.failures
    assert pretrained.weights_identity(lama) != pretrained.weights_stamp(lama)


def test_command_exports_and_the_folder_is_a_model(tmp_path: Path, lama: Path) -> None:
    image, hole = _image(40, 48)
    Image.fromarray(image).save(tmp_path / "image.png")
    Image.fromarray(hole).save(tmp_path / "mask.png")
    arguments = ["inpaint", tmp_path / "image.png", "--mask", tmp_path / "mask.png"]
    arguments += ["--model", lama, "--out", tmp_path / "out.png"]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png"))[~hole], image[~hole])
    refused = CliRunner().invoke(main, ["export", "harmonic", "--out", str(tmp_path / "harmonic")])
    assert refused.exit_code != 0
    assert "cannot be exported" in refused.output
