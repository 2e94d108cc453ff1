"""Downloads against a real server on this machine: breaks, wrong hashes, fallbacks, offline."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from huggingface_hub import constants

from facemask_inpaint import checkpoints
from facemask_inpaint.checkpoints import Source, _transfer
from facemask_inpaint.errors import IntegrityError, WeightsNotFoundError
from tests.checkpoints.hub_server import COMMIT, Site

BODY = os.urandom(3_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()
REPO, NAME = "someone/faces", "models/G.bin"
HUB_PATH = f"/{REPO}/resolve/{COMMIT}/{NAME}"


def on_hub(site: Site, body: bytes = BODY, sha256: str | None = SHA256) -> Source:
    site.files[f"{REPO}/{NAME}"] = body
    return Source("hf", REPO, NAME, revision=COMMIT, sha256=sha256)


def on_web(site: Site, body: bytes = BODY, path: str = "G.bin", **pins: object) -> Source:
    site.files[path] = body
    return Source("url", f"{site.url}/{path}", "G.bin", **(pins or {"sha256": SHA256}))


def fetch(*sources: Source, **options: object) -> Path:
    return checkpoints.fetch(sources, progress=False, **options)


def test_from_hub(site: Site) -> None:
    source = on_hub(site)
    assert fetch(source).read_bytes() == BODY
    asked = len(site.requests)
    assert fetch(source).read_bytes() == BODY
    assert len(site.requests) == asked, "the second call needs no network"


def test_from_url(site: Site, tmp_path: Path) -> None:
    source = on_web(site)
    path = fetch(source)
    assert path.read_bytes() == BODY
    assert path.is_relative_to(tmp_path / "cache" / "downloads")
    assert fetch(source) == path
    assert len(site.gets("/G.bin")) == 1
    assert sorted(one.name for one in path.parent.iterdir()) == ["G.bin", "G.bin.lock"]


def test_cache_dir_moves_everything(site: Site, tmp_path: Path) -> None:
    for source in (on_hub(site), on_web(site)):
        path = fetch(source, cache_dir=tmp_path / "own")
        assert path.is_relative_to(tmp_path / "own")


def test_hub_transfer_that_breaks_is_resumed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100_000)
    site.break_after[HUB_PATH] = [1_000_000]
    assert fetch(on_hub(site)).read_bytes() == BODY
    assert site.gets(HUB_PATH) == [None, "bytes=1000000-"]


def test_url_transfer_that_breaks_is_resumed(site: Site) -> None:
    site.break_after["/G.bin"] = [1_000_000, 500_000]
    assert fetch(on_web(site)).read_bytes() == BODY
    assert site.gets("/G.bin") == [None, "bytes=1000000-", "bytes=1500000-"]


def test_next_call_goes_on_where_the_last_one_gave_up(site: Site) -> None:
    source = on_web(site)
    site.break_after["/G.bin"] = [400_000] * 5
    with pytest.raises(
        WeightsNotFoundError, match=r"gave up after 5 attempts \(2000000 of 3000000"
    ):
        fetch(source)
    assert fetch(source).read_bytes() == BODY
    assert site.gets("/G.bin")[-1] == "bytes=2000000-"


def test_file_that_changed_in_between_is_not_joined(site: Site) -> None:
    source = on_web(site, size=len(BODY))
    site.break_after["/G.bin"] = [400_000] * 5
    with pytest.raises(WeightsNotFoundError):
        fetch(source)
    other = bytes(len(BODY))
    site.files["G.bin"] = other
    assert fetch(source).read_bytes() == other


def test_server_without_ranges(site: Site) -> None:
    site.ranges = False
    site.break_after["/G.bin"] = [1_000_000]
    assert fetch(on_web(site)).read_bytes() == BODY


def test_partial_file_that_does_not_fit_is_dropped(site: Site) -> None:
    source = on_web(site)
    site.break_after["/G.bin"] = [400_000] * 5
    with pytest.raises(WeightsNotFoundError):
        fetch(source)
    (part,) = (Path(os.environ["FACEMASK_INPAINT_CACHE"])).rglob("*.part")
    part.write_bytes(bytes(len(BODY) + 5))
    assert fetch(source).read_bytes() == BODY


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_server_is_asked_again(site: Site, status: int) -> None:
    site.status["/G.bin"] = [status, status]
    assert fetch(on_web(site)).read_bytes() == BODY


def test_missing_file_is_not_asked_for_again(site: Site) -> None:
    with pytest.raises(WeightsNotFoundError, match="HTTP 404"):
        fetch(Source("url", f"{site.url}/nothing.bin", "nothing.bin"))
    assert len(site.requests) == 1


def test_web_page_instead_of_a_file(site: Site) -> None:
    site.types["/G.bin"] = "text/html; charset=utf-8"
    with pytest.raises(WeightsNotFoundError, match="web page"):
        fetch(on_web(site))


def test_announced_size_is_checked_before_the_transfer(site: Site) -> None:
    with pytest.raises(WeightsNotFoundError, match="offers 3000000 bytes, expected 17"):
        fetch(on_web(site, size=17))


def test_only_web_addresses(tmp_path: Path, site: Site) -> None:
    (tmp_path / "secret").write_bytes(BODY)
    with pytest.raises(WeightsNotFoundError, match="not a web address"):
        fetch(Source("url", f"file://{tmp_path}/secret", "secret", sha256=SHA256))


def test_next_source_is_tried(site: Site) -> None:
    gone = Source("hf", "nobody/nothing", "x.bin", revision=COMMIT)
    wrong = on_web(site, b"another file", "other/G.bin", sha256=SHA256)
    right = on_web(site)
    assert fetch(gone, wrong, right).read_bytes() == BODY


def test_wrong_hash(site: Site) -> None:
    found = hashlib.sha256(b"another file").hexdigest()
    source = on_web(site, b"another file", sha256=SHA256)
    with pytest.raises(
        IntegrityError, match=f"expected {SHA256}, found {found}.*kept as G.bin.bad"
    ):
        fetch(source)
    (bad,) = Path(os.environ["FACEMASK_INPAINT_CACHE"]).rglob("*.bad")
    assert bad.read_bytes() == b"another file"
    assert not bad.with_name("G.bin").exists()


def test_wrong_hash_on_the_hub(site: Site, tmp_path: Path) -> None:
    source = on_hub(site, b"another file")
    with pytest.raises(IntegrityError, match=SHA256):
        fetch(source)
    kept = tmp_path.joinpath("hf").rglob("G.bin")
    assert [one.read_bytes() for one in kept] == [b"another file"], "not ours to delete"


def test_hash_is_checked_on_every_load(site: Site) -> None:
    source = on_web(site)
    path = fetch(source)
    path.write_bytes(BODY[:-1] + bytes([BODY[-1] ^ 1]))
    with pytest.raises(IntegrityError):
        fetch(source, local_files_only=True)
    assert fetch(source).read_bytes() == BODY, "our own cache is mended from the network"
    assert path.with_name("G.bin.bad").exists()


@pytest.mark.parametrize("pins", [{"md5": MD5}, {"sha256": SHA256[:8]}, {"size": len(BODY)}])
def test_weaker_pins(site: Site, pins: dict[str, object]) -> None:
    source = on_web(site, **pins)
    path = fetch(source)
    path.write_bytes(b"x")
    with pytest.raises(IntegrityError, match="expected"):
        fetch(source, local_files_only=True)


def test_unpinned_hash_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        fetch(on_hub(site, sha256=None))
    assert SHA256 in caplog.text
    assert REPO in caplog.text


def test_local_files_only(site: Site) -> None:
    source = on_web(site)
    with pytest.raises(WeightsNotFoundError, match=r"not on this machine(.|\n)*Downloads are off"):
        fetch(source, local_files_only=True)
    assert not site.requests
    fetch(source)
    assert fetch(source, local_files_only=True).read_bytes() == BODY


def test_hub_offline_stops_all_downloads(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsNotFoundError, match="HF_HUB_OFFLINE"):
        fetch(on_web(site), on_hub(site))
    assert not site.requests


def test_what_is_here_wins_over_a_download(site: Site) -> None:
    second = on_web(site)
    path = fetch(second)
    asked = len(site.requests)
    assert fetch(Source("url", f"{site.url}/first.bin", "first.bin"), second) == path
    assert len(site.requests) == asked


MANUAL = Source("manual", "https://drive.example/abc", "faces/G.pkl", sha256=SHA256, size=len(BODY))


def test_manual_file_is_found(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "weights" / "faces" / "G.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    assert fetch(MANUAL) == path
    path.write_bytes(b"another file")
    with pytest.raises(IntegrityError, match=SHA256):
        fetch(MANUAL)
    assert path.read_bytes() == b"another file", "the user's own file is left alone"


def test_manual_file_in_the_cache(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "manual" / "faces" / "G.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    assert fetch(MANUAL) == path


def test_manual_instructions(site: Site, tmp_path: Path) -> None:
    gone = Source("url", f"{site.url}/nothing.bin", "nothing.bin")
    with pytest.raises(WeightsNotFoundError) as caught:
        fetch(gone, MANUAL, architecture="mat")
    message = str(caught.value)
    for part in (
        "HTTP 404",
        f"{site.url}/nothing.bin",
        "https://drive.example/abc",
        "3,000,000 bytes",
        str(tmp_path / "weights" / "faces" / "G.pkl"),
        "FACEMASK_INPAINT_WEIGHTS",
        "facemask-inpaint convert mat G.pkl --out FOLDER",
    ):
        assert part in message


NOWHERE = "http://no-such-host.invalid"
"""RFC 2606: a name that no name server knows."""


def nowhere(name: str) -> Source:
    return Source("url", f"{NOWHERE}/{name}", name, sha256=SHA256)


def on_no_hub() -> Source:
    return Source("hf", REPO, NAME, revision=COMMIT, sha256=SHA256)


@pytest.mark.parametrize(
    "sources",
    [[nowhere("G.bin")], [nowhere("G.bin"), nowhere("H.bin")], [on_no_hub(), nowhere("G.bin")]],
    ids=["web", "two addresses", "hub and web"],
)
def test_without_a_network_one_sentence_comes_at_once(
    sources: list[Source], site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", NOWHERE + "/{repo_id}/{filename}")
    monkeypatch.setattr(_transfer.time, "sleep", lambda _: pytest.fail("waited for a retry"))
    with pytest.raises(WeightsNotFoundError) as caught:
        fetch(*sources)
    message = str(caught.value)
    assert "G.bin is not on this machine and cannot be fetched without a network" in message
    assert "connect once and run this again" in message
    assert len(message.splitlines()) == 1
    assert message.count("no-such-host.invalid") == 1


def test_without_a_network_the_way_by_hand_is_told(site: Site) -> None:
    with pytest.raises(WeightsNotFoundError, match=r"(?s)without a network.*To get it by hand"):
        fetch(nowhere("G.pkl"), MANUAL)


def test_a_server_in_trouble_beside_a_missing_host_is_told(site: Site) -> None:
    gone = Source("url", f"{site.url}/nothing.bin", "nothing.bin")
    with pytest.raises(WeightsNotFoundError, match=r"(?s)HTTP 404.*no-such-host"):
        fetch(gone, nowhere("G.bin"))


def test_no_sources() -> None:
    with pytest.raises(WeightsNotFoundError, match="no source"):
        checkpoints.fetch([])


def test_two_at_once_get_one_whole_file(site: Site) -> None:
    source, found = on_web(site), []
    threads = [threading.Thread(target=lambda: found.append(fetch(source))) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [path.read_bytes() == BODY for path in found] == [True] * 4
    assert len(site.gets("/G.bin")) == 1


_PROGRAM = """
import sys
from facemask_inpaint.checkpoints import Source, fetch
kind, location, name, revision, sha256 = sys.argv[1:]
print(fetch([Source(kind, location, name, revision=revision, sha256=sha256)], progress=False))
"""


def _another_process(site: Site, source: Source, tmp_path: Path, **extra: str) -> subprocess.Popen:
    arguments = [source.location, source.filename, source.revision or "", source.sha256 or ""]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HF_ENDPOINT": site.url,
        "HF_HOME": str(tmp_path / "home"),
        **extra,
    }
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, source.kind, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_hub_environment_in_a_fresh_process(site: Site, tmp_path: Path) -> None:
    """HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE as a user sets them."""
    source = on_hub(site)
    out, errors = _another_process(site, source, tmp_path, HF_HUB_OFFLINE="1").communicate()
    assert "Downloads are off" in errors
    assert not site.requests
    out, errors = _another_process(site, source, tmp_path).communicate()
    assert Path(out.strip()).read_bytes() == BODY, errors
    assert Path(out.strip()).is_relative_to(tmp_path / "home")
    out, errors = _another_process(site, source, tmp_path, HF_HUB_OFFLINE="1").communicate()
    assert Path(out.strip()).read_bytes() == BODY, errors


def test_two_processes_fetch_the_same_file(site: Site, tmp_path: Path) -> None:
    source = on_web(site)
    running = [_another_process(site, source, tmp_path) for _ in range(2)]
    outputs = [one.communicate() for one in running]
    paths = {out.strip() for out, _ in outputs}
    assert len(paths) == 1, outputs
    assert Path(paths.pop()).read_bytes() == BODY
    assert len(site.gets("/G.bin")) == 1


def test_large_files_are_fetched_from_the_host_that_the_hub_names(site: Site) -> None:
    site.redirects = True
    assert fetch(on_hub(site)).read_bytes() == BODY
    assert site.transfers == [f"/xet-bridge/{SHA256}"]


def test_releases_are_fetched_from_the_host_that_github_names(site: Site) -> None:
    site.redirects = True
    address = "https://github.com/someone/models/releases/download/v1/G.bin"
    site.files[address.removeprefix("https://")] = BODY
    assert fetch(Source("url", address, "G.bin", sha256=SHA256)).read_bytes() == BODY
    stored = f"https://release-assets.githubusercontent.com/xet-bridge/{SHA256}"
    assert [asked for _, asked, _ in site.requests] == [address, stored]
