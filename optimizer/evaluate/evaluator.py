"""Runs candidates over examples and records what came of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError, LMError

from optimizer.door.door import Answer, collected_answers, tag_of_call
from optimizer.door.failures import metier_error_in
from optimizer.errors import BudgetSpent, CallError, TaskError
from optimizer.evaluate.admission import Admission, unlimited
from optimizer.evaluate.aggregate import Aggregate, aggregate_of
from optimizer.evaluate.consistency import each_asking, together
from optimizer.ledger.answers import ScoreKey, put_scores
from optimizer.ledger.calls import CallTag
from optimizer.ledger.ledger import Ledger
from optimizer.prompt.builder import Builder
from optimizer.prompt.formatted import NoLabel
from optimizer.system.limits import check_depth
from optimizer.task.metrics.base import Grade, LikelihoodMetric, Metric, calls_of, graded
from optimizer.task.metrics.consistency import times_of
from optimizer.types import CAUSED_BY_PROMPT, RAISED, UNREADABLE, Candidate, Example, Failure, Phase, Score

Result = Score | Failure
# What DSPy notes of each predictor that answered: itself, its inputs, its prediction.
Trace = list[tuple[dspy.Predict, dict[str, Any], dspy.Prediction]]
# A callback of (answered examples, planned ones).
Progress = Callable[[int, int], None]
CUT = "the answer was cut off at its limit of tokens"


class BlockCut(BudgetSpent):
    """The budget ended within a block: `results` are those of the examples before the first that was not answered.

    Nothing of them is recorded: whoever can use a part of a block does so.
    """

    def __init__(self, spent: BudgetSpent, results: Sequence[Result]) -> None:
        super().__init__(spent.name)
        self.results = results


@dataclass(frozen=True)
class _Said:
    """What a program said to one example, or the exception that it raised, and the calls that it made."""

    prediction: Any
    raised: Exception | None
    answers: Sequence[Answer]
    trace: Trace

    @property
    def lost(self) -> bool:
        """Whether no answer came, and the prompt is not to blame."""
        error = None if self.raised is None else metier_error_in(self.raised)
        return error is not None and getattr(error, "kind", None) not in CAUSED_BY_PROMPT


@dataclass(frozen=True)
class TaskModel:
    """A model that answers a task's inputs, and how many calls it may have in flight."""

    lm: dspy.LM
    concurrency: int = 1


@dataclass
class Evaluator:
    """Scores candidates on examples, each with the model that it asks; a call that failed is a Failure, never a zero.

    `lm` is the first task model, `others` are further ones. A call that failed because of the prompt is a zero
    (`Failure.judged`): who uses that prompt has no answer either.

    `lost` is what failed before a search was interrupted. It is not asked again, lest the search go another way than
    the one that it repeats.
    """

    programs: Builder
    lm: dspy.LM
    metric: Metric
    outputs: Sequence[str] | None  # those of the answer that the metric sees; None: all
    ledger: Ledger
    concurrency: int = 1
    calls_left: Callable[[], float] = unlimited  # what nobody has spent or holds of a budget of calls
    lost: Mapping[ScoreKey, Result] = field(default_factory=dict)
    others: Mapping[str, TaskModel] = field(default_factory=dict)  # further task models, by their names

    def __post_init__(self) -> None:
        self._admission = Admission(self.calls_left)
        in_flight = {"": self.concurrency, **{name: one.concurrency for name, one in self.others.items()}}
        self._slots = {name: asyncio.Semaphore(calls) for name, calls in in_flight.items()}
        self._calls: dict[int, int] = {}  # the most that one example has taken of a program, by its predictors
        self._grading = calls_of(self.metric)  # the most that one answer has taken to grade

    def with_programs(self, programs: Builder) -> Evaluator:
        """Return the same evaluator for another builder's programs; what it has learnt of their calls is kept."""
        other = copy(self)
        other.programs = programs
        return other

    @property
    def aggregate(self) -> Aggregate:
        """How the scores of many examples become one, by the metric."""
        return aggregate_of(self.metric)

    @property
    def answer_limit(self) -> int | None:
        """How many tokens an answer may have; None where only the provider limits it."""
        limit: int | None = self.lm.kwargs.get("max_tokens")
        return limit

    def lm_of(self, model: str) -> dspy.LM:
        """Return the LM of a task model, given its name as a candidate has it.

        It is the first one's where no other has that name: a saved prompt keeps the name of its only model.
        """
        return self.others[model].lm if model in self.others else self.lm

    def limit_answers(self, tokens: int) -> None:
        """Let later answers of the first task model have so many tokens at most."""
        self.lm = self.lm.copy(max_tokens=tokens)

    async def run(
        self, candidate: Candidate, examples: Sequence[Example], split: str, start: int = 0, tag: CallTag | None = None
    ) -> list[Result]:
        """Return a Score or Failure for each example, and record them.

        `start` is the first example's position in the split's order. Raises BlockCut where the budget ends before all
        are answered, StoppedByFailures, and TaskError from the user's metric or program.
        """
        tag = tag or CallTag()
        tag_of_call.set(tag)
        program = self.programs.build(candidate)
        searching = tag.phase == "search"  # only there calls are counted
        lost = [self.lost.get((candidate.id, split, start + at)) if searching else None for at in range(len(examples))]
        asked = [example for example, earlier in zip(examples, lost, strict=True) if earlier is None]
        most = len(asked) * self._calls_each(program) if searching else 0
        async with self._admission.turn(most):
            one_by_one = most > self.calls_left()
            answers, spent = await self._answers(program, candidate.model, asked, one_by_one)
        answered = iter(answers)
        in_order = (next(answered, None) if earlier is None else earlier for earlier in lost)
        results = [result for result in takewhile(lambda result: result is not None, in_order) if result is not None]
        if spent is not None:
            raise BlockCut(spent, results)
        await self.record(candidate, examples, results, split, start)
        return results

    async def record(
        self, candidate: Candidate, examples: Sequence[Example], results: Sequence[Result], split: str, start: int = 0
    ) -> None:
        """Write down the results on the first of some examples, over what was written of them before."""
        version = f"{self.metric.name}@{self.metric.version}"
        ids = [example.id for example in examples[: len(results)]]
        await asyncio.wrap_future(put_scores(self.ledger, candidate.id, split, start, ids, version, results))

    async def _answers(
        self, program: dspy.Module, model: str, examples: Sequence[Example], one_by_one: bool
    ) -> tuple[list[Result], BudgetSpent | None]:
        """Return the results of the examples before the first for which the budget had no room, and what ended it.

        Where an example takes several calls, and there may not be as many left as all take, they are asked
        `one_by_one`: else whose last call comes before the budget's end is for the network to say.
        """
        spent: list[BudgetSpent] = []
        several = self._calls_each(program) > 1
        tasks: list[asyncio.Task[Result]] = []
        for example in examples:
            tasks.append(asyncio.ensure_future(self._one(program, model, example, spent)))
            if several and one_by_one:
                await wait_for_all(tasks[-1:])
        await wait_for_all(tasks)
        if spent and several and not one_by_one:
            return [], spent[0]  # time, tokens or dollars ended it, which nobody foresees
        answered = [task.result() for task in takewhile(lambda task: task.exception() is None, tasks)]
        return answered, spent[0] if spent else None

    def _calls_each(self, program: dspy.Module) -> int:
        """Return the most calls that one example of a program like this has taken, those of a judge among them.

        They are one for each predictor at least.
        """
        predictors = len(program.predictors())
        return max(predictors, self._calls.get(predictors, 1)) * times_of(self.metric) + self._grading

    async def _one(self, program: dspy.Module, model: str, example: Example, spent: list[BudgetSpent]) -> Result:
        try:
            async with self._slots[model if model in self.others else ""]:
                if spent:
                    raise spent[0]  # the block cannot be completed, so no more is spent on it
                # A task of asyncio's has a context of its own: no other example's calls are tagged by this.
                tag_of_call.set(replace(tag_of_call.get(), example=example.id))
                ask = partial(self._said, program, model)
                said = await each_asking(self.metric, example, ask, lambda one: one.lost)
            return together(self.metric, [(way, await self._worth(one, example)) for way, one in said])
        except BudgetSpent as problem:
            spent.append(problem)
            raise

    async def traced(self, program: dspy.Module, example: Example, model: str = "") -> tuple[Result, Trace]:
        """Return one example's result by a task model, and what each predictor was given and said on the way there."""
        said = await self._said(program, model, example.inputs)
        return await self._worth(said, example), said.trace

    async def _said(self, program: dspy.Module, model: str, inputs: Mapping[str, Any]) -> _Said:
        trace: Trace = []
        raised: Exception | None = None
        prediction: Any = None
        with collected_answers() as answers, dspy.context(lm=self.lm_of(model), disable_history=True, trace=trace):
            try:
                prediction = await call_program(program, inputs)
            except Exception as problem:  # noqa: BLE001 - the boundary to the program, which may be the user's
                raised = problem
        if len(answers) > 1:
            predictors = len(program.predictors())
            self._calls[predictors] = max(self._calls.get(predictors, predictors), len(answers))
        return _Said(prediction, raised, answers, trace)

    async def _worth(self, said: _Said, example: Example) -> Result:
        if said.raised is None:
            return with_calls(await self.scored(said.prediction, example), said.answers)
        return with_calls(await self.explained(said.raised, example), said.answers)

    async def graded(self, example: Example, answer: Mapping[str, Any] | None) -> Grade | Failure:
        """Return the metric's word on an answer, or how the call of a judge failed: that is not the prompt's doing.

        Raises TaskError from the user's metric.
        """
        with collected_answers() as asked:
            try:
                return await graded(self.metric, example, answer)
            except CallError as problem:
                return Failure(problem.kind, f"the judge: {problem.what}")
            finally:
                self._grading = max(self._grading, len(asked))

    async def scored(self, prediction: Any, example: Example) -> Result:
        """Return the metric's word on a program's answer, a Failure where a judge gives none.

        Raises TaskError from the user's metric.
        """
        answer = self._answer(prediction)
        try:
            check_depth(answer)
        except ValueError as problem:
            return await self._unreadable(str(problem), example)
        grade = await self.graded(example, answer)
        if isinstance(grade, Failure):
            return grade
        logprobs = getattr(prediction, "label_logprobs", None)
        pair = pair_of(self.metric, grade, example, answer, logprobs)
        return Score(grade.value, answer, grade.feedback, logprobs=logprobs, parts=grade.parts, pair=pair)

    async def _unreadable(self, text: str, example: Example) -> Score:
        grade = await graded(self.metric, example, None)
        return Score(grade.value, {UNREADABLE: text}, grade.feedback, parts=grade.parts, pair=grade.pair)

    def _answer(self, prediction: Any) -> dict[str, Any]:
        if self.outputs is not None:
            return {name: getattr(prediction, name, None) for name in self.outputs}
        if not isinstance(prediction, dspy.Prediction):
            what = f"the program returned {type(prediction).__name__}, not a dspy.Prediction"
            raise TaskError(what, "Return dspy.Prediction(…) from its forward.")
        return dict(prediction.items())

    async def explained(self, problem: Exception, example: Example) -> Result:
        """Tell what is the prompt's fault as far as anyone can tell, and wrong, from an answer that never came.

        The prompt's fault are an answer that cannot be read, one that a program fails on, and a call that no provider
        answers as it is.
        """
        if isinstance(problem, AdapterParseError):
            unread = await self._unreadable(problem.lm_response or "", example)
            return replace(unread, logprobs=problem.logprobs) if isinstance(problem, NoLabel) else unread
        error = metier_error_in(problem)
        if isinstance(error, CallError):
            worth = Failure(error.kind, error.what).judged
            if isinstance(worth, Failure):
                return worth
            return replace(worth, pair=(await graded(self.metric, example, None)).pair)
        if error is not None or isinstance(problem, LMError):
            raise error or problem
        grade = await graded(self.metric, example, None)
        raised = f"{type(problem).__name__}: {problem}"
        what = f"the program raised {raised}"
        return Score(grade.value, {RAISED: raised}, what, parts=grade.parts, pair=grade.pair)


def pair_of(
    metric: Metric, grade: Grade, example: Example, answer: Mapping[str, Any], logprobs: Sequence[float] | None
) -> tuple[str, str] | None:
    """Return what a statistic of all answers is made of: some look at labels' log-probabilities."""
    if logprobs and isinstance(metric, LikelihoodMetric):
        return metric.likely_pair(example, answer, logprobs)
    return grade.pair


def with_calls(result: Result, answers: Sequence[Answer]) -> Result:
    """Return a score that says what the calls took that led to it, whoever paid for them, and if one was cut off.

    Of an answer whose label was read from log-probabilities no more is wanted than its first words.
    """
    if not isinstance(result, Score):
        return result
    cut = any(answer.cut for answer in answers) and not result.logprobs
    return replace(
        result,
        feedback=f"{result.feedback}; {CUT}" if cut and result.value < 1 else result.feedback,
        tokens=sum(answer.tokens for answer in answers),
        usd=sum(answer.usd for answer in answers),
        calls=len(answers),
        # How a prompt fails is written down without it, so a resumed run would not know it.
        seconds=None if result.failed else _seconds(answers),
        longest=max((answer.output_tokens for answer in answers), default=0),
        cut=cut,
    )


def _seconds(answers: Sequence[Answer]) -> float | None:
    known = [answer.seconds for answer in answers if answer.seconds is not None]
    return sum(known) if known and len(known) == len(answers) else None


def no_progress(answered: int, planned: int) -> None:
    """Show nobody how many examples are answered."""


def counting(progress: Progress, planned: int) -> Callable[[asyncio.Task[list[Result]]], None]:
    """Return a callback of tasks that run blocks: it tells `progress` how many examples are answered so far."""
    answered = 0

    def add(block: asyncio.Task[list[Result]]) -> None:
        nonlocal answered
        if not block.cancelled() and block.exception() is None:
            answered += len(block.result())
            progress(answered, planned)

    return add


async def wait_for_all(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Wait for all tasks; where one fails the others are cancelled and its exception is raised.

    A spent budget cancels nothing: what is in flight is paid for, so it may land. Ask the tasks.
    """
    pending = set(tasks)
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
            for problem in filter(None, (task.exception() for task in done)):
                if not isinstance(problem, BudgetSpent):
                    raise problem
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def call_program(program: dspy.Module, inputs: Mapping[str, Any]) -> dspy.Prediction:
    """Run a program on its own terms: a module without `aforward` runs in a thread."""
    if hasattr(program, "aforward"):
        return await program.acall(**inputs)
    return await asyncio.to_thread(program, **inputs)


def refuse_broken(results: Sequence[Result]) -> None:
    """Raise TaskError where a program failed on every example: that is a bug in it, not a bad prompt."""
    raised = [r.answer[RAISED] for r in results if isinstance(r, Score) and RAISED in r.answer]
    if raised and len(raised) == len(results):
        remedy = "Call it on one example by hand, and correct it."
        raise TaskError(f"the program fails on each of the first {len(raised)} examples: {raised[0]}", remedy)


def phase_tag(phase: Phase, trial: int | None = None) -> CallTag:
    """Return the tag of the task model's calls in a phase."""
    return CallTag("task", phase, trial)
