"""Collects the fixture cases, keeps one network in memory at a time, prints the differences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parity import adapters
from tests.parity.cases import Case
from tests.parity.networks import Networks
from tests.parity.recipe import DATA, SHARED


@pytest.fixture(scope="session")
def networks() -> Iterator[Networks]:
    holder = Networks()
    yield holder
    holder.free()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" not in metafunc.fixturenames:
        return
    folder, salt = metafunc.config.getoption("--fixtures"), metafunc.config.getoption("--salt")
    if folder is None and salt:
        raise pytest.UsageError("--salt belongs to --fixtures; the bundled ones have none")
    if folder is not None:
        found = dict(_cases_in(folder, salt))
        if not found:
            raise pytest.UsageError(f"no NAME/cases*.npz of a known network under {folder}")
        metafunc.parametrize("case", found.values(), ids=found)
        return
    # A case that both folders hold runs once, with the full answers.
    merged = dict(_cases_in(DATA, "")) | dict(_cases_in(SHARED, ""))
    ordered = sorted(merged.values(), key=lambda case: case.id)
    metafunc.parametrize("case", [_everyday(case) for case in ordered])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    rows = [row for report in ran for name, row in report.user_properties if name == "parity"]
    if not rows:
        return
    terminalreporter.section("parity: largest difference from the official answers")
    for case, answer, difference, tolerance in sorted(rows):
        terminalreporter.write_line(
            f"{case:<24} {answer:<24} {difference:.1e}  (bar {tolerance:.0e})"
        )


def _cases_in(folder: Path, salt: str) -> Iterator[tuple[str, Case]]:
    for network in adapters.names():
        adapter = adapters.adapter(network)
        for archive in sorted((folder / network).glob("cases*.npz")):
            if archive.name not in adapter.ignored_archives:
                yield from ((case.id, case) for case in adapter.cases(archive, salt))


def _everyday(case: Case) -> object:
    slow = adapters.adapter(case.network).slow(case)
    return pytest.param(case, id=case.id, marks=[pytest.mark.slow] if slow else [])
