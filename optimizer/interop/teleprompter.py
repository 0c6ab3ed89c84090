"""PromptSearch: `compile(student, trainset, valset)`, as DSPy's own teleprompters have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dspy
from dspy.teleprompt.teleprompt import Teleprompter

from optimizer.config.schema import RunConfig
from optimizer.config.strict import validate
from optimizer.errors import ConfigError
from optimizer.interop.examples import Sets, task_of
from optimizer.interop.models import checked, lm_of
from optimizer.job.background import outside_the_loop
from optimizer.job.demos import programs_of_run
from optimizer.job.progress import following
from optimizer.job.run import run_config
from optimizer.job.watcher import Watcher
from optimizer.ledger.result import Report
from optimizer.models.dspy_lm import LMEndpoint, lm_config, lm_endpoint
from optimizer.prompt.builder import ProgramBuilder
from optimizer.prompt.student import is_plain, with_prompts
from optimizer.prompt.tuned import TunedProgram
from optimizer.system.dspy_private import freeze
from optimizer.types import Candidate, ModelKey

# What plain DSPy can save: its own adapter, and demos that are always the same.
SEARCH = {"formats": ["own"], "demos": {"policies": ["static"]}}


class PromptSearch(Teleprompter):
    """Searches the instructions and demos of all predictors of a program together, and proves what it found.

    `metric(gold, prediction, …)` returns a float in [0, 1], a bool, or dspy.Prediction(score=…, feedback=…).
    `budget` is a number of calls, or a run's section `budget` (calls, tokens, usd, seconds, until).
    `config` are the other sections of a run's YAML file: search, models (concurrency, timeout), tracking,
    cache, failures, seed, run_dir.

    The model is the one that the program would run on: its predictors' LM, else DSPy's configured one, with
    its settings; its calls go through the door (cache, budget, ledger), so DSPy's cache and retries are
    not used. `prompt_model` writes instructions; without one they come from templates.

    By default the formats searched are what DSPy is configured with, and demos are static, so that the result
    is the student's own class, which saves and loads in plain DSPy. With search={"formats": […]} or retrieved
    demos in search={"demos": {"policies": […]}} the result may be a TunedProgram.

    `progress` shows bars; a `watcher` takes their place.
    """

    def __init__(
        self,
        metric: Callable[..., Any],
        budget: int | Mapping[str, Any] | None = None,
        prompt_model: dspy.LM | None = None,
        watcher: Watcher | None = None,
        progress: bool = True,
        **config: Any,
    ) -> None:
        """Raises ConfigError for a section or key that is unknown or wrong."""
        self.metric, self.prompt_model, self._watcher, self._progress = metric, prompt_model, watcher, progress
        self.report: Report | None = None
        if misplaced := [role for role in ("task", "prompt", "judge") if role in config.get("models", {})]:
            remedy = "Configure DSPy with the task's LM, and give the one that writes as prompt_model=."
            raise ConfigError(f"models.{misplaced[0]}: models are given as objects here", remedy)
        limits = {"calls": budget} if isinstance(budget, int) else dict(budget or {})
        settings = {"task": "student", "budget": limits, **config, "search": _with_defaults(config.get("search", {}))}
        self.config = validate(RunConfig, settings, "PromptSearch", ConfigError)

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: Sequence[dspy.Example],
        valset: Sequence[dspy.Example] | None = None,
        testset: Sequence[dspy.Example] | None = None,
        **_: Any,
    ) -> dspy.Module:
        """Return the best program found; the student stays as it was, and `self.report` tells what is proven.

        Demos come from the trainset; the valset selects. Without a testset a third of the valset is kept for
        the verdict, and without a valset half of the trainset is it. A winner that is proven worse than the
        student is not returned: the student's copy is. Raises MetierError.
        """
        if not isinstance(student, dspy.Module):
            raise ConfigError(f"student is {type(student).__name__}, not a dspy.Module", "Give a program.")
        lm = lm_of(student)
        task = task_of(student, self.metric, Sets(trainset, valset, testset), self.config.seed)
        endpoints: dict[ModelKey, LMEndpoint] = {"task": lm_endpoint(lm, self.config.models)}
        models: dict[str, Any] = {"task": lm_config(lm)}
        if self.prompt_model is not None:
            writer = checked(self.prompt_model, "prompt_model")
            endpoints["prompt"], models["prompt"] = lm_endpoint(writer, self.config.models), lm_config(writer)
        named = self.config.models.model_dump(exclude={"task", "prompt", "judge"}) | models
        data = self.config.model_dump() | {"task": task.name, "models": named}
        config = validate(RunConfig, data, "PromptSearch", ConfigError)
        with following(self._watcher, self._progress) as watcher:
            if config.privacy.redact:
                watcher.warn("privacy.redact masks the calls of the search; the program that is returned masks none.")
            report = outside_the_loop(lambda: run_config(config, watcher, task=task, endpoints=endpoints))
        self.report = report
        best = report.seed if report.verdict == "worse" else report.winner
        return _program(student, best.candidate, programs_of_run(task, report.run_dir))


def _with_defaults(search: Any) -> Any:
    """Return the section `search` with what differs here; what is no mapping is refused where it is read."""
    if not isinstance(search, Mapping):
        return search
    demos = search.get("demos", {})
    shown = {**SEARCH["demos"], **demos} if isinstance(demos, Mapping) else demos  # type: ignore[dict-item]
    return {"formats": SEARCH["formats"], **search, "demos": shown}


def _program(student: dspy.Module, candidate: Candidate, programs: ProgramBuilder) -> dspy.Module:
    """Return the candidate as a program, whose part in a larger one is frozen, as after any teleprompter."""
    if all(is_plain(prompt) for prompt in candidate.prompts.values()):
        made = with_prompts(student, candidate, programs.pools)
    else:
        made = TunedProgram(student, candidate, programs.pools)
    freeze(made)
    return made
