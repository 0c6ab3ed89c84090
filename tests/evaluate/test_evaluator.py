from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.lm15 import Message, Response, Usage
from dspy.utils.exceptions import AdapterParseError, LMServerError, LMUnexpectedError

from optimizer.door import door
from optimizer.door.door import Answer, tag_of_call
from optimizer.errors import BudgetSpent, CallError, MetierError, ModelError, StoppedByFailures, TaskError
from optimizer.evaluate.evaluator import CUT, BlockCut, Evaluator, TaskModel, phase_tag, with_calls
from optimizer.ledger.answers import answers_of, cut_answers, known_failures, tokens_per_call
from optimizer.ledger.calls import CallTag
from optimizer.ledger.ledger import Ledger
from optimizer.task.metrics.base import Grade
from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.types import CAUSED_BY_PROMPT, Candidate, Example, Failure, FailureKind, Phase, Prompt, Score

CANDIDATE = Candidate({"predict": Prompt("i")})
EXAMPLES = [Example({"n": n}, {"answer": str(n)}) for n in range(6)]
SIGNATURE = dspy.Signature("n -> answer")
Rule = Callable[[int], Any]


def answer(tokens: int, reason: str = "stop") -> Answer:
    """Return what the door gives for an answer of so many tokens, all of them the model's."""
    response = Response(None, "m", Message.assistant("a"), reason, Usage(0, tokens))
    return Answer(1, response, tokens)


class Metric:
    name, version = "same", "3"

    def __call__(self, example: Example, answer: Any) -> tuple[float, str]:
        if answer is None:
            return 0.0, "unreadable"
        return float(answer["answer"] == example.outputs["answer"]), f"got {answer['answer']}"


class Program(dspy.Module):  # type: ignore[misc]
    """Answers by a rule; an exception from the rule is raised as DSPy would raise an engine's."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule, self.now, self.most, self.tags = rule, 0, 0, list[CallTag]()

    async def aforward(self, n: int) -> dspy.Prediction:
        self.tags.append(tag_of_call.get())
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.005)
            said = self.rule(n)
        finally:
            self.now -= 1
        if isinstance(said, MetierError):
            raise LMUnexpectedError("engine failed") from said
        if isinstance(said, BaseException):
            raise said
        return dspy.Prediction(answer=said)


class Programs:
    def __init__(self, program: dspy.Module) -> None:
        self.program, self.built = program, list[Candidate]()

    def build(self, candidate: Candidate) -> dspy.Module:
        self.built.append(candidate)
        return self.program


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.db")
    yield made
    made.close()


def evaluator(ledger: Ledger, program: dspy.Module, concurrency: int = 4, metric: Any = None) -> Evaluator:
    lm = dspy.utils.DummyLM([{}])
    return Evaluator(Programs(program), lm, metric or Metric(), ["answer"], ledger, concurrency)


def run(ledger: Ledger, rule: Rule, **settings: Any) -> list[Score | Failure]:
    async def go() -> list[Score | Failure]:
        return await evaluator(ledger, Program(rule), **settings).run(CANDIDATE, EXAMPLES, "validation", 12)

    return asyncio.run(go())


def unreadable(text: str) -> AdapterParseError:
    return AdapterParseError("TurnsAdapter", SIGNATURE, text)


def test_each_example_gets_its_score_in_order(ledger: Ledger) -> None:
    results = run(ledger, lambda n: str(n) if n % 2 else "no")
    assert results == [
        Score(0.0, {"answer": "no"}, "got no"),
        Score(1.0, {"answer": "1"}, "got 1"),
        Score(0.0, {"answer": "no"}, "got no"),
        Score(1.0, {"answer": "3"}, "got 3"),
        Score(0.0, {"answer": "no"}, "got no"),
        Score(1.0, {"answer": "5"}, "got 5"),
    ]


def test_a_score_tells_the_tokens_of_the_calls_that_led_to_it_and_not_the_judges(ledger: Ledger) -> None:
    class Calls:
        """Stands for the door, which notes each answer's tokens where somebody counts them."""

        def answer(self, tokens: int) -> None:
            if (collecting := door._collected.get()) is not None:
                collecting.append(answer(tokens))

    class Twice(dspy.Module):  # type: ignore[misc]
        async def aforward(self, n: int) -> dspy.Prediction:
            Calls().answer(10 + n)
            await asyncio.sleep(0.001 * (3 - n))
            Calls().answer(5)
            return dspy.Prediction(answer=str(n))

    class Judged(Metric):
        def __call__(self, example: Example, answer: Any) -> tuple[float, str]:
            Calls().answer(1000)
            return 1.0, ""

    async def go() -> list[Score | Failure]:
        return await evaluator(ledger, Twice(), metric=Judged()).run(CANDIDATE, EXAMPLES[:3], "validation")

    assert [(r.tokens, r.calls) for r in asyncio.run(go()) if isinstance(r, Score)] == [(15, 2), (16, 2), (17, 2)]
    assert next((r.tokens, r.calls) for r in answers_of(ledger, CANDIDATE.id, "validation")) == (15, 2)


class Waiting(Metric):
    """Grades by two parts, once as many answers are there as it waits for."""

    def __init__(self, parties: int = 1) -> None:
        self.met = asyncio.Barrier(parties)

    async def grade(self, example: Example, answer: Any) -> Grade:
        await asyncio.wait_for(self.met.wait(), 60)
        return Grade(0.75, "half of it", {"right": 1.0, "short": 0.5})


def test_the_parts_of_a_score_are_in_the_ledger(ledger: Ledger) -> None:
    results = run(ledger, str, metric=Waiting())
    assert results[1] == Score(0.75, {"answer": "1"}, "half of it", parts={"right": 1.0, "short": 0.5})
    assert [row.parts for row in answers_of(ledger, CANDIDATE.id, "validation")] == [{"right": 1.0, "short": 0.5}] * 6


def test_a_metric_that_waits_holds_up_no_call(ledger: Ledger) -> None:
    """Else a judge would wait for the task model's slot, and all answers for the judge."""
    assert len(run(ledger, str, metric=Waiting(parties=6), concurrency=1)) == 6


class Asking(Metric):
    """Asks a model that refuses what it is asked of the examples `refused`."""

    calls = 2

    def __init__(self, *refused: int, kind: FailureKind = "server") -> None:
        self.refused, self.kind = refused, kind

    async def grade(self, example: Example, answer: Any) -> Grade:
        if example.inputs["n"] in self.refused:
            raise CallError(self.kind, "no")
        return Grade(*self(example, answer))


@pytest.mark.parametrize("kind", ["server", "malformed", *sorted(CAUSED_BY_PROMPT)])
def test_a_judge_that_fails_is_never_a_zero(ledger: Ledger, kind: FailureKind) -> None:
    results = run(ledger, str, metric=Asking(1, 4, kind=kind))
    assert [results[at] for at in (1, 4)] == [Failure(kind, "the judge: no")] * 2
    assert sum(isinstance(result, Score) for result in results) == 4
    failures = known_failures(ledger)
    assert [type(failure) for failure in failures.values()] == [Failure] * 2


def test_the_calls_of_a_judge_are_counted_before_a_block_begins(ledger: Ledger) -> None:
    """Three calls an example: with seven left only one block of two examples begins at once."""
    left = [7.0]
    program, running = Program(str), list[int]()

    class Paying(Asking):
        async def grade(self, example: Example, answer: Any) -> Grade:
            left[0] -= 3
            running.append(program.now)
            return await super().grade(example, answer)

    async def go() -> None:
        made = evaluator(ledger, program, metric=Paying())
        made.calls_left = lambda: left[0]
        made.__post_init__()
        blocks = [made.run(CANDIDATE, EXAMPLES[at : at + 2], "validation", at, phase_tag("search")) for at in (0, 2)]
        await asyncio.gather(*blocks)

    asyncio.run(go())
    assert program.most == 2


def test_what_came_is_in_the_ledger_at_its_place(ledger: Ledger) -> None:
    run(ledger, lambda n: CallError("server", "down") if n == 2 else str(n))
    rows = answers_of(ledger, CANDIDATE.id, "validation")
    assert [row.position for row in rows] == [12, 13, 14, 15, 16, 17]
    assert [row.value for row in rows] == [1.0, 1.0, None, 1.0, 1.0, 1.0]
    assert [row.failure for row in rows] == [None, None, "server", None, None, None]
    assert [row.example for row in rows] == [e.id for e in EXAMPLES]
    assert {row.metric for row in rows} == {"same@3"}
    assert rows[1].fields == {"answer": "1"}


def test_a_failure_is_never_a_zero(ledger: Ledger) -> None:
    results = run(ledger, lambda n: CallError("rate_limit", "busy") if n < 2 else str(n))
    assert results[:2] == [Failure("rate_limit", "busy")] * 2
    assert [r.value for r in results if isinstance(r, Score)] == [1.0] * 4


@pytest.mark.parametrize("kind", sorted(CAUSED_BY_PROMPT))
def test_a_call_that_the_prompt_makes_fail_is_a_wrong_answer(ledger: Ledger, kind: FailureKind) -> None:
    """Who uses such a prompt has no answer either: to leave it out would reward failing on hard examples."""
    results = run(ledger, lambda n: CallError(kind, "8193 tokens, Bearer abcdefgh1234") if n < 2 else str(n))
    assert [(r.value, r.failure) for r in results[:2] if isinstance(r, Score)] == [(0.0, kind)] * 2
    assert all(isinstance(r, Score) and r.feedback.startswith("8193 tokens") for r in results[:2])
    rows = answers_of(ledger, CANDIDATE.id, "validation")
    assert [(row.value, row.failure) for row in rows[:3]] == [(0.0, kind), (0.0, kind), (1.0, None)]
    assert "abcdefgh" not in rows[0].feedback


def test_a_search_that_goes_on_asks_nothing_again_that_the_prompt_made_fail(ledger: Ledger) -> None:
    first = run(ledger, lambda n: CallError("content_filter", "no") if n in {1, 4} else str(n))

    async def go_on() -> list[Score | Failure]:
        again = replace(evaluator(ledger, Program(str)), lost=known_failures(ledger))
        return await again.run(CANDIDATE, EXAMPLES, "validation", 12, phase_tag("search"))

    assert asyncio.run(go_on()) == first
    assert asyncio.run(go_on()) == first, "and once more"


def test_a_search_that_goes_on_keeps_what_was_paid_before_the_call_that_failed(ledger: Ledger) -> None:
    def refused_later(n: int) -> Any:
        if (collecting := door._collected.get()) is not None:
            collecting.append(answer(1))  # of the program's first predictor
        return CallError("context_too_long", "no room") if n in {1, 4} else str(n)

    first = run(ledger, refused_later)
    before = tokens_per_call(ledger, CANDIDATE.id, "validation")
    assert before == answer(1).tokens

    async def go_on() -> list[Score | Failure]:
        again = replace(evaluator(ledger, Program(refused_later)), lost=known_failures(ledger))
        return await again.run(CANDIDATE, EXAMPLES, "validation", 12, phase_tag("search"))

    assert [result.calls for result in first if isinstance(result, Score)] == [1] * 6
    assert [result.calls for result in asyncio.run(go_on()) if isinstance(result, Score)] == [1] * 6
    assert tokens_per_call(ledger, CANDIDATE.id, "validation") == before


def test_a_search_that_goes_on_asks_nothing_again_that_was_never_answered(ledger: Ledger) -> None:
    def broken(n: int) -> Any:
        return CallError("server", "down") if n in {1, 4} else str(n)

    first, asked = run(ledger, broken), list[int]()

    def mended(n: int) -> str:
        asked.append(n)
        return str(n)

    async def go_on(phase: Phase) -> list[Score | Failure]:
        again = replace(evaluator(ledger, Program(mended)), lost=known_failures(ledger))
        return await again.run(CANDIDATE, EXAMPLES, "validation", 12, phase_tag(phase))

    assert asyncio.run(go_on("search")) == first
    assert asked == [0, 2, 3, 5]
    assert known_failures(ledger) == {(CANDIDATE.id, "validation", at): Failure("server", "down") for at in (13, 16)}
    assert [r.value for r in asyncio.run(go_on("test")) if isinstance(r, Score)] == [1.0] * 6, "a test asks again"


def test_what_fails_now_may_be_asked_again_now(ledger: Ledger) -> None:
    broken = run(ledger, lambda n: CallError("server", "down"))
    assert all(isinstance(result, Failure) for result in broken)
    assert all(isinstance(result, Score) for result in run(ledger, str))


def test_an_unreadable_answer_is_a_zero_and_keeps_its_text(ledger: Ledger) -> None:
    results = run(ledger, lambda n: unreadable("blah") if n == 0 else str(n))
    assert results[0] == Score(0.0, {"unreadable": "blah"}, "unreadable")
    assert results[1] == Score(1.0, {"answer": "1"}, "got 1")


def test_an_answer_without_the_output_field_is_scored_not_raised(ledger: Ledger) -> None:
    class Silent(dspy.Module):  # type: ignore[misc]
        async def aforward(self, n: int) -> dspy.Prediction:
            return dspy.Prediction(other="x")

    async def go() -> list[Score | Failure]:
        return await evaluator(ledger, Silent()).run(CANDIDATE, EXAMPLES[:1], "validation")

    assert asyncio.run(go()) == [Score(0.0, {"answer": None}, "got None")]


@pytest.mark.parametrize("error", [StoppedByFailures("no key"), ModelError("no embedding")])
def test_what_ends_the_run_is_raised_and_nothing_of_the_block_recorded(ledger: Ledger, error: MetierError) -> None:
    with pytest.raises(type(error)) as caught:
        run(ledger, lambda n: error if n == 3 else str(n))
    assert caught.value is error
    assert answers_of(ledger, CANDIDATE.id, "validation") == []


def test_what_was_answered_before_the_budget_ended_is_given_back(ledger: Ledger) -> None:
    with pytest.raises(BlockCut, match="calls are spent") as caught:
        run(ledger, lambda n: BudgetSpent("calls") if n == 3 else str(n))
    assert [result.answer for result in caught.value.results] == [{"answer": str(n)} for n in range(3)]
    assert answers_of(ledger, CANDIDATE.id, "validation") == [], "for the caller to keep, or not"


def test_an_lm_error_that_is_not_ours_is_raised(ledger: Ledger) -> None:
    with pytest.raises(LMServerError):
        run(ledger, lambda n: LMServerError("down"))


def test_an_error_of_the_metric_is_raised(ledger: Ledger) -> None:
    class Broken(Metric):
        def __call__(self, example: Example, answer: Any) -> tuple[float, str]:
            raise TaskError("metric.py:3: division by zero")

    with pytest.raises(TaskError, match="division by zero"):
        run(ledger, str, metric=Broken())


def test_after_a_spent_budget_no_more_of_the_block_is_begun(ledger: Ledger) -> None:
    asked = []

    def rule(n: int) -> Any:
        asked.append(n)
        return BudgetSpent("calls") if n == 0 else str(n)

    with pytest.raises(BudgetSpent):
        run(ledger, rule, concurrency=1)
    assert asked == [0]


def test_what_is_in_flight_when_the_budget_is_spent_may_land(ledger: Ledger) -> None:
    done = []

    class Slow(dspy.Module):  # type: ignore[misc]
        async def aforward(self, n: int) -> dspy.Prediction:
            if n == 0:
                await asyncio.sleep(0.01)
                raise LMUnexpectedError("engine failed") from BudgetSpent("usd")
            await asyncio.sleep(0.05)
            done.append(n)
            return dspy.Prediction(answer=str(n))

    with pytest.raises(BudgetSpent):
        asyncio.run(evaluator(ledger, Slow(), 3).run(CANDIDATE, EXAMPLES, "validation"))
    assert done == [1, 2]


def test_another_error_cancels_the_rest_of_the_block(ledger: Ledger) -> None:
    asked = []

    def rule(n: int) -> Any:
        asked.append(n)
        return StoppedByFailures("down") if n == 0 else str(n)

    with pytest.raises(StoppedByFailures):
        run(ledger, rule, concurrency=1)
    assert asked == [0]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_not_more_run_at_once_than_allowed(ledger: Ledger, concurrency: int) -> None:
    program = Program(str)

    async def go() -> None:
        made = evaluator(ledger, program, concurrency)
        others = [Candidate({"predict": Prompt(text)}) for text in "ab"]
        await asyncio.gather(*(made.run(c, EXAMPLES, "validation") for c in others))

    asyncio.run(go())
    assert program.most == concurrency


def test_calls_carry_the_tag_of_their_own_run(ledger: Ledger) -> None:
    one, two = Program(str), Program(str)

    async def go() -> None:
        await asyncio.gather(
            evaluator(ledger, one).run(CANDIDATE, EXAMPLES, "validation", 0, phase_tag("search", 4)),
            evaluator(ledger, two).run(CANDIDATE, EXAMPLES, "test", 0, phase_tag("test", 1)),
        )

    asyncio.run(go())
    assert set(one.tags) == {CallTag("task", "search", 4, example.id) for example in EXAMPLES}
    assert set(two.tags) == {CallTag("task", "test", 1, example.id) for example in EXAMPLES}


def test_a_program_without_an_async_way_runs_in_threads_with_the_tag(ledger: Ledger) -> None:
    tags = []

    class Plain(dspy.Module):  # type: ignore[misc]
        def forward(self, n: int) -> dspy.Prediction:
            tags.append(tag_of_call.get())
            return dspy.Prediction(answer=str(n))

    async def go() -> list[Score | Failure]:
        return await evaluator(ledger, Plain()).run(CANDIDATE, EXAMPLES, "test", 0, phase_tag("test", 1))

    assert [r.value for r in asyncio.run(go()) if isinstance(r, Score)] == [1.0] * 6
    assert set(tags) == {CallTag("task", "test", 1, example.id) for example in EXAMPLES}


def test_a_whole_program_is_built_once_a_block(ledger: Ledger) -> None:
    made = evaluator(ledger, Program(str))
    asyncio.run(made.run(CANDIDATE, EXAMPLES, "validation"))
    assert made.programs.built == [CANDIDATE]  # type: ignore[attr-defined]


def test_an_empty_block_is_no_trouble(ledger: Ledger) -> None:
    assert asyncio.run(evaluator(ledger, Program(str)).run(CANDIDATE, [], "validation")) == []


def test_with_other_programs_it_remembers_how_many_calls_an_example_takes(ledger: Ledger) -> None:
    """With four calls left, two blocks of two examples begin together only if an example takes one call."""

    class Twice(dspy.Module):  # type: ignore[misc]
        async def aforward(self, n: int) -> dspy.Prediction:
            if (collecting := door._collected.get()) is not None:
                collecting.extend([answer(1), answer(1)])
            return dspy.Prediction(answer=str(n))

    async def most_at_once(learnt: bool) -> int:
        first, other = evaluator(ledger, Twice()), Program(str)
        first.calls_left = lambda: 4
        first = replace(first)
        if learnt:
            await first.run(CANDIDATE, EXAMPLES[:1], "validation")
        second = first.with_programs(Programs(other))
        await asyncio.gather(*(second.run(CANDIDATE, EXAMPLES[at : at + 2], "validation", at) for at in (0, 2)))
        return other.most

    assert asyncio.run(most_at_once(learnt=False)) == 4
    assert asyncio.run(most_at_once(learnt=True)) == 2


@pytest.mark.parametrize(("value", "feedback"), [(0.0, f"got no; {CUT}"), (1.0, "got no")])
def test_a_score_tells_the_longest_call_and_whether_one_was_cut(value: float, feedback: str) -> None:
    score = with_calls(Score(value, {}, "got no"), [answer(7), answer(5, "length")])
    assert score == Score(value, {}, feedback, tokens=12, calls=2, longest=7, cut=True)


def test_a_cut_answer_is_written_down_as_such(ledger: Ledger) -> None:
    class Cut(dspy.Module):  # type: ignore[misc]
        async def aforward(self, n: int) -> dspy.Prediction:
            if (collecting := door._collected.get()) is not None:
                collecting.append(answer(5, "length" if n else "stop"))
            return dspy.Prediction(answer=str(n))

    asyncio.run(evaluator(ledger, Cut()).run(CANDIDATE, EXAMPLES[:3], "test"))
    assert [one.cut for one in answers_of(ledger, CANDIDATE.id, "test")] == [False, True, True]
    assert (cut_answers(ledger), cut_answers(ledger, "test"), cut_answers(ledger, "search")) == ((2, 3), (2, 3), (0, 0))


def test_an_answer_nested_too_deeply_is_wrong_and_ends_nothing(ledger: Ledger) -> None:
    def rule(n: int) -> Any:
        value: Any = "1"
        for _ in range(5000 if n == 1 else 0):
            value = [value]
        return value

    results = run(ledger, rule)
    assert results[1] == Score(0.0, {"unreadable": "nested more than 100 deep"}, "unreadable")
    assert [result.feedback for result in results if isinstance(result, Score)].count("got 1") == 5


@pytest.mark.parametrize(("left", "answered"), [(12, 6), (9, 4), (1, 0)])
def test_with_few_calls_left_examples_of_several_calls_are_asked_one_after_the_other(
    ledger: Ledger, left: int, answered: int
) -> None:
    """At once all would take their first call before any has its second."""

    class Two(dspy.Module):  # type: ignore[misc]
        left = 0

        def predictors(self) -> list[None]:
            return [None, None]

        async def aforward(self, n: int) -> dspy.Prediction:
            for _ in range(2):
                if self.left == 0:
                    raise LMUnexpectedError("engine failed") from BudgetSpent("calls")
                self.left -= 1
                await asyncio.sleep(0)
            return dspy.Prediction(answer=str(n))

    async def go() -> Sequence[Score | Failure]:
        program = Two()
        program.left = left
        lm = dspy.utils.DummyLM([{}])
        counted = Evaluator(Programs(program), lm, Metric(), ["answer"], ledger, 4, lambda: program.left)
        try:
            return await counted.run(CANDIDATE, EXAMPLES, "validation", tag=phase_tag("search", 1))
        except BlockCut as cut:
            return cut.results

    results = asyncio.run(go())
    assert [one.answer["answer"] for one in results if isinstance(one, Score)] == [str(n) for n in range(answered)]


def test_each_candidate_is_asked_of_its_own_model(ledger: Ledger) -> None:
    class Naming(dspy.Module):  # type: ignore[misc]
        def forward(self, n: int) -> dspy.Prediction:
            return dspy.Prediction(answer=str(float(dspy.settings.lm is other)))

    first, other = dspy.utils.DummyLM([{}]), dspy.utils.DummyLM([{}])
    made = Evaluator(Programs(Naming()), first, Metric(), ["answer"], ledger, others={"openai/b": TaskModel(other, 2)})

    async def asked_of(model: str) -> list[str]:
        results = await made.run(CANDIDATE.asking(model), EXAMPLES[:3], "validation")
        return [result.answer["answer"] for result in results if isinstance(result, Score)]

    async def go() -> list[list[str]]:
        return [await asked_of(model) for model in ("", "openai/b")]

    assert asyncio.run(go()) == [["0.0"] * 3, ["1.0"] * 3]
    assert (made.lm_of(""), made.lm_of("openai/b")) == (first, other)
    # A saved prompt keeps the name of the model that it was searched with, and has one model.
    assert made.lm_of("openai/elsewhere") is first


def test_a_statistic_may_look_at_the_log_probabilities_of_labels(ledger: Ledger) -> None:
    metric = build_metric("auc", {"answer": FieldSpec(type="bool")}, Path())
    seen = evaluator(ledger, Program(str), metric=metric)
    example = Example({"n": 1}, {"answer": True})

    async def scored(**more: Any) -> Score | Failure:
        return await seen.scored(dspy.Prediction(answer=False, **more), example)

    sure, bare = (asyncio.run(scored(**more)) for more in ({"label_logprobs": (-0.5, -1.5)}, {}))
    assert isinstance(sure, Score)
    assert isinstance(bare, Score)
    assert (sure.value, sure.pair) == (0.0, ("1", "1.0")), "a wrong answer, and yes is a nat likelier"
    assert bare.pair == ("1", "-30.0")
