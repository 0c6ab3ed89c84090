"""A task: what goes in, what comes out, its examples in three splits, and its metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from optimizer.task.metrics.base import Metric
from optimizer.task.module import structure
from optimizer.task.schema import FieldSpec
from optimizer.task.userfile import file_sha256, find_file
from optimizer.types import Example, digest


@dataclass(frozen=True)
class Task:
    """A task that was read and checked; `notes` are for the user."""

    name: str
    description: str
    instruction: str
    inputs: Mapping[str, FieldSpec]
    outputs: Mapping[str, FieldSpec]
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    metric: Metric
    folder: Path
    program: str | None = None
    module: Any = None  # a dspy.Module, instead of a file
    notes: tuple[str, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change with whatever changes scores: fields, examples, metric, program.

        The instruction is not among them: it is what is optimized. Raises TaskError without a program's file.
        """
        splits = [[example.id for example in split] for split in (self.train, self.validation, self.test)]
        return digest([self._fields, splits, self.metric.name, self.metric.version, self._program])

    @property
    def facts(self) -> dict[str, Any]:
        """What makes a run of this task the same run, by name: so that a change can be named.

        Raises TaskError without a program's file.
        """
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {
            "name": self.name,
            "instruction": self.instruction,
            "metric": f"{self.metric.name}@{self.metric.version}",
            "fields": f"{', '.join((*self.inputs, *self.outputs))} {digest(self._fields)}",
            "program": self._program,
            **{name: f"{len(split)} examples {digest([e.id for e in split])}" for name, split in splits.items()},
        }

    @property
    def _fields(self) -> list[Any]:
        return [[[name, spec.model_dump()] for name, spec in side.items()] for side in (self.inputs, self.outputs)]

    @property
    def _program(self) -> list[str] | None:
        if self.module is not None:
            return structure(self.module)
        if self.program is None:
            return None
        path, function = find_file(self.program, self.folder, "program")
        return [function, file_sha256(path)]
