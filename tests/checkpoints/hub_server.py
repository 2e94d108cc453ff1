"""A small web server that speaks the hub's protocol, and can be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Site:
    """What the server serves, how it misbehaves, and what it was asked.

    Attributes:
        files: path to content; hub files as ``owner/name/file``.
        break_after: path to the number of bytes after which one transfer breaks off.
        status: path to HTTP statuses for the next requests, one each.
        types: path to content type.
        ranges: whether byte ranges are served.
        requests: method, path and Range header of each request.
        commits: files of each commit that was pushed.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    break_after: dict[str, list[int]] = field(default_factory=dict)
    status: dict[str, list[int]] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    commits: list[dict[str, bytes]] = field(default_factory=list)
    url: str = ""

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
        self.site.requests.append((self.command, path, self.headers.get("Range")))
        planned = self.site.status.get(path)
        if planned:
            self._status(planned.pop(0))
        elif path.startswith("/api/models/"):
            self._api(path.removeprefix("/api/models/"))
        elif found := re.fullmatch(r"/(.+)/resolve/([^/]+)/(.+)", path):
            repo, _, name = found.groups()
            self._file(path, f"{repo}/{name}", {"X-Repo-Commit": COMMIT})
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
