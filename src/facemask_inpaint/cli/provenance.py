"""What the results in a folder were made from, so that only what changed is made anew.

The record lies beside the folder, under a hidden name, and not among the results: whatever reads
the folder afterwards finds nothing but pictures.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from facemask_inpaint._internal.identity import Identity
from facemask_inpaint.benchmark.store.journal import Journal
from facemask_inpaint.errors import OptionError
from facemask_inpaint.images.folders import listed


class Output(NamedTuple):
    """Something that a command makes of some files.

    Attributes:
        targets: files that it becomes.
        inputs: files that it is made from.
        settings: everything else that it depends on, in terms of JSON.
    """

    targets: Sequence[Path]
    inputs: Sequence[Path]
    settings: Mapping[str, Any]


class Provenance:
    """Remembers results in a folder.

    Args:
        out: the folder; it need not be there yet.
    """

    def __init__(self, out: Path) -> None:
        self._out = Path(os.path.realpath(out))
        home = self._out.parent if os.access(self._out.parent, os.W_OK) else self._out
        self._journal = Journal(home, f".{self._out.name}.facemask-inpaint", 0)
        lines = [line for line in self._journal.read() if isinstance(line.get("target"), str)]
        self._known = {line.pop("target"): line for line in lines}
        self._begun: dict[str, Identity] = {}

    def is_current(self, result: Output) -> bool:
        """Whether a result is there, made from the same files under the same settings."""
        lines = [self._known.get(self._name(target), {}) for target in result.targets]
        if not all(line.get("settings") == _as_text(result.settings) for line in lines):
            return False
        there = all(line["absent"] or one.exists() for line, one in zip(lines, result.targets))
        return there and Identity(**lines[0]["inputs"]).holds(result.inputs)

    def require_known(self, targets: Iterable[Path]) -> None:
        """Refuse to replace files of which nothing tells that a command has made them.

        Raises:
            OptionError: there are such files; the message names the first few.
        """
        strange = [one for one in targets if one.exists() and self._name(one) not in self._known]
        if strange:
            raise OptionError(
                f"{len(strange)} files would be replaced of which nothing tells how they were made "
                f"({listed(map(str, strange))}): name another folder, or replace them by "
                "--overwrite"
            )

    def begin(self, result: Output) -> None:
        """Note what a result is going to be made from, before that is read.

        Raises:
            OSError: the record cannot be written.
        """
        try:
            inputs = Identity.of(result.inputs)
        except OSError:  # reading says what is wrong with it
            inputs = Identity("", "")
        for target in result.targets:
            self._begun[self._name(target)] = inputs
            self._write(target, settings=None)

    def finish(self, result: Output, *, absent: bool = False) -> None:
        """Note that a result is there, or that there is none to be made; an old one goes."""
        for target in result.targets:
            if absent:
                target.unlink(missing_ok=True)
            inputs = asdict(self._begun.pop(self._name(target)))
            settings = _as_text(result.settings)
            self._write(target, settings=settings, inputs=inputs, absent=absent)

    def _write(self, target: Path, **line: Any) -> None:
        name = self._name(target)
        self._known[name] = line
        self._journal.append({"target": name, **line})

    def _name(self, target: Path) -> str:
        return os.path.relpath(os.path.realpath(target), self._out)


def _as_text(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True, default=str)
