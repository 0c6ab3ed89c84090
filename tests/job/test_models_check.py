from __future__ import annotations

import json

import pytest
from dspy.lm15 import Message, Response, Usage

from optimizer.config.models import ModelConfig, ModelPrice
from optimizer.job.models_check import Call, Finding, ModelChecked, _parallel, check_model
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.testing.faults import Fault
from optimizer.testing.label_model import LabelModel

pytestmark = pytest.mark.timeout(120)


def obedient(messages: Messages) -> str:
    """Answer by the schema where legs are asked for, else with a sentence that is always the same."""
    return '{"legs": 8}' if "legs" in text_of(messages[-1]) else "Ann left Rome at 7 by train today"


def checked(
    server: FakeServer, model: str = "openai/fake", **settings: object
) -> tuple[ModelChecked, dict[str, Finding]]:
    base = server.api_base if model.startswith("openai") else server.url
    done = check_model(ModelConfig(model=model, api_base=base, **settings))
    return done, {one.name: one for one in done.findings}


def test_what_a_model_can_is_asked_with_eight_calls() -> None:
    with FakeServer(obedient) as server:
        done, seen = checked(server, price=ModelPrice(input=1.0, output=2.0, cached=0.5))
        assert (done.answers, done.calls, server.count) == (True, 8, 8)
    assert {name: one.seen for name, one in seen.items() if name != "parallel calls"} == {
        "answers": "yes",
        "log-probabilities": "no",
        "structured outputs": "yes",
        "seed": "yes",
        "reasoning effort": "unknown",
        "prompt caching": "yes",
        "batches": "yes",
        "limits in headers": "unknown",
    }
    asked = server.requests[2:6]
    assert [bool(body.get("logprobs")) for body in asked].count(True) == 1
    assert [body["seed"] for body in asked if "seed" in body] == [7, 7]
    assert [body["response_format"]["json_schema"]["schema"]["required"] for body in asked if "response_format" in body]
    assert done.price == "$1 input, $0.5 cached, $2 output, per million tokens"
    used = done.usage
    plain = used.input_tokens - used.cached_input_tokens
    assert used.usd == pytest.approx((plain * 1.0 + used.cached_input_tokens * 0.5 + used.output_tokens * 2.0) / 1e6)
    json.dumps(done.to_json())


def test_a_model_with_log_probabilities_has_them() -> None:
    with FakeServer(LabelModel(lambda messages: {"a train to Rome at seven": 1.0})) as server:
        _, seen = checked(server)
    assert (seen["log-probabilities"].seen, seen["structured outputs"].seen) == ("yes", "no")


def test_a_refusal_is_a_no_with_its_message_cut_short() -> None:
    with FakeServer(obedient) as server:
        server.without_parameters("logprobs", "seed", "response_format")
        done, seen = checked(server)
    assert done.answers
    for name in ("log-probabilities", "seed", "structured outputs"):
        assert seen[name].seen == "no"
        assert "is not supported with this model" in seen[name].message
        assert len(seen[name].message) <= 160


def test_words_in_the_place_of_json_are_a_no_and_other_answers_too() -> None:
    answers = iter(f"sentence number {n} is another one" for n in range(99))
    with FakeServer(lambda messages: next(answers)) as server:
        _, seen = checked(server)
    assert (seen["structured outputs"].seen, seen["seed"].seen) == ("no", "no")
    assert seen["structured outputs"].message.startswith("it answers 'sentence number")
    with FakeServer(lambda messages: "Yes.") as server:
        _, seen = checked(server)
    assert seen["seed"].seen == "unknown"


def test_anthropics_protocol_has_neither_log_probabilities_nor_a_seed_and_caches_what_is_marked() -> None:
    with FakeServer(obedient) as server:
        done, seen = checked(server, "anthropic/claude-haiku-4-5")
        last = server.requests[-1]
    assert done.provider == "Anthropic"
    assert (seen["log-probabilities"].seen, seen["log-probabilities"].documented.can) == ("no", "no")
    assert seen["seed"].seen == "no"
    assert seen["prompt caching"].seen == "yes"
    assert last["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert len(last["system"][0]["text"].split()) > 3_000


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("status", 401), "401"),
        (Fault("status", 404), "404"),
        (Fault("wrong_types"), "no answer"),
        (Fault("empty_body"), "no JSON"),
        (Fault("hang_up"), ""),
    ],
    ids=lambda one: getattr(one, "kind", ""),
)
def test_a_model_that_does_not_answer_is_told_and_nothing_crashes(fault: Fault, message: str) -> None:
    with FakeServer(obedient) as server:
        server.break_down(fault)
        done, seen = checked(server)
    assert not done.answers
    assert seen["answers"].seen == "no"
    assert seen["answers"].message
    assert {one.seen for name, one in seen.items() if name != "answers"} == {"unknown"}


def test_calls_that_break_leave_only_their_features_unknown() -> None:
    answered = 0

    def broken_later(messages: Messages) -> str:
        nonlocal answered
        answered += 1
        if answered == 7:
            server.break_down(Fault("status", 503))
        return obedient(messages)

    with FakeServer(broken_later) as server:
        done, seen = checked(server)
    assert done.answers
    assert (seen["seed"].seen, seen["prompt caching"].seen) == ("yes", "unknown")


def test_calls_that_run_side_by_side_are_told_from_those_that_wait() -> None:
    one = Call(1.0, made_of(10))
    assert _parallel(one, [one] * 4, 1.2) == ("yes", "4 at once took 1.2 times as long as one")
    assert _parallel(one, [one] * 4, 3.9)[0] == "no"
    short = Call(0.2, made_of(2))
    assert _parallel(one, [one, short, short], 1.3)[0] == "no", "short answers take less time anyway"
    assert _parallel(one, [one, Call(0.1, None, "no")], 1.0)[0] == "unknown"


def made_of(tokens: int) -> Response:
    usage = Usage(input_tokens=5, output_tokens=tokens)
    return Response(id="1", model="m", message=Message.assistant("hm"), finish_reason="stop", usage=usage)
