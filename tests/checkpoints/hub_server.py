"""A small web server that speaks the hub's protocol, and can be told to misbehave.

It also stands in for the rest of the web: :func:`serving` sends what is asked of any other host to
it, with the host's own name.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

from facemask_inpaint.checkpoints import _transfer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_STORE = "xet-bridge/"


@dataclass
class Site:
    """What the server serves, how it misbehaves, and what it was asked.

    Attributes:
        files: path to content; hub files as ``owner/name/file``, those of other hosts as
            ``host/path``.
        break_after: path to the number of bytes after which one transfer breaks off.
        status: path to HTTP statuses for the next requests, one each.
        types: path to content type.
        ranges: whether byte ranges are served.
        redirects: whether files lie on another host, to which every request is sent on, as the
            hub does with large files and GitHub with those of a release.
        requests: method, path and Range header of each request; of other hosts the address.
        commits: files of each commit that was pushed.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    break_after: dict[str, list[int]] = field(default_factory=dict)
    status: dict[str, list[int]] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    redirects: bool = False
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    commits: list[dict[str, bytes]] = field(default_factory=list)
    url: str = ""

    @property
    def transfers(self) -> list[str]:
        """What was fetched from the store that ``redirects`` sends clients to, in order."""
        return [one for method, one, _ in self.requests if method == "GET" and _STORE in one]

    def gets(self, path: str) -> list[str | None]:
        """Range headers of the GET requests for a path."""
        return [found for method, asked, found in self.requests if (method, asked) == ("GET", path)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        self.site.requests.append(("POST", path, None))
        if path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            self._json({"url": f"{self.site.url}/{name}", "id": name})
        elif "/preupload/" in path:
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            self._json({"files": files})
        elif "/commit/" in path:
            lines = [json.loads(line) for line in body.splitlines()]
            repo = path.split("/api/models/")[1].split("/commit/")[0]
            added = {
                one["value"]["path"]: base64.b64decode(one["value"]["content"])
                for one in lines
                if one["key"] == "file"
            }
            self.site.commits.append(added)
            self.site.files.update({f"{repo}/{name}": content for name, content in added.items()})
            url = f"{self.site.url}/{repo}/commit/{COMMIT}"
            self._json({"commitUrl": url, "commitOid": COMMIT, "success": True})
        else:
            self._json({})

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        host = self.headers.get("Host", "")
        if abroad := urlsplit(f"//{host}").port is None:
            path = f"https://{host}{path}"
        self.site.requests.append((self.command, path, self.headers.get("Range")))
        planned = self.site.status.get(path)
        if planned:
            self._status(planned.pop(0))
        elif abroad:
            self._file(path, path.removeprefix("https://"), {})
        elif path.startswith("/api/models/"):
            self._api(path.removeprefix("/api/models/"))
        elif found := re.fullmatch(r"/(.+)/resolve/([^/]+)/(.+)", path):
            repo, revision, name = found.groups()
            commit = revision if re.fullmatch("[0-9a-f]{40}", revision) else COMMIT
            self._file(path, f"{repo}/{name}", {"X-Repo-Commit": commit})
        else:
            self._file(path, path.lstrip("/"), {})

    def _api(self, path: str) -> None:
        repo = re.split("/revision/|/tree/", path)[0]
        names = [one for one in self.site.files if one.startswith(f"{repo}/")]
        if not names:
            self._status(404, {"X-Error-Code": "RepoNotFound"})
        elif "/tree/" in path:
            entries = [
                {
                    "type": "file",
                    "path": name.removeprefix(f"{repo}/"),
                    "size": len(self.site.files[name]),
                    "oid": hashlib.sha1(self.site.files[name]).hexdigest(),
                }
                for name in names
            ]
            self._json(entries)
        else:
            siblings = [{"rfilename": name.removeprefix(f"{repo}/")} for name in names]
            self._json({"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings})

    def _file(self, path: str, name: str, headers: dict[str, str]) -> None:
        content = self.site.files.get(name)
        if content is None:
            self._status(404, {"X-Error-Code": "EntryNotFound", **headers})
            return
        if self.site.redirects and _STORE not in name:
            self._send_on(path, content, headers)
            return
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        start = self._start(tag, content)
        if start >= len(content) > 0:
            self._status(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", tag)
        self.send_header("Content-Type", self.site.types.get(path, "application/octet-stream"))
        self.send_header("Content-Length", str(len(content) - start))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self._send(path, content[start:])

    def _send_on(self, path: str, content: bytes, headers: dict[str, str]) -> None:
        """Answer with the place in the store where the file's bytes are."""
        sha256 = hashlib.sha256(content).hexdigest()
        if path.startswith("https://"):
            host = "release-assets.githubusercontent.com"
            address, name = f"https://{host}/{_STORE}{sha256}", f"{host}/{_STORE}{sha256}"
        else:
            # Another host name for the same machine, so that the client sees another host.
            port = urlsplit(self.site.url).port
            address, name = f"http://localhost:{port}/{_STORE}{sha256}", f"{_STORE}{sha256}"
            headers = headers | {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content))}
        self.site.files[name] = content
        self._status(302, {"Location": f"{address}?Expires=3600&Signature=x~y", **headers})

    def _start(self, tag: str, content: bytes) -> int:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not asked or not self.site.ranges or condition not in (None, tag):
            return 0
        return int(asked.group(1))

    def _send(self, path: str, content: bytes) -> None:
        breaks = self.site.break_after.get(path)
        if not breaks:
            self.wfile.write(content)
            return
        self.wfile.write(content[: breaks.pop(0)])
        self.wfile.flush()
        self.close_connection = True

    def _status(self, code: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for key, value in {"Content-Length": "0", **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self._status(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class Server:
    """The server on a free port of this machine, for a ``with`` block."""

    def __enter__(self) -> Site:
        site = Site()
        handler = type("BoundHandler", (Handler,), {"site": site})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        site.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        return site

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that the hub client and our downloads take for the hub and the web.

    Args:
        folder: where caches, and files fetched by hand, are to be.
        monkeypatch: of the test.
    """
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FACEMASK_INPAINT_CACHE", str(folder / "cache"))
    monkeypatch.setenv("FACEMASK_INPAINT_WEIGHTS", str(folder / "weights"))
    monkeypatch.setattr(_transfer, "BACKOFF_SECONDS", 0.01)
    with Server() as site:
        # Read from HF_ENDPOINT on import; a test in a fresh process sets the variable itself.
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, site.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", site.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hf"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
        opener = urllib.request.build_opener(_Everywhere(site))
        monkeypatch.setattr(urllib.request, "_opener", opener)
        yield site


class _Everywhere(urllib.request.HTTPSHandler):
    """Asks the server on this machine for what lies on other hosts."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._address = urlsplit(site.url).netloc

    def https_open(self, request: urllib.request.Request) -> Any:
        def connect(host: str, **options: Any) -> http.client.HTTPConnection:
            return http.client.HTTPConnection(self._address, **options)

        return self.do_open(connect, request)
