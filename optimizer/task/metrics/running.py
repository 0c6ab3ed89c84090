"""sql_result and code_tests: metrics that run what was answered, in a process that the kernel contains."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optimizer.config.strict import validate
from optimizer.errors import TaskError
from optimizer.system.contained.run import WEAK_REMEDY, lacking
from optimizer.system.files import sha256_of
from optimizer.system.limits import shorten
from optimizer.task.metrics.base import WIDTH, Grade
from optimizer.task.metrics.code_tests import CodeTests, CodeTestsOptions
from optimizer.task.metrics.sql_result import SqlResult, SqlResultOptions
from optimizer.task.schema import FieldSpec
from optimizer.types import Example, digest

Runner = SqlResult | CodeTests


@dataclass(frozen=True)
class _Kind:
    options: type[SqlResultOptions] | type[CodeTestsOptions]
    runner: Callable[..., Runner]
    # Raise it when the same answer may score differently than it did.
    version: str = "1"


RUNNING: Mapping[str, _Kind] = {
    "sql_result": _Kind(SqlResultOptions, SqlResult),
    "code_tests": _Kind(CodeTestsOptions, CodeTests),
}


@dataclass(frozen=True)
class RunningMetric:
    """Runs the answer of a task's only output."""

    name: str
    version: str
    output: str
    runner: Runner = field(repr=False)

    def __call__(self, example: Example, answer: Mapping[str, Any] | None) -> tuple[float, str]:
        """Return (score in [0, 1], what came of it).

        Raises TaskError where the example itself cannot be run, or nothing can be contained.
        """
        seen = None if answer is None else answer.get(self.output)
        if seen is None:
            return 0.0, f"the answer {'could not be read' if answer is None else 'has no ' + self.output}"
        score, remark = self.runner.score(example, self.output, unfenced(str(seen)))
        got = f"got {self.output} = {shorten(str(seen), WIDTH)}"
        return score, f"{got} ({remark})" if score < 1 else f"correct: {shorten(str(seen), WIDTH)}"

    async def grade(self, example: Example, answer: Mapping[str, Any] | None) -> Grade:
        """Return what the answer is worth, while others are graded; raises what calling it raises."""
        return Grade(*await asyncio.to_thread(self, example, answer))

    def refusals(self, examples: Sequence[Example]) -> list[tuple[Example, str]]:
        """Return the examples whose expected query fails, or that have no tests that can be read, and why."""
        problems = self.runner.problems(examples, self.output)
        return [(example, problem) for example, problem in zip(examples, problems, strict=False) if problem]


def running_metric(
    name: str, options: Mapping[str, Any], outputs: Mapping[str, FieldSpec], folder: Path, source: str
) -> RunningMetric:
    """Return the metric of this name in `RUNNING`.

    Raises TaskError, which starts with `source`, for a wrong option or file, for outputs other than one text, and where
    this machine cannot contain what would run.
    """
    kind, about = RUNNING[name], f"{source}: metric {name}"
    chosen = validate(kind.options, options, about, TaskError)
    if len(outputs) != 1 or any(spec.type != "str" or spec.choices for spec in outputs.values()):
        what = f"{about}: needs one output, which is text, and not {', '.join(outputs)}"
        raise TaskError(what, "Keep the one that is to be run.")
    if missing := lacking(chosen.containment == "weak"):
        raise TaskError(f"{about}: this machine cannot contain what answers do ({missing})", WEAK_REMEDY)
    files = chosen.files(folder, about)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    whole = {"options": chosen.model_dump(), "files": [sha256_of(path) for path in files], "python": python}
    return RunningMetric(name, f"{kind.version}-{digest(whole)}", next(iter(outputs)), kind.runner(chosen, folder))


def files_of_metric(spec: str | Mapping[str, Any], folder: Path, source: str) -> list[Path]:
    """Return the files that the options of a metric in `RUNNING` name; of another metric none. Raises TaskError."""
    options = {"name": spec} if isinstance(spec, str) else dict(spec)
    kind = RUNNING.get(str(options.pop("name", "")))
    return [] if kind is None else validate(kind.options, options, f"{source}: metric", TaskError).files(folder, source)


def unfenced(answer: str) -> str:
    """Return what stands between the first fences of an answer, else all of it; a fence that is cut off counts."""
    lines = answer.splitlines(keepends=True)
    fences = [number for number, line in enumerate(lines) if line.lstrip().startswith("```")]
    if not fences:
        return answer
    end = fences[1] if len(fences) > 1 else len(lines)
    return "".join(lines[fences[0] + 1 : end])
