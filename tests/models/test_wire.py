"""Our wire and DSPy's against the fake provider: the same bytes out, the same answers and failures in."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import dspy
import pytest
from dspy.lm15 import Config, LM15Error, Message, Reasoning, Request, Response
from dspy.utils.exceptions import LMError
from hypothesis import given, settings
from hypothesis import strategies as st
from support.proxies import proxy

from optimizer.config.models import ModelConfig, Models
from optimizer.door.failures import checked, classify, problem_with
from optimizer.errors import CallError, ModelError
from optimizer.models import wire
from optimizer.models.caching import MarkingWire
from optimizer.models.dspy_lm import lm_endpoint
from optimizer.models.prices import Price, metered
from optimizer.models.providers import Endpoint, remote
from optimizer.models.wire import HttpWire, proxy_for
from optimizer.testing.fake_server import FakeServer, text_of
from optimizer.testing.faults import Fault
from optimizer.testing.label_model import LabelModel, tokenize
from optimizer.testing.protocols import Anthropic, OpenAI
from optimizer.types import Usage

PROTOCOLS: dict[str, Any] = {"openai": OpenAI, "anthropic": Anthropic}
both = pytest.mark.parametrize("provider", list(PROTOCOLS))

FAULTS = [
    (Fault("status", 429, retry_after=7), "rate_limit"),
    (Fault("status", 429), "rate_limit"),
    (Fault("status", 500), "server"),
    (Fault("status", 503), "server"),
    (Fault("status", 401), "authentication"),
    (Fault("status", 404), "unknown_model"),
    (Fault("status", 400), "invalid_request"),
    (Fault("hang_up"), "transport"),
    (Fault("cut"), "truncated"),
    (Fault("broken_json"), "malformed"),
    (Fault("wrong_types"), "malformed"),
    (Fault("empty"), "malformed"),
    (Fault("empty_body"), "malformed"),
    (Fault("deep"), "malformed"),
    (Fault("huge_usage"), "malformed"),
]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(lambda messages: text_of(messages[-1]).upper()) as running:
        yield running


def request(text: str = "one two", provider: str = "openai", **config: Any) -> Request:
    config = {"max_tokens": 9, **config}
    return Request(f"{provider}/fake", (Message.user(text),), system="Be kind.", config=Config(**config))


def endpoint(server: FakeServer, provider: str = "openai") -> Endpoint:
    return Endpoint(f"{provider}/fake", "fake", server.api_base, "key", 5.0)


def ask(wire: Any, asked: Request) -> Response:
    async def once() -> Response:
        try:
            response: Response = await wire.acall(asked)
            return response
        finally:
            await wire.aclose()

    return asyncio.run(once())


def outcome(wire: Any, asked: Request) -> tuple[str | None, float | None]:
    """Return the kind of failure that the door would see, and the delay asked for."""
    try:
        error = problem_with(checked(ask(wire, asked)))
    except (CallError, LM15Error, LMError, TimeoutError) as problem:
        error = classify(problem)
        return (error and error.kind, error and error.retry_after)
    return (error.kind, error.retry_after) if error else (None, None)


def dial(server: FakeServer, provider: str = "openai") -> Any:
    return endpoint(server, provider).dial(lambda headers: None)


@both
@pytest.mark.parametrize("config", [{"temperature": 0.0}, {"temperature": 0.7, "seed": 3, "stop": ("\n",)}, {}])
def test_the_same_request_and_answer_as_dspys_own_wire(
    server: FakeServer, provider: str, config: dict[str, Any]
) -> None:
    asked = request(provider=provider, **config)
    ours = ask(dial(server, provider), asked)
    theirs = ask(endpoint(server, provider).connect(), asked)
    first, second = server.requests
    assert first == second
    assert ours.message.text == theirs.message.text == "ONE TWO"
    mine, other = (metered(answer.usage, asked.model, Price(), Usage()) for answer in (ours, theirs))
    assert (mine.input_tokens, mine.output_tokens) == (other.input_tokens, 2)


def test_log_probabilities_come_back() -> None:
    (bias,) = tokenize("cash")
    with FakeServer(LabelModel(lambda messages: {"card_arrival": 1.0, "cash": 0.0})) as labels:
        asked = request(logprobs=20, max_tokens=1, extensions={"logit_bias": {str(bias): 3}})
        (token,) = ask(dial(labels), asked).logprobs
        assert (token.token, token.bytes) == ("cash", tuple(b"cash"))
        chances = {other.token: other.logprob for other in token.top}
        assert chances["cash"] - chances["card"] == pytest.approx(2.0)
        assert ask(dial(labels), request()).logprobs is None
        labels.without_logprobs()
        assert outcome(dial(labels), asked) == ("invalid_request", None)


@pytest.mark.parametrize(
    ("provider", "model", "sent"),
    [
        ("openai", "gpt-5-mini", {"reasoning_effort": "low"}),
        ("anthropic", "claude-opus-4-6", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ("anthropic", "claude-haiku-4-5", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
    ],
)
def test_an_effort_is_spelled_as_the_provider_documents_it(
    server: FakeServer, provider: str, model: str, sent: dict[str, Any]
) -> None:
    base = server.api_base if provider == "openai" else server.url
    wire = Endpoint(f"{provider}/{model}", model, base, "none").dial(lambda headers: None)
    ask(wire, request(provider=provider, reasoning=Reasoning("low")))
    body = server.requests[-1]
    assert {key: body.get(key) for key in sent} == sent
    assert "temperature" not in body


@both
def test_a_schema_is_spelled_as_the_provider_documents_it(server: FakeServer, provider: str) -> None:
    fields = {"properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    schema = {"type": "object", **fields}
    asked = request(provider=provider, response_format={"type": "json_schema", "name": "answer", "schema": schema})
    ask(dial(server, provider), asked)
    body = server.requests[-1]
    if provider == "openai":
        assert body["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    else:
        assert body["output_config"] == {"format": {"type": "json_schema", "schema": schema}}


def inner(wire: Any) -> Any:
    """Return the wire whose requests are marked for Anthropic's cache; any other as it is."""
    return wire.wire if isinstance(wire, MarkingWire) else wire


def test_who_gets_which_wire(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("openai", "anthropic"):
        assert isinstance(inner(dial(server, provider)), HttpWire)
        assert isinstance(inner(Endpoint(f"{provider}/x", "x", None, "key").dial(lambda headers: None)), dspy.LM)
        keyless = Endpoint(f"{provider}/x", "x", server.api_base)
        monkeypatch.setenv(f"{provider.upper()}_API_KEY", "from-the-environment")
        assert isinstance(inner(keyless.dial(lambda headers: None)), HttpWire)
    assert isinstance(dial(server, "ollama_chat"), dspy.LM)


def test_anthropics_address_is_good_with_and_without_v1(server: FakeServer) -> None:
    for base in (server.api_base, server.url, f"{server.url}/"):
        wire = Endpoint("anthropic/fake", "fake", base, "key", 5.0).dial(lambda headers: None)
        assert ask(wire, request(provider="anthropic")).message.text == "ONE TWO"


@both
@pytest.mark.parametrize(("fault", "kind"), FAULTS)
def test_each_fault_is_told_apart_by_our_wire(server: FakeServer, provider: str, fault: Fault, kind: str) -> None:
    asked = request(provider=provider)
    server.inject(fault)
    assert outcome(dial(server, provider), asked) == (kind, fault.retry_after)
    assert outcome(dial(server, provider), asked) == (None, None)


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
def test_each_fault_is_told_apart_by_dspys_wire(server: FakeServer, fault: Fault, kind: str) -> None:
    server.inject(fault)
    seen, delay = outcome(endpoint(server, "anthropic").connect(), request(provider="anthropic"))
    # DSPy's own wire does not tell a connection that is cut early from one that is cut late.
    assert seen in {kind, "transport"} if kind == "truncated" else seen == kind
    assert delay == fault.retry_after


def test_nobody_there_is_a_transport_failure(server: FakeServer) -> None:
    wire = dial(server)
    server.stop()
    assert outcome(wire, request()) == ("transport", None)


@both
def test_a_silent_model_is_not_a_failure(provider: str) -> None:
    with FakeServer(lambda messages: "") as server:
        assert outcome(dial(server, provider), request(provider=provider)) == (None, None)


@both
@pytest.mark.parametrize("value", [{"prompt_tokens": "many", "input_tokens": "many"}, [], "none"])
def test_usage_of_a_wrong_type_is_malformed(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, provider: str, value: object
) -> None:
    protocol = PROTOCOLS[provider]
    whole = protocol.reply
    monkeypatch.setattr(protocol, "reply", staticmethod(lambda reply: {**whole(reply), "usage": value}))
    assert outcome(dial(server, provider), request(provider=provider))[0] == "malformed"


def test_headers_are_heard_also_with_an_error(server: FakeServer) -> None:
    heard: list[Mapping[str, str]] = []
    server.limit(60, burst=1, announced=True)
    assert outcome(endpoint(server).dial(heard.append), request())[0] is None
    assert outcome(endpoint(server).dial(heard.append), request("more"))[0] == "rate_limit"
    assert [headers["x-ratelimit-limit-requests"] for headers in heard] == ["60", "60"]


@both
def test_a_password_in_the_address_is_sent_as_a_header_and_shown_nowhere(server: FakeServer, provider: str) -> None:
    base = server.api_base.replace("://", "://me:s3cret%40%20word@")
    place = remote(ModelConfig(model=f"{provider}/fake", api_base=base), 5, 1)
    wire = place.dial(lambda headers: None)
    assert isinstance(inner(wire), HttpWire)
    assert outcome(wire, request(provider=provider))[0] is None
    assert server.headers[-1]["Authorization"] == "Basic " + base64.b64encode(b"me:s3cret@ word").decode()
    assert "s3cret" not in place.identity + place.address
    gone = place.dial(lambda headers: None)
    server.stop()
    with pytest.raises(CallError) as caught:
        ask(gone, request(provider=provider))
    assert "s3cret" not in str(caught.value)


def test_the_key_is_not_shown() -> None:
    place = Endpoint("openai/fake", "x", "http://127.0.0.1:1/v1", "sk-canary", 5.0)
    assert "sk-canary" not in repr(place) + place.account
    assert place.account != Endpoint("openai/fake", "x", "http://127.0.0.1:1/v1", "sk-other", 5.0).account


def test_a_proxy_of_the_environment_is_used_but_for_this_machine(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert proxy_for("http://models.example.org/v1") == "http://127.0.0.1:9"
    assert outcome(dial(server), request()) == (None, None)  # what a local model is asked goes to no proxy
    monkeypatch.setenv("no_proxy", "models.example.org")
    assert proxy_for("http://models.example.org/v1") is None


@pytest.mark.parametrize("named", ["//x", "sqlite://", "http://", "me:secret@", "http://[::1", "http://a\x0cb"])
def test_a_proxy_that_is_no_address_is_refused(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", "squid.example.org:3128")
    assert proxy_for("http://models.example.org/v1") == "http://squid.example.org:3128"
    monkeypatch.setenv("http_proxy", named)
    with pytest.raises(ModelError, match=r"the proxy of http:// addresses.*is no address") as refused:
        proxy_for("http://models.example.org/v1")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("model", ["anthropic/fake", "hosted_vllm/fake"])
@pytest.mark.parametrize("callers", [False, True])
def test_no_proxy_sees_what_dspys_own_client_asks_on_this_machine(
    model: str, callers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeServer(lambda messages: "yes") as server, proxy(monkeypatch) as asked:
        base = server.api_base
        lm = dspy.LM(model, api_base=base, api_key="none", engine="lm15", cache=False)  # not plain
        place = lm_endpoint(lm, Models()) if callers else Endpoint(model, "fake", base, "none", 5.0)
        assert place.on_this_machine
        answer = ask(place.connect(), request(provider=model.partition("/")[0]))
    assert answer.message.text == "yes"
    assert asked == []


class Canned(HttpWire):
    """A wire to a server that answers every request with the same status and bytes."""

    def __init__(self, provider: str, status: int, body: bytes) -> None:
        super().__init__("fake", provider, "http://127.0.0.1/v1", "key", lambda headers: None)
        self.answer = (status, dict[str, str](), body)

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        return self.answer


def raised_by(wire: Any, asked: Request) -> Exception | None:
    """Return whatever an attempt raises: the door has to know its kind."""
    try:
        checked(ask(wire, asked))
    except Exception as problem:  # noqa: BLE001 - that is what is tested
        return problem
    return None


NAMES = st.sampled_from(
    [
        *("choices", "message", "content", "role", "text", "type", "usage", "prompt_tokens", "completion_tokens"),
        *("prompt_tokens_details", "cached_tokens", "input_tokens", "output_tokens", "cache_read_input_tokens"),
        *("error", "code", "finish_reason", "stop_reason", "tool_calls", "function", "name", "arguments", "id"),
        *("model", "logprobs", "thinking", "signature", "refusal", "annotations", "index"),
    ]
)
ODD = st.sampled_from([2**63, -1, 0.5, 1e300, 10**400, "", "text", "tool_use", "[" * 3000, "\ud800", "stop"])
JSON = st.recursive(
    ODD | st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
BODIES = JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)


def mixed(provider: str, changes: dict[str, Any]) -> bytes:
    """Return a good reply, some of whose parts are replaced."""
    reply = {
        "openai": {"choices": [{"message": {"role": "assistant", "content": "yes"}}], "usage": {}},
        "anthropic": {"content": [{"type": "text", "text": "yes"}], "usage": {}, "stop_reason": "end_turn"},
    }[provider]
    return json.dumps({**reply, **changes}).encode()


@both
@settings(max_examples=300, deadline=None)
@given(data=st.data(), status=st.sampled_from([200, 400, 401, 404, 429, 503]))
def test_any_reply_is_an_answer_or_a_failure_of_a_known_kind(provider: str, data: st.DataObject, status: int) -> None:
    changed = st.dictionaries(NAMES, JSON, max_size=4).map(lambda changes: mixed(provider, changes))
    body = data.draw(BODIES | changed)
    problem = raised_by(Canned(provider, status, body), request(provider=provider))
    assert problem is None or classify(problem) is not None, (status, body, problem)


@both
@pytest.mark.parametrize("message", [None, 2**63, ["no"], {"text": "no"}])
def test_a_refusal_in_an_odd_form_is_told_by_its_status(provider: str, message: object) -> None:
    body = json.dumps({"error": {"message": message}, "choices": None}).encode()
    for status, kind in ((401, "authentication"), (429, "rate_limit"), (503, "server")):
        assert outcome(Canned(provider, status, body), request(provider=provider)) == (kind, None)


@both
@pytest.mark.parametrize(("status", "kind"), [(200, "malformed"), (429, "rate_limit"), (503, "server")])
def test_a_deeply_nested_body_leaves_the_status_its_word(provider: str, status: int, kind: str) -> None:
    body = b'{"error": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert outcome(Canned(provider, status, body), request(provider=provider)) == (kind, None)


@both
def test_a_reply_of_more_than_any_answer_is_not_read(
    provider: str, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LARGEST_REPLY", 10_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    server.break_down(Fault("raw", body=head + b'{"id": "' + b"x" * 20_000 + b'"}'))
    endpoint = remote(ModelConfig(model=f"{provider}/fake", api_base=server.url), 20, 1)

    async def ask() -> None:
        dialed = endpoint.dial(lambda headers: None)
        try:
            await dialed.acall(request(provider=provider))
        finally:
            await dialed.aclose()

    with pytest.raises(CallError, match="more than 10,000 bytes") as refused:
        asyncio.run(ask())
    assert refused.value.kind == "malformed"
