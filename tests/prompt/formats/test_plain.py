from __future__ import annotations

from typing import Any, Literal

import dspy
import pytest
from dspy.utils.exceptions import AdapterParseError
from hypothesis import given
from hypothesis import strategies as st

from optimizer.prompt.formats.plain import BlockAdapter, FieldsAdapter, TurnsAdapter, system_text
from optimizer.prompt.values import label_of, render

ONE = dspy.Signature("message -> intent", "Classify.")
TWO = dspy.Signature("message, due_date -> intent, final_amount: int", "Read it.")
DEMOS = [{"message": "m1", "intent": "bill"}, {"message": "m2", "intent": "card"}]
ALL = pytest.mark.parametrize(
    "adapter", [TurnsAdapter(), FieldsAdapter(), BlockAdapter()], ids=["turns", "fields", "block"]
)

word = st.text("abcdefgé0123", min_size=1, max_size=6)
labels = st.lists(
    st.lists(word, min_size=1, max_size=3).flatmap(lambda ws: st.sampled_from("_ -").map(lambda sep: sep.join(ws))),
    min_size=2,
    max_size=6,
    unique_by=lambda label: label.replace("_", " ").replace("-", " "),
)


def test_turns_are_system_pairs_and_the_input() -> None:
    assert TurnsAdapter().format(ONE, DEMOS, {"message": "now"}) == [
        {"role": "system", "content": "Classify."},
        {"role": "user", "content": "m1"},
        {"role": "assistant", "content": "bill"},
        {"role": "user", "content": "m2"},
        {"role": "assistant", "content": "card"},
        {"role": "user", "content": "now"},
    ]


def test_turns_with_several_fields_have_headings() -> None:
    demo = {"message": "m1", "due_date": "d1", "intent": "bill", "final_amount": 3}
    assert TurnsAdapter().format(TWO, [demo], {"message": "now", "due_date": "d"}) == [
        {"role": "system", "content": "Read it.\n\nAnswer in this form:\nIntent: …\nFinal amount: …"},
        {"role": "user", "content": "Message: m1\nDue date: d1"},
        {"role": "assistant", "content": "Intent: bill\nFinal amount: 3"},
        {"role": "user", "content": "Message: now\nDue date: d"},
    ]


def test_in_fields_a_turn_ends_with_the_name_of_the_output() -> None:
    assert FieldsAdapter().format(ONE, DEMOS, {"message": "now"}) == [
        {"role": "system", "content": "Classify."},
        {"role": "user", "content": "Message: m1\nIntent:"},
        {"role": "assistant", "content": "bill"},
        {"role": "user", "content": "Message: m2\nIntent:"},
        {"role": "assistant", "content": "card"},
        {"role": "user", "content": "Message: now\nIntent:"},
    ]


def test_fields_with_several_outputs_are_turns() -> None:
    demo = {"message": "m1", "due_date": "d1", "intent": "bill", "final_amount": 3}
    inputs = {"message": "now", "due_date": "d"}
    assert FieldsAdapter().format(TWO, [demo], inputs) == TurnsAdapter().format(TWO, [demo], inputs)


def test_a_block_is_one_message_that_ends_where_the_answer_begins() -> None:
    assert BlockAdapter().format(ONE, DEMOS, {"message": "now"}) == [
        {
            "role": "user",
            "content": "Classify.\n\nMessage: m1\nIntent: bill\n\nMessage: m2\nIntent: card\n\nMessage: now\nIntent:",
        }
    ]


@ALL
def test_what_is_constant_comes_first(adapter: Any) -> None:
    """Two inputs share everything but the last turn: the model's cached prefix is reused."""
    one, two = (adapter.format(ONE, DEMOS, {"message": text}) for text in ("first", "second"))
    assert one[:-1] == two[:-1]
    shared = one[-1]["content"].index("first")
    assert one[-1]["content"][:shared] == two[-1]["content"][:shared]


@ALL
def test_a_demo_that_lacks_an_output_is_shown_without_it(adapter: Any) -> None:
    demo = {"message": "m", "due_date": "d", "intent": "bill"}
    text = "\n".join(m["content"] for m in adapter.format(TWO, [demo], {"message": "n", "due_date": "e"}))
    assert "Intent: bill" in text
    assert "Final amount: 3" not in text
    assert "None" not in text


@ALL
@pytest.mark.parametrize("completion", ["bill", " bill\n", "Intent: bill", "intent : bill", "\nINTENT:bill"])
def test_one_field_is_the_whole_answer_with_or_without_its_heading(adapter: Any, completion: str) -> None:
    assert adapter.parse(ONE, completion) == {"intent": "bill"}


@ALL
@pytest.mark.parametrize(
    "completion",
    [
        "Intent: bill\nFinal amount: 3",
        "Final amount: 3\nIntent: bill",
        "**Intent**: bill\n**Final amount**: 3",
        "Sure!\n- intent: bill\n- final AMOUNT: 3 euros",
    ],
)
def test_several_fields_are_found_by_their_headings(adapter: Any, completion: str) -> None:
    assert adapter.parse(TWO, completion) == {"intent": "bill", "final_amount": 3}


def test_a_heading_that_begins_another_is_told_apart() -> None:
    signature = dspy.Signature("q -> date, date_of_birth")
    assert TurnsAdapter().parse(signature, "Date of birth: b\nDate: d") == {"date": "d", "date_of_birth": "b"}


def test_a_field_may_span_lines() -> None:
    signature = dspy.Signature("q -> reasoning, answer")
    found = TurnsAdapter().parse(signature, "Reasoning: one\ntwo: three\nAnswer: x")
    assert found == {"reasoning": "one\ntwo: three", "answer": "x"}


@ALL
@pytest.mark.parametrize("completion", ["bill", "Intent: bill", "Intent: bill\nFinal amount: many", ""])
def test_what_cannot_be_read_is_a_parse_error_with_the_answer(adapter: Any, completion: str) -> None:
    with pytest.raises(AdapterParseError) as caught:
        adapter.parse(TWO, completion)
    assert caught.value.lm_response == completion
    assert caught.value.adapter_name == type(adapter).__name__


@pytest.mark.parametrize("completion", ["9" * 400, "1e999"])
def test_a_babbled_number_is_a_parse_error(completion: str) -> None:
    signature = dspy.Signature("q -> n: int")
    try:
        found = TurnsAdapter().parse(signature, completion)
    except AdapterParseError:
        return
    assert found == {"n": int(completion)}


@ALL
@given(data=st.data(), names=labels)
def test_a_label_survives_rendering_and_reading(adapter: Any, data: st.DataObject, names: list[str]) -> None:
    signature = dspy.Signature({"q": (str, dspy.InputField()), "a": (Literal[tuple(names)], dspy.OutputField())}, "i")
    label = data.draw(st.sampled_from(names))
    assert adapter.parse(signature, render(label)) == {"a": label}
    assert adapter.parse(signature, f"{label_of('a')}: {label}") == {"a": label}


@given(st.text("abc xyz.!é", min_size=1).map(str.strip).filter(bool), st.integers(-(10**6), 10**6), st.booleans())
def test_several_fields_survive_rendering_and_reading(text: str, number: int, flag: bool) -> None:
    signature = dspy.Signature("q -> words, whole_number: int, is_so: bool")
    values = {"words": text, "whole_number": number, "is_so": flag}
    assert TurnsAdapter().parse(signature, TurnsAdapter.lines(signature.output_fields, values)) == values


@given(st.text(max_size=60))
def test_any_answer_is_read_or_refused(completion: str) -> None:
    signature = dspy.Signature("q -> a, n: int")
    try:
        found = TurnsAdapter().parse(signature, completion)
    except AdapterParseError:
        return
    assert set(found) == {"a", "n"}


def test_the_system_text_of_one_output_is_the_bare_instruction() -> None:
    assert system_text(ONE) == "Classify."


@ALL
def test_it_runs_as_dspys_adapter(adapter: Any) -> None:
    class Echo(dspy.utils.DummyLM):  # type: ignore[misc]
        def _format_answer_fields(self, fields: dict[str, Any]) -> str:
            return str(fields["intent"])

    with dspy.context(lm=Echo([{"intent": "card"}]), adapter=adapter):
        assert dspy.Predict(ONE)(message="m").intent == "card"


def test_a_demo_that_lacks_an_input_shows_the_others() -> None:
    content = BlockAdapter().format(TWO, [{"message": "m1", "intent": "bill"}], {"message": "now", "due_date": "d"})
    assert "Message: m1\nIntent: bill\n\nMessage: now\nDue date: d" in content[0]["content"]
