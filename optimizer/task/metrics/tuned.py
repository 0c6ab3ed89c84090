"""A judge's tuned prompt: the file that `metier judge tune` writes, which grades by one criterion in a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from optimizer.errors import TaskError
from optimizer.system.files import is_file
from optimizer.task.metrics.rubric import Criterion
from optimizer.task.text import fold, no_such_file, parse_json
from optimizer.types import digest

# The fields of the prompt, and the key under which its file names the examples that it was tuned on.
REQUEST, GRADE, TUNED_ON = "request", "grade", "tuned_on"
_WRITE = "Let metier judge tune write it, or leave prompt out of the metric."


class AskGrade(Protocol):
    """Asks the judge's model with a tuned prompt."""

    async def __call__(self, request: str) -> str:
        """Return the grade as the model words it; raises CallError for a call that failed, and what ends a run."""


@dataclass(frozen=True)
class TunedPrompt:
    """The text of a tuned prompt's file, and what the metric has to know of it.

    `tuned_on` are the ids of the examples whose answers it was tuned on; `messages` is about what each request adds to.
    """

    path: Path
    text: str = field(repr=False)
    tuned_on: frozenset[str] = field(repr=False)
    messages: str = field(repr=False)

    @property
    def digest(self) -> str:
        """Digits that change with the prompt."""
        return digest(self.text)


def labels_of(criteria: Mapping[str, Criterion]) -> tuple[str, ...]:
    """Return the grades of all scales together, each once."""
    return tuple({fold(level): level for criterion in criteria.values() for level in criterion.levels}.values())


def read_tuned(path: Path, criteria: Mapping[str, Criterion], source: str) -> TunedPrompt:
    """Return the tuned prompt in a file.

    Raises TaskError, which starts with `source`, where there is none, or where it was tuned for other scales.
    """
    source = f"{source}: prompt"
    if not is_file(path):
        raise no_such_file(path, f"{source}: {path.name}", {".json"})
    try:
        text = path.read_text(encoding="utf-8")
        data = parse_json(text)
        inputs, grades = list(data["inputs"]), data["outputs"][GRADE]["choices"]
        tuned_on, messages = frozenset(map(str, data[TUNED_ON])), str(data["messages"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        what = f"{source}: {path} is no prompt of a tuned judge ({type(problem).__name__}: {problem})"
        raise TaskError(what, _WRITE) from None
    if inputs != [REQUEST] or {fold(str(one)) for one in grades} != {fold(one) for one in labels_of(criteria)}:
        what = f"{source}: {path} was tuned for other scales than those of the criteria"
        raise TaskError(what, "Tune it again: metier judge tune; or leave prompt out of the metric.")
    return TunedPrompt(path, text, tuned_on, messages)
