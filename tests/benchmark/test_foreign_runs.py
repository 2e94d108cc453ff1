"""Run folders that somebody else wrote: names in them are names, and damage is one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facemask_inpaint.benchmark import Run
from facemask_inpaint.benchmark.store.layout import Layout
from facemask_inpaint.errors import OptionError
from tests.benchmark.runs import portraits, small_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(
        ["harmonic"], tmp_path_factory.mktemp("run"), portraits(1), classes="eyes"
    ).folder


def _named(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda settings: settings["methods"][0].update(name=name)


def _key(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda settings: settings["dataset"].update(keys=[name])


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "method above": _named("../../../home"),
    "method at the root": _named("/etc"),
    "method of Windows": _named("..\\up"),
    "no name": _named(""),
    "the folder itself": _named("."),
    "key above": _key("../../secret"),
    "key with a zero": _key("a\0b"),
    "class above": lambda settings: settings["classes"][0].update(name="../x"),
    "resolution as a path": lambda settings: settings.update(resolutions=["../.."]),
    "no methods": lambda settings: settings.pop("methods"),
    "methods as text": lambda settings: settings.update(methods="lama"),
    "a method without a name": lambda settings: settings["methods"][0].pop("name"),
    "a method with more": lambda settings: settings["methods"][0].update(colour="red"),
    "no data set": lambda settings: settings.pop("dataset"),
    "keys as a number": lambda settings: settings["dataset"].update(keys=3),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_settings_of_a_stranger(name: str, folder: Path, tmp_path: Path) -> None:
    settings = json.loads((folder / "run.json").read_text())
    DAMAGES[name](settings)
    (tmp_path / "run.json").write_text(json.dumps(settings))
    with pytest.raises(OptionError, match=r"run\.json"):
        Run.open(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{", "[" * 100_000, "\x00" * 50, '"x"'])
def test_settings_that_are_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(OptionError, match=r"run\.json"):
        Run.open(tmp_path)


@pytest.mark.parametrize("name", ["..", "../x", "/etc/passwd", "a/b", "a\\b", "", ".", "a\0"])
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    layout = Layout(Path("run"))
    for path in (
        lambda: layout.prediction(64, name, "eyes", "x"),
        lambda: layout.prediction(64, "lama", name, "x"),
        lambda: layout.prediction(64, "lama", "eyes", name),
        lambda: layout.mask(64, name, "x"),
        lambda: layout.mask(64, "eyes", name),
        lambda: layout.original(64, name),
    ):
        with pytest.raises(OptionError, match="is a path, not the name"):
            path()
    assert layout.prediction(64, "lama-256", "eyes", "a.b") == Path(
        "run/predictions/64/lama-256/eyes/a.b.png"
    )
