"""The same twenty requests by each provider's wire, against the fake server in its protocol; costs by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from dspy.lm15 import Config, LM15Error, Message, Reasoning, Request, Response
from dspy.utils.exceptions import LMError

from optimizer.door.failures import checked, classify, problem_with
from optimizer.errors import CallError
from optimizer.models.prices import Price, metered
from optimizer.models.providers import Endpoint
from optimizer.testing.fake_server import FakeServer, text_of
from optimizer.types import Usage

# By provider: a model, and what its address has behind the server's.
WIRES = {
    "openai": ("openai/gpt-4.1-mini", "/v1"),
    "anthropic": ("anthropic/claude-haiku-4-5", ""),
    "gemini": ("gemini/gemini-2.5-flash", ""),
    "mistral": ("mistral/mistral-small-latest", "/v1"),
    "ollama": ("ollama_chat/llama3.2", ""),
    "vllm": ("hosted_vllm/qwen", "/v1"),
    "azure": ("azure/gpt-4.1-mini", ""),
    "tgi": ("huggingface/org/model", "/v1"),
}
# These are asked by litellm, which takes seconds to import.
BY_LITELLM = ("mistral", "azure", "tgi")
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
PRICE = Price(input=2.0, output=8.0, cached=0.5)


def row(provider: str, *others: Any) -> Any:
    """Return a row of parameters, which is slow where litellm is needed."""
    return pytest.param(provider, *others, marks=pytest.mark.slow if provider in BY_LITELLM else ())


each = pytest.mark.parametrize("provider", [row(name) for name in WIRES])


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(lambda messages: text_of(messages[-1]).upper()) as running:
        yield running


def endpoint(server: FakeServer, provider: str) -> Endpoint:
    model, path = WIRES[provider]
    return Endpoint(model, model, f"{server.url}{path}", "key", 5.0)


def ask(where: Endpoint, texts: list[str], **config: Any) -> list[Response]:
    wire = where.dial(lambda headers: None)

    async def all_of_them() -> list[Response]:
        try:
            settings = Config(**{"max_tokens": 9, **config})
            asked = [Request(where.model, (Message.user(t),), system="Be kind.", config=settings) for t in texts]
            return [await wire.acall(one) for one in asked]
        finally:
            await wire.aclose()

    return asyncio.run(all_of_them())


@each
def test_twenty_requests_cost_what_they_cost_by_hand(server: FakeServer, provider: str) -> None:
    where = endpoint(server, provider)
    answers = ask(where, [f"question {n} of twenty" for n in range(20)], temperature=0.0)
    assert [one.message.text for one in answers] == [f"QUESTION {n} OF TWENTY" for n in range(20)]
    assert {one.finish_reason for one in answers} == {"stop"}
    used = [metered(one.usage, where.model, PRICE, Usage()) for one in answers]
    # "system: Be kind. user: question N of twenty" are eight words, and the answer has four. The server caches by
    # itself what begins like the last request, five words, but in Anthropic's protocol only what is marked.
    cached = 0 if provider == "anthropic" else 5
    assert used[0] == Usage(1, 0, 8, 0, 4, 8 * 2.0 + 4 * 8.0)
    assert used[1:] == [Usage(1, 0, 8, cached, 4, (8 - cached) * 2.0 + cached * 0.5 + 4 * 8.0)] * 19
    total = {"anthropic": 20 * 48.0}.get(provider, 48.0 + 19 * 40.5)
    assert sum(one.usd for one in used) == pytest.approx(total)
    assert server.answered == 20


@each
def test_an_answer_that_is_cut_says_so(server: FakeServer, provider: str) -> None:
    (answer,) = ask(endpoint(server, provider), ["one two three four"], max_tokens=2)
    assert (answer.message.text, answer.finish_reason) == ("ONE TWO", "length")


@pytest.mark.parametrize(
    ("provider", "config", "sent"),
    [
        row("gemini", {"temperature": 0.7, "stop": ("\n",)}, {"temperature": 0.7, "stopSequences": ["\n"]}),
        row("gemini", {"seed": 3}, {"seed": 3}),
        row("gemini", {"reasoning": Reasoning("low")}, {"thinkingConfig": {"thinkingBudget": 2048}}),
        row("mistral", {"temperature": 0.7, "stop": ("\n",)}, {"temperature": 0.7, "stop": ["\n"]}),
        row("mistral", {"seed": 3}, {"random_seed": 3}),
        row("mistral", {"reasoning": Reasoning("low")}, {"reasoning_effort": "high"}),
        row(
            "ollama", {"temperature": 0.7, "seed": 3, "stop": ("\n",)}, {"temperature": 0.7, "seed": 3, "stop": ["\n"]}
        ),
        row("ollama", {"reasoning": Reasoning("low")}, {"reasoning_effort": "low"}),
        row("vllm", {"temperature": 0.7, "seed": 3, "logprobs": 5}, {"seed": 3, "logprobs": True, "top_logprobs": 5}),
        row("vllm", {"reasoning": Reasoning("low")}, {"reasoning_effort": "low"}),
    ],
)
def test_a_setting_is_spelled_as_the_provider_documents_it(
    server: FakeServer, provider: str, config: dict[str, Any], sent: dict[str, Any]
) -> None:
    where = endpoint(server, provider)
    ask(where, ["one"])
    ask(where, ["one"], **config)
    without, body = (one.get("generationConfig", one) for one in server.requests)
    assert {key: body.get(key) for key in sent} == sent
    assert not sent.keys() & without.keys()


@pytest.mark.parametrize("provider", [row(name) for name in ("gemini", "mistral", "ollama", "vllm")])
def test_a_schema_is_spelled_as_the_provider_documents_it(server: FakeServer, provider: str) -> None:
    ask(endpoint(server, provider), ["one"], response_format={"type": "json_schema", "name": "a", "schema": SCHEMA})
    (body,) = server.requests
    if provider == "gemini":
        config = body["generationConfig"]
        assert config["responseMimeType"] == "application/json"
        assert SCHEMA in (config.get("responseJsonSchema"), config.get("responseSchema"))
    else:
        assert body["response_format"]["type"] == "json_schema"
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA


@each
@pytest.mark.parametrize(
    ("status", "kind"), [(429, "rate_limit"), (500, "server"), (401, "authentication"), (404, "unknown_model")]
)
def test_a_refusal_is_told_apart(server: FakeServer, provider: str, status: int, kind: str) -> None:
    server.fail(status)
    try:
        problem = problem_with(checked(ask(endpoint(server, provider), ["one"])[0]))
    except (CallError, LM15Error, LMError) as error:
        problem = classify(error)
    assert problem is not None
    assert problem.kind == kind


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/"])
def test_ollamas_own_address_will_do(server: FakeServer, base: str) -> None:
    where = Endpoint("ollama_chat/llama3.2", "x", f"{server.url}{base}", "none", 5.0)
    assert ask(where, ["one"])[0].message.text == "ONE"
