"""Progress bars: full at the end, with the time left, and only where somebody sees them."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from facemask_inpaint._internal import progress
from facemask_inpaint._internal.progress import progress_bar, timed_progress_bar

_EVERY_BAR = """
import sys
import facemask_inpaint as fmi
from facemask_inpaint import data, metrics
s = fmi.data.sample(256)
hole = fmi.SemanticMasker()(s.label_map, "eyes")
filled = fmi.Inpainter.from_pretrained("harmonic")([s.image] * 3, hole, progress=True)
metrics.psnr([s.image] * 3, filled)
data.check(data.open_faces(sys.argv[1]), "eyes")
print("done")
"""
PORTRAITS = Path(__file__).parents[1] / "data_portraits"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(code: str, *arguments: object) -> str:
    """What a program shows on a terminal of its own."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 100))
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stderr=its, stdout=subprocess.DEVNULL
    )
    os.close(its)
    shown = b""
    while True:
        try:
            block = os.read(ours, 1 << 16)
        except OSError:  # all writers are gone
            break
        if not block:
            break
        shown += block
    os.close(ours)
    assert process.wait() == 0, shown
    return shown.decode()


def test_bars_end_full_on_a_terminal() -> None:
    shown = on_a_terminal(_EVERY_BAR, PORTRAITS)
    for full in ("3/3", "pixels: 100%", "check: 100%", "8/8"):
        assert full in shown


@pytest.mark.parametrize("where", ["2>/dev/null", "2>&-", "2>log", "2>&1 | cat"])
def test_no_bar_where_nobody_watches(where: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(_EVERY_BAR)
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" program.py "{PORTRAITS}" {where}'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        check=True,
    )
    assert done.stdout == "done\n"
    log = tmp_path / "log"
    assert done.stderr + (log.read_text() if log.exists() else "") == ""


def test_a_stream_that_is_gone_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed, object()):
        monkeypatch.setattr(sys, "stderr", stream)
        assert not progress.is_visible()
        assert list(progress_bar(range(3), "steps", shown=True)) == [0, 1, 2]


def test_a_bar_of_time_says_how_much_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with timed_progress_bar(100, "run", shown=True) as bar:
        bar.start_t = time.time() - 20
        bar.last_print_t -= 20
        bar.update(20.5)
        bar.refresh()
        text = str(bar)
        bar.update(100 - bar.n)
    assert "20%" in text
    assert text.split("<")[1].startswith(("01:1", "01:2"))  # 80 seconds are left
    assert "100%" in terminal.getvalue()
