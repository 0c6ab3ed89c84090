from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import LedgerError
from optimizer.evaluate.drift import Again, odd_one_evidence
from optimizer.job.watch_state import FILE, Alarm, Reference, State, read_state, write_state

NAMES = [f"e{n}" for n in range(6)]
FIRST = dict.fromkeys(NAMES, 0.75)
one_check = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.0, 0.5, 0.75, 1.0]), min_size=1)
checks = st.lists(one_check, max_size=5)


def after(every: list[dict[str, float]]) -> State:
    state = State(run="r", model="openai/fake")
    for scores in every:
        state = state.after(scores, [-float(score != 0.75) for score in scores.values()], FIRST)
    return state


@settings(max_examples=20)
@given(checks)
def test_what_is_written_is_read_back_to_the_bit_and_goes_on_the_same(
    tmp_path_factory: pytest.TempPathFactory, every: list[dict[str, float]]
) -> None:
    folder, state = tmp_path_factory.mktemp("watch"), after(every)
    write_state(folder, state)
    again = read_state(folder)
    assert again == state
    assert again is not None
    assert again.after({"e0": 0.0}, [-1.0], FIRST) == state.after({"e0": 0.0}, [-1.0], FIRST)


@settings(max_examples=20)
@given(checks)
def test_what_examples_were_answered_is_added_up(every: list[dict[str, float]]) -> None:
    state = after(every)
    for name in NAMES:
        scores = [one[name] for one in every if name in one]
        if scores:
            assert state.again[name].restored() == Again(len(scores), pytest.approx(sum(scores)), min(scores))
        else:
            assert name not in state.again
    assert (state.checks, state.scores.looks, state.answers.looks) == (len(every),) * 3


def test_the_first_answers_are_tested_when_it_is_due() -> None:
    state, due = State(run="r", model="m"), []
    for _ in range(9):
        state = state.after({"e0": 0.0, "e1": 0.0}, [], FIRST)
        assert state.first is not None
        due.append(state.first.check)
    assert due == [1, 2, 2, 4, 4, 4, 4, 8, 8]
    assert state.first is not None
    assert state.first.evidence == pytest.approx(odd_one_evidence([0.75] * 2, [Again(8, 0.0, 0.0)] * 2))
    assert not state.first.fallen, "two examples are not enough"
    assert state.answers.looks == 0


def test_an_alarm_and_accepted_answers_are_kept(tmp_path: Path) -> None:
    alarm = Alarm(check=3, time=1.5, messages=("it fell",))
    state = State(
        run="r", model="m", checks=3, alarm=alarm, reference={"e0": Reference(score=1.0, answer={"kind": "ä"})}
    )
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert read_state(tmp_path / "other") is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("checks", -1),
        ("first", {"check": 0, "evidence": 1.0}),
        ("first", {"check": 1, "evidence": 1e999}),
        ("again", {"e0": {"asked": 0, "total": 0.0, "least": 0.0}}),
        ("scores", {"looks": 1}),
        ("scores", {"looks": 1, "low": 0, "wealth": [0.0] * 10, "seen": {"101": 1}}),
        ("scores", {"looks": 1, "low": 0, "wealth": [0.0] * 10, "seen": {"x": 1}}),
        ("reference", {"e0": {"score": 2, "answer": {}}}),
        ("alarm", "yes"),
        ("run", None),
        ("sekret", 1),
    ],
)
def test_a_file_that_is_none_of_ours_is_one_message(tmp_path: Path, key: str, value: object) -> None:
    data = {**json.loads(State(run="r", model="m").model_dump_json()), key: value}
    (tmp_path / FILE).write_text(json.dumps(data))
    with pytest.raises(LedgerError) as problem:
        read_state(tmp_path)
    assert key in str(problem.value) or "cannot be read" in str(problem.value)


@pytest.mark.parametrize("text", ["", "{", "null", "[1]", '{"run": "\\ud800"}', "[" * 5000, '{"run": 1, "run": 2}'])
def test_text_that_is_no_state_is_one_message(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(LedgerError):
        read_state(tmp_path)
    (tmp_path / FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(LedgerError):
        read_state(tmp_path)
