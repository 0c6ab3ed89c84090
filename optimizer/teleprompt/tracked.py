"""The student that DSPy's optimizers are given: each of its candidates is a trial in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dspy

from optimizer.door.door import collected_answers, tag_of_call
from optimizer.errors import BudgetSpent, CallError, ConfigError, StoppedByFailures
from optimizer.evaluate.evaluator import Evaluator, Result, phase_tag, with_calls
from optimizer.prompt.builder import ProgramBuilder
from optimizer.prompt.formats import PLAIN, adapter
from optimizer.prompt.formatted import FormattedPredict, add_behaviour
from optimizer.prompt.student import OWN, prompt_of
from optimizer.task.program import build_program
from optimizer.teleprompt.models import Gate
from optimizer.teleprompt.record import TrialRecord
from optimizer.types import Candidate, Example, Failure, digest


class Scorer:
    """Scores what copies of a student answer, and records it; shared by all copies."""

    def __init__(
        self,
        evaluator: Evaluator,
        names: Sequence[str],
        format_name: str,
        record: TrialRecord,
        examples: Sequence[Example],
        gate: Gate,
        origin: str,
    ) -> None:
        """`names` are the predictors', in order, `examples` all that it may be asked, `origin` says whose it is."""
        self.evaluator, self.format_name, self.record, self.gate = evaluator, format_name, record, gate
        self.origin = origin
        self._names = list(names)
        self._by_inputs = {digest(dict(example.inputs)): example for example in examples}

    def __deepcopy__(self, memo: dict[int, Any]) -> Scorer:
        return self

    def candidate(self, program: dspy.Module) -> Candidate:
        """Return the prompts that a program has come to."""
        pairs = zip(self._names, (p for _, p in program.named_predictors()), strict=True)
        prompts = {name: prompt_of(p, self.format_name, usable(p, self.format_name)) for name, p in pairs}
        return Candidate(prompts, self.origin)

    def answer(self, student: TrackedStudent, inputs: Mapping[str, Any]) -> Any:
        """Run one example and record what came of it."""
        example = self._by_inputs.get(digest(dict(inputs)))
        if example is None:
            return student.program(**inputs)
        candidate = self.candidate(student.program)
        number = self.record.number(candidate, example)
        token = tag_of_call.set(replace(phase_tag("search", number), example=example.id))
        try:
            return self._answered(student, inputs, candidate, example)
        finally:
            tag_of_call.reset(token)  # the next call of this thread may be the prompt model's

    def _answered(
        self, student: TrackedStudent, inputs: Mapping[str, Any], candidate: Candidate, example: Example
    ) -> Any:
        try:
            with collected_answers() as answers:
                prediction = student.program(**inputs)
        except Exception as problem:
            stop = self.gate.stopped_by(problem)
            if stop is not None:
                raise stop from None
            self.record.put(
                candidate, example, with_calls(asyncio.run(self.evaluator.explained(problem, example)), answers)
            )
            raise
        result = self._scored(prediction, example)
        self.record.put(candidate, example, with_calls(result, answers))
        if isinstance(result, Failure):  # of a judge: to DSPy an answer that nobody can score is none
            raise CallError(result.kind, result.message)
        return prediction

    def score(self, gold: dspy.Example, said: Any, trace: Any = None) -> float:
        """Return the task's metric of an answer, as a metric of DSPy's."""
        return float(self.feedback(gold, said).score)

    def feedback(
        self, gold: dspy.Example, said: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None
    ) -> dspy.Prediction:
        """Return the task's metric of an answer, and what it says; what is no answer scores 0."""
        if not isinstance(said, dspy.Prediction):
            return dspy.Prediction(score=0.0, feedback="the answer could not be read")
        result = self._scored(said, Example(gold.inputs().toDict(), gold.labels().toDict()))
        if isinstance(result, Failure):
            return dspy.Prediction(score=0.0, feedback="the answer could not be judged")
        return dspy.Prediction(score=result.value, feedback=result.feedback)

    def _scored(self, prediction: Any, example: Example) -> Result:
        """Return the metric's word on an answer; raises Stopped where a judge's call ended the run."""
        try:
            return asyncio.run(self.evaluator.scored(prediction, example))
        except (BudgetSpent, StoppedByFailures) as problem:
            raise self.gate.close(problem) from None


# MIPROv2 shows this class's source to the model that writes instructions: whoever changes it changes what is asked.
class TrackedStudent(dspy.Module):
    """A task's program under an optimizer of DSPy's."""

    def __init__(self, program: dspy.Module, scorer: Scorer) -> None:
        super().__init__()
        self.program, self.scorer = program, scorer

    def forward(self, **inputs: Any) -> Any:
        """Answer one input."""
        return self.scorer.answer(self, inputs)


def student_of(programs: ProgramBuilder, format_name: str, scorer: Scorer) -> TrackedStudent:
    """Return the program of a task in one format."""
    program = build_program(programs.task).deepcopy()
    if not hasattr(program, "forward"):
        what = f"{type(program).__name__} has no forward, and DSPy's optimizers call no other"
        raise ConfigError(what, "Add one beside its aforward, or choose a strategy of ours.")
    for _, predictor in program.named_predictors():
        if format_name != OWN:
            predictor._adapter, predictor._format_name = adapter(format_name), format_name
            add_behaviour(predictor, UsablePredict)
    for _, predictor in program.named_sub_modules(dspy.Predict):
        predictor.lm = None
    return TrackedStudent(program, scorer)


def with_prompts(
    student: TrackedStudent, instructions: Sequence[str], demos: Sequence[dspy.Example] | None = None
) -> TrackedStudent:
    """Return a copy of a student with an instruction for each predictor, in order, and for all the same demos."""
    made: TrackedStudent = student.deepcopy()
    for (_, predictor), instruction in zip(made.program.named_predictors(), instructions, strict=True):
        predictor.signature = predictor.signature.with_instructions(instruction)
        if demos is not None:
            predictor.demos = list(demos)
    return made


class UsablePredict(FormattedPredict):
    """A predictor in a format of ours that shows those of its demos which it can."""

    _format_name: str

    def _demos(self, inputs: Mapping[str, Any]) -> list[Any]:
        return usable(self, self._format_name)


def usable(predictor: dspy.Predict, format_name: str) -> list[Any]:
    """Return the demos that a predictor can show: DSPy gives those of the data to every step of a program."""
    inputs, outputs = predictor.signature.input_fields, predictor.signature.output_fields
    needed = inputs if format_name in PLAIN else ()
    return [demo for demo in predictor.demos if all(f in demo for f in needed) and any(f in demo for f in outputs)]
