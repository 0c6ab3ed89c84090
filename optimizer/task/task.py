"""A task: what goes in, what comes out, its examples in three splits, and its metric."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from optimizer.system.user_code import code_sha256
from optimizer.task.metrics.base import Metric
from optimizer.task.module import structure
from optimizer.task.schema import FieldSpec
from optimizer.task.userfile import find_file
from optimizer.types import Example, digest

if TYPE_CHECKING:
    import dspy


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class Task:
    """What goes in, what comes out, how an answer is scored, and examples in three splits; read and checked.

    The arguments are a task.yaml's keys, but `examples` stand in the place of `data`. `notes` is what the user
    should be told of the task, `origin` what a run notes of examples that come from no file.
    """

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
    program: str | None
    module: dspy.Module | None  # a program that is given as it is, in the place of a file
    notes: tuple[str, ...]
    file: Path | None  # the task.yaml that it was read from
    origin: Mapping[str, Any]
    # The task of each fold, where there are folds: then test has all folds' examples, which the search sees, too.
    folds: tuple[Task, ...]

    def __init__(
        self,
        *,
        examples: object,
        inputs: object = None,
        outputs: object = None,
        instruction: str | None = None,
        metric: object = "exact_match",
        name: str = "task",
        description: str = "",
        split: Mapping[str, object] | None = None,
        fields: Mapping[str, str] | None = None,
        slices: Sequence[str] | None = None,
        program: object = None,
    ) -> None:
        """Make a task of what you hold in Python; raises TaskError for anything wrong in it.

        `examples`: a DataFrame, a list of dicts or of dspy.Example, a datasets.Dataset, the path of a data file, or
        {"train": …, "validation": …, "test": …} of these, where validation may be left out.
        `inputs`: ["message"], or {"message": "what it is"}. `outputs`: ["answer"], {"team": ["a", "b"]} for choices,
        {"total": float} for a type, or a dict as in YAML. Both may be left out where dspy.Examples tell their inputs.
        `metric`: a built-in's name, a dict as in YAML, or a function(example, answer); see `FunctionMetric`.
        `program`: a dspy.Module, which brings its own instructions, or "program.py:build". `fields` maps a field to the
        column that it is read from; `slices` are columns by whose values scores are told apart; `split` are the shares
        of train, validation and test, a seed, and a column as `group`, whose rows with the same value stay together, or
        as `time`, by which train comes before test; `folds` is how many folds small data are cut into.
        """
        from optimizer.task.objects import make_task

        spec: dict[str, object] = {"name": name, "description": description, "instruction": instruction}
        spec |= {
            key: value for key, value in (("split", split), ("fields", fields), ("slices", slices)) if value is not None
        }
        self.__dict__.update(vars(make_task(examples, inputs, outputs, spec, metric, program)))

    @classmethod
    def from_parts(
        cls,
        name: str,
        description: str,
        instruction: str,
        inputs: Mapping[str, FieldSpec],
        outputs: Mapping[str, FieldSpec],
        train: tuple[Example, ...],
        validation: tuple[Example, ...],
        test: tuple[Example, ...],
        metric: Metric,
        folder: Path,
        program: str | None = None,
        module: dspy.Module | None = None,
        notes: tuple[str, ...] = (),
        file: Path | None = None,
        origin: Mapping[str, Any] = MappingProxyType({}),
        folds: tuple[Task, ...] = (),
    ) -> Task:
        """Return a task of parts that are checked already."""
        parts = locals()
        task = object.__new__(cls)
        task.__dict__.update({field.name: parts[field.name] for field in dataclasses.fields(cls)})
        return task

    def changed(self, **parts: Any) -> Task:
        """Return this task with other parts, by the names of its fields."""
        return Task.from_parts(**{field.name: getattr(self, field.name) for field in dataclasses.fields(self)} | parts)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(split)} {name}" for name, split in self._splits.items())
        return f"Task {self.name!r}: {', '.join(self.inputs)} → {', '.join(self.outputs)}; {sizes}; {self.metric.name}"

    @property
    def _splits(self) -> dict[str, tuple[Example, ...]]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change with whatever changes scores: fields, examples, metric, program.

        The instruction is not among them: it is what is optimized. Raises TaskError without a program's file.
        """
        splits = [[example.id for example in split] for split in self._splits.values()]
        return digest([self._fields, splits, self.metric.name, self.metric.version, self._program])

    @property
    def facts(self) -> dict[str, Any]:
        """What makes a run of this task the same run, by name: so that a change can be named.

        Raises TaskError without a program's file.
        """
        return {
            "name": self.name,
            "instruction": self.instruction,
            "metric": f"{self.metric.name}@{self.metric.version}",
            "fields": f"{', '.join((*self.inputs, *self.outputs))} {digest(self._fields)}",
            "program": self._program,
            **{name: f"{len(split)} examples {digest([e.id for e in split])}" for name, split in self._splits.items()},
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
        return [function, code_sha256(path)]
