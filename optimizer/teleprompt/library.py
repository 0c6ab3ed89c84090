"""Another library's optimizer in the place of our search, all else being ours: what is common to all of them."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import dspy
from dspy.utils.exceptions import AdapterParseError

from optimizer.door.door import Door
from optimizer.errors import BudgetSpent, ConfigError
from optimizer.evaluate.evaluator import Evaluator, phase_tag
from optimizer.prompt.builder import ProgramBuilder
from optimizer.search.board import Board
from optimizer.search.proposals import Grows, NoProposals
from optimizer.search.schedule import Schedule
from optimizer.search.trials import Event
from optimizer.task.metrics.base import calls_of
from optimizer.teleprompt.methods import CALLS, MAX_ERRORS, SHARE
from optimizer.teleprompt.models import Gate, RolloutLM, Stopped, rolling
from optimizer.teleprompt.quiet import quiet
from optimizer.teleprompt.record import TrialRecord
from optimizer.teleprompt.tracked import Scorer, TrackedStudent, student_of
from optimizer.types import Candidate, Example

_logger = logging.getLogger("optimizer.teleprompt")


@dataclass(frozen=True)
class LibraryOptimizer:
    """Which optimizer, as `search.strategy` names it, with which options, in which format of ours."""

    strategy: str
    options: Mapping[str, Any]
    format_name: str
    seed: int

    @property
    def name(self) -> str:
        """The optimizer as its own library names it."""
        return self.strategy.rpartition(".")[2]

    @property
    def origin(self) -> str:
        """The library, which is where its candidates come from."""
        return self.strategy.partition(".")[0]


class Answered(NamedTuple):
    """What became of one answer: its score, what the metric says of it, and its fields; empty where it has none."""

    score: float
    feedback: str
    fields: Mapping[str, Any]


@dataclass
class LibrarySearch(ABC):
    """Has the methods of `search.loop.Search` that a run needs.

    The optimizer's student is the task's program, its models are the door's; what it evaluates becomes
    trials. It ends when it is done, or when what is left of the calls is needed to score the seed and its
    winner on the validation examples, the last two trials to be whole.
    """

    optimizer: LibraryOptimizer
    evaluator: Evaluator
    programs: ProgramBuilder
    door: Door
    writer: dspy.LM | None
    schedule: Schedule
    watch: Callable[[Event], None]
    board: Board = field(default_factory=Board)
    proposals: Grows = field(default_factory=NoProposals)

    def __post_init__(self) -> None:
        self.check_options()
        calls = self.door.budget.limits.calls
        predictors = len(self.programs.predictors)
        # What is counted here are the task model's calls; a judge's come on top.
        self._each = predictors + calls_of(self.programs.task.metric)
        self.calls = CALLS if calls is None else calls * predictors // self._each
        if not self.sized:
            affordable = self.examples[: max(self.schedule.block, self.calls // SHARE)]
            self.schedule = replace(self.schedule, examples=affordable)

    @abstractmethod
    def check_options(self) -> None:
        """Raise ConfigError for an option that the optimizer does not have."""

    @property
    @abstractmethod
    def sized(self) -> bool:
        """Whether the user's options say how large the search is."""

    @property
    @abstractmethod
    def learns_from(self) -> Sequence[Example]:
        """The training examples whose answers count as trials, too."""

    @abstractmethod
    def optimized(self, student: TrackedStudent, task_lm: RolloutLM, prompt_lm: RolloutLM) -> TrackedStudent:
        """Return what the optimizer made of the student; runs in a thread, and raises Stopped when the calls end."""

    @property
    def examples(self) -> list[Example]:
        """The validation examples, as many as fit."""
        return self.schedule.examples

    async def run(self, seed: Candidate, trials: int) -> str | None:
        """Run the optimizer, then score the seed and what it returned; return the winner's id.

        How many trials is its own affair. Raises what ends a run, and ConfigError for its own refusals.
        """
        task = self.programs.task
        version = f"{task.metric.name}@{task.metric.version}"
        order, others = self.examples, self.learns_from
        record = TrialRecord(self.door.ledger, version, order, others, self.watch, self.evaluator.aggregate)
        record.begin(seed)
        gate = Gate(self._spent)
        names, known = list(self.programs.predictors), [*task.train, *self.examples]
        scorer = Scorer(self.evaluator, names, self.optimizer.format_name, record, known, gate, self.optimizer.origin)
        try:
            winner = await asyncio.to_thread(self._compile, scorer, record, seed)
        except asyncio.CancelledError:
            gate.close(None)  # the thread ends at its next call
            raise
        record.end()
        if gate.reason is not None and not isinstance(gate.reason, BudgetSpent):
            raise gate.reason
        for candidate in {seed.id: seed, winner.id: winner}.values():
            await self._score(candidate, record)
        record.end()
        return winner.id if winner.id in self.board.candidates else self.board.winner()

    def _spent(self) -> bool:
        """Tell if the calls that are left are needed for the seed and the winner."""
        used = self.door.budget.used().get("calls")
        if used is None:
            return False
        return used[0] >= used[1] - 2 * len(self.examples) * self._each

    def _compile(self, scorer: Scorer, record: TrialRecord, seed: Candidate) -> Candidate:
        task_lm = rolling(self.evaluator.lm, self.door, "task", scorer.gate)
        prompt_lm = rolling(self.writer or self.evaluator.lm, self.door, "prompt", scorer.gate)
        student = student_of(self.programs, self.optimizer.format_name, scorer)
        context = {"num_threads": self.evaluator.concurrency, "max_errors": MAX_ERRORS, "disable_history": True}
        with dspy.context(lm=task_lm, trace=None, **context), quiet():
            try:
                return scorer.candidate(self.optimized(student, task_lm, prompt_lm).program)
            except Stopped:
                return record.best() or seed
            except (ValueError, AssertionError, TypeError, AdapterParseError) as problem:
                # MIPROv2 raises "No valid program found" when it runs out of combinations, having found some.
                best = record.best()
                if best is None:
                    what = f"search.strategy: {self.optimizer.strategy} refuses: {problem}"
                    change = "search.options, or the number of examples"
                    if isinstance(problem, AdapterParseError):  # of an answer of the prompt model
                        change = "models.prompt"
                    raise ConfigError(what, f"Change {change}.") from problem
                _logger.warning("%s ended with: %s; its best candidate is taken", self.optimizer.strategy, problem)
                return best

    async def _score(self, candidate: Candidate, record: TrialRecord) -> None:
        """Score a candidate on the validation examples that the board lacks; most of it is known already."""
        number = record.begin(candidate)
        start = len(self.board.results(candidate.id))
        while start < len(self.examples):
            block = self.examples[start : start + self.schedule.block]
            try:
                tag = phase_tag("search", number)
                results = await asyncio.ensure_future(self.evaluator.run(candidate, block, "validation", start, tag))
            except BudgetSpent:
                break
            self.board.add(candidate, results)
            start += len(block)
        for example, result in zip(self.examples, self.board.results(candidate.id), strict=False):
            record.put(candidate, example, result)


def dspy_example(example: Example) -> dspy.Example:
    """Return an example as DSPy has it."""
    return dspy.Example(**example.inputs, **example.outputs).with_inputs(*example.inputs)


def answer_all(pairs: Sequence[tuple[TrackedStudent, Example]], threads: int) -> list[Answered]:
    """Return what each student answers to its example, `threads` at a time; raises Stopped when the calls end."""
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(copy_context().run, _answer, student, example) for student, example in pairs]
        return [future.result() for future in futures]


def _answer(student: TrackedStudent, example: Example) -> Answered:
    try:
        said = student(**example.inputs)
    except Exception:  # noqa: BLE001 - the boundary: an answer that fails, however it does, is none to an optimizer
        said = None
    judged = student.scorer.feedback(dspy_example(example), said)
    fields = {} if said is None else {name: said.get(name) for name in example.outputs}
    return Answered(float(judged.score), str(judged.feedback), fields)
