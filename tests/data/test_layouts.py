"""Made-up trees in the layout of every data set: read, flipped and masked right."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facemask_inpaint import MixedMaskSampler, SemanticMasker, benchmark, data, training
from facemask_inpaint.cli import main
from facemask_inpaint.data import LAYOUTS, Faces
from facemask_inpaint.errors import LabelMapError, OptionError, UnknownNameError
from facemask_inpaint.masks import flip_label_map, open_vocabulary, parse_vocabulary
from facemask_inpaint.training.dataset import TrainingImages
from facemask_inpaint.training.run import _sampler
from tests.masks.faces import BOXES, expected, face, face_in

ORDERS = {
    "facesynthetics": "facesynthetics",
    "lapa": "lapa",
    "ibugmask": "lapa",
    "easyportrait": "easyportrait",
    "splits": "bisenet",
}
"""Label order of the faces in each tree of faces."""

DOMAINS = {name: layout.vocabulary for name, layout in LAYOUTS.items() if name not in ORDERS}


def save(image: np.ndarray, path: Path) -> None:
    """Write an image and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def write_tree(root: Path, name: str, ids: np.ndarray) -> None:
    """Two images in every split, named as the data set names them, and what else lies about."""
    layout = LAYOUTS[name]
    shown = np.repeat(np.uint8(ids)[..., None] * 10, 3, axis=2)
    for folder in layout.splits.values():
        for number in (1, 2):
            key = f"{folder or 'all'}_{number:06}"
            image = layout.images.format(split=folder)
            image = image.replace("/*/", "/city/").replace("*", key)
            image = image if "." in Path(image).name else f"{image}.jpg"
            save(shown, root / image)
            place = {"split": folder, "folder": "city", "key": key}
            save(ids, root / layout.label_maps.format(**place))
            for extra in ("landmarks/{}.txt", "{}_landmark.txt", "{}_ldmks.txt"):
                keeps = {"lapa": "landmarks/{}.txt", "ibugmask": "{}_landmark.txt"}
                if keeps.get(name, "{}_ldmks.txt" if name == "facesynthetics" else "") == extra:
                    path = root / folder / extra.format(key)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text("1 2\n" * 70)


def opened(root: Path, name: str, split: str | None = None) -> Faces:
    """The tree, with the label order named where it has to be."""
    named = ORDERS[name] if name in ("easyportrait", "splits") else None
    return data.open_faces(root, split, label_order=named)


def test_every_layout_has_a_tree() -> None:
    assert {*ORDERS, *DOMAINS} == set(LAYOUTS)


@pytest.mark.parametrize("name", ORDERS)
def test_faces_are_read_flipped_and_masked_right(name: str, tmp_path: Path) -> None:
    write_tree(tmp_path, name, face_in(ORDERS[name]))
    faces = opened(tmp_path, name)
    assert len(faces) == 2
    source = faces[0].read_label_map()
    np.testing.assert_array_equal(source.ids, expected(ORDERS[name]))
    masker = SemanticMasker(0)
    for component in ("l_eye", "r_eye", "l_brow", "r_brow"):
        top, bottom, left, right = BOXES[component]
        hole = masker(source, component)
        assert hole[top:bottom, left:right].all()
        assert hole.sum() == (bottom - top) * (right - left)
        other = component.replace(component[0], {"l": "r", "r": "l"}[component[0]], 1)
        np.testing.assert_array_equal(masker(flip_label_map(source), other), hole[:, ::-1])
    assert faces.unavailable(masker.classes).keys() == {
        "lapa": {"ears", "head"},
        "easyportrait": {"nose", "mouth_and_nose", "ears", "hair", "face", "head"},
    }.get(ORDERS[name], set())


@pytest.mark.parametrize("name", DOMAINS)
def test_other_domains_are_read_flipped_and_masked_right(name: str, tmp_path: Path) -> None:
    vocabulary = open_vocabulary(DOMAINS[name])
    ids = np.full((32, 32), max(vocabulary.names), dtype=np.uint8)
    ids[:, 20:], ids[:2] = min(vocabulary.names), vocabulary.ignored[0]
    pairs = vocabulary.mirrored
    for row, (left, right) in enumerate(pairs, 3):
        ids[row, 2:4], ids[row, 8:14] = vocabulary.labels[right], vocabulary.labels[left]
    write_tree(tmp_path, name, ids)
    faces = data.open_faces(tmp_path)
    assert faces.vocabulary == vocabulary
    source = faces[1].read_label_map()
    np.testing.assert_array_equal(source.ids, ids)
    masker = SemanticMasker(0, vocabulary=faces.vocabulary)
    label = vocabulary.names[max(vocabulary.names)]
    np.testing.assert_array_equal(masker(source, label), ids == vocabulary.labels[label])
    flipped = flip_label_map(source)
    for left, right in pairs:
        np.testing.assert_array_equal(masker(flipped, left), masker(source, right)[:, ::-1])
        assert masker(source, left).sum() != masker(source, right).sum()
    assert data.check(faces, progress=False, min_side=32).ok


@pytest.mark.parametrize("name", LAYOUTS)
def test_splits(name: str, tmp_path: Path) -> None:
    layout = LAYOUTS[name]
    inside = tmp_path / layout.folder
    write_tree(inside, name, np.ones((16, 16), dtype=np.uint8))
    everything = opened(tmp_path, name, "all")
    assert len(everything) == 2 * len(layout.splits)
    for split in layout.splits:
        faces = opened(tmp_path, name, split)
        assert len(faces) == 2
        assert all(face.label_files() for face in faces)
        assert faces.name.startswith(f"{layout.title} {split}")
    with pytest.raises(UnknownNameError, match="split"):
        opened(tmp_path, name, "trian")


def test_an_order_that_nothing_states_has_to_be_named(tmp_path: Path) -> None:
    write_tree(tmp_path, "splits", face())
    with pytest.raises(OptionError, match=r"name the order of its label ids by label_order="):
        data.open_faces(tmp_path)
    faces = data.open_faces(tmp_path, label_order="celebamask-hq")
    np.testing.assert_array_equal(faces[0].read_label_map().ids, face())


def test_folders_of_ones_own_in_other_orders(tmp_path: Path) -> None:
    for key in ("a", "b"):
        save(np.zeros((64, 64, 3), np.uint8), tmp_path / "images" / f"{key}.png")
        save(face_in("bisenet"), tmp_path / "labels" / f"{key}.png")
    faces = data.open_faces(tmp_path, label_order="bisenet")
    np.testing.assert_array_equal(faces[0].read_label_map().ids, face())
    assert data.label_order_warning(faces) is None
    assert data.cache_label_maps(faces, tmp_path / "cache", progress=False) == faces
    wrong = data.check(data.open_faces(tmp_path), progress=False)
    assert wrong.warnings[0].startswith("2 of 2 label maps show no upright face")
    assert "in the order bisenet" in wrong.warnings[0]
    streets = data.open_faces(tmp_path, vocabulary="cityscapes")
    assert data.label_order_warning(streets) is None
    with pytest.raises(LabelMapError, match="the masker cuts faces"):
        data.check(streets, masker=SemanticMasker(), progress=False)


def test_a_benchmark_leaves_out_what_the_data_cannot_give(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_tree(tmp_path / "tree", "lapa", face_in("lapa"))
    common = {"resolutions": 32, "metrics": "l1_hole", "compare": False, "report": False}
    with caplog.at_level(logging.WARNING):
        run = benchmark.run(
            "harmonic", tmp_path / "tree", out=tmp_path / "run", classes="eyes,ears",
            device="cpu", progress=False, **common,
        )  # fmt: skip
    assert [entry.name for entry in run.classes] == ["eyes"]
    assert len(run.cases) == 2
    assert "left out: ears is not available from this data: LaPa" in caplog.text
    with pytest.raises(OptionError, match="ears is not available from this data"):
        benchmark.run("harmonic", tmp_path / "tree", out=tmp_path / "none", classes="ears")


def test_a_training_leaves_it_out_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_tree(tmp_path, "lapa", face_in("lapa"))
    faces = data.open_faces(tmp_path, "train")
    recipe = training.open_recipe("lite-smoke").changed(**{"masks.class_weights": {"ears": 2}})
    with caplog.at_level(logging.WARNING):
        sampler = _sampler(recipe, faces)
    assert set(sampler.masker.classes) - set(sampler.classes) == {"ears", "head"}
    assert "left out: head is not available" in caplog.text
    with pytest.raises(OptionError, match=r"set masks\.vocabulary=faces"):
        _sampler(
            recipe.changed(
                **{"masks.vocabulary": "lip", "masks.class_weights": {}, "masks.classes": "all"}
            ),
            faces,
        )
    validation = training.Validation(faces, 32, training.Masks(classes="eyes,ears"))
    assert [group.name for group in validation.groups] == ["eyes", "random"]


def test_the_mask_command_reads_other_orders(tmp_path: Path) -> None:
    write_tree(tmp_path, "lapa", face_in("lapa"))
    labels, out = tmp_path / "test" / "labels", tmp_path / "masks"
    command = ["mask", str(labels), "--classes", "eyes,ears", "--dilate", "0", "--out", str(out)]
    done = CliRunner().invoke(main, [*command, "--label-order", "lapa"])
    assert done.exit_code == 0, done.output
    assert "left out: ears is not available from this data: LaPa" in done.output
    hole = np.asarray(Image.open(out / "eyes" / "test_000001.png"))
    np.testing.assert_array_equal(hole > 0, np.isin(face_in("lapa"), (4, 5)))
    assert not (out / "ears").exists()
    wrong = CliRunner().invoke(main, [*command[:-1], str(tmp_path / "wrong")])
    assert "warning: 2 of 2 label maps show no upright face" in wrong.output
    alone = CliRunner().invoke(
        main,
        ["mask", str(labels), "--classes", "ears", "--out", str(out), "--label-order", "lapa"],
    )
    assert alone.exit_code == 1
    assert "none of these classes is available" in alone.output


def test_the_mask_command_cuts_streets(tmp_path: Path) -> None:
    ids = np.full((16, 16), 255, dtype=np.uint8)
    ids[4:8, 4:8] = open_vocabulary("cityscapes").labels["bus"]
    save(ids, tmp_path / "labels" / "a.png")
    command = ["mask", str(tmp_path / "labels"), "--vocabulary", "cityscapes", "--dilate", "0"]
    done = CliRunner().invoke(
        main, [*command, "--classes", "vehicle", "--out", str(tmp_path / "m")]
    )
    assert done.exit_code == 0, done.output
    hole = np.asarray(Image.open(tmp_path / "m" / "vehicle" / "a.png"))
    np.testing.assert_array_equal(hole > 0, ids != 255)


def test_sixteen_bits_go_through_benchmark_and_training(tmp_path: Path) -> None:
    wide = parse_vocabulary(
        {
            "name": "wide",
            "labels": {"ground": 0, "l tree": 300, "r tree": 40000},
            "mirrored": [["l tree", "r tree"]],
            "ignored": [65535],
        }
    )
    ids = np.zeros((64, 64), dtype=np.uint16)
    ids[8:40, 4:20], ids[8:40, 40:60], ids[60:] = 300, 40000, 65535
    for key in ("a", "b"):
        save(
            np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8),
            tmp_path / "images" / f"{key}.png",
        )
        save(ids, tmp_path / "labels" / f"{key}.png")
    faces = data.open_faces(tmp_path, vocabulary=wide)
    np.testing.assert_array_equal(faces[0].read_label_map().ids, ids)
    masker = SemanticMasker(0, vocabulary=wide)
    run = benchmark.run(
        "harmonic", faces, out=tmp_path / "run", classes="l_tree", masker=masker, resolutions=32,
        metrics="l1_hole", compare=False, report=False, device="cpu", progress=False,
    )  # fmt: skip
    assert len(run.cases) == 2
    assert not run.failures
    hole = np.asarray(Image.open(run.mask(32, "l_tree", "a"))) > 0
    np.testing.assert_array_equal(hole, (ids == 300)[::2, ::2])
    sampler = MixedMaskSampler(64, 1.0, masker=masker, classes="r_tree")
    turned = training.Augmentation(flip=1.0, rotation=5)
    batch = TrainingImages(faces, 64, sampler, turned, seed=0)[0]
    assert batch.classes == ("r_tree",)
    columns = np.nonzero(batch.hole[0, 0].numpy())[1]
    assert columns.mean() > 40  # where the left tree is mirrored to
