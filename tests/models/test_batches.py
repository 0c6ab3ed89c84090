from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import CallError
from optimizer.models.batches import Batches, Match, Reply, _anthropic_result, _object, _openai_result, batches_of
from optimizer.models.wire import HttpWire
from optimizer.testing.fake_server import FakeServer, text_of

PROVIDERS = ("openai", "anthropic")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer(lambda messages: text_of(messages[-1]).upper()) as fake:
        yield fake


def ask(server: FakeServer, provider: str, work: Callable[[Batches], Awaitable[Any]]) -> Any:
    """Do some work with a provider's batches."""

    async def done() -> Any:
        wire = HttpWire("fake", provider, server.api_base, "key", lambda headers: None)
        try:
            return await work(batches_of(wire, provider))
        finally:
            await wire.aclose()

    return asyncio.run(done())


def bodies(label: str, count: int = 3) -> dict[str, Any]:
    message = {"role": "user", "content": "grüß dich"}
    return {f"{label}-{n}": {"model": "fake", "max_tokens": 9, "messages": [message]} for n in range(count)}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_batch_is_handed_in_awaited_and_read(server: FakeServer, provider: str) -> None:
    server.batches.fates.extend([None, "expired", 429])

    async def work(batches: Batches) -> Any:
        name = await batches.submit("metier-1", bodies("metier-1"))
        return await batches.state(name), await batches.results(name)

    state, results = ask(server, provider, work)
    assert state.status == "ended"
    assert results["metier-1-1"] == "expired"
    assert results["metier-1-2"].status == 429
    reply = results["metier-1-0"]
    assert (reply.status, "GRÜSS DICH" in json.dumps(json.loads(reply.body), ensure_ascii=False)) == (200, True)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_batch_is_cancelled_with_what_is_answered(server: FakeServer, provider: str) -> None:
    server.batches.delay, server.batches.share = 3600, 0.4

    async def work(batches: Batches) -> Any:
        name = await batches.submit("metier-1", bodies("metier-1"))
        out = await batches.state(name)
        await batches.cancel(name)
        return out, await batches.state(name), await batches.results(name)

    out, state, results = ask(server, provider, work)
    assert (out.status, out.answered, state.status) == ("out", 1, "ended")
    assert [results[f"metier-1-{n}"] for n in (1, 2)] == ["cancelled"] * 2
    assert results["metier-1-0"].status == 200


def test_openai_finds_a_batch_by_its_label_on_any_page(server: FakeServer) -> None:
    async def work(batches: Batches) -> Any:
        for number in range(102):
            await batches.submit(f"metier-{number}", bodies(f"metier-{number}", 1))
        since = time.time()
        return await batches.find("metier-0", 1, since, ()), await batches.find("metier-x", 1, since, ())

    assert ask(server, "openai", work) == (Match("batch_0"), Match(None))


def test_anthropic_is_sure_of_a_batch_by_its_results_alone(server: FakeServer) -> None:
    """A batch of the same size may be ours until it has ended; one of another size, or of before, is not."""

    async def work(batches: Batches) -> Any:
        await batches.submit("metier-a", bodies("metier-a", 2))
        server.batches.delay = 0.3
        await batches.submit("metier-b", bodies("metier-b", 3))
        since = time.time()
        ours = [await batches.find(label, 3, since, ()) for label in ("metier-b", "metier-c")]
        later = await batches.find("metier-b", 3, since + 3600, ())
        known = await batches.find("metier-c", 3, since, ("msgbatch_1",))
        await asyncio.sleep(0.35)
        return ours, later, known, [await batches.find(label, 3, since, ()) for label in ("metier-b", "metier-c")]

    ours, later, known, ended = ask(server, "anthropic", work)
    assert ours == [Match(None, True)] * 2
    assert later == known == Match(None)
    assert ended == [Match("msgbatch_1"), Match(None)]


def test_openai_says_why_a_file_is_refused(server: FakeServer) -> None:
    async def work(batches: Batches) -> Any:
        return await batches.state(await batches.submit("metier-1", bodies("metier-1")))

    server.batches.refuse.append([{"code": "invalid_request", "message": "no such model", "line": 2}])
    server.batches.refuse.append([{"code": "token_limit_exceeded", "message": "too many tokens enqueued"}])
    wrong, full = ask(server, "openai", work), ask(server, "openai", work)
    assert (wrong.status, wrong.why, wrong.wrong, wrong.full) == ("refused", "no such model", {1}, False)
    assert (full.status, full.wrong, full.full) == ("refused", frozenset(), True)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_who_has_no_batches_refuses_the_list(server: FakeServer, provider: str) -> None:
    server.batches.absent = True
    with pytest.raises(Exception, match="no such path"):
        ask(server, provider, lambda batches: batches.probe())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "status_code", "body", "code", "type"]), inner, max_size=3)
    ),
)


@settings(max_examples=50, deadline=None)
@given(line=st.dictionaries(st.sampled_from(["response", "error", "result"]), JSON, max_size=3))
def test_any_line_of_results_comes_to_something(line: dict[str, Any]) -> None:
    for read in (_openai_result, _anthropic_result):
        result = read(line)
        assert result in ("expired", "cancelled") or isinstance(result, Reply)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff"])
def test_what_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(CallError, match="a reply about a batch"):
        _object(body)
