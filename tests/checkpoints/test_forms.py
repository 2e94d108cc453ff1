"""Cards against a server that serves their files: every form is tried, and nothing twice."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from facemask_inpaint import Inpainter, checkpoints, models
from facemask_inpaint.checkpoints import Source
from facemask_inpaint.errors import (
    CheckpointError,
    OptionError,
    UnsafeCheckpointError,
    WeightsNotFoundError,
)
from facemask_inpaint.models import Card, WeightFile
from tests.checkpoints.hub_server import Site
from tests.checkpoints.writers import foreign_modules
from tests.official import lama_tensors

Publish = Callable[..., Card]


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return lama_tensors()


@pytest.fixture
def publish(site: Site, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """A card whose forms, by container and content, are served by the site."""

    def made(*forms: tuple[str, bytes], pinned: bool = True) -> Card:
        files = []
        for number, (container, body) in enumerate(forms):
            site.files[f"{number}.bin"] = body
            sha256 = hashlib.sha256(body).hexdigest() if pinned else None
            source = Source("url", f"{site.url}/{number}.bin", f"{number}.bin", sha256=sha256)
            files.append(WeightFile(sources=(source,), container=container))
        whole = dataclasses.replace(files[0], alternatives=tuple(files[1:]))
        card = dataclasses.replace(models.card("lama"), files=(whole,))
        monkeypatch.setattr(models, "card", lambda name: card)
        return card

    return made


def load() -> dict[str, Tensor]:
    inpainter = Inpainter.from_pretrained("lama", device="cpu", progress=False)
    return inpainter.network.state_dict()


class Stranger:
    pass


def unreadable(kind: str) -> bytes:
    if kind == "another network":
        return saved({f"net.{name}.weight": torch.zeros(1) for name in "abc"})
    if kind == "cut off":
        return saved({"w": torch.ones(1000)})[:900]
    if kind == "unsafe":
        with foreign_modules(somebody__net={"Stranger": Stranger}):
            return saved({"w": torch.ones(1), "x": Stranger()})
    return b"nothing that anybody knows"


KINDS = ["another network", "cut off", "unsafe", "of no kind"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_form_that_cannot_be_read_leads_to_the_next(
    kind: str, publish: Publish, tensors: dict[str, Tensor], site: Site, caplog: object
) -> None:
    publish(("lightning", unreadable(kind)), ("torch", saved(tensors)))
    expected = models.from_official("lama", tensors).state_dict()
    for _ in range(2):
        found = load()
        assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert [len(site.gets(f"/{number}.bin")) for number in (0, 1)] == [1, 1]
    assert "looking for another copy" in caplog.text  # type: ignore[attr-defined]


def test_all_reasons_are_in_the_message(publish: Publish) -> None:
    forms = [("lightning", unreadable(kind)) for kind in KINDS]
    card = publish(*forms)
    missing = Source("url", f"{card.files[0].sources[0].location}.gone", "gone.bin")
    last = WeightFile(sources=(missing,), container="torch")
    whole = dataclasses.replace(card.files[0], alternatives=(*card.files[0].alternatives, last))
    object.__setattr__(card, "files", (whole,))
    with pytest.raises(UnsafeCheckpointError) as caught:
        load()
    message = str(caught.value)
    for part in (
        "'model.1.ffc.convl2l.weight' is missing; all 3 keys start with 'net.'",
        "cut off or damaged",
        "somebody.net.Stranger",
        "of no known kind",
        "HTTP 404",
    ):
        assert part in message


def test_a_file_that_nobody_can_read_is_not_fetched_from_its_mirrors(
    publish: Publish, site: Site, tensors: dict[str, Tensor]
) -> None:
    bad = unreadable("another network")
    publish(("torch", bad), ("torch", bad), ("torch", saved(tensors)))
    load()
    assert [len(site.gets(f"/{number}.bin")) for number in range(3)] == [1, 0, 1]


def test_what_lies_here_wins_over_other_forms_in_the_network(
    publish: Publish, site: Site, tensors: dict[str, Tensor]
) -> None:
    card = publish(("torch", saved(tensors)), ("lightning", saved({"state_dict": tensors})))
    second = card.files[0].alternatives[0].sources
    checkpoints.fetch(second, progress=False)
    load()
    assert not site.gets("/0.bin")


def test_without_a_network_the_reasons_are_those_of_the_files_here(
    publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(("torch", unreadable("cut off")), pinned=False)
    with pytest.raises(CheckpointError, match=r"no copy can be used of 0\.bin"):
        load()
    with pytest.raises(CheckpointError, match="cut off or damaged"):
        Inpainter.from_pretrained("lama", local_files_only=True)


def test_nothing_anywhere_is_still_not_found(publish: Publish, site: Site) -> None:
    publish(("torch", b"x"))
    site.files.clear()
    with pytest.raises(WeightsNotFoundError, match=r"no source has 0\.bin(.|\n)*HTTP 404"):
        load()


def test_each_part_of_a_network_is_fetched_once(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A part that is another one's file leads on too, before anything is joined."""
    from tests.models.test_latentcode_files import parts

    files = []
    for role, tensors in parts().items():
        bodies = {"wrong": saved({"w": torch.ones(1)}), role: saved({"state_dict": tensors})}
        forms = []
        for name, body in bodies.items():
            path = f"{role}-{name}.ckpt"
            site.files[path] = body
            source = Source("url", f"{site.url}/{path}", path, size=len(body))
            forms.append(WeightFile(role=role, sources=(source,), container="lightning"))
        files.append(dataclasses.replace(forms[0], alternatives=(forms[1],)))
    card = dataclasses.replace(models.card("latentcode"), files=tuple(files), options={"heads": 4})
    monkeypatch.setattr(models, "card", lambda name: card)
    assert Inpainter.from_pretrained("latentcode", progress=False).network.options["heads"] == 4
    assert all(len(site.gets(f"/{path}")) == 1 for path in site.files)


@pytest.mark.parametrize("architecture", ["harmonic", "lama"])
def test_files_that_a_network_does_not_have_are_refused(architecture: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(saved({"w": torch.ones(1)}))
    with pytest.raises(OptionError, match=f"{architecture} has no file called 'decoder'"):
        Inpainter.from_checkpoint({"decoder": tmp_path / "w.pth"}, architecture)


def test_a_wrong_file_of_the_user_is_left_alone_and_named(
    publish: Publish, tensors: dict[str, Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = publish(("torch", saved(tensors)))
    by_hand = WeightFile(
        sources=(Source("manual", "https://host/page", "best.ckpt"),), container="lightning"
    )
    whole = dataclasses.replace(by_hand, alternatives=card.files[0].forms)
    object.__setattr__(card, "files", (whole,))
    own = Path(os.environ["FACEMASK_INPAINT_WEIGHTS"]) / "best.ckpt"
    own.parent.mkdir(parents=True)
    own.write_bytes(unreadable("another network"))
    with caplog.at_level(logging.WARNING):
        load()
    assert str(own) in caplog.text
    assert own.read_bytes() == unreadable("another network")
