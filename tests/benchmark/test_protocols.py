"""Protocols: what pins them, their masks as files, and runs that follow them."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facemask_inpaint import benchmark, data
from facemask_inpaint.benchmark import Protocol
from facemask_inpaint.benchmark.mask_sources import FreeFormMasks, SemanticMasks
from facemask_inpaint.benchmark.protocols import (
    export_masks,
    find_protocol,
    protocol_text,
    verify_masks,
)
from facemask_inpaint.benchmark.protocols.export import MANIFEST, MaskManifest, probe_digest
from facemask_inpaint.benchmark.protocols.leakage import leaks
from facemask_inpaint.benchmark.protocols.published import PROTOCOLS
from facemask_inpaint.benchmark.protocols.records import Split, keys_digest
from facemask_inpaint.benchmark.store.records import MethodEntry
from facemask_inpaint.cli import main
from facemask_inpaint.errors import OptionError, UnknownNameError
from tests.benchmark.runs import PORTRAITS, portraits
from tests.data.official import write_dataset

KEYS = list(range(9))
PINNED = {
    "study-celebamaskhq-512": "c1589523f100",
    "mat-celeba512": "7fc89b99430c",
    "lama-celebahq-256": "0d011780ec33",
    "pixelhacker-celebahq-512": "2678d2b106da",
}
"""Who changes a protocol raises its version, and the hash here."""

SMALL = Protocol(
    name="small",
    version=1,
    title="for tests",
    split=Split(data="CelebAMask-HQ", partition="celeba", part="val", count=3),
    masks=FreeFormMasks(generators=(("large", "mat"), ("thin", "lama_thin")), seed=3),
    resolutions=(64,),
    metrics=("l1",),
    extractors=(),
)


@pytest.fixture(scope="module")
def celebamask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "CelebAMask-HQ"
    write_dataset(root, KEYS)
    return root


def _files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".png", ".sha256")
    }


def test_protocols_are_pinned() -> None:
    assert {item.name: item.sha256[:12] for item in PROTOCOLS} == PINNED
    assert replace(SMALL, title="other words").sha256 == SMALL.sha256
    assert replace(SMALL, seed=1).sha256 != SMALL.sha256
    with pytest.raises(UnknownNameError, match="mat-celeba512"):
        find_protocol("mat-celeba")


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_this_machine_makes_the_masks_of_every_protocol(protocol: Protocol) -> None:
    assert probe_digest(protocol) == protocol.probe


def test_the_order_of_keys_does_not_matter() -> None:
    expected = hashlib.sha256(b"3\n28\n1999\n").hexdigest()
    assert keys_digest(["28", "1999", "3"]) == expected
    last = keys_digest(str(key) for key in range(24_000, 30_000))
    assert last == find_protocol("study-celebamaskhq-512").split.keys_sha256


@pytest.mark.parametrize(
    "masks", [SMALL.masks, SemanticMasks(classes=("eyes", "hair"))], ids=["drawn", "cut"]
)
def test_masks_are_the_same_files_whatever_the_workers(
    masks: FreeFormMasks | SemanticMasks, celebamask: Path, tmp_path: Path
) -> None:
    protocol = replace(SMALL, masks=masks)
    faces = data.celebamask_hq(celebamask, "all")
    written = []
    for workers in (1, 4, 4):
        folder = tmp_path / str(len(written))
        manifest = export_masks(protocol, faces, folder, workers=workers, progress=False)
        assert manifest.sha256 == hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
        written.append(_files(folder))
    assert len(written[0]) == len(KEYS) * 2 + 1
    assert written[0] == written[1] == written[2]


def test_lists_with_other_line_endings_give_the_same_masks(
    celebamask: Path, tmp_path: Path
) -> None:
    keys = ["8", "3", "0"]
    split = Split(
        data="CelebAMask-HQ",
        partition="listed",
        part="test",
        count=3,
        keys_sha256=keys_digest(keys),
    )
    protocol, hashes = replace(SMALL, split=split), set()
    for name, end in (("unix", b"\n"), ("windows", b"\r\n")):
        listed = tmp_path / f"{name}.flist"
        listed.write_bytes(end.join(f"{key}.jpg".encode() for key in keys) + end)
        faces = split.open(celebamask, listed)
        assert split.deviation(faces) is None
        hashes.add(export_masks(protocol, faces, tmp_path / name, progress=False).sha256)
    assert len(hashes) == 1
    manifest = tmp_path / "unix" / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b"\n", b"\r\n"))
    assert MaskManifest.read(tmp_path / "unix").sha256 in hashes
    assert verify_masks(tmp_path / "unix", progress=False) == []
    with pytest.raises(OptionError, match="published list"):
        split.open(celebamask)
    (tmp_path / "unix.flist").write_text("3\n4\n5\n")
    with pytest.raises(OptionError, match="another list"):
        split.open(celebamask, tmp_path / "unix.flist")


def test_a_changed_a_missing_and_a_surplus_mask_are_named(celebamask: Path, tmp_path: Path) -> None:
    faces = data.celebamask_hq(celebamask, "val")
    export_masks(SMALL, faces, tmp_path, progress=False)
    again, changed, missing = (tmp_path / "64" / "large" / f"{key}.png" for key in (1, 4, 7))
    with Image.open(again) as mask:
        mask.convert("RGB").save(again, compress_level=9)  # the same pixels in another file
    Image.new("L", (64, 64), 255).save(changed)
    missing.rename(tmp_path / "surplus.png")
    problems = verify_masks(tmp_path, progress=False)
    assert len(problems) == 3
    assert problems[0] == "64/large/4.png is another mask"
    assert "7.png" in problems[1]
    assert problems[2] == "surplus.png is not in the manifest"


def test_a_run_follows_its_protocol_and_carries_its_hash(celebamask: Path, tmp_path: Path) -> None:
    methods = {"seen": "mat-celebahq-512", "listed": "lama-celebahq-256", "none": "harmonic"}
    run = _run("harmonic", celebamask, tmp_path / "run")
    export_masks(SMALL, SMALL.split.open(celebamask), tmp_path / "masks", progress=False)
    exported = {
        path: np.asarray(Image.open(tmp_path / "masks" / path)) for path in _masks(tmp_path)
    }
    for path, mask in exported.items():
        np.testing.assert_array_equal(np.asarray(Image.open(run.folder / "masks" / path)), mask)
    assert run.protocol == SMALL.record()
    assert [entry.name for entry in run.classes] == ["large", "thin"]
    rows = csv.DictReader((run.layout.tables / "scores-64.csv").open(encoding="utf-8"))
    assert {row["protocol"] for row in rows} == {SMALL.sha256}
    assert SMALL.label in (run.layout.tables / "scores-64.md").read_text(encoding="utf-8")
    entries = [
        vars(MethodEntry(name, source, training_split=split))
        for (name, source), split in zip(methods.items(), ("celeba-train", "lama-train", "none"))
    ]
    settings = {**run.settings, "methods": entries}
    texts = {leak.method: leak.text for leak in leaks(benchmark.Run(run.layout, settings))}
    assert texts == {"seen": "0 of 3", "listed": "up to 3 of 3", "none": "0 of 3"}
    with pytest.raises(OptionError, match="begun with protocol small v1"):
        _run("harmonic", celebamask, tmp_path / "run", replace(SMALL, seed=0, version=2))


def _masks(folder: Path) -> list[str]:
    return list(MaskManifest.read(folder / "masks").masks)


def _run(method: str, dataset: Path, out: Path, protocol: Protocol = SMALL) -> benchmark.Run:
    return benchmark.run(
        method,
        dataset,
        out=out,
        protocol=protocol,
        device="cpu",
        compare=False,
        report=False,
        progress=False,
    )


def test_the_train_part_is_seen_by_those_who_trained_on_it(celebamask: Path) -> None:
    faces = data.celebamask_hq(celebamask, "test", "first-4")
    assert [face.key for face in faces] == ["4", "5", "6", "7", "8"]
    assert faces.trained_on["celeba-train"] & {face.key for face in faces} == {"6"}
    everything = data.celebamask_hq(celebamask, "all")
    assert everything[:4].trained_on["celeba-train"] == {"0", "3", "6"}


def test_a_rehearsal_says_where_it_deviates() -> None:
    found = SMALL.deviations(portraits(), ("psnr",), ("clean",), "bfloat16")
    assert found == (
        "8 portraits of data_portraits, not the 3 of CelebAMask-HQ",
        "without l1",
        "computed in bfloat16, not float32",
    )
    mat = find_protocol("mat-celeba512")
    assert "features by clean, not stylegan" in mat.deviations(
        portraits(), mat.metrics, ("clean",), "float32"
    )


def test_a_protocol_goes_through_a_file(tmp_path: Path) -> None:
    for protocol in (SMALL, *PROTOCOLS):
        path = tmp_path / f"{protocol.name}.yaml"
        path.write_text(protocol_text(protocol), encoding="utf-8", newline="\r\n")
        assert find_protocol(str(path)) == protocol
        assert find_protocol(str(path)).sha256 == protocol.sha256


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version: 1", "version: one", "version is a number"),
        ("version: 1\n", "", "needs the field version"),
        ("seed: 3", "sede: 3", "sede"),
        ("kind: free-form", "kind: drawn", "kind of"),
        ("large: mat", "large: matt", "generator"),
        ("split:", "split: 3\nsplits:", "split is a mapping"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(protocol_text(SMALL).replace(old, new), encoding="utf-8")
    shown = _command("protocol", "show", path)
    assert shown.startswith("1 Error: ")
    assert said in shown


def test_a_list_of_keys_serves_any_data(tmp_path: Path) -> None:
    keys = [face.key for face in portraits()][2:5]
    (tmp_path / "three.txt").write_text("\n".join(keys))
    split = Split(
        data="portraits", partition="listed", part="test", count=3, keys_sha256=keys_digest(keys)
    )
    faces = split.open(PORTRAITS, tmp_path / "three.txt")
    assert [face.key for face in faces] == keys
    assert split.deviation(faces) is None
    assert "8 portraits of data_portraits" in str(split.deviation(portraits()))


def _command(*arguments: object) -> str:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    return f"{result.exit_code} {result.output}"


def test_the_commands_list_show_and_verify() -> None:
    assert "lama-celebahq-256 v1" in _command("protocol", "list")
    shown = _command("protocol", "show", "pixelhacker-celebahq-512")
    assert "issues/21" in shown
    assert "our choice" in shown
    assert "this machine makes the same masks" in _command("protocol", "verify", "mat-celeba512")
    assert _command("protocol", "show", "mat").startswith("1")


def test_the_command_exports_and_verifies(celebamask: Path, tmp_path: Path) -> None:
    arguments = ("protocol", "export-masks", "mat-celeba512", "--data", celebamask)
    written = _command(*arguments, "--out", tmp_path / "masks", "--limit", 1)
    assert "not the protocol's masks: 1 portraits" in written
    verified = _command("protocol", "verify", "mat-celeba512", tmp_path / "masks")
    assert verified.splitlines()[-1] == written.splitlines()[-1]
    other = _command("protocol", "verify", "pixelhacker-celebahq-512", tmp_path / "masks")
    assert "holds masks of mat-celeba512" in other


def test_what_a_protocol_decides_is_not_given_beside_it(tmp_path: Path) -> None:
    for option, value in (("--size", 64), ("--seed", 1), ("--class-table", __file__)):
        given = ("--protocol", "mat-celeba512", option, value)
        said = _command("benchmark", "--data", tmp_path, *given, "--out", tmp_path / "run")
        assert f"--protocol mat-celeba512 decides {option}" in said
    with pytest.raises(OptionError, match="a protocol decides"):
        benchmark.run("harmonic", portraits(), out=tmp_path, protocol=SMALL, seed=1)
    json.dumps(SMALL.record())
