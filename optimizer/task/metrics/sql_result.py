"""sql_result: whether a query gives what the expected query gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool

from optimizer.config.strict import Strict
from optimizer.errors import TaskError
from optimizer.system.contained.run import Limits, Outcome, run
from optimizer.task.text import no_such_file
from optimizer.types import Example

PROGRAM = "optimizer.task.metrics.inside_sql"
REMEDY = "Correct it in the data, or give 'seconds' and 'rows' that are enough for it."
SUFFIXES = {".sqlite", ".sqlite3", ".db"}
_MAGIC = b"SQLite format 3\0"
Seconds = Annotated[float, Field(strict=True, ge=0.1, le=600, allow_inf_nan=False)]
Megabytes = Annotated[int, Field(strict=True, ge=64, le=65_536)]
Containment = Literal["full", "weak"]


class SqlResultOptions(Strict):
    """The database, how long a query may run, and how many rows it may have; whether order and names count."""

    database: str
    seconds: Seconds = 5.0
    memory_mb: Megabytes = 512
    rows: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 10_000
    # None: where the expected query has an ORDER BY of its own.
    order: StrictBool | None = None
    names: StrictBool = False
    containment: Containment = "full"

    def files(self, folder: Path, source: str) -> list[Path]:
        """Return the database's file; raises TaskError, which starts with `source`, where it is none, or unfinished."""
        path = file_inside(self.database, folder, source, SUFFIXES)
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise TaskError(f"{source}: {self.database} is no SQLite database", "Name the database's file.")
        for end in ("-wal", "-journal"):
            beside = path.with_name(path.name + end)
            if beside.is_file() and beside.stat().st_size:
                what = f"{source}: {self.database} has changes that lie in {beside.name}"
                raise TaskError(what, "Close whatever has it open: it is read as if nobody could change it.")
        return [path]


@dataclass(frozen=True)
class SqlResult:
    """Runs the expected query and the answer on the database and compares their rows."""

    options: SqlResultOptions
    folder: Path

    def score(self, example: Example, output: str, answer: str) -> tuple[float, str]:
        """Return (1 or 0, how the results differ); raises TaskError where the expected query cannot be run."""
        # SQLite ends a query itself, but not while it is busy with one value.
        outcome = self._run({"expected": str(example.outputs[output]), "answer": answer}, steps=2)
        broken = outcome.why if not outcome.steps else (outcome.result or {}).get("broken")
        if broken:
            what = f"{example.origin or example.id}: sql_result: the expected query fails: {broken}"
            raise TaskError(what, REMEDY)
        if outcome.result is None:
            return 0.0, outcome.why
        return float(outcome.result["score"]), str(outcome.result["remark"])

    def problems(self, examples: Sequence[Example], output: str) -> list[str]:
        """Return what is wrong with each expected query, "" where nothing is; the list ends at one without end."""
        queries = [str(example.outputs[output]) for example in examples]
        if not queries:
            return []
        outcome = self._run({"queries": queries}, steps=len(queries))
        said = outcome.result["problems"] if outcome.result else [*[""] * outcome.steps, outcome.why]
        return [f"the expected query fails: {problem}" if problem else "" for problem in said]

    def _run(self, job: dict[str, Any], steps: int) -> Outcome:
        options, path = self.options, (self.folder / self.options.database).resolve()
        whole = {**options.model_dump(exclude={"containment"}), **job, "database": str(path)}
        limits = Limits(options.seconds, options.memory_mb, steps)
        return run(PROGRAM, whole, limits, [path], options.containment == "weak")


def file_inside(name: str, folder: Path, source: str, suffixes: set[str]) -> Path:
    """Return a file that a task's metric names; raises TaskError where there is none, or not in the task's folder."""
    path = folder / name
    if not path.is_file():
        raise no_such_file(path, f"{source}: {name}", suffixes)
    if not path.resolve().is_relative_to(folder.resolve()):
        what = f"{source}: {name!r:.80} lies outside of the task's folder, {folder}"
        raise TaskError(what, "Put the file into the folder.")
    return path
