"""From a path to a Task: the YAML read and checked, the data read, the splits made, the metric built."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.config.load import TASK_FILE
from optimizer.config.strict import validate
from optimizer.config.yamlfile import read_yaml
from optimizer.errors import TaskError, did_you_mean
from optimizer.system.files import exists, is_file, is_folder
from optimizer.task.data import read_rows
from optimizer.task.folder import read_folder
from optimizer.task.folds import all_of, make_folds
from optimizer.task.hub import read_hub
from optimizer.task.instruction import check_placeholders, read_instruction
from optimizer.task.metrics.base import BuiltIn, Metric
from optimizer.task.metrics.build import OWN, build_metric, metric_name
from optimizer.task.metrics.consistency import ConsistencyMetric
from optimizer.task.metrics.running import RUNNING, RunningMetric
from optimizer.task.metrics.worst import WorstSliceMetric, of_each
from optimizer.task.parts import Parts, make_parts
from optimizer.task.rows import Reading, Row
from optimizer.task.schema import DataSpec, TaskFile, TaskSpec
from optimizer.task.split import Splits, add_twins, make_splits
from optimizer.task.sql import read_sql
from optimizer.task.task import Task
from optimizer.task.text import Problems
from optimizer.task.traces import Window, read_traces
from optimizer.task.userfile import find_inside
from optimizer.types import Example

if TYPE_CHECKING:
    import dspy

_TASKS = Path("tasks")
_NOT_RUN = "Correct the data, or the options of the metric."
_REFUSED = "The metric refuses the expected answer itself: correct it, or choose another metric."


@dataclass(frozen=True)
class Draft:
    """A task that is read, and not known to be sound: what is wrong in its data is in the problems of its parts.

    `facts` are what is to be kept of where its data came from, and `notes` what their readers said. `cut` tells that
    not all rows of its files were kept.
    """

    written: TaskFile
    parts: Parts
    metric: Metric
    file: Path
    facts: Mapping[str, object]
    notes: Sequence[str] = ()
    cut: bool = False

    def task(self) -> Task:
        """Return the task, split and checked; raises TaskError for anything wrong in it."""
        source, folder = str(self.file), self.file.parent
        try:
            task = checked_task(self.written, self.parts, self.metric, source, folder, self.written.program)
        except TaskError as problem:
            if not self.facts:
                raise
            # Where few traces count, what is wrong is why the others do not.
            raise TaskError(problem.what, "\n  ".join([problem.remedy, *self.notes])) from None
        folds = tuple(fold.changed(file=self.file, origin=self.facts) for fold in task.folds)
        return task.changed(file=self.file, origin=self.facts, folds=folds)


def load_task(path: str | Path, *, scored: bool = True, window: Window | None = None) -> Task:
    """Return the task at `path`: a folder with a task.yaml, a YAML file, or a name under ./tasks.

    Of MLflow's traces those in the `window` are read, where there is one.

    Where nothing is to be `scored`, no code of the task's runs: exact_match stands in the place of its own function,
    and of a metric that runs answers, which this machine may not be able to contain.
    Raises TaskError for anything wrong in the YAML, the data, the splits, the metric or the program's path.
    """
    return draft_task(path, scored=scored, window=window).task()


def draft_task(path: str | Path, *, scored: bool = True, window: Window | None = None) -> Draft:
    """Return the task at `path` as far as it can be read; raises TaskError where its data cannot be."""
    file = find_task(path)
    written, folder = load_task_file(file)
    source = str(file)
    name = metric_name(written.metric, source)
    if written.program is not None:
        find_inside(written.program, folder, f"{source}: program")
    if own := name.startswith(OWN):
        find_inside(name.removeprefix(OWN), folder, f"{source}: metric")
    stands_in = not scored and (own or name in RUNNING)
    metric = build_metric("exact_match" if stands_in else written.metric, written.outputs, folder, source)
    data, facts = written.data, dict[str, object]()
    reading = Reading(data.sample, written.split.seed, data.sheet, Problems(repairs=True), facts=facts)
    rows = _read(written, folder, reading, window or Window())
    parts = make_parts(rows, written, reading.problems, data.repair, reading.notes)
    return Draft(written, parts, metric, file, facts, reading.notes, bool(reading.cut))


def checked_task(
    spec: TaskSpec,
    parts: Parts,
    metric: Metric,
    source: str,
    folder: Path = Path(),
    program: str | None = None,
    module: dspy.Module | None = None,
) -> Task:
    """Return the task of these parts, split and checked.

    Raises TaskError for what is wrong in the data, and where the instruction has a placeholder that is no input, the
    metric refuses an expected answer, a split is too small, or two splits share an input.
    """
    if isinstance(metric, WorstSliceMetric):
        _check_slice(metric.options.by, spec, source)
    if isinstance(metric, ConsistencyMetric):
        metric = _fitted(metric, spec, source)
    notes = check_placeholders(spec.instruction, spec.inputs, source) if module is None else ()
    for examples in parts.examples.values():
        _check_expected(metric, examples, parts.problems)
    if not len(parts.problems):
        _check_parts(metric, [example for examples in parts.examples.values() for example in examples], source)
    folds: list[Splits] = []
    if spec.split.folds is None:
        splits = make_splits(parts.examples, spec.split, spec.outputs, source, parts.keys, parts.problems)
    else:
        folds, splits = _folded(spec, parts, source)

    def made(splits: Splits) -> Task:
        return Task.from_parts(
            name=spec.name,
            description=spec.description,
            instruction=spec.instruction,
            inputs=spec.inputs,
            outputs=spec.outputs,
            train=splits.train,
            validation=splits.validation,
            test=splits.test,
            metric=metric,
            folder=folder,
            program=program,
            module=module,
            notes=(*notes, *parts.notes, *splits.notes),
        )

    return made(splits).changed(folds=tuple(map(made, folds)))


def _folded(spec: TaskSpec, parts: Parts, source: str) -> tuple[list[Splits], Splits]:
    """Return the splits of each fold, and those of the search on all data."""
    if set(parts.examples) != {"all"}:
        raise TaskError(
            f"{source}: split.folds: the examples are split already", "Give one file as data.path, or leave folds out."
        )
    examples, keys = parts.examples["all"], None if parts.keys is None else parts.keys["all"]
    add_twins(parts.examples, parts.problems)
    parts.problems.refuse()
    folds = make_folds(examples, spec.split, spec.outputs, int(spec.split.folds or 0), source, keys)
    return folds, all_of(folds, examples, spec.split, spec.outputs, source, keys)


def load_task_file(path: str | Path) -> tuple[TaskFile, Path]:
    """Return (the task.yaml as written, its folder) without reading the data; raises TaskError."""
    file = find_task(path)
    data = read_instruction(read_yaml(file, TaskError), file)
    return validate(TaskFile, data, str(file), TaskError), file.parent


def find_task(path: str | Path) -> Path:
    """Return the YAML file of the task at `path`; raises TaskError with the nearest names."""
    folder = Path(path)
    if not exists(folder) and not re.search(r"[/\\]", str(path)) and is_file(_TASKS / folder / TASK_FILE):
        return _TASKS / folder / TASK_FILE
    if is_file(folder):
        return folder
    if is_folder(folder):
        if is_file(folder / TASK_FILE):
            return folder / TASK_FILE
        others = sorted(other.name for other in folder.glob("*.y*ml"))
        remedy = f"Name the file itself: {folder / others[0]}" if others else f"Write {folder / TASK_FILE}."
        raise TaskError(f"{folder}: the folder has no {TASK_FILE}", remedy)
    known = [file.parent.name for file in _TASKS.glob(f"*/{TASK_FILE}")]
    hint = f" In ./tasks: {did_you_mean(folder.name, known)}" if known else ""
    raise TaskError(f"{path}: no such task", f"Give a folder with a {TASK_FILE}, or a YAML file.{hint}")


def read_data(written: TaskFile, folder: Path) -> dict[str, tuple[Sequence[Row], str]]:
    """Return the rows of each part of a task's data as they stand there, and the name that messages have for them.

    Raises TaskError for rows that cannot be read.
    """
    reading = Reading(written.data.sample, written.split.seed, written.data.sheet)
    parts = _read(written, folder, reading, Window())
    reading.problems.refuse()
    return parts


def _read(written: TaskFile, folder: Path, reading: Reading, window: Window) -> dict[str, tuple[Sequence[Row], str]]:
    """Return the rows of each part, and the name that messages have for them."""
    if (traces := written.data.mlflow) is not None:
        columns = {name: written.fields.get(name, name) for name in written.outputs}
        rows = read_traces(traces, columns, folder, reading, window)
        return {"all": (rows, f"mlflow: {traces.experiment}")}
    return read_files(written.data, folder, reading)


def read_files(data: DataSpec, folder: Path, reading: Reading) -> dict[str, tuple[Sequence[Row], str]]:
    """Return the rows of each part of data that no field has to be known for, each with its name; raises TaskError."""
    if data.hf is not None:
        return {"all": (read_hub(data.hf, reading), f"hf: {data.hf}")}
    if data.sql is not None:
        return {"all": (read_sql(data.sql, folder, reading), "sql")}
    if data.folder is not None:
        labels = None if data.labels is None else folder / data.labels
        return {"all": (read_folder(folder / data.folder, data.pattern, data.folder, reading, labels), data.folder)}
    return {part: (read_rows(folder / name, name, reading), name) for part, name in files_of(data).items()}


def files_of(data: DataSpec) -> dict[str, str]:
    """Return the files that data name, by part."""
    files = {"all": data.path, "train": data.train, "validation": data.validation, "test": data.test}
    return {part: name for part, name in files.items() if name is not None}


def _check_slice(by: str, spec: TaskSpec, source: str) -> None:
    if by not in spec.slices:
        what = f"{source}: metric worst_slice: '{by}' is none of the task's slices"
        raise TaskError(what, f"Name the column: slices: [{', '.join((*spec.slices, by))}].")


def _fitted(metric: ConsistencyMetric, spec: TaskSpec, source: str) -> ConsistencyMetric:
    try:
        return metric.fitted(spec.inputs)
    except ValueError as problem:
        what, _, hint = f"{source}: metric consistency: {problem}".partition("; ")
        raise TaskError(what, f"For 'inputs', {hint}" if hint else "Leave it out of perturb.") from None


def _check_expected(metric: Metric, examples: Sequence[Example], problems: Problems) -> None:
    metric = of_each(metric)
    # An expected answer that is itself scored under 1 can never be met: the label or the metric is wrong.
    # The user's own function is not asked: it may be slow, or cost money.
    if isinstance(metric, RunningMetric):
        for example, why in metric.refusals(examples):
            problems.add(example.origin, f"{metric.name}: {why}", _NOT_RUN)
    if isinstance(metric, BuiltIn):
        for example in examples:
            if why := metric.refusal(example):
                problems.add(example.origin, f"{metric.name}: {why}", _REFUSED)


def _check_parts(metric: Metric, examples: Sequence[Example], source: str) -> None:
    # A misspelt field would be compared in no way of its own, and nobody would see it.
    if isinstance(metric, BuiltIn) and (idle := metric.idle(examples)):
        what, _, hint = idle.partition(": ")
        raise TaskError(f"{source}: metric {metric.name}: no expected answer has the field {what}", hint)
