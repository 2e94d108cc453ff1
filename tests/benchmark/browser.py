"""A headless Chromium that tests drive with real clicks and keys, over its debugging pipe."""

from __future__ import annotations

import base64
import io
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
"""The browser's program; None when there is none."""

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
)
_PATIENCE = 60.0
_KEYS = {
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "Tab": (9, ""),
    "ArrowLeft": (37, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
    "ArrowUp": (38, ""),
}


class Page:
    """The one tab of a browser.

    Attributes:
        events: everything that the browser reported, oldest first.
    """

    def __init__(self, commands: io.RawIOBase, answers: io.RawIOBase) -> None:
        self.events: list[dict[str, Any]] = []
        self._commands = commands
        self._answers = answers
        self._buffer = b""
        self._count = 0
        self._session: str | None = None
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Run one command of the protocol and return its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, file: Path) -> None:
        """Load a page from the file system and wait until it is complete."""
        url = file.resolve().as_uri()
        self.send("Page.navigate", url=url)
        # Until the new document is there, the old one answers.
        self.wait(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression, or of what it promises."""
        found = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Return once a JavaScript expression is true."""
        deadline = time.monotonic() + _PATIENCE
        while not self.run(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(condition)
            time.sleep(0.05)

    def resize(self, width: int, height: int) -> None:
        """Give the page a window of this size."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.wait(f"innerWidth === {width} && innerHeight === {height}")

    def prefer(self, scheme: str) -> None:
        """Tell the page that its reader prefers ``light`` or ``dark``."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.send("Emulation.setEmulatedMedia", features=[feature])
        self.wait(f"matchMedia('(prefers-color-scheme: {scheme})').matches")

    def click(self, selector: str) -> None:
        """Press the mouse on the middle of an element."""
        self.run(
            f"document.querySelector({json.dumps(selector)})"
            ".scrollIntoView({block: 'center', behavior: 'instant'})"
        )
        x, y, width, height = self.run(
            f"(box => [box.x, box.y, box.width, box.height])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        place = {"x": x + width / 2, "y": y + height / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, **place)

    def hold(self, key: str) -> None:
        """Press a key and keep it down."""
        self._key("keyDown", key)

    def release(self, key: str) -> None:
        """Let a key go."""
        self._key("keyUp", key)

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        self.hold(key)
        self.release(key)

    def screenshot(self) -> np.ndarray:
        """What the window shows, ``(H, W, 3)`` uint8."""
        data = base64.b64decode(self.send("Page.captureScreenshot")["data"])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, and exceptions that nobody caught."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(one["params"]) for one in self.events if one.get("method") in kinds]

    def requests(self) -> list[str]:
        """Addresses that the page asked for, its embedded data left out."""
        sent = [one for one in self.events if one.get("method") == "Network.requestWillBeSent"]
        urls = [one["params"]["request"]["url"] for one in sent]
        return [url for url in urls if not url.startswith("data:")]

    def _key(self, kind: str, key: str) -> None:
        code, text = _KEYS.get(key, (ord(key.upper()[0]), key))
        details = {"key": key, "windowsVirtualKeyCode": code}
        if text and kind == "keyDown":
            details["text"] = text
        self.send("Input.dispatchKeyEvent", type=kind, **details)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], _PATIENCE)
            if not ready:
                raise TimeoutError("the browser does not answer")
            if not (content := self._answers.read(1 << 20)):
                raise RuntimeError("the browser has ended")
            self._buffer += content
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Start a browser whose profile and pipes lie in ``folder``, and end it afterwards."""
    commands, answers = folder / "commands", folder / "answers"
    os.mkfifo(commands)
    os.mkfifo(answers)
    # The protocol reads from descriptor 3 and writes to 4; a shell puts the named pipes there.
    process = subprocess.Popen(
        [
            *("sh", "-c", 'exec 3<"$0" 4>"$1"; shift; exec "$@"', commands, answers),
            *(PROGRAM or "chromium", *_FLAGS, f"--user-data-dir={folder / 'profile'}"),
            "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with open(commands, "wb", buffering=0) as to, open(answers, "rb", buffering=0) as back:
            yield Page(to, back)
    finally:
        process.terminate()
        process.wait(timeout=_PATIENCE)
