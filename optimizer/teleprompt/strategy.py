"""`search.strategy: dspy.NAME`: one of DSPy's optimizers in the place of our search, all else being ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

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
from optimizer.teleprompt.methods import CALLS, MAX_ERRORS, METHODS, SHARE, parameters_of, parted, settings_of
from optimizer.teleprompt.models import Gate, RolloutLM, Stopped, rolling
from optimizer.teleprompt.quiet import quiet
from optimizer.teleprompt.record import TrialRecord
from optimizer.teleprompt.tracked import Scorer, TrackedStudent, student_of
from optimizer.types import Candidate, Example

_logger = logging.getLogger("optimizer.teleprompt")


@dataclass(frozen=True)
class DspyOptimizer:
    """Which of DSPy's optimizers, with which options, in which format of ours."""

    name: str
    options: Mapping[str, Any]
    format_name: str
    seed: int

    def __post_init__(self) -> None:
        parted(getattr(dspy, self.name), self.options)


@dataclass
class DspySearch:
    """Has the methods of `search.loop.Search` that a run needs.

    The optimizer's student is the task's program, its models are the door's; what it evaluates becomes
    trials. It ends when it is done, or when what is left of the calls is needed to score the seed and its
    winner on the validation examples, the last two trials to be whole.
    """

    optimizer: DspyOptimizer
    evaluator: Evaluator
    programs: ProgramBuilder
    door: Door
    writer: dspy.LM | None
    schedule: Schedule
    watch: Callable[[Event], None]
    board: Board = field(default_factory=Board)
    proposals: Grows = field(default_factory=NoProposals)

    def __post_init__(self) -> None:
        calls = self.door.budget.limits.calls
        predictors = len(self.programs.predictors)
        # What is counted here are the task model's calls; a judge's come on top.
        self._each = predictors + calls_of(self.programs.task.metric)
        self._calls = CALLS if calls is None else calls * predictors // self._each
        if not any(size in self.optimizer.options for size in METHODS[self.optimizer.name].sizes):
            affordable = self.examples[: max(self.schedule.block, self._calls // SHARE)]
            self.schedule = replace(self.schedule, examples=affordable)

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
        others = () if self.optimizer.name not in ("GEPA", "SIMBA") else task.train
        record = TrialRecord(self.door.ledger, version, self.examples, others, self.watch, self.evaluator.aggregate)
        record.begin(seed)
        gate = Gate(self._spent)
        names, known = list(self.programs.predictors), [*task.train, *self.examples]
        scorer = Scorer(self.evaluator, names, self.optimizer.format_name, record, known, gate)
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
                return scorer.candidate(self._optimized(student, task_lm, prompt_lm).program)
            except Stopped:
                return record.best() or seed
            except (ValueError, AssertionError, TypeError, AdapterParseError) as problem:
                # MIPROv2 raises "No valid program found" when it runs out of combinations, having found some.
                best = record.best()
                if best is None:
                    what = f"search.strategy: dspy.{self.optimizer.name} refuses: {problem}"
                    change = "search.options, or the number of examples"
                    if isinstance(problem, AdapterParseError):  # of an answer of the prompt model
                        change = "models.prompt"
                    raise ConfigError(what, f"Change {change}.") from problem
                _logger.warning("dspy.%s ended with: %s; its best candidate is taken", self.optimizer.name, problem)
                return best

    def _optimized(self, student: TrackedStudent, task_lm: RolloutLM, prompt_lm: RolloutLM) -> TrackedStudent:
        """Return the compiled student."""
        method, name = METHODS[self.optimizer.name], self.optimizer.name
        kind = getattr(dspy, name)
        options = settings_of(name, self.optimizer.options, self._calls)
        made, compiled = parted(kind, options)
        lms = {"task": task_lm, "prompt": prompt_lm}
        made |= {argument: lms[role] for argument, role in method.models}
        self._add_usual(kind, made, compiled)
        if method.metric is not None:
            made["metric"] = student.scorer.score if method.metric == "score" else student.scorer.feedback
        training, validation = method.examples
        if training is not None:
            compiled[training] = [_dspy_example(e) for e in self._train()]
        if validation is not None:
            compiled[validation] = [_dspy_example(e) for e in self.examples]
        if name == "COPRO":
            compiled.setdefault("eval_kwargs", {"num_threads": self.evaluator.concurrency})
        program: TrackedStudent = kind(**made).compile(student, **compiled)
        return program

    def _add_usual(self, kind: Any, made: dict[str, Any], compiled: dict[str, Any]) -> None:
        """Add threads, errors and seed for an optimizer that takes them; MIPROv2 takes a seed of 0 for none."""
        usual = {"num_threads": self.evaluator.concurrency, "max_errors": MAX_ERRORS, "seed": self.optimizer.seed + 1}
        for key in usual.keys() - made.keys() - compiled.keys():
            for part, names in zip((made, compiled), parameters_of(kind), strict=True):
                if key in names:
                    part[key] = usual[key]
                    break

    def _train(self) -> Sequence[Example]:
        """Return the training examples, as many as fit where the optimizer's sizes are ours."""
        method = METHODS[self.optimizer.name]
        if method.training is None or any(size in self.optimizer.options for size in method.sizes):
            return self.programs.task.train
        return self.programs.task.train[: method.training(self._calls)]

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


def _dspy_example(example: Example) -> dspy.Example:
    return dspy.Example(**example.inputs, **example.outputs).with_inputs(*example.inputs)
