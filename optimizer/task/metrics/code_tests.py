"""code_tests: whether Python code passes its tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import StrictBool, field_validator

from optimizer.config.strict import Strict
from optimizer.errors import TaskError, did_you_mean
from optimizer.system.contained.run import Limits, Outcome, run
from optimizer.system.limits import shorten
from optimizer.task.metrics.inside_code import names_of
from optimizer.task.metrics.sql_result import Containment, Megabytes, Seconds, file_inside
from optimizer.types import Example

PROGRAM = "optimizer.task.metrics.inside_code"
_FIELD = re.compile(r"\{(\w+)\}")


class CodeTestsOptions(Strict):
    """Where the tests are, how long they may run with an answer, with how much memory, and whether a part counts."""

    language: Literal["python"] = "python"
    # A file in the task's folder; {name} in it stands for an input. None: the expected output is the tests' source.
    tests: str | None = None
    seconds: Seconds = 5.0
    memory_mb: Megabytes = 512
    partial: StrictBool = False
    containment: Containment = "full"

    @field_validator("tests")
    @classmethod
    def _is_a_file(cls, tests: str | None) -> str | None:
        if tests is not None and not tests.endswith(".py"):
            raise ValueError("name a .py file, for example tests/{name}.py, where 'name' is an input")
        return tests

    def files(self, folder: Path, source: str) -> list[Path]:
        """Return the files of tests, sorted; raises TaskError, which starts with `source`, where there are none."""
        if self.tests is None:
            return []
        if not _FIELD.search(self.tests):
            return [file_inside(self.tests, folder, source, {".py"})]
        pattern = _FIELD.sub("*", self.tests)
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts or not (files := sorted(folder.glob(pattern))):
            raise TaskError(f"{source}: no files of tests {self.tests} in {folder}", "Check the option 'tests'.")
        return [file_inside(str(path.relative_to(folder)), folder, source, {".py"}) for path in files]


@dataclass(frozen=True)
class CodeTests:
    """Runs an answer, then its tests."""

    options: CodeTestsOptions
    folder: Path

    def score(self, example: Example, output: str, answer: str) -> tuple[float, str]:
        """Return (1 where all tests pass, else 0, or with `partial` their share; what failed).

        Raises TaskError where the tests cannot be read.
        """
        tests, label = self._tests(example, output)
        count = len(_names(tests, label))
        options = self.options
        limits = Limits(options.seconds, options.memory_mb)
        job = {"answer": answer, "tests": tests}
        outcome = run(PROGRAM, job, limits, weak=options.containment == "weak")
        passed, remark = _checked(outcome, count)
        share = passed / count
        score = share if options.partial else float(passed == count)
        return score, f"{passed} of {count} tests passed{'; ' if remark else ''}{remark}"

    def problems(self, examples: Sequence[Example], output: str) -> list[str]:
        """Return what is wrong with the tests of each example, "" where nothing is; they are read, not run."""
        problems = []
        for example in examples:
            try:
                tests, _ = self._tests(example, output)
                problems.append("" if names_of(tests) else f"there are no tests, but {shorten(tests)}")
            except (SyntaxError, ValueError, RecursionError) as problem:
                problems.append(f"the tests are no Python ({problem})")
            except TaskError as problem:
                problems.append(problem.what)
        return problems

    def _tests(self, example: Example, output: str) -> tuple[str, str]:
        """Return the source of an example's tests, and what to call it."""
        origin = f"{example.origin or example.id}: code_tests"
        if self.options.tests is None:
            return str(example.outputs[output]), origin
        name = _FIELD.sub(lambda found: _value(example, found[1], origin), self.options.tests)
        return file_inside(name, self.folder, origin, {".py"}).read_text(encoding="utf-8"), f"{origin}: {name}"


def _value(example: Example, name: str, origin: str) -> str:
    if name not in example.inputs:
        what = f"{origin}: tests: '{name}' is not an input"
        raise TaskError(what, did_you_mean(name, example.inputs))
    value = str(example.inputs[name])
    if not re.fullmatch(r"\w[\w .-]*", value):
        what = f"{origin}: tests: {shorten(value)} cannot be part of a file's name"
        raise TaskError(what, "Use letters, digits, '_', '-', '.' and spaces.")
    return value


def _names(tests: str, label: str) -> list[str]:
    try:
        names = names_of(tests)
    except (SyntaxError, ValueError, RecursionError) as problem:
        what = f"{label}: the tests are no Python ({problem})"
        raise TaskError(what, "Correct them.") from None
    if not names:
        what = f"{label}: there are no tests, but {shorten(tests)}"
        raise TaskError(what, "Write asserts, or functions whose names begin with test_.")
    return names


def _checked(outcome: Outcome, count: int) -> tuple[int, str]:
    """Return how many tests passed, and what is said of the others; a report of another shape is none."""
    if outcome.result is None:
        return 0, outcome.why
    result: Mapping[str, Any] = outcome.result
    passed, remarks = result.get("passed"), result.get("remarks")
    if not isinstance(passed, list) or len(passed) != count or not all(isinstance(one, bool) for one in passed):
        return 0, "its report cannot be read"
    texts = [text[:500] for text in remarks if isinstance(text, str)] if isinstance(remarks, list) else []
    return sum(passed), "; ".join(texts[:3])
