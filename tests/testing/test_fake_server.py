from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from optimizer.testing.fake_server import FakeServer, text_of
from optimizer.testing.faults import Fault


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(lambda messages: text_of(messages[-1]).upper()) as running:
        yield running


def chat(server: FakeServer, *texts: str) -> httpx.Response:
    messages: list[dict[str, Any]] = [{"role": "user", "content": text} for text in texts]
    return httpx.post(f"{server.api_base}/chat/completions", json={"model": "m", "messages": messages}, timeout=5)


def test_answers_by_the_function_with_usage(server: FakeServer) -> None:
    first = chat(server, "one two three").json()
    assert first["choices"][0]["message"] == {"role": "assistant", "content": "ONE TWO THREE"}
    assert first["usage"] == {
        "prompt_tokens": 4,
        "completion_tokens": 3,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    second = chat(server, "one two four").json()
    assert second["usage"]["prompt_tokens_details"] == {"cached_tokens": 3}
    assert (server.count, server.answered) == (2, 2)
    assert server.requests[1]["messages"][0]["content"] == "one two four"


def test_what_was_answered_and_what_was_spoilt_is_counted_apart(server: FakeServer) -> None:
    server.inject(Fault("broken_json"), Fault("empty"))
    for _ in range(4):
        chat(server, "one two three")
    assert list(server.bodies.values()) == [2]
    assert (server.answered, server.tokens, server.spoilt) == (2, 14, 7)


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_fails_as_often_as_told(server: FakeServer, status: int) -> None:
    server.fail(status, times=2, retry_after=7 if status == 429 else None)
    answers = [chat(server, "x") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].headers.get("Retry-After") == ("7" if status == 429 else None)
    assert "told to fail" in answers[0].json()["error"]["message"]
    assert (server.count, server.answered) == (3, 1)


def test_closes_the_connection_when_told(server: FakeServer) -> None:
    server.hang_up()
    with pytest.raises(httpx.RemoteProtocolError):
        chat(server, "x")
    assert chat(server, "x").status_code == 200


def test_other_paths_and_bodies_are_refused(server: FakeServer) -> None:
    assert httpx.post(f"{server.api_base}/completions", json={}).status_code == 404
    assert httpx.post(f"{server.api_base}/chat/completions", content=b"{").status_code == 400
    assert httpx.get(f"{server.api_base}/models").json()["data"][0]["id"] == "fake"
    assert httpx.get(f"{server.api_base}/nothing").status_code == 404
    assert server.count == 0


def test_parts_of_a_message_are_joined(server: FakeServer) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert text_of({"content": parts}) == "ab"
    assert text_of({"content": None}) == ""


def test_a_stopped_server_refuses() -> None:
    server = FakeServer(lambda messages: "")
    with server:
        pass
    server.stop()
    with pytest.raises(httpx.ConnectError):
        chat(server, "x")
