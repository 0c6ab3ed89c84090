from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from optimizer.errors import ModelError
from optimizer.models import hub
from optimizer.models.store import Store

DATA = b"GGUF" + bytes(range(256)) * 40
SPEC = "hf:owner/repo/sub/m.gguf"


class Hub(ThreadingHTTPServer):
    """A hub with one large file; the attributes say how it misbehaves."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.announced, self.large = DATA, DATA, True
        self.cut_after: list[int] = []
        self.busy, self.status, self.ranges = 0, 200, True
        self.seen: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.server.seen.append(f"HEAD {self.path}")
        if self.server.busy:
            self.server.busy -= 1
            self.reply(503)
        elif self.path.startswith("/owner/repo/"):
            self.reply(307, Location=self.path.replace("/owner/repo/", "/owner/renamed/"))
        elif self.server.status != 200:
            self.reply(self.server.status)
        elif self.server.large:
            announced = self.server.announced
            sha256 = hashlib.sha256(announced).hexdigest()
            headers = {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(announced))}
            self.reply(302, Location=f"{self.server.endpoint}/cdn/file", **headers)
        else:
            self.reply(200, ETag='W/"abc"')

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.seen.append(f"GET {self.path} {wanted}".strip())
        if self.path.startswith("/owner/") and self.server.large:
            self.reply(302, Location="/cdn/file")
            return
        data, start = self.server.data, int((re.findall(r"\d+", wanted) or ["0"])[0])
        if start and self.server.ranges and start >= len(data):
            self.reply(416, **{"Content-Range": f"bytes */{len(data)}"})
            return
        start = start if self.server.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        cut = self.server.cut_after.pop(0) if self.server.cut_after else len(data)
        self.wfile.write(data[start : start + cut])

    def reply(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", made.endpoint + "/")
        monkeypatch.setattr(hub.time, "sleep", lambda seconds: None)
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def gets(server: Hub) -> list[str]:
    return [line for line in server.seen if line.startswith("GET /cdn")]


def test_a_file_is_fetched_once_through_redirects(server, store):
    told: list[tuple[int, int]] = []
    place = store.resolve(SPEC, lambda done, total: told.append((done, total)))
    assert place == store.root / "hf" / "owner" / "repo" / "sub" / "m.gguf"
    assert place.read_bytes() == DATA
    assert told[-1] == (len(DATA), len(DATA))
    assert {path.name for path in place.parent.iterdir()} <= {"m.gguf", "m.gguf.lock"}
    server.seen.clear()
    assert store.resolve(SPEC) == place
    assert server.seen == []


def test_a_cut_download_goes_on_where_it_stopped(server, store):
    server.cut_after = [4000, 3000]
    assert store.resolve(SPEC).read_bytes() == DATA
    assert gets(server) == ["GET /cdn/file", "GET /cdn/file bytes=4000-", "GET /cdn/file bytes=7000-"]


def test_a_pull_that_gave_up_goes_on_in_the_next(server, store):
    server.cut_after = [1000] * hub.TRIES
    with pytest.raises(ModelError, match="after 4,000 bytes, which are kept") as caught:
        store.resolve(SPEC)
    assert caught.value.remedy.startswith("Check the network and pull again, or copy the file to ")
    server.seen.clear()
    assert store.resolve(SPEC).read_bytes() == DATA
    assert gets(server) == ["GET /cdn/file bytes=4000-"]


def test_a_server_without_ranges_starts_again(server, store):
    server.cut_after, server.ranges = [4000], False
    assert store.resolve(SPEC).read_bytes() == DATA


def test_a_partial_file_of_another_version_is_dropped(server, store):
    server.cut_after = [1000] * hub.TRIES
    with pytest.raises(ModelError):
        store.resolve(SPEC)
    server.data = server.announced = b"GGUF" + b"new" * 3000
    assert store.resolve(SPEC).read_bytes() == server.data


def test_a_small_file_without_a_digest_is_taken(server, store):
    server.large = False
    assert store.resolve(SPEC).read_bytes() == DATA


def test_a_complete_partial_file_of_unknown_size_is_taken(server, store):
    server.large = False
    server.announced = b""
    server.cut_after = [len(DATA)]
    folder = store.root / "hf" / "owner" / "repo" / "sub"
    folder.mkdir(parents=True)
    (folder / "m.gguf.partial").write_bytes(DATA)
    (folder / "m.gguf.partial.etag").write_text("abc")
    assert store.resolve(SPEC).read_bytes() == DATA


@pytest.mark.parametrize("sent", [DATA[:-1] + b"?", DATA[:-1], DATA + b"?"])
def test_other_bytes_than_announced_are_refused(server, store, sent):
    server.data = sent
    with pytest.raises(ModelError, match="the hub announced sha256") as caught:
        store.resolve(SPEC)
    assert hashlib.sha256(sent).hexdigest() in caught.value.what
    assert caught.value.remedy == "It was deleted; pull again."
    server.data = DATA
    assert store.resolve(SPEC).read_bytes() == DATA


def test_a_page_instead_of_a_model_is_refused(server, store):
    server.data = server.announced = b"<html>"
    with pytest.raises(ModelError, match="not a GGUF model file"):
        store.resolve(SPEC)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_missing_or_private_file_is_told(server, store, status):
    server.status = status
    with pytest.raises(ModelError, match=f"hf:owner/repo/sub/m.gguf: the hub has no such file.*{status}") as caught:
        store.resolve(SPEC)
    assert "owner, repo and file" in caught.value.remedy


def test_a_busy_hub_is_asked_again(server, store):
    server.busy = 2
    assert store.resolve(SPEC).read_bytes() == DATA


def test_a_hub_out_of_reach_is_told(server, store, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(ModelError, match="could not be fetched: ConnectError"):
        store.resolve(SPEC)


def test_a_file_that_changed_in_the_store_is_refused(server, store):
    place = store.resolve(SPEC)
    place.write_bytes(b"GGUF other")
    with pytest.raises(ModelError, match="is damaged"):
        store.resolve(SPEC)


def test_the_default_is_the_public_hub(monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert hub.default_endpoint() == "https://huggingface.co"
