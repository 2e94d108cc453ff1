"""Values from files and command lines: of the right kind, and never more than they look."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from facemask_inpaint._internal.settings import (
    MAX_TEXT,
    Range,
    as_type,
    parse_json,
    parse_yaml,
    read_text,
    require_options,
)
from facemask_inpaint.errors import OptionError, UnknownNameError

BILLION_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
    for before, name in zip("abcdefgh", "bcdefghi")
)

BOMBS = {
    "aliases that multiply": BILLION_LAUGHS,
    "an alias": "a: &x 1\nb: *x",
    "a value in itself": "a: &a [*a]",
    "a merge": "a: &a {x: 1}\nb:\n  <<: *a",
    "nested lists": "[" * 5000 + "]" * 5000,
    "nested lists without an end": "[" * 100_000,
    "nested names": "{a: " * 3000 + "1" + "}" * 3000,
    "nested by indent": "\n".join(" " * depth + "a:" for depth in range(1500)),
    "many values": "[" + "1," * 30_000 + "]",
    "too long": "a: " + "x" * MAX_TEXT,
    "a number of a million digits": "a: " + "9" * 900_000,
    "a name twice": "batch: 4\nbatch: 8",
    "two documents": "a: 1\n---\nb: 2",
    "a python object": "!!python/object/apply:os.system [touch x]",
    "a list as a name": "? [a]\n: 1",
    "no end": "a: [",
    "a tab": "a:\n\t- b",
    "control characters": "a: \x00",
}


@pytest.mark.parametrize("name", BOMBS)
def test_yaml_that_is_no_settings_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(OptionError, match=r"^own\.yaml: ") as caught:
        parse_yaml(BOMBS[name], "own.yaml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "[" * 200 + "]" * 200, "1" * 10_000, '"' + "x" * MAX_TEXT + '"'],
)
def test_json_that_is_no_settings_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(OptionError, match=r"^own\.json: "):
        parse_json(text, "own.json")


def test_what_settings_look_like_is_read() -> None:
    assert parse_yaml("a: {b: [1, 2.5, x, null, true]}", "x") == {
        "a": {"b": [1, 2.5, "x", None, True]}
    }
    assert parse_json('{"a": [1, {"b": 2}]}', "x") == {"a": [1, {"b": 2}]}


def test_text_of_files(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert read_text(path) == "name: x\n"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xd8")
    with pytest.raises(OptionError, match="not text in UTF-8"):
        read_text(path)
    with path.open("wb") as file:
        file.truncate(MAX_TEXT + 1)
    with pytest.raises(OptionError, match="larger than any settings file"):
        read_text(path)
    for other in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(OptionError, match="is not a file"):
            read_text(other)


GOOD: list[tuple[Any, Any, Any]] = [
    (int, 3, 3),
    (int, 3.0, 3),
    (int, "1e3", 1000),
    (int, np.int64(7), 7),
    (float, 3, 3.0),
    (float, "1e-3", 1e-3),
    (float, np.float32(0.5), 0.5),
    (bool, True, True),
    (str, "x", "x"),
    (int | None, None, None),
    (int | None, 4, 4),
    (float | str, "x", "x"),
    (Literal["a", "b"], "b", "b"),
    (Literal[1, 2], 2, 2),
    (tuple[float, float], [0, 0.5], (0.0, 0.5)),
    (tuple[str, ...], [], ()),
    (Sequence[int], [1, 2], (1, 2)),
    (Mapping[str, float], {"a": 1}, {"a": 1.0}),
    (Any, object, object),
]


@pytest.mark.parametrize(("kind", "given", "wanted"), GOOD)
def test_values_of_their_kind(kind: Any, given: Any, wanted: Any) -> None:
    found = as_type(kind, given, "x")
    assert found == wanted
    assert type(found) is type(wanted)


BAD: list[tuple[Any, Any]] = [
    *(
        (kind, value)
        for kind in (int, float)
        for value in (True, "4", "many", None, [1], {}, math.nan)
    ),
    *(
        (kind, value)
        for kind in (int, float)
        for value in (math.inf, -math.inf, "nan", "inf", "1e999")
    ),
    (int, 1.5),
    (float, 10**400),
    (bool, 1),
    (bool, "true"),
    (str, 3),
    (str, None),
    (int | None, "x"),
    (Literal["a", "b"], "c"),
    (Literal[1, 2], True),
    (Literal[1, 2], 1.0),
    (tuple[float, float], [0.5]),
    (tuple[float, float], "ab"),
    (tuple[float, float], 0.5),
    (Sequence[int], "12"),
    (Sequence[int], [1, "x"]),
    (Sequence[int], {1: 2}),
    (Mapping[str, float], [1]),
    (Mapping[str, float], {"a": "x"}),
    (Mapping[str, float], {1: 1.0}),
    (Path, "x"),
]


@pytest.mark.parametrize(("kind", "value"), BAD)
def test_values_of_another_kind(kind: Any, value: Any) -> None:
    with pytest.raises(OptionError, match=r"^some\.where"):
        as_type(kind, value, "some.where")


@pytest.mark.parametrize(
    ("bounds", "good", "bad"),
    [
        (Range(0, 1), (0, 0.5, 1), (-1e-9, 1.1, math.nan, math.inf)),
        (Range(0, above=True), (1e-9, 1e9), (0, -1)),
        (Range(1), ([1, 2], (3,), {"a": 1}, None), ([1, 0], {"a": -1}, 10**5000 * -1)),
    ],
)
def test_ranges(bounds: Range, good: Sequence[Any], bad: Sequence[Any]) -> None:
    for value in good:
        bounds.require(value, "x")
    for value in bad:
        with pytest.raises(OptionError, match=r"^x(\.a)? must be (at least|above)"):
            bounds.require(value, "x")


def build(*, width: int = 3, kind: Literal["a", "b"] = "a", limit: float = math.inf) -> None:
    """A function with options."""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widht": 3}, "unknown option of it 'widht': did you mean 'width'"),
        ({"width": "3"}, "it: width is a number, not '3'"),
        ({"width": True}, "it: width is a number"),
        ({"kind": "c"}, "it: kind is one of a, b"),
        ({"limit": math.nan}, "it: limit is a number"),
        ({"self": 1}, "unknown option"),
    ],
)
def test_options_of_a_function(options: dict[str, Any], message: str) -> None:
    with pytest.raises((OptionError, UnknownNameError), match=message):
        require_options(build, options, "it")
    require_options(build, {"width": 4, "kind": "b", "limit": math.inf}, "it")
