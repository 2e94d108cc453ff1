"""How commands end: in one sentence and a status that is not zero, whatever happens around them."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import facemask_inpaint as fmi
from facemask_inpaint.cli import main

PORTRAITS = Path(__file__).parent / "data_portraits"
COMMAND = [sys.executable, "-m", "facemask_inpaint"]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def process(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], text=True, timeout=120, check=False, **options
    )


@pytest.fixture
def files(tmp_path: Path) -> Path:
    sample = fmi.data.sample(256)
    sample.image.save(tmp_path / "face.png")
    hole = fmi.SemanticMasker()(sample.label_map, "nose")
    Image.fromarray(hole).save(tmp_path / "mask.png")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        sample.image.resize((64, 64)).save(tmp_path / name / "a.png")
    return tmp_path


def require_one_sentence(result: Result | subprocess.CompletedProcess[str]) -> str:
    """The sentence that a command ended with."""
    text = result.output if isinstance(result, Result) else result.stderr
    code = result.exit_code if isinstance(result, Result) else result.returncode
    assert code > 0, text
    assert "Traceback" not in text
    last = text.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    return last


@pytest.mark.parametrize(
    "setting", ["batch=[1", "batch={a: b: c}", "batch=@x", "batch: 4", "batch=\t-", "=3", "losses="]
)
def test_malformed_settings(setting: str) -> None:
    require_one_sentence(call("train", "--recipe", "lite-smoke", "--set", setting, "--show"))


@pytest.mark.parametrize(
    "content", ["picture", b"\x00\x01\xff\xfe", b"name: [", b"- 1\n- 2\n", b""]
)
def test_what_is_no_recipe(content: str | bytes, files: Path) -> None:
    recipe = files / "face.png"
    if isinstance(content, bytes):
        recipe = files / "recipe.yaml"
        recipe.write_bytes(content)
    require_one_sentence(call("train", "--recipe", recipe, "--show"))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes do not fit\nsecond line"),
        AssertionError(),
        MemoryError("all gone"),
        KeyError("model"),
        RecursionError("too deep"),
        OSError(28, "No space left on device", "out.png"),
        UnicodeEncodeError("ascii", "≤", 0, 1, "ordinal not in range"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_from_the_depths(
    error: Exception, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(fmi.Inpainter, "from_pretrained", fails)
    given = ("inpaint", files / "face.png", "--mask", files / "mask.png", "--out", files / "o.png")
    said = require_one_sentence(call(*given))
    assert isinstance(error, OSError | MemoryError) or "--debug" in said
    for place in (("--debug", *given), (*given, "--debug")):
        assert call(*place).exception is error
    assert "--debug" not in call("inpaint", "--help").output


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("inpaint", "face.png", "--mask", "mask.png"), "a smaller --batch-size or smaller"),
        (("train", "--list"), "--set with a smaller batch_size or resolution or smaller"),
        (("mask", "mask.png", "--out", "out", "--classes", "eyes"), "a smaller --size or smaller"),
        (("models",), "; smaller images need less"),
    ],
)
def test_advice_about_memory_is_of_the_commands_own_options(
    arguments: tuple[str, ...], advice: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any, **options: Any) -> None:
        raise MemoryError("all gone")

    monkeypatch.chdir(files)
    monkeypatch.setattr(main.commands[arguments[0]], "invoke", fails)
    assert advice in require_one_sentence(call(*arguments))


def test_names_at_the_file_system_s_limit(files: Path) -> None:
    for length in (255, 251):
        name = "n" * (length - 4) + ".png"
        (files / name).write_bytes((files / "face.png").read_bytes())
        given = ("--mask", files / "mask.png", "--model", "harmonic", "--out", files / "out")
        assert call("inpaint", files / name, *given).exit_code == 0
        assert (files / "out" / name).is_file() or (files / "out").is_file()
    too_long = files / ("n" * 300 + ".png")
    given = ("inpaint", files / "face.png", "--mask", files / "mask.png", "--model", "harmonic")
    assert "too long" in require_one_sentence(call(*given, "--out", too_long))


def test_names_that_are_no_unicode(files: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.png")
    for folder in ("images", "masks"):
        (files / folder).mkdir()
        for name in (odd, "plain.png"):
            source = files / ("face.png" if folder == "images" else "mask.png")
            (files / folder / name).write_bytes(source.read_bytes())
    given = (files / "images", "--mask", files / "masks", "--out", files / "out")
    done = process("inpaint", *given, "--model", "harmonic", capture_output=True)
    assert "caf\\udce9.png" in done.stderr  # left out, and named
    assert "Traceback" not in done.stderr
    again = process("inpaint", *given, "--model", "harmonic", capture_output=True)
    assert "nothing to do" in again.stdout


def small_files(size: int) -> Callable[[], None]:
    """Stop every file at so many bytes, as a full disk does."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("command", ["inpaint", "convert", "evaluate", "train"])
def test_a_full_disk(command: str, files: Path, official_lama: Path) -> None:
    out = files / "out"
    given: dict[str, tuple[object, ...]] = {
        "inpaint": (
            "face.png",
            "--mask",
            "mask.png",
            "--model",
            "harmonic",
            "--out",
            out / "o.png",
        ),
        "convert": ("lama", official_lama, "--out", out),
        "evaluate": ("one", "two", "--metrics", "psnr", "--json", out / "o.json"),
        "train": ("--data", PORTRAITS, "--split", "all", "--out", out, "--set", "steps=1"),
    }
    done = process(
        *(command, *given[command]),
        cwd=files,
        capture_output=True,
        preexec_fn=small_files(20 if command == "evaluate" else 5_000),
    )
    said = require_one_sentence(done)
    assert "File too large" in said
    assert str(out) in said
    assert "free some space" in said
    left = [path for path in out.rglob("*") if path.is_file()] if out.exists() else []
    assert not [path for path in left if path.suffix in (".png", ".safetensors", ".json", ".pt")]


@pytest.mark.parametrize(
    "command",
    [
        "evaluate one two --json TARGET",
        "evaluate one two --csv TARGET",
        "compare one two=two --json TARGET",
        "privacy one --out TARGET",
        "report one --out TARGET",
        "inpaint face.png --mask mask.png --model harmonic --out TARGET/a.png",
        "mask face.png --out TARGET",
        "demo --out TARGET",
        "export lite --out TARGET",
        "convert lama mask.png --out TARGET",
        "train --data one --out TARGET",
        "benchmark --data one --out TARGET",
        "protocol export-masks mat-celeba512 --data one --out TARGET",
    ],
)
def test_what_cannot_be_written_is_refused_first(
    command: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    before = sorted(files.rglob("*"))
    targets = ["face.png/out", "a" * 300]
    targets += ["two"] if command.split()[0] in ("evaluate", "compare", "privacy", "report") else []
    for target in targets:
        result = call(*command.replace("TARGET", target).split())
        assert result.exit_code == 2, result.output
        assert target in require_one_sentence(result)
    assert sorted(files.rglob("*")) == before


@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full", "2>&1 >/dev/null | true"])
def test_a_stderr_that_takes_nothing_ends_no_work(how: str, files: Path) -> None:
    ramp = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (256, 1)))
    ramp.save(files / "soft.png")  # a warning is said of it
    given = "inpaint face.png --mask soft.png --model harmonic --out out.png"
    call_it = f'"{sys.executable}" -m facemask_inpaint {given} {how}'
    subprocess.run(["sh", "-c", call_it], cwd=files, timeout=120, check=False)
    assert Image.open(files / "out.png").size == (256, 256)
    bad = call_it.replace("soft.png", "none.png").replace("out.png", "no.png")
    done = subprocess.run(["sh", "-c", bad.partition("|")[0]], cwd=files, check=False)
    assert done.returncode == 2


def test_text_fits_any_terminal(files: Path) -> None:
    given = ("evaluate", files / "one", files / "two", "--metrics", "psnr")
    odd = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = process(*given, capture_output=True, env=os.environ | odd)
    assert done.returncode == 0, done.stderr
    missing = process("models", "ü≤ß", capture_output=True, env=os.environ | odd)
    assert "unknown model" in require_one_sentence(missing) or missing.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_evaluate_says_that_it_was_stopped(number: signal.Signals, files: Path) -> None:
    for index in range(400):
        for name in ("one", "two"):
            (files / name / f"n{index}.png").hardlink_to(files / name / "a.png")
    running = subprocess.Popen(
        [*COMMAND, "evaluate", files / "one", files / "two", "--metrics", "ssim"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"},  # says when the work begins
        # Shells let what they start in the background ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert running.stderr is not None
    for line in running.stderr:
        if "facemask_inpaint.metrics.pairs" in line:
            break
    time.sleep(0.2)
    running.send_signal(number)
    output, errors = running.communicate(timeout=60)
    assert running.returncode == 128 + number
    assert output == ""
    assert errors.splitlines()[-1] == (
        f"Error: stopped before the end ({number.name}); what was finished is kept"
    )


def test_an_interrupt_of_code_from_a_string(files: Path) -> None:
    """CPython would end ``python -m`` by the signal; dataclasses are made by such code."""
    (files / "interrupted.py").write_text(
        "import facemask_inpaint.metrics as metrics\n"
        "from facemask_inpaint.cli import main\n"
        "def evaluate(*arguments, **options):\n"
        "    exec('raise KeyboardInterrupt')\n"
        "metrics.evaluate = evaluate\n"
        "main(['evaluate', 'one', 'two', '--metrics', 'ssim'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "interrupted"],
        cwd=files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr.startswith("Error: stopped before the end (SIGINT)")
