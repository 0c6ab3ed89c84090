from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.utils.exceptions import LMUnexpectedError

from optimizer.door.door import repetition_of_call, tag_of_call
from optimizer.errors import BudgetSpent, CallError
from optimizer.evaluate.evaluator import Evaluator, Result, phase_tag
from optimizer.evaluate.precheck import Precheck, precheck
from optimizer.ledger.answers import answers_of
from optimizer.ledger.ledger import Ledger
from optimizer.prompt.template import unnamed_labels
from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, Failure, Prompt, Score

SEED = Candidate({"predict": Prompt("i")})
OUTPUTS = {"answer": FieldSpec()}
TASK = Task.from_parts(
    name="t",
    description="",
    instruction="i",
    inputs={"n": FieldSpec()},
    outputs=OUTPUTS,
    train=(),
    validation=(),
    test=(),
    metric=build_metric("exact_match", OUTPUTS, Path()),
    folder=Path(),
)
LABELLED = TASK.changed(outputs={"answer": FieldSpec(choices=("0.0", "1.0"))})
EXAMPLES = [Example({"n": n}, {"answer": "1.0"}) for n in range(40)]


class Metric:
    name, version = "same", "1"

    def __call__(self, example: Example, answer: Any) -> tuple[float, str]:
        return (0.0 if answer is None else float(answer["answer"])), ""


class Program(dspy.Module):  # type: ignore[misc]
    """Right on every other example; with `noisy` each repetition turns the answer round."""

    def __init__(self, noisy: bool = False, failing: Any = None) -> None:
        super().__init__()
        self.noisy, self.failing = noisy, failing
        self.asked: list[tuple[int, int]] = []

    async def aforward(self, n: int) -> dspy.Prediction:
        number = repetition_of_call.get()
        self.asked.append((number, n))
        assert replace(tag_of_call.get(), example=None) == phase_tag("search", 0)
        if self.failing is not None and number >= self.failing[0]:
            raise LMUnexpectedError("engine failed") from self.failing[1]
        return dspy.Prediction(answer=str(float((n + number * self.noisy) % 2)))


class Programs:
    def __init__(self, program: dspy.Module) -> None:
        self.program = program

    def build(self, candidate: Candidate) -> dspy.Module:
        return self.program


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.db")
    yield made
    made.close()


def checked(ledger: Ledger, program: Program, temperature: float, answers: int | None = None) -> Precheck | None:
    lm = dspy.utils.DummyLM([{}])
    lm.kwargs["temperature"] = temperature
    evaluator = Evaluator(Programs(program), lm, Metric(), ["answer"], ledger, 4)
    return asyncio.run(precheck(evaluator, TASK, SEED, EXAMPLES, answers))


def test_at_temperature_0_it_asks_what_trial_0_asks_and_no_more(ledger: Ledger) -> None:
    program = Program()
    found = checked(ledger, program, 0.0)
    assert found is not None
    assert sorted(program.asked) == [(0, n) for n in range(10)]
    assert (found.scores.count(1.0), found.noise) == (5, 0.0)
    # Half right: 1.96 × sqrt(0.25 / 40).
    assert found.detectable == pytest.approx(0.155, abs=0.001)
    assert found.text() == (
        "Pre-check: the seed scores 50 of 100 on its first 10 examples; "
        "with 40 validation examples, gains under 15 points will look like luck."
    )
    assert len(answers_of(ledger, SEED.id, "validation")) == 10


def test_where_the_model_samples_the_noise_is_measured_and_widens_the_gap(ledger: Ledger) -> None:
    program = Program(noisy=True)
    found = checked(ledger, program, 0.7)
    assert found is not None
    assert sorted(program.asked) == [(number, n) for number in range(3) for n in range(10)]
    assert found.noise == pytest.approx(1 / 3)
    assert found.detectable > 0.155
    assert "asked 3 times, one answer's score varies by ±58" in found.text()
    first = [row.value for row in answers_of(ledger, SEED.id, "validation")]
    assert first == [float(n % 2) for n in range(10)]  # the repetitions did not overwrite it


@pytest.mark.parametrize(("answers", "asked"), [(1000, 30), (200, 30), (199, 20), (100, 20), (99, 10)])
def test_repetitions_take_no_more_than_a_tenth_of_the_budget(ledger: Ledger, answers: int, asked: int) -> None:
    program = Program(noisy=True)
    found = checked(ledger, program, 0.7, answers)
    assert found is not None
    assert len(program.asked) == asked


def test_a_budget_that_ends_leaves_what_is_known(ledger: Ledger) -> None:
    found = checked(ledger, Program(failing=(1, BudgetSpent("calls"))), 0.7)
    assert found is not None
    assert found.repeats == []
    assert checked(ledger, Program(failing=(0, BudgetSpent("calls"))), 0.7) is None


def test_a_seed_that_nobody_answers_is_not_judged(ledger: Ledger) -> None:
    assert checked(ledger, Program(failing=(0, CallError("server", "down"))), 0.0) is None


def labelled(instruction: str, *said: str, style: str = "turns") -> str:
    """Return what a pre-check says of a task with the labels yes and no, where the model says this."""
    task = TASK.changed(instruction=instruction, outputs={"answer": FieldSpec(choices=("yes", "no"))})
    unnamed = unnamed_labels(task, Candidate({"predict": Prompt(instruction, style)}))
    read = [{"answer": one} if one in ("yes", "no") else {"unreadable": one} for one in said]
    results: list[Any] = [Score(0.0, answer) for answer in read]
    text = Precheck(results, [], 40, {"answer": ("yes", "no")}, unnamed).text()
    return text.partition("will look like luck.")[2]


def test_answers_that_are_no_label_are_told_with_their_cause() -> None:
    chat = "I am happy to help!"
    assert labelled("Decide.", chat, chat) == " 2 of 2 answers are no label: your prompt does not name the choices."
    assert labelled("Decide.", chat, chat, style="chat") == " 2 of 2 answers are no label."
    assert labelled("Say yes if so.", chat, "no") == " 1 of 2 answers are no label: your prompt does not name no."
    assert labelled("Say yes or no.", chat, "no") == " 1 of 2 answers are no label."
    assert labelled("Decide.", "yes", "no") == ""


def test_the_pre_check_knows_the_tasks_labels(ledger: Ledger) -> None:
    lm = dspy.utils.DummyLM([{}])
    evaluator = Evaluator(Programs(Program()), lm, Metric(), ["answer"], ledger, 4)
    found = asyncio.run(precheck(evaluator, LABELLED, SEED, EXAMPLES))
    assert found is not None
    assert (found.no_label, found.labels, list(found.unnamed)) == (0, {"answer": ("0.0", "1.0")}, ["0.0", "1.0"])


@pytest.mark.parametrize(("longest", "enough"), [((3, 5), 512), ((3, 300), 1200)])
def test_a_limit_has_room_for_four_times_what_the_seed_needs(longest: Sequence[int], enough: int) -> None:
    results: list[Result] = [Score(0.0, longest=tokens) for tokens in longest]
    assert Precheck(results, [], 40).enough_tokens == enough


def test_answers_that_were_cut_or_lost_tell_nothing_of_what_is_enough() -> None:
    cut = Precheck([Score(0.0, longest=9), Score(0.0, longest=64, cut=True)], [], 40)
    assert (cut.cut, cut.enough_tokens) == (1, None)
    assert "1 of 2 answers were cut off at their limit: raise models.task.max_tokens." in cut.text()
    assert Precheck([Score(0.0, longest=9), Failure("server", "down")], [], 40).enough_tokens is None
