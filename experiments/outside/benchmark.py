"""What a benchmark of somebody else's is: its task, its rows, and the instructions that its authors begin with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.draw import Row
from experiments.outside.repositories import Clones

SIZES = (200, 100, 200)
# What takes the place of a format that is not ours.
LABEL_ALONE = "Answer with the label alone."
SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")


@dataclass(frozen=True)
class Data:
    """Where files come from: clones of repositories, and a folder of what is in none of them."""

    clones: Clones
    folder: Path | None = None

    def file(self, path: str) -> Path:
        """Return a file of the folder; raises LookupError where there is none."""
        if self.folder is None or not (self.folder / path).is_file():
            raise LookupError(f"--data names no folder with {path}")
        return self.folder / path


@dataclass(frozen=True)
class Benchmark:
    """A task of somebody else's.

    `task` has what task.yaml says of fields and metric. `rows` returns those to draw training and validation examples
    from, and those of the test; None: there is one file, and the test is drawn from it, too. The first of the
    `instructions` is the seed. `others` are further lists of instructions, by the name of their file. `sizes` are
    those of train, validation and test. `program` is a file that becomes the task's program.py, whose predictors then
    have their own instructions.
    """

    task: Mapping[str, Any]
    rows: Callable[[Data], tuple[list[Row], list[Row] | None]]
    instructions: Callable[[Data], Sequence[str]]
    description: Callable[[Data], str] = lambda data: ""
    others: Mapping[str, Callable[[Data], Sequence[str]]] = field(default_factory=dict)
    sizes: tuple[int, int, int] = SIZES
    program: Path | None = None


def labelled(
    inputs: Mapping[str, str], output: tuple[str, str], choices: Sequence[str], metric: str = "exact_match"
) -> dict[str, Any]:
    """Return a task whose answer is one of the `choices`; fields have their names and descriptions."""
    name, desc = output
    return {
        "inputs": {field: {"desc": text} if text else {} for field, text in inputs.items()},
        "outputs": {name: {**({"desc": desc} if desc else {}), "choices": list(choices)}},
        "metric": metric,
    }
