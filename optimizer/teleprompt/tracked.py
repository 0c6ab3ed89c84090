"""The student that DSPy's optimizers are given: each of its candidates is a trial in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import dspy

from optimizer.door.door import counted, tag_of_call
from optimizer.errors import ConfigError
from optimizer.evaluate.evaluator import Evaluator, phase_tag, with_tokens
from optimizer.prompt.formats import adapter
from optimizer.prompt.student import OWN, jsonable
from optimizer.task.program import build_program
from optimizer.teleprompt.models import Gate
from optimizer.teleprompt.record import Record
from optimizer.types import Candidate, Example, Prompt, digest

# Formats that can show a demo only if it has all of the inputs.
WHOLE = ("turns", "block")


class Watch:
    """Scores what copies of a student answer, and records it; shared by all copies."""

    def __init__(
        self,
        evaluator: Evaluator,
        names: Sequence[str],
        layout: str,
        record: Record,
        known: Sequence[Example],
        gate: Gate,
    ) -> None:
        """`names` are the predictors', in order, and `known` the examples that it may be asked."""
        self.evaluator, self.layout, self.record, self.gate = evaluator, layout, record, gate
        self._names = list(names)
        self._known = {digest(dict(example.inputs)): example for example in known}

    def __deepcopy__(self, memo: dict[int, Any]) -> Watch:
        return self

    def candidate(self, program: dspy.Module) -> Candidate:
        """Return the prompts that a program has come to."""
        pairs = zip(self._names, (p for _, p in program.named_predictors()), strict=True)
        return Candidate({name: _prompt(p, self.layout) for name, p in pairs}, "dspy")

    def answer(self, student: TrackedStudent, inputs: Mapping[str, Any]) -> Any:
        """Run one example and record what came of it."""
        example = self._known.get(digest(dict(inputs)))
        if example is None:
            return student.program(**inputs)
        candidate = self.candidate(student.program)
        number = self.record.number(candidate, example)
        token = tag_of_call.set(replace(phase_tag("search", number), example=example.id))
        try:
            with counted() as tokens:
                prediction = student.program(**inputs)
        except Exception as problem:
            stop = self.gate.stopped_by(problem)
            if stop is not None:
                raise stop from None
            self.record.put(candidate, example, with_tokens(self.evaluator.explained(problem, example), tokens))
            raise
        finally:
            tag_of_call.reset(token)  # the next call of this thread may be the prompt model's
        self.record.put(candidate, example, with_tokens(self.evaluator.scored(prediction, example), tokens))
        return prediction


class TrackedStudent(dspy.Module):
    """A task's program under an optimizer of DSPy's."""

    def __init__(self, program: dspy.Module, watch: Watch) -> None:
        super().__init__()
        self.program, self.watch = program, watch

    def forward(self, **inputs: Any) -> Any:
        """Answer one input."""
        return self.watch.answer(self, inputs)


def student_of(programs: Any, layout: str, watch: Watch) -> TrackedStudent:
    """Return the program of a task in one format, with the limits that its candidates have when we run them."""
    program = build_program(programs.task).deepcopy()
    if not hasattr(program, "forward"):
        what = f"{type(program).__name__} has no forward, and DSPy's optimizers call no other"
        raise ConfigError(what, "Add one beside its aforward, or choose a strategy of ours.")
    for name, (_, predictor) in zip(programs.predictors, program.named_predictors(), strict=True):
        predictor.config = {**programs.limits(name, layout), **predictor.config}
        if layout != OWN:
            predictor._adapter, predictor._layout = adapter(layout), layout
            predictor.__class__ = _formatted(type(predictor))  # type: ignore[arg-type]
    for _, predictor in program.named_sub_modules(dspy.Predict):
        predictor.lm = None
    return TrackedStudent(program, watch)


class Formatted:
    """What a predictor does besides whose format is given."""

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input."""
        with dspy.context(adapter=self._adapter):  # type: ignore[attr-defined]
            return super().forward(demos=usable(self, self._layout), **inputs)  # type: ignore[misc, attr-defined]


@cache
def _formatted(kind: Any) -> Any:
    return type(kind.__name__, (Formatted, kind), {"__module__": kind.__module__})


def usable(predictor: Any, layout: str) -> list[Any]:
    """Return the demos that a predictor can show: DSPy gives those of the data to every step of a program."""
    asked, said = predictor.signature.input_fields, predictor.signature.output_fields
    needed = asked if layout in WHOLE else ()
    return [demo for demo in predictor.demos if all(f in demo for f in needed) and any(f in demo for f in said)]


def _prompt(predictor: dspy.Predict, layout: str) -> Prompt:
    signature = predictor.signature
    demos = tuple(
        Example(_part(demo, signature.input_fields), _part(demo, signature.output_fields))
        for demo in usable(predictor, layout)
    )
    return Prompt(signature.instructions, layout, "static", len(demos), "given", demos)


def _part(demo: Any, fields: Iterable[str]) -> dict[str, Any]:
    return {name: jsonable(demo[name]) for name in fields if name in demo}
