"""A record of what results were made from, so that only what changed is made anew.

The record of a folder, or of a single file, lies beside it under a hidden name, so that the folder
holds nothing but images.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, TypedDict, TypeVar

from facemask_inpaint._internal.identity import Identity
from facemask_inpaint.benchmark.store.journal import Journal
from facemask_inpaint.errors import OptionError
from facemask_inpaint.images.folders import listed

Item = TypeVar("Item")


class Output(NamedTuple):
    """What a command makes of some files.

    Attributes:
        targets: files that it writes.
        inputs: files that it reads; the first is the image.
        settings: everything else that the targets depend on, as JSON can hold it.
    """

    targets: Sequence[Path]
    inputs: Sequence[Path]
    settings: Mapping[str, object]


class _Target(TypedDict):
    target: str


class _Line(_Target, total=False):
    """How a file was made; without settings it was begun and not finished."""

    source: str
    settings: str
    inputs: dict[str, str]
    absent: bool


class Provenance:
    """The record of the results in a folder, or of a single file.

    Args:
        out: the folder or file; it need not exist yet.
    """

    def __init__(self, out: Path) -> None:
        self._out = Path(os.path.realpath(out))
        is_confined = self._out.is_dir() and not os.access(self._out.parent, os.W_OK)
        home = self._out if is_confined else self._out.parent
        self._journal = Journal(home, f".{self._out.name}.facemask-inpaint", 0)
        lines = [line for line in self._journal.read(_Line) if isinstance(line["target"], str)]
        self._known = {line["target"]: line for line in lines}
        self._begun: dict[str, Identity] = {}

    def unfinished(self, items: Iterable[Item], output_of: Callable[[Item], Output]) -> list[Item]:
        """Return the items whose output is not there, or was made from other files or otherwise.

        Raises:
            OptionError: files would be replaced that are not in the record, or were made of other
                images; the message names the first few.
        """
        unfinished = [item for item in items if not self._is_current(output_of(item))]
        self.require_own(map(output_of, unfinished))
        return unfinished

    def require_own(self, outputs: Iterable[Output]) -> None:
        """Refuse outputs that would replace files which are not the record's, or another image's.

        Raises:
            OptionError: there are such files; the message names the first few.
        """
        present = [(target, out) for out in outputs for target in out.targets if target.exists()]
        unknown = [target for target, _ in present if self._name(target) not in self._known]
        if unknown:
            raise _refusal("there is no record of how they were made", unknown)
        foreign = [target for target, output in present if not self._is_of(target, output)]
        if foreign:
            raise _refusal("they were made of other images", foreign)

    def _is_of(self, target: Path, output: Output) -> bool:
        """Whether a file in the record was made of the image that the output is made of."""
        line = self._known[self._name(target)]
        source = line.get("source")
        if source in (None, os.path.realpath(output.inputs[0])):
            return True
        return "inputs" in line and Identity(**line["inputs"]).holds(output.inputs)

    def _is_current(self, output: Output) -> bool:
        """Whether an output is there, made from the same files under the same settings."""
        known = [self._known.get(self._name(target)) for target in output.targets]
        settings = _as_text(output.settings)
        lines = [line for line in known if line and line.get("settings") == settings]
        if len(lines) < len(known):
            return False
        targets = zip(lines, output.targets)
        is_there = all(line["absent"] or target.exists() for line, target in targets)
        return is_there and Identity(**lines[0]["inputs"]).holds(output.inputs)

    def begin(self, output: Output) -> None:
        """Record what an output is made from, before its inputs are read.

        Raises:
            OSError: the record cannot be written.
        """
        try:
            inputs = Identity.of(output.inputs)
        except OSError:  # reading the input says what is wrong with it
            inputs = Identity("", "")
        for name in map(self._name, output.targets):
            self._begun[name] = inputs
            self._write({"target": name, "source": os.path.realpath(output.inputs[0])})

    def finish(self, output: Output, *, absent: bool = False) -> None:
        """Record that an output is there, or that there is nothing to write and no old file."""
        for target in output.targets:
            if absent:
                target.unlink(missing_ok=True)
            name = self._name(target)
            begun = self._known[name]
            inputs = asdict(self._begun.pop(name))
            settings = _as_text(output.settings)
            self._write({**begun, "settings": settings, "inputs": inputs, "absent": absent})

    def _write(self, line: _Line) -> None:
        self._known[line["target"]] = line
        self._journal.append(line)

    def _name(self, target: Path) -> str:
        return os.path.relpath(os.path.realpath(target), self._out)


def _refusal(reason: str, files: Sequence[Path]) -> OptionError:
    return OptionError(
        f"{len(files)} files would be replaced, and {reason} ({listed(map(str, files))}): "
        "choose another --out, or replace them by --overwrite"
    )


def _as_text(settings: Mapping[str, object]) -> str:
    return json.dumps(settings, sort_keys=True, default=str)
