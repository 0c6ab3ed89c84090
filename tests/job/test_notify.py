"""A webhook is told how a run ended, and harms nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.proxies import proxy

from optimizer.config.schema import Notify
from optimizer.errors import StoppedByFailures
from optimizer.job.notify import finished, notify, stopped
from optimizer.ledger.result import Report, Side
from optimizer.types import Candidate, Prompt

SEED = Candidate({"predict": Prompt("Do it.")}, "seed")
USAGE: dict[str, Any] = {"calls": {"task": 3}, "usd": 0.5}


class Hook(HTTPServer):
    """A webhook that keeps what it was told, and answers with a status."""

    told: list[Any]
    status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/secret-path"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Hook)
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.told.append((self.headers["content-type"], json.loads(body)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *words: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook(("127.0.0.1", 0), _Handler) as server:
        server.told = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def report() -> Report:
    side = Side(SEED, 0.5, (0.4, 0.6), 10.0)
    return Report(
        "ab", "sorting", Path("runs/x"), "improved", side, side, 0.8, 0.25, (0.1, 0.4), 40, USAGE, USAGE, {}, 61.0, None
    )


def test_the_body_is_json_with_a_text_as_slack_shows_it(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    notify(Notify(url=hook.url), finished(report()), said.append)
    monkeypatch.setenv("MY_HOOK", hook.url)
    problem = StoppedByFailures("the provider is down", "Wait.")
    notify(Notify(url_env="MY_HOOK"), stopped("sorting", Path("runs/x"), problem), said.append)
    (kind, first), (_, second) = hook.told
    assert kind == "application/json"
    assert first["text"].startswith("sorting: improved. 0.500 → 0.500 on 40 test examples (+0.250")
    assert (first["event"], first["verdict"], first["difference_ci95"]) == ("finished", "improved", [0.1, 0.4])
    assert second["text"] == "sorting: stopped. the provider is down. Go on with `metier resume runs/x`."
    assert said == []


def test_a_webhook_on_this_machine_is_told_without_a_proxy(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(monkeypatch) as asked:
        notify(Notify(url=hook.url), {"text": "a"}, pytest.fail)
    assert len(hook.told) == 1
    assert asked == []


def test_what_goes_wrong_is_said_once_and_raises_nothing(hook: Hook) -> None:
    said: list[str] = []
    hook.status = 500
    notify(Notify(url=hook.url), {"text": "a"}, said.append)
    notify(Notify(url="http://127.0.0.1:9/x"), {"text": "a"}, said.append)
    notify(Notify(url="http://[::bad"), {"text": "a"}, said.append)
    notify(Notify(url_env="NOT_SET_ANYWHERE"), {"text": "a"}, said.append)
    notify(Notify(), {"text": "a"}, said.append)
    assert said[0] == "The webhook was not told (it answered 500)."
    assert said[3] == "The webhook was not told: NOT_SET_ANYWHERE is not set."
    assert len(said) == 4
