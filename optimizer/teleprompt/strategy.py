"""`search.strategy: dspy.NAME`: one of DSPy's optimizers in the place of our search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dspy

from optimizer.teleprompt.library import LibrarySearch, dspy_example
from optimizer.teleprompt.methods import MAX_ERRORS, METHODS, parameters_of, parted, settings_of
from optimizer.teleprompt.models import RolloutLM
from optimizer.teleprompt.tracked import TrackedStudent
from optimizer.types import Example


class DspySearch(LibrarySearch):
    """One of DSPy's optimizers as a strategy of a run."""

    def check_options(self) -> None:
        """Raise ConfigError for an option that neither its constructor nor its compile takes."""
        parted(getattr(dspy, self.optimizer.name), self.optimizer.options)

    @property
    def sized(self) -> bool:
        """Whether the user's options say how large the search is."""
        return any(size in self.optimizer.options for size in METHODS[self.optimizer.name].sizes)

    @property
    def learns_from(self) -> Sequence[Example]:
        """All training examples of those that evaluate candidates on them."""
        return self.programs.task.train if self.optimizer.name in ("GEPA", "SIMBA") else ()

    def optimized(self, student: TrackedStudent, task_lm: RolloutLM, prompt_lm: RolloutLM) -> TrackedStudent:
        """Return the compiled student."""
        method, name = METHODS[self.optimizer.name], self.optimizer.name
        kind = getattr(dspy, name)
        options = settings_of(name, self.optimizer.options, self.calls)
        made, compiled = parted(kind, options)
        lms = {"task": task_lm, "prompt": prompt_lm}
        made |= {argument: lms[role] for argument, role in method.models}
        self._add_usual(kind, made, compiled)
        if method.metric is not None:
            made["metric"] = student.scorer.score if method.metric == "score" else student.scorer.feedback
        training, validation = method.examples
        if training is not None:
            compiled[training] = [dspy_example(e) for e in self._train()]
        if validation is not None:
            compiled[validation] = [dspy_example(e) for e in self.examples]
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
        if method.training is None or self.sized:
            return self.programs.task.train
        return self.programs.task.train[: method.training(self.calls)]
