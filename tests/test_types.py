from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.types import (
    Calibration,
    Candidate,
    Example,
    Prompt,
    Usage,
    canonical_json,
    digest,
    role_of,
    task_key,
)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
examples = st.builds(Example, st.dictionaries(text, plain, max_size=3), st.dictionaries(text, plain, max_size=3))
numbers = st.floats(-50, 50)
calibrations = st.lists(st.tuples(text, numbers, numbers), max_size=4).flatmap(
    lambda rows: st.builds(
        Calibration,
        scale=numbers,
        offsets=st.just(tuple(offset for _, offset, _ in rows)),
        evidence=st.floats(0, 1),
        labels=st.just(tuple(label for label, _, _ in rows)),
        lean=st.sampled_from([(), tuple(part for _, _, part in rows)]),
    )
)
prompts = st.builds(
    Prompt,
    instruction=text,
    format=st.sampled_from(["turns", "block", "chat"]),
    policy=st.sampled_from(["static", "nearest", "diverse"]),
    count=st.integers(0, 64),
    order=st.sampled_from(["given", "reversed"]),
    demos=st.lists(examples, max_size=3).map(tuple),
    readout=st.sampled_from(["generate", "choose", "calibrated"]),
    calibration=st.none() | calibrations,
)
usages = st.builds(Usage, *[st.integers(0, 10**6)] * 5, st.integers(0, 1000).map(float))


@given(st.dictionaries(text, plain, max_size=4))
def test_canonical_json_ignores_the_order_of_keys(value: dict[str, Any]) -> None:
    backwards = dict(reversed(value.items()))
    assert canonical_json(backwards) == canonical_json(value)
    assert digest(backwards) == digest(value)


def test_canonical_json_is_compact_and_readable() -> None:
    assert canonical_json({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"é"]}'


def test_digest_is_the_start_of_the_sha256() -> None:
    # sha256 of the two bytes `{}`
    assert digest({}, 8) == "44136fa3"
    assert len(digest({}, 32)) == 32
    assert digest({}, 32).startswith(digest({}))


@given(prompts)
def test_a_prompt_survives_json(prompt: Prompt) -> None:
    assert Prompt.from_json(json.loads(json.dumps(prompt.to_json()))) == prompt


@given(st.dictionaries(text, prompts, max_size=3), text)
def test_a_candidate_survives_json_with_its_id(by_name: dict[str, Prompt], origin: str) -> None:
    candidate = Candidate(by_name, origin)
    again = Candidate.from_json(json.loads(json.dumps(candidate.to_json())))
    assert again.prompts == candidate.prompts
    assert again.id == candidate.id
    assert again.origin == "file"
    assert len(again.id) == 12


@given(prompts, text, text)
def test_a_candidates_id_does_not_depend_on_its_origin(prompt: Prompt, one: str, two: str) -> None:
    assert Candidate({"p": prompt}, one).id == Candidate({"p": prompt}, two).id


@pytest.mark.parametrize(
    "change",
    [
        {"instruction": "other"},
        {"format": "block"},
        {"policy": "nearest"},
        {"count": 4},
        {"order": "reversed"},
        {"demos": (Example({"a": "1"}, {"b": "2"}),)},
        {"readout": "choose"},
        {"readout": "calibrated"},
    ],
)
def test_every_part_of_a_prompt_changes_the_id(change: dict[str, Any]) -> None:
    prompt = Prompt("Do it.")
    changed = dataclasses.replace(prompt, **change)
    assert Candidate({"p": changed}).id != Candidate({"p": prompt}).id


def test_the_order_of_demos_is_part_of_the_id() -> None:
    one, two = Example({"a": "1"}, {"b": "2"}), Example({"a": "3"}, {"b": "4"})
    first, second = Prompt("x", count=2, demos=(one, two)), Prompt("x", count=2, demos=(two, one))
    assert Candidate({"p": first}).id != Candidate({"p": second}).id


def test_from_json_refuses_what_is_no_prompt() -> None:
    with pytest.raises(KeyError):
        Prompt.from_json({"instruction": "x"})
    with pytest.raises(TypeError):
        Prompt.from_json({"instruction": "x", "demos": [], "unknown": 1})


def test_an_examples_id_is_its_content_not_its_origin() -> None:
    assert Example({"a": "1"}, {"b": "2"}, "x.csv:1").id == Example({"a": "1"}, {"b": "2"}, "y.csv:9").id
    assert Example({"a": "1"}, {"b": "2"}).id != Example({"a": "1"}, {"b": "3"}).id
    assert Example({"a": "1"}, {}).id != Example({}, {"a": "1"}).id


@given(usages, usages, usages)
def test_usage_adds_up(one: Usage, two: Usage, three: Usage) -> None:
    assert (one + two) + three == one + (two + three)
    assert one + Usage() == one
    assert (one + two).tokens == one.tokens + two.tokens


def test_usage_adds_field_by_field() -> None:
    assert Usage(1, 2, 3, 4, 5, 0.5) + Usage(10, 20, 30, 40, 50, 0.25) == Usage(11, 22, 33, 44, 55, 0.75)
    assert Usage(input_tokens=3, cached_input_tokens=2, output_tokens=5).tokens == 8


def test_values_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Prompt("x").instruction = "y"  # type: ignore[misc]


def test_a_prompt_retrieves_if_its_policy_chooses_some() -> None:
    assert Prompt("i", policy="nearest", count=2).retrieves
    assert not Prompt("i", policy="nearest", count=0).retrieves
    assert not Prompt("i", count=2).retrieves


def test_static_demos_are_shown_in_their_order() -> None:
    demos = (Example({"n": 1}, {"k": "a"}), Example({"n": 2}, {"k": "b"}))
    assert Prompt("i", count=2, demos=demos).shown == demos
    assert Prompt("i", count=2, order="reversed", demos=demos).shown == demos[::-1]


@given(calibrations)
def test_a_calibration_survives_json(calibration: Calibration) -> None:
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


@given(prompts, calibrations)
def test_what_a_prompt_is_fitted_to_does_not_change_its_id(prompt: Prompt, calibration: Calibration) -> None:
    fitted = dataclasses.replace(prompt, calibration=calibration)
    assert Candidate({"p": fitted}).id == Candidate({"p": prompt}).id
    assert fitted.uncalibrated == prompt.uncalibrated
    assert prompt.uncalibrated.calibration is None


def test_a_prompt_whose_words_are_read_is_as_it_was_before_there_were_readouts() -> None:
    """Ledgers and saved prompts of before name it so."""
    prompt = Prompt("Do it.", "block", "nearest", 2, "reversed")
    assert list(prompt.to_json()) == ["instruction", "format", "policy", "count", "order", "demos"]
    assert Prompt.from_json(prompt.to_json()).readout == "generate"
    assert Candidate({"p": prompt}).id == "b2e5b05755b2"


@pytest.mark.parametrize(
    "change",
    [
        {"scale": float("nan")},
        {"evidence": float("inf")},
        {"offsets": [0.1]},
        {"offsets": [0.1, "much"]},
        {"labels": ["a", 2]},
        {"offsets": None},
    ],
)
def test_what_is_no_calibration_is_refused(change: dict[str, Any]) -> None:
    data = Calibration(1.0, (0.1, -0.1), 0.5, ("a", "b")).to_json()
    assert Calibration.from_json(data).labels == ("a", "b")
    with pytest.raises((KeyError, TypeError, ValueError)):
        Calibration.from_json({**data, **change})
    with pytest.raises(KeyError):
        Calibration.from_json({"scale": 1.0})


def test_an_ensemble_survives_json_and_is_part_of_the_id() -> None:
    members = (Prompt("b", "fields", "nearest", 4, readout="choose"), Prompt("c", readout="calibrated"))
    alone = Prompt("a", readout="calibrated")
    whole = dataclasses.replace(alone, ensemble=members)
    assert Prompt.from_json(json.loads(json.dumps(whole.to_json()))) == whole
    assert whole.asked == (alone, *members)
    assert alone.asked == (alone,)
    assert Candidate({"p": whole}).id != Candidate({"p": alone}).id
    assert Candidate({"p": whole}).asked == whole.asked
    assert Candidate({"p": whole}).retrieves
    assert not whole.retrieves


@pytest.mark.parametrize(
    "member",
    [
        Prompt("b"),
        Prompt("b", readout="choose", calibration=Calibration(1.0, (0.0, 0.0), 0.5, ("x", "y"))),
        Prompt("b", readout="choose", ensemble=(Prompt("c", readout="choose"),)),
    ],
)
def test_what_cannot_be_a_member_of_an_ensemble_is_refused(member: Prompt) -> None:
    data = Prompt("a", readout="choose", ensemble=(member,)).to_json()
    with pytest.raises(ValueError, match="the prompts of an ensemble"):
        Prompt.from_json(data)


def test_an_unknown_readout_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown readout: 'guess'"):
        Prompt.from_json({**Prompt("x").to_json(), "readout": "guess"})


def test_offsets_move_the_likeliest_label() -> None:
    labels = ("a", "b", "c")
    assert Calibration(1.0, (0.0, 0.0, 0.0), 0.0, labels).best([-2.0, -1.0, -3.0]) == 1
    assert Calibration(1.0, (2.0, 0.0, -2.0), 1.0, labels).best([-2.0, -1.0, -3.0]) == 0
    assert Calibration(0.0, (0.0, 0.0, 0.0), 0.0, labels).best([-2.0, -1.0, -3.0]) == 0, "of equals the first"
    with pytest.raises(ValueError, match="zip"):
        Calibration(1.0, (0.0,), 0.0, ("a",)).best([-1.0, -2.0])


def test_a_candidate_asks_another_model_without_the_firsts_calibration() -> None:
    calibration = Calibration(1.0, (0.5, -0.5), 1.0, ("a", "b"))
    other = Prompt("j", readout="calibrated")
    first = Candidate({"p": Prompt("i", readout="calibrated", calibration=calibration, ensemble=(other,))})
    asking = first.asking("openai/b")
    assert (first.model, asking.model, first.asking("")) == ("", "openai/b", first)
    assert not asking.calibrated
    assert {prompt.model for prompt in asking.asked} == {"openai/b"}
    assert asking.id != first.id
    assert Candidate.from_json(asking.to_json()).prompts == asking.prompts
    assert "model" not in Prompt("i").to_json()
    with pytest.raises(TypeError, match="a prompt's model must be text"):
        Prompt.from_json({**Prompt("i").to_json(), "model": 3})


@pytest.mark.parametrize(("model", "key"), [("", "task"), ("openai/b", "task:openai/b")])
def test_a_task_models_key_tells_its_role(model: str, key: str) -> None:
    assert (task_key(model), role_of(key)) == (key, "task")
    assert role_of("judge") == "judge"
