from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from optimizer.testing.fake_server import FakeServer, text_of
from optimizer.testing.faults import Fault
from optimizer.testing.label_model import LabelModel, tokenize


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(lambda messages: text_of(messages[-1]).upper()) as running:
        yield running


def chat(server: FakeServer, *texts: str) -> httpx.Response:
    messages: list[dict[str, Any]] = [{"role": "user", "content": text} for text in texts]
    return httpx.post(f"{server.api_base}/chat/completions", json={"model": "m", "messages": messages}, timeout=5)


@pytest.fixture
def labels() -> Iterator[FakeServer]:
    with FakeServer(LabelModel(lambda messages: {"card_arrival": 1.0, "card_linking": 0.0, "cash": -1.0})) as running:
        yield running


def asked(server: FakeServer, path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": "one two"}], **more}
    return httpx.post(f"{server.url}{path}", json=body, timeout=5)


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


def test_a_label_model_gives_log_probabilities(labels: FakeServer) -> None:
    reply = asked(labels, logprobs=True, top_logprobs=2).json()
    (choice,) = reply["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("card_arrival", "stop")
    assert reply["usage"]["completion_tokens"] == 3
    entries = choice["logprobs"]["content"]
    assert [entry["token"] for entry in entries] == ["card", "_arr", "ival"]
    likeliest = {name: entries[1][name] for name in ("token", "logprob", "bytes")}
    assert likeliest["bytes"] == list(b"_arr")
    assert entries[1]["top_logprobs"][0] == likeliest
    assert [other["token"] for other in entries[1]["top_logprobs"]] == ["_arr", "_lin"]
    assert likeliest["logprob"] == pytest.approx(math.log(1 / (1 + math.exp(-1))), abs=0.02)


def test_log_probabilities_come_only_where_they_are_asked_for(labels: FakeServer, server: FakeServer) -> None:
    assert asked(labels).json()["choices"][0]["logprobs"] is None
    assert asked(labels, logprobs=False).json()["choices"][0]["logprobs"] is None
    assert asked(labels, logprobs=True).json()["choices"][0]["logprobs"]["content"][0]["top_logprobs"] == []
    assert asked(server, logprobs=True, top_logprobs=20).json()["choices"][0]["logprobs"] is None


def test_the_end_of_an_answer_has_no_bytes() -> None:
    with FakeServer(LabelModel(lambda messages: {"card": 0.0, "card lost": 1.0})) as server:
        entries = asked(server, logprobs=True, top_logprobs=2).json()["choices"][0]["logprobs"]["content"]
    assert [(other["token"], other["bytes"]) for other in entries[1]["top_logprobs"]] == [
        (" lost", list(b" lost")),
        ("<|end|>", None),
    ]


@pytest.mark.parametrize("limit", [{"max_tokens": 1}, {"max_completion_tokens": 1}])
def test_a_bias_and_a_limit_count_pieces(labels: FakeServer, limit: dict[str, Any]) -> None:
    (choice,) = asked(labels, **limit).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("card", "length")
    (cash,) = tokenize("cash")
    assert asked(labels, logit_bias={str(cash): 3}).json()["choices"][0]["message"]["content"] == "cash"


def test_pieces_are_numbered_as_a_server_of_llama_cpp_does(labels: FakeServer, server: FakeServer) -> None:
    reply = httpx.post(f"{labels.url}/tokenize", json={"content": "card_arrival"})
    assert reply.json() == {"tokens": tokenize("card_arrival")}
    for body in (b"{", b"[]", b"{}", b'{"content": 3}'):
        assert httpx.post(f"{labels.url}/tokenize", content=body).status_code == 400
    assert httpx.post(f"{server.url}/tokenize", json={"content": "x"}).status_code == 404
    assert labels.count == 0


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": "2"}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": True}, "top_logprobs"),
        ({"logprobs": 1}, "logprobs"),
        ({"logprobs": False, "top_logprobs": 2}, "top_logprobs"),
        ({"top_logprobs": 0}, "top_logprobs"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"logit_bias": {"card": 1}}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logit_bias": {"²": 1}}, "logit_bias"),
        ({"logit_bias": {"1": 100.5}}, "logit_bias"),
        ({"logit_bias": {"1": True}}, "logit_bias"),
        ({"logit_bias": {"1": None}}, "logit_bias"),
    ],
)
def test_wrong_parameters_are_refused_in_one_protocol(
    labels: FakeServer, wrong: dict[str, Any], parameter: str
) -> None:
    reply = asked(labels, **wrong)
    error = reply.json()["error"]
    assert reply.status_code == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", parameter)
    assert f"'{parameter}'" in error["message"]
    assert labels.answered == 0
    assert asked(labels, "/v1/messages", **wrong).json()["content"] == [{"type": "text", "text": "card_arrival"}]


def test_a_server_without_log_probabilities_refuses_to_be_asked_for_them(labels: FakeServer) -> None:
    labels.without_logprobs()
    reply = asked(labels, logprobs=True, top_logprobs=20)
    assert reply.status_code == 400
    assert reply.json()["error"] == {
        "message": "Unsupported parameter: 'logprobs' is not supported with this model.",
        "type": "invalid_request_error",
        "param": "logprobs",
        "code": "unsupported_parameter",
    }
    assert asked(labels, logit_bias={"1": 1}, logprobs=False).status_code == 200
    labels.without_parameters("logit_bias")
    assert asked(labels, logit_bias={"1": 1}).json()["error"]["code"] == "unsupported_parameter"
    assert asked(labels, logprobs=True).status_code == 200


def test_a_stream_has_log_probabilities_with_each_piece(labels: FakeServer) -> None:
    whole = asked(labels, logprobs=True, top_logprobs=2).json()["choices"][0]["logprobs"]["content"]
    lines = asked(labels, logprobs=True, top_logprobs=2, stream=True).text.split("\n\n")
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    pieces = [choice for choice in choices if choice["delta"].get("content")]
    assert [piece["delta"]["content"] for piece in pieces] == ["card", "_arr", "ival"]
    assert [piece["logprobs"]["content"][0] for piece in pieces] == whole
