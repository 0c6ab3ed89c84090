"""`metier init`: from a file of examples to a task and a run that are proposed, tried and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from optimizer.config.load import TASK_FILE
from optimizer.config.strict import validate
from optimizer.errors import TaskError
from optimizer.job.init_files import Source
from optimizer.task.columns import Column, columns_of
from optimizer.task.folder import FILE, FOLDER, TEXT
from optimizer.task.guess import ENOUGH, AnswerNeeded, Guess, Wishes, guess_task
from optimizer.task.load import checked_task, read_files
from optimizer.task.metrics.build import build_metric
from optimizer.task.parts import make_parts
from optimizer.task.rows import Reading, Row
from optimizer.task.schema import DataSpec, Repair, SplitSpec, TaskFile
from optimizer.task.task import Task
from optimizer.task.text import Problems

# In the order in which they are made.
_WHY_REPAIR: Mapping[Repair, str] = {
    "trim": "spaces around values",
    "fold_case": "labels that differ in case or spaces",
    "drop_blank": "rows without an answer or an input",
    "drop_duplicates": "rows that are there twice",
    "drop_conflicting": "the same input with different answers",
}
_NO_LABELS = "nothing tells the answers of these texts"
_LABELS = (
    f"Put each label's files into a folder of its name; or a table with a column '{FILE}' and the answer beside them."
)
_OF_FOLDER = f"answer {FOLDER}"
# The local model for answers that are labels or numbers, and that for texts.
SMALL_MODEL, LARGE_MODEL = "local/smollm2-135m", "local/qwen2.5-coder-1.5b"
# Calls of the search: so many for each validation example, within bounds.
CALLS_EACH, LEAST_CALLS, MOST_CALLS = 5, 100, 600


@dataclass(frozen=True)
class Examples:
    """The rows of a source by part, each with the name that messages have for it, and what its readers noted."""

    source: Source
    rows: Mapping[str, tuple[Sequence[Row], str]]
    notes: tuple[str, ...]

    @property
    def all_rows(self) -> list[Row]:
        """The rows of all parts."""
        return [row for rows, _ in self.rows.values() for row in rows]


@dataclass(frozen=True)
class Proposal:
    """A task that is proposed, as it is written and as it is read, its run, and (what, value, why) of each thing.

    `data` is apart from what else is written, as its paths depend on the folder.
    """

    source: Source
    written: Mapping[str, object]
    data: Mapping[str, object]
    run: Mapping[str, object]
    task: Task
    reasons: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...] = ()


def read_examples(source: Source, sample: int | None = None) -> Examples:
    """Return the rows of a source; raises one TaskError with all rows that cannot be read."""
    data = validate(DataSpec, dict(source.data), source.name, TaskError)
    reading = Reading(sample, SplitSpec().seed)
    rows = read_files(data, source.base, reading)
    reading.problems.refuse()
    return Examples(source, rows, tuple(reading.notes))


def propose(examples: Examples, wishes: Wishes) -> Proposal:
    """Return a task for the examples that loads as it stands; raises AnswerNeeded, or TaskError where there is none."""
    source, rows = examples.source, examples.all_rows
    label = " and ".join(label for _, label in examples.rows.values())
    columns = columns_of(rows)
    by_folder = "folder" in source.data and "labels" not in source.data and not wishes.answers
    if "folder" in source.data:
        wishes = _of_folder(wishes, columns, source)
    guess = guess_task(source.name, columns, len(rows), wishes, label)
    if by_folder:
        guess.reasons[_OF_FOLDER] = (guess.reasons[_OF_FOLDER][0], "each label's files lie in a folder of its name")
    sample = ENOUGH if len(rows) > ENOUGH and set(examples.rows) == {"all"} else None
    if sample is not None:
        why = "a few hundred are enough; the others cost time"
        guess.reasons["sample"] = (f"{sample:,} of {len(rows):,} rows", why)
    elif set(examples.rows) != {"all"}:
        _keep_own_split(guess, examples)
    task, repairs = _tried(guess, examples, sample, label)
    sizes = f"{len(task.validation):,} validation examples choose, {len(task.test):,} test examples prove"
    guess.reasons["run"] = (f"{_model(task)}, {_calls(task)} calls", f"no key is needed; {sizes}")
    reasons = tuple((what, *values) for what, values in guess.reasons.items())
    data = _data(source, sample, repairs)
    return Proposal(source, _ordered(guess.task), data, _run(task, guess), task, reasons, examples.notes)


def _of_folder(wishes: Wishes, columns: Sequence[Column], source: Source) -> Wishes:
    """Return the wishes of a folder of texts: its texts are read, and the folder's name is the answer, or a table's.

    Raises TaskError where the folders are no labels.
    """
    inputs = wishes.inputs or (TEXT,)
    if wishes.answers:
        return replace(wishes, inputs=inputs)
    if "labels" in source.data:
        others = [c.name for c in columns if c.name not in (TEXT, FILE, FOLDER) and c.kind not in ("empty", "constant")]
        if len(others) == 1:
            return replace(wishes, inputs=inputs, answers=(others[0],))
        raise AnswerNeeded(f"{source.data['labels']}", others) if others else TaskError(_NO_LABELS, _LABELS)
    if not any(column.name == FOLDER and column.kind == "label" for column in columns):
        raise TaskError(f"{source.base}: {_NO_LABELS}", _LABELS)
    return replace(wishes, inputs=inputs, answers=(FOLDER,))


def _keep_own_split(guess: Guess, examples: Examples) -> None:
    sizes = ", ".join(f"{label} {len(rows):,}" for rows, label in examples.rows.values())
    guess.task["split"] = {"seed": 0}
    why = "your own test set is kept" + ("" if "validation" in examples.rows else "; validation is cut from train")
    guess.reasons["split"] = (sizes, why)


def _tried(guess: Guess, examples: Examples, sample: int | None, label: str) -> tuple[Task, tuple[Repair, ...]]:
    """Return the task, and the repairs that its data need; what does not fit is taken back from the guess.

    Raises the TaskError of what no repair mends.
    """
    source, metrics = examples.source, list(guess.other_metrics)
    rows = examples.rows
    if sample is not None:  # it is read again as a run will read it: it may need fewer repairs
        rows = read_examples(source, sample).rows
    repairs: tuple[Repair, ...] = ()
    while True:
        written = validate(TaskFile, {**guess.task, "data": _data(source, sample, repairs)}, label, TaskError)
        metric = build_metric(written.metric, written.outputs, Path(), label)
        problems = Problems()
        parts = make_parts(rows, written, problems, repairs)
        try:
            task = checked_task(written, parts, metric, label)
            break
        except TaskError as problem:
            wanted = tuple(repair for repair in _WHY_REPAIR if repair in (*repairs, *problems.repairs))
            grouped = [key for key in ("group", "time") if key in guess.task["split"]]
            if wanted != repairs:
                repairs = wanted
            elif metrics and isinstance(written.metric, str) and f"{written.metric}: " in str(problem):
                guess.task["metric"] = metrics.pop(0)
                why = f"{written.metric} refuses some of the expected answers"
                guess.reasons["metric"] = (str(guess.task["metric"]), why)
            elif grouped and not len(problems):
                column = guess.task["split"].pop(grouped[0])
                shares, _, _ = guess.reasons["split"][0].partition(",")
                guess.reasons["split"] = (shares, f"not by {column}: {problem.what.partition(': ')[2] or problem.what}")
            else:
                raise
    if repairs:
        counts = "; ".join(note.partition(": ")[2] or note for note in parts.notes)
        guess.reasons["repair"] = (
            ", ".join(repairs),
            f"{', '.join(_WHY_REPAIR[repair] for repair in repairs)} ({counts})",
        )
    return task, repairs


def _data(source: Source, sample: int | None, repairs: Sequence[Repair]) -> dict[str, object]:
    """Return the `data` of a task.yaml."""
    drawn = {} if sample is None else {"sample": sample}
    return {**source.data, **drawn, **({"repair": list(repairs)} if repairs else {})}


def _run(task: Task, guess: Guess) -> dict[str, object]:
    """Return a run's YAML as data: a local model, and calls by the number of validation examples."""
    model = _model(task)
    short = model == SMALL_MODEL
    models: dict[str, object] = {"task": {"model": model, "stop": ["\n"]} if short else model}
    if isinstance(guess.task["metric"], dict) and guess.task["metric"]["name"] == "judge":
        models["judge"] = LARGE_MODEL
    search = {"search": {"formats": ["turns", "fields", "block"]}} if short else {}
    return {"task": TASK_FILE, "models": models, **search, "budget": {"calls": _calls(task)}, "seed": 0}


def _model(task: Task) -> str:
    return SMALL_MODEL if all(spec.is_short for spec in task.outputs.values()) else LARGE_MODEL


def _calls(task: Task) -> int:
    return min(MOST_CALLS, max(LEAST_CALLS, round(CALLS_EACH * len(task.validation), -1)))


def _ordered(written: Mapping[str, object]) -> dict[str, object]:
    keys = ("name", "inputs", "outputs", "fields", "instruction", "split", "metric")
    return {key: written[key] for key in keys if key in written}
