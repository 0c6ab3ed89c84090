"""`search.strategy: promptolution.NAME`: CAPO, EvoPromptGA and OPRO of the package promptolution, in a format of ours.

Their prompts are an instruction, CAPO's with a few examples. The library's own form is left out: one message, in which
the label stands between two markers. The prompts to begin with are the task's own, and three that the library's own
function asks the prompt model for; or the first three of a file that the option `initial_prompts` names.
"""

from __future__ import annotations

import inspect
import itertools
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dspy
import numpy as np
import pandas as pd
from promptolution.llms.base_llm import BaseLLM
from promptolution.optimizers.base_optimizer import BaseOptimizer
from promptolution.optimizers.capo import CAPO
from promptolution.optimizers.evoprompt_ga import EvoPromptGA
from promptolution.optimizers.opro import OPRO
from promptolution.predictors.base_predictor import BasePredictor
from promptolution.tasks.classification_tasks import ClassificationTask
from promptolution.utils.prompt_creation import create_prompts_from_task_description

from optimizer.errors import ConfigError, did_you_mean
from optimizer.task.instruction_list import read_instructions
from optimizer.teleprompt.library import LibrarySearch, answer_all, dspy_example
from optimizer.teleprompt.models import RolloutLM, Stopped, asked_text
from optimizer.teleprompt.tracked import TrackedStudent, with_prompts
from optimizer.types import Example

KINDS: dict[str, type[BaseOptimizer]] = {"CAPO": CAPO, "EvoPromptGA": EvoPromptGA, "OPRO": OPRO}
# What a run gives them; all else that their constructors take is an option, and these three.
OURS = {"self", "predictor", "task", "meta_llm", "initial_prompts", "df_few_shots", "callbacks"}
STEPS, BLOCK, INITIAL = "n_steps", "n_subsamples", "initial_prompts"
PROMPTS = 4
# More than a budget allows: it ends the loop.
MOST_STEPS = 1000
# CAPO's default of 30 examples a block would be one step's race; its reasoning for examples is not shown in our format.
FITTED: dict[str, dict[str, Any]] = {
    "CAPO": {"crossovers_per_iter": 2, "max_n_blocks_eval": 4, "create_fs_reasoning": False}
}
PARTS = {"CAPO": 40}
PART = 20


class Ended(Exception):
    """Ends a step of promptolution's, which ends its loop and returns what it had after the last whole one."""


class PromptolutionSearch(LibrarySearch):
    """An optimizer of promptolution's as a strategy of a run, for tasks of one call."""

    def check_options(self) -> None:
        """Raise ConfigError for an option that the optimizer does not have, and for a program of several calls."""
        name = self.optimizer.name
        known = (set(inspect.signature(KINDS[name].__init__).parameters) - OURS) | {STEPS, BLOCK, INITIAL}
        for key in self.optimizer.options:
            if key not in known:
                hint = did_you_mean(key, known)
                raise ConfigError(f"search.options: {name} has no option '{key}'", f"For '{key}', {hint}")
        self._initial_prompts()
        if len(self.programs.predictors) > 1:
            what = f"search.strategy: {self.optimizer.strategy} writes one instruction, and the program has several"
            raise ConfigError(what, "Choose gepa, one of DSPy's optimizers, or a strategy of ours.")

    @property
    def sized(self) -> bool:
        """Whether the user's options say how large the search is."""
        return BLOCK in self.optimizer.options

    @property
    def learns_from(self) -> Sequence[Example]:
        """No training examples: prompts are scored on validation examples alone."""
        return ()

    def optimized(self, student: TrackedStudent, task_lm: RolloutLM, prompt_lm: RolloutLM) -> TrackedStudent:
        """Return the student with the prompt that is the first of those that the optimizer returns."""
        name, seed = self.optimizer.name, self.optimizer.seed
        options = {**FITTED.get(name, {}), **self.optimizer.options}
        steps = options.pop(STEPS, MOST_STEPS)
        block = options.pop(BLOCK, max(2, self.calls // PARTS.get(name, PART)))
        options.pop(INITIAL, None)
        if name == "CAPO":
            options["df_few_shots"] = _frame(self.programs.task.train)
        train, threads = self.programs.task.train, self.evaluator.concurrency
        writer, (_, only) = PromptModel(prompt_lm), student.program.named_predictors()[0]
        predictor = StudentPredictor(writer, student, train, self.examples, threads)
        own = only.signature.instructions
        task = _task(self.examples, f"{self.programs.task.description} {own}".strip(), block, seed)
        with _seeded(seed), _hushed():
            try:
                written = [one for one in self._initial_prompts() if one != own][: PROMPTS - 1]
                if not written:
                    count = PROMPTS - 1
                    written = create_prompts_from_task_description(task.task_description, writer, n_prompts=count)
                initial = {"initial_prompts": [own, *written], "predictor": predictor, "task": task}
                best = KINDS[name](meta_llm=writer, **initial, **options).optimize(n_steps=steps)[0]
            except Ended:
                raise Stopped from None
        return predictor.student_of(str(best))

    def _initial_prompts(self) -> Sequence[str]:
        """Return the prompts of the file that the options name; none where they name none."""
        file = self.optimizer.options.get(INITIAL)
        if file is None:
            return ()
        if not isinstance(file, str):
            what = f"search.options: {INITIAL} is {file!r}"
            raise ConfigError(what, "Name a file of the task's folder: instructions.yaml.")
        return read_instructions(self.programs.task.folder, file, f"search.options: {INITIAL}")


class PromptModel(BaseLLM):
    """The prompt model, as promptolution asks it."""

    def __init__(self, lm: RolloutLM) -> None:
        super().__init__()
        self._lm, self._rollouts = lm, itertools.count(1)

    def _get_response(self, prompts: list[str], system_prompts: list[str]) -> list[str]:
        # The system prompt is the library's "You are a helpful assistant", which no optimizer changes.
        try:
            return [asked_text(self._lm, prompt, next(self._rollouts)) for prompt in prompts]
        except Stopped:
            raise Ended from None


class StudentPredictor(BasePredictor):
    """Answers with the task's program, and returns the metric's score of each answer in the place of the answer."""

    def __init__(
        self,
        llm: BaseLLM,
        student: TrackedStudent,
        train: Sequence[Example],
        examples: Sequence[Example],
        threads: int,
    ) -> None:
        """`llm` is only asked for its counter of words, by which CAPO tells how long a prompt is."""
        super().__init__(llm)
        self._student, self._threads = student, threads
        self._by_text = {_text(one.inputs): one for one in (*train, *examples)}
        self._shots = {_shot(one): one for one in train}

    def predict(
        self, prompts: str | list[str], xs: list[str], system_prompts: str | list[str] | None = None
    ) -> tuple[list[str], list[str]]:
        """Return the score of each prompt's answer, as text, and what a reader would see of it."""
        texts = [prompts] * len(xs) if isinstance(prompts, str) else prompts
        students = {text: self.student_of(text) for text in dict.fromkeys(texts)}
        pairs = [(students[text], self._by_text[x]) for text, x in zip(texts, xs, strict=True)]
        try:
            answered = answer_all(pairs, self._threads)
        except Stopped:
            raise Ended from None
        sequences = [f"{x}\n{_text(one.fields)}" for x, one in zip(xs, answered, strict=True)]
        return [repr(one.score) for one in answered], sequences

    def _extract_preds(self, preds: list[str]) -> list[str]:
        return preds

    def student_of(self, prompt: str) -> TrackedStudent:
        """Return the student with the instruction and the demos that a prompt's text holds."""
        text = prompt.strip().removesuffix("Input:").strip()
        demos: list[dspy.Example] = []
        while (shot := self._last_shot(text)) is not None:
            demos.insert(0, dspy_example(self._shots[shot]))
            text = text.removesuffix(shot).strip()
        return with_prompts(self._student, [text], demos)

    def _last_shot(self, text: str) -> str | None:
        return next((shot for shot in self._shots if text.endswith(shot)), None)


def _task(examples: Sequence[Example], description: str, block: int, seed: int) -> ClassificationTask:
    """Return the validation examples as a task of promptolution's, whose metric takes our scores."""
    size = min(block, len(examples))

    def score(wanted: Sequence[str], scored: Sequence[str]) -> float:
        return float(scored[0])

    return ClassificationTask(
        _frame(examples),
        task_description=description,
        n_subsamples=size,
        eval_strategy="sequential_block",
        seed=seed,
        metric=score,
    )


def _frame(examples: Sequence[Example]) -> pd.DataFrame:
    return pd.DataFrame([(_text(one.inputs), _text(one.outputs)) for one in examples], columns=["x", "y"])


def _text(values: Mapping[str, Any]) -> str:
    """Return fields as one text: a single one is its value."""
    if len(values) == 1:
        return str(next(iter(values.values())))
    return "\n".join(f"{name}: {value}" for name, value in values.items())


def _shot(example: Example) -> str:
    """Return an example as CAPO writes it into a prompt."""
    return f"Input:\n{_text(example.inputs)}\nOutput:\n{_text(example.outputs)}".strip()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the generators that promptolution draws from, which are those of the whole process."""
    before, arrays = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(arrays)


@contextmanager
def _hushed() -> Iterator[None]:
    """Let it not report the end of the budget as an error, with a traceback."""
    logger = logging.getLogger("promptolution")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
