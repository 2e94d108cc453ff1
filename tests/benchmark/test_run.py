"""What a run writes, what it leaves alone when it is called again, and what it refuses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facemask_inpaint import Inpainter, SemanticMasker, benchmark, models
from facemask_inpaint.benchmark import PredictionFolder, Run
from facemask_inpaint.benchmark.metrics import benchmark_metrics, checked_metrics, metric_row
from facemask_inpaint.benchmark.stages.predict import image_seed
from facemask_inpaint.errors import (
    FacemaskInpaintError,
    OptionError,
    UnknownNameError,
    WeightsNotFoundError,
)
from facemask_inpaint.metrics import (
    FeatureMetric,
    FeatureReader,
    PairReader,
    fid,
    psnr,
    random_convolutions,
    ssim,
)
from facemask_inpaint.metrics.features import efficientnet
from facemask_inpaint.metrics.features.extractors import WEIGHTS_VARIABLE
from tests.models.reduced import build

from .runs import WITHOUT_HAIR, Counted, portraits, results, small_run, tables, write_model


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two methods, two classes."""
    methods = {"harmonic": "harmonic", "grey": Counted()}
    return small_run(methods, tmp_path_factory.mktemp("run") / "out", compare=True)


def test_images_are_where_they_should_be(finished: Run) -> None:
    with_hair = [key for key in finished.keys if key not in WITHOUT_HAIR]
    assert len(with_hair) == 6
    for method in ("harmonic", "grey"):
        for mask_class, keys in (("eyes", finished.keys), ("hair", with_hair)):
            folder = finished.prediction(64, method, mask_class, "x").parent
            assert {path.stem for path in folder.iterdir()} == set(keys)
    count = Counter((one.method, one.mask_class) for one in finished.cases)
    assert count == {(m, c): n for m in ("harmonic", "grey") for c, n in (("eyes", 8), ("hair", 6))}


def test_masks_are_the_maskers_and_known_pixels_stay(finished: Run) -> None:
    masker = SemanticMasker()
    for face in portraits(3):
        hole = masker(face.read_label_map(), "eyes", size=64)
        mask = np.asarray(Image.open(finished.mask(64, "eyes", face.key)))
        assert ((mask == 255) == hole).all()
        original = np.asarray(Image.open(finished.original(64, face.key)))
        filled = np.asarray(Image.open(finished.prediction(64, "harmonic", "eyes", face.key)))
        assert (original[~hole] == filled[~hole]).all()
        assert (original[hole] != filled[hole]).any()


def test_metrics_and_scores_are_those_of_the_metrics(finished: Run) -> None:
    folder = finished.prediction(64, "grey", "hair", "x").parent
    keys = sorted(path.stem for path in folder.iterdir())
    fakes = [folder / f"{key}.png" for key in keys]
    reals = [finished.original(64, key) for key in keys]
    masks = [finished.mask(64, "hair", key) for key in keys]
    pairs = PairReader(device="cpu", progress=False)
    scores = {s.metric: s for s in finished.scores if (s.method, s.mask_class) == ("grey", "hair")}
    for metric in (psnr, ssim):
        expected = metric(reals, fakes, masks, reader=pairs)
        score = scores[f"{metric.__name__}_hole"]
        assert score.value == pytest.approx(expected.value, rel=1e-5)
        assert score.n == 6
        assert score.low < score.value < score.high
    reader = FeatureReader(random_convolutions("cpu"), progress=False)
    assert scores["fid"].value == pytest.approx(fid(reals, fakes, reader=reader).value, rel=1e-5)
    assert scores["fid"].low is None  # six images in 64 dimensions: no honest interval
    assert any("not comparable" in text for text in scores["fid"].warnings)
    assert any("singular" in text for text in scores["fid"].warnings)


def test_every_case_has_its_diagnostics(finished: Run) -> None:
    for one in finished.cases:
        assert {"l1_hole", "psnr_hole", "ssim_hole", "seam", "colour_shift"} <= set(one.metrics)
        assert 0 < one.hole_share < 1


def test_a_parser_says_whether_a_component_came_back(tmp_path: Path) -> None:
    methods = {
        "kept": lambda image, mask: image,
        "upside-down": lambda image, mask: image.rotate(180),
    }
    how = {"classes": "nose,eyes", "resolutions": (256,), "reader": None, "metrics": ("l1_hole",)}
    run = small_run(methods, tmp_path, portraits(2), parser="small", **how)
    found = {(s.method, s.mask_class): s.value for s in run.scores if s.metric == "agreement"}
    for mask_class in ("nose", "eyes"):
        assert found["kept", mask_class] > 0.4
        assert found["upside-down", mask_class] < 0.7 * found["kept", mask_class]
    with pytest.raises(OptionError, match="parser small"):
        small_run(methods, tmp_path, portraits(2), **how)


def test_pairs_of_methods_are_compared_by_class(finished: Run) -> None:
    found = finished.comparison[64]["differences"]
    assert [(one["group"], one["n"]) for one in found] == [("eyes", 8), ("hair", 6)]
    assert {(one["first"], one["second"]) for one in found} == {("harmonic", "grey")}


def test_comparisons_say_how_p_values_were_adjusted(finished: Run) -> None:
    how = "Westfall-Young step-down max-T over 2 classes"
    assert finished.comparison[64]["adjustment"] == how
    assert finished.comparison[64]["provenance"]["exchanges"] == 9_999
    for suffix in ("md", "csv", "tex"):
        text = (finished.layout.tables / f"comparison-64.{suffix}").read_text(encoding="utf-8")
        assert how in text
    assert "Holm" not in text


def test_a_callers_few_exchanges_are_used_and_warned_of(tmp_path: Path) -> None:
    methods = {"harmonic": "harmonic", "grey": Counted()}
    run = small_run(methods, tmp_path, portraits(4), compare=True, exchanges=49)
    assert run.comparison[64]["smallest_p_adjusted"] == 0.02
    text = (run.layout.tables / "comparison-64.md").read_text(encoding="utf-8")
    assert "with 49 exchanges no adjusted p-value can be below 0.02" in text
    again = small_run(methods, tmp_path, portraits(4), compare=True)
    assert again.comparison[64]["smallest_p_adjusted"] == 0.0001


def test_provenance_is_recorded(finished: Run) -> None:
    harmonic, grey = finished.methods
    assert harmonic.digest
    assert harmonic.training_split == "none"
    assert grey.training == "not recorded"
    assert finished.settings["masker"]["dilate"] == 0.01
    assert finished.settings["extractors"]["features"].startswith("random-convolutions")
    assert {"facemask_inpaint", "torch"} <= set(finished.settings["versions"])
    assert [(e.name, e.letter, e.letter_from_study) for e in finished.classes] == [
        ("eyes", "A", False),
        ("hair", "G", True),
    ]


def test_times_are_kept_apart(finished: Run) -> None:
    assert {(one.method, one.resolution) for one in finished.timings} == {
        ("harmonic", 64),
        ("grey", 64),
    }
    assert all(one.seconds > 0 for one in finished.timings)
    assert b"s/image" not in b"".join(tables(finished.folder).values())


def test_the_same_call_again_does_nothing_and_changes_nothing(tmp_path: Path) -> None:
    method = Counted()
    small_run({"grey": method, "harmonic": "harmonic"}, tmp_path)
    before = tables(tmp_path) | results(tmp_path)
    assert method.calls == 14
    small_run({"grey": method, "harmonic": "harmonic"}, tmp_path)
    assert method.calls == 14
    assert tables(tmp_path) | results(tmp_path) == before


def test_a_new_method_class_or_resolution_computes_only_what_is_new(tmp_path: Path) -> None:
    first, second = Counted(), Counted(shade=60)
    small_run({"first": first}, tmp_path, classes="eyes")
    assert first.calls == 8
    run = small_run({"second": second}, tmp_path, classes="eyes")
    assert (first.calls, second.calls) == (8, 8)
    assert [one.name for one in run.methods] == ["first", "second"]
    small_run({"first": first, "second": second}, tmp_path, classes="hair")
    assert (first.calls, second.calls) == (14, 14)
    run = small_run({"second": second}, tmp_path, classes="hair", resolutions=(32,))
    assert (first.calls, second.calls) == (14, 28)
    assert run.resolutions == (32, 64)
    assert [one.name for one in run.classes] == ["eyes", "hair"]
    straight = small_run(
        {"first": first, "second": second}, tmp_path / "straight", classes="hair,eyes"
    )
    same = [one for one in run.scores if one.resolution == 64]
    assert same == [one for one in straight.scores if one.resolution == 64]


def test_an_unmeasured_image_is_measured_but_not_filled_again(tmp_path: Path) -> None:
    method = Counted()
    small_run({"grey": method}, tmp_path)
    before = results(tmp_path)
    journal = tmp_path / "work" / "cases-0.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:5]) + lines[5][:40])
    small_run({"grey": method}, tmp_path)
    assert method.calls == 14
    assert results(tmp_path) == before


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    run = small_run(["harmonic"], tmp_path, portraits(2), classes="eyes")
    half = run.prediction(64, "harmonic", "eyes", "x").with_name(".x.fmi.part.png")
    half.write_bytes(b"half")
    small_run(["harmonic"], tmp_path, portraits(2), classes="eyes")
    assert not half.exists()


@pytest.mark.parametrize("keep", [0, 60, -8])
def test_damaged_features_are_made_anew(tmp_path: Path, keep: int) -> None:
    method = {"grey": Counted()}
    options: dict[str, Any] = {"classes": "eyes", "metrics": ("kid",)}
    small_run(method, tmp_path, portraits(3), **options)
    before = results(tmp_path)
    for path in (tmp_path / "work" / "features").rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:keep])
    small_run(method, tmp_path, portraits(3), **options)
    assert results(tmp_path) == before


def test_a_deleted_image_is_filled_again(tmp_path: Path) -> None:
    run = small_run(["harmonic"], tmp_path)
    path = run.prediction(64, "harmonic", "eyes", run.keys[0])
    before = path.read_bytes()
    path.unlink()
    small_run(["harmonic"], tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"dtype": "bfloat16"}, "dtype float32, not bfloat16"),
        ({"masker": SemanticMasker(dilate=4)}, "dilate 0.01, not 4"),
        ({"faces": portraits(5)}, r"portraits 8 .* not 5"),
    ],
)
def test_settings_that_would_change_finished_work_are_refused(
    finished: Run, change: dict[str, object], named: str
) -> None:
    with pytest.raises(OptionError, match=named) as refused:
        small_run(["harmonic"], finished.folder, **change)
    assert "\n" not in str(refused.value)
    assert str(finished.folder) in str(refused.value)


def test_other_weights_under_the_same_name_are_refused(tmp_path: Path) -> None:
    small_run({"net": Inpainter(build("migan", seed=1), device="cpu")}, tmp_path, classes="eyes")
    with pytest.raises(OptionError, match="weights of method net"):
        small_run({"net": Inpainter(build("migan", seed=2), device="cpu")}, tmp_path)


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(OptionError, match="not empty and holds no run"):
        small_run(["harmonic"], tmp_path)


def test_bad_arguments_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for options, error in (
        ({"classes": "moustache"}, UnknownNameError),
        ({"metrics": ["fidd"]}, UnknownNameError),
        ({"metrics": "fid,psnrr"}, UnknownNameError),
        ({"metrics": ["agreement"]}, OptionError),
        ({"metrics": [7]}, OptionError),
        ({"exchanges": 0}, OptionError),
        ({"dtype": "foo"}, OptionError),
        ({"dtype": "int64"}, OptionError),
        ({"dtype": "zeros"}, OptionError),
        ({"resolutions": (0,)}, OptionError),
        ({"batch_size": 0}, OptionError),
        ({"masker": SemanticMasker(feather=3)}, OptionError),
    ):
        with pytest.raises(error):
            small_run(["harmonic"], out, **options)
    with pytest.raises(UnknownNameError):
        small_run(["harmonik"], out)
    with pytest.raises(OptionError, match="two methods are called harmonic"):
        small_run(["harmonic", "harmonic"], out)
    with pytest.raises(OptionError, match="cannot name a folder"):
        small_run({"../up": "harmonic"}, out)
    assert not out.exists()


def test_every_metric_can_be_asked_for() -> None:
    names = tuple(benchmark_metrics())
    assert checked_metrics(names, parser=True) == names


@pytest.mark.parametrize("metrics", ["fid", " fid , uids ", ("uids", "fid", "uids"), ["kid"]])
def test_metrics_are_names_however_they_are_given(tmp_path: Path, metrics: str | list[str]) -> None:
    run = small_run({"grey": Counted()}, tmp_path, portraits(3), classes="eyes", metrics=metrics)
    found = {one.metric for one in run.scores if isinstance(metric_row(one.metric), FeatureMetric)}
    assert found == set(metrics.replace(",", " ").split() if isinstance(metrics, str) else metrics)


def test_missing_inception_weights_stop_the_run_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "none.pth"))
    monkeypatch.setattr(efficientnet, "installed", lambda: False)
    method = Counted()
    with pytest.raises(WeightsNotFoundError) as refused:
        small_run({"grey": method}, tmp_path / "out", reader=None)
    assert "psnr_hole" in str(refused.value)
    assert "random-convolutions" in str(refused.value)
    assert "facemask-inpaint[features]" in str(refused.value)
    assert method.calls == 0
    run = small_run(
        {"grey": method}, tmp_path / "out", reader=None, metrics=["psnr_hole", "ssim_hole"]
    )
    assert method.calls == 14
    assert {"psnr_hole", "ssim_hole", "seam"} <= {one.metric for one in run.scores}
    assert "fid" not in {one.metric for one in run.scores}


def test_predictions_made_elsewhere_take_part(tmp_path: Path, finished: Run) -> None:
    made = finished.prediction(64, "harmonic", "eyes", "x").parents[1]
    run = small_run({"elsewhere": PredictionFolder(made), "harmonic": "harmonic"}, tmp_path)
    values = {
        name: [s.value for s in run.scores if s.method == name]
        for name in ("elsewhere", "harmonic")
    }
    assert values["elsewhere"] == values["harmonic"]
    assert {one.method for one in run.timings} == {"harmonic"}


def test_a_seed_depends_on_nothing_but_the_image(tmp_path: Path) -> None:
    write_model(tmp_path / "comodgan", "comodgan")
    one = small_run([tmp_path / "comodgan"], tmp_path / "one", batch_size=1, classes="eyes")
    two = small_run([tmp_path / "comodgan"], tmp_path / "two", batch_size=5, classes="eyes")
    for key in one.keys:
        first, second = (
            np.asarray(Image.open(run.prediction(64, "comodgan", "eyes", key))).astype(int)
            for run in (one, two)
        )
        assert np.abs(first - second).max() <= 1  # batches of other sizes may round otherwise
    seeds = {
        image_seed(s, resolution, c, k)
        for s in (0, 1)
        for resolution in (64, 128)
        for c in "ab"
        for k in "xyz"
    }
    assert len(seeds) == 24


def test_celeba_hq_names_what_checkpoints_have_seen(tmp_path: Path) -> None:
    faces = portraits()
    named = type(faces)("CelebAMask-HQ test", faces.faces)
    seen = Inpainter(build("migan"), card=models.card("mat-celebahq-512"), device="cpu")
    run = small_run({"seen": seen, "harmonic": "harmonic"}, tmp_path, named, classes="eyes")
    for score in run.scores:
        leaks = [text for text in score.warnings if "CelebA-HQ" in text]
        assert bool(leaks) == (score.method == "seen")


def test_upsampled_portraits_are_mentioned(tmp_path: Path) -> None:
    run = small_run(["harmonic"], tmp_path, portraits(2), classes="eyes", resolutions=(288,))
    assert all(any("upsampled" in text for text in one.warnings) for one in run.scores)


def test_a_data_set_that_cannot_be_read_at_all_ends_the_run(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for face in portraits(2):
        (tmp_path / "images" / face.image.name).write_bytes(face.image.read_bytes()[:900])
        (tmp_path / "labels" / face.label_map.name).write_bytes(face.label_map.read_bytes())
    with pytest.raises(FacemaskInpaintError, match="not one of the 2 portraits"):
        benchmark.run(["harmonic"], tmp_path, out=tmp_path / "out", metrics=["psnr_hole"])


def test_records_read_back(finished: Run) -> None:
    again = Run.open(finished.folder)
    assert again.scores == finished.scores
    assert again.methods == finished.methods
    lines = (finished.folder / "scores.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["metric"] == "fid"
    with pytest.raises(OptionError, match=r"no run\.json"):
        Run.open(finished.folder / "tables")
