"""`search.strategy: gepa`: the optimizer of the package gepa, which writes instructions by reflecting on answers."""

from __future__ import annotations

import inspect
import itertools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import gepa
from gepa.core.adapter import EvaluationBatch

from optimizer.errors import ConfigError, did_you_mean
from optimizer.teleprompt.library import LibrarySearch, answer_all
from optimizer.teleprompt.models import RolloutLM, asked_text
from optimizer.teleprompt.tracked import TrackedStudent, with_prompts
from optimizer.types import Example

_logger = logging.getLogger("optimizer.teleprompt")
SIZES = ("max_metric_calls", "max_reflection_cost", "stop_callbacks")
# What a run gives it; all else that gepa.optimize takes is an option.
OURS = ("seed_candidate", "trainset", "valset", "adapter", "task_lm", "evaluator", "reflection_lm", "logger", "run_dir")


class GepaSearch(LibrarySearch):
    """GEPA as its own package plays it: an instruction for each predictor, no demos, candidates on a Pareto front."""

    def check_options(self) -> None:
        """Raise ConfigError for an option that gepa.optimize does not take."""
        known = set(inspect.signature(gepa.optimize).parameters) - set(OURS)
        for key in self.optimizer.options:
            if key not in known:
                hint = did_you_mean(key, known)
                raise ConfigError(f"search.options: gepa.optimize has no option '{key}'", f"For '{key}', {hint}")

    @property
    def sized(self) -> bool:
        """Whether the user's options say how large the search is."""
        return any(size in self.optimizer.options for size in SIZES)

    @property
    def learns_from(self) -> Sequence[Example]:
        """All training examples: each new instruction is tried on a few of them first."""
        return self.programs.task.train

    def optimized(self, student: TrackedStudent, task_lm: RolloutLM, prompt_lm: RolloutLM) -> TrackedStudent:
        """Return the student with the best instructions that gepa.optimize found."""
        rollouts = itertools.count(1)
        # It counts metric calls only, and asks the prompt model besides.
        fitted = {} if self.sized else {"max_metric_calls": self.calls * 85 // 100}
        predictors = [predictor for _, predictor in student.program.named_predictors()]
        instructions = [predictor.signature.instructions for predictor in predictors]
        result = gepa.optimize(
            seed_candidate=dict(zip(self.programs.predictors, instructions, strict=True)),
            trainset=list(self.programs.task.train),
            valset=list(self.examples),
            adapter=ProgramAdapter(student, self.evaluator.concurrency),
            reflection_lm=lambda prompt: asked_text(prompt_lm, prompt, next(rollouts)),
            logger=Quiet(),
            **{"seed": self.optimizer.seed, **fitted, **self.optimizer.options},
        )
        return with_prompts(student, list(result.best_candidate.values()))


class ProgramAdapter:
    """How gepa reaches a task's program: candidates are instructions by predictor."""

    propose_new_texts = None  # gepa's own way of writing

    def __init__(self, student: TrackedStudent, threads: int) -> None:
        self._student, self._threads = student, threads

    def evaluate(
        self, batch: Sequence[Example], candidate: Mapping[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[Any, Any]:
        """Return the scores of a candidate's answers; one that fails scores 0, as gepa wants it."""
        student = with_prompts(self._student, list(candidate.values()))
        answered = answer_all([(student, example) for example in batch], self._threads)
        traces = [
            {"Inputs": _texts(example.inputs), "Generated Outputs": _texts(one.fields), "Feedback": one.feedback}
            for example, one in zip(batch, answered, strict=True)
        ]
        outputs, scores = [dict(one.fields) for one in answered], [one.score for one in answered]
        return EvaluationBatch(outputs=outputs, scores=scores, trajectories=traces if capture_traces else None)

    def make_reflective_dataset(
        self, candidate: Mapping[str, str], eval_batch: EvaluationBatch[Any, Any], components_to_update: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Return what the prompt model is shown for each predictor: inputs, answers, what the metric says of them."""
        return {name: list(eval_batch.trajectories or ()) for name in components_to_update}


class Quiet:
    """Takes what gepa reports of its progress; the screen is the run's."""

    def log(self, message: str) -> None:
        """Write a message into the log of the run, where it asks for so much."""
        _logger.debug("%s", message)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}
