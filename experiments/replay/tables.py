"""A recorded score table: many candidates × many examples of one task, answered by one model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "tables"


@dataclass(frozen=True)
class Choice:
    """One candidate by its dimensions; `instruction` and `set` are places in the table's pools."""

    instruction: int
    format: str
    policy: str
    count: int
    order: str
    set: int

    def __post_init__(self) -> None:
        # What means nothing has one value, so that equal prompts are equal choices.
        if self.count == 0:
            for name, value in (("policy", "static"), ("order", "given"), ("set", 0)):
                object.__setattr__(self, name, value)
        elif self.policy != "static":
            object.__setattr__(self, "set", 0)


@dataclass(frozen=True)
class Table:
    """Scores of candidates (rows) on examples (columns), with what each call took.

    `tokens` are prompt tokens a call, `seconds` of a call on the machine that recorded it. `sets` holds the
    demo sets and `examples` the columns, both as places of the data file (`train.jsonl:17`): the data
    themselves are not kept here. `labels` numbers each column's right answer; empty where these are not few.
    `logprobs` are those of each label, candidates × examples × labels, NaN where they were not told; None where they
    were not asked for.
    """

    task: str
    model: str
    metric: str
    instructions: tuple[str, ...]
    sets: tuple[tuple[str, ...], ...]
    examples: tuple[str, ...]
    choices: tuple[Choice, ...]
    tokens: tuple[float, ...]
    seconds: tuple[float, ...]
    scores: np.ndarray
    labels: tuple[int, ...] = ()
    logprobs: np.ndarray | None = None

    def __post_init__(self) -> None:
        expected = (len(self.choices), len(self.examples))
        if self.scores.shape != expected:
            raise ValueError(f"{self.task}: scores are {self.scores.shape}, not candidates × examples {expected}")
        if self.labels and len(self.labels) != len(self.examples):
            raise ValueError(f"{self.task}: {len(self.labels)} labels for {len(self.examples)} examples")
        if self.logprobs is not None and self.logprobs.shape[:2] != expected:
            raise ValueError(f"{self.task}: logprobs are {self.logprobs.shape}, not candidates × examples × labels")


def dump(table: Table) -> str:
    """Return a table as JSON, one candidate a line."""
    head = {"task": table.task, "model": table.model, "metric": table.metric}
    pools = {"instructions": table.instructions, "sets": table.sets, "examples": table.examples}
    pools |= {"labels": table.labels} if table.labels else {}
    rows = [
        {**asdict(choice), "tokens": round(tokens, 1), "seconds": round(seconds, 3), "scores": _written(scores)}
        for choice, tokens, seconds, scores in zip(
            table.choices, table.tokens, table.seconds, table.scores, strict=True
        )
    ]
    if table.logprobs is not None:
        for row, known in zip(rows, table.logprobs, strict=True):
            row["logprobs"] = [None if np.isnan(one).any() else np.round(one, 2).tolist() for one in known]
    lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}," for key, value in (head | pools).items()]
    body = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    return "\n".join(["{", *lines, ' "candidates": [', body, " ]", "}"]) + "\n"


def load(path: Path) -> Table:
    """Read a table. Raises KeyError or ValueError where the file is not one."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    rows = data["candidates"]
    names = ("instruction", "format", "policy", "count", "order", "set")
    return Table(
        task=data["task"],
        model=data["model"],
        metric=data["metric"],
        instructions=tuple(data["instructions"]),
        sets=tuple(tuple(places) for places in data["sets"]),
        examples=tuple(data["examples"]),
        choices=tuple(Choice(**{name: row[name] for name in names}) for row in rows),
        tokens=tuple(row["tokens"] for row in rows),
        seconds=tuple(row["seconds"] for row in rows),
        scores=np.array([[float(score) for score in row["scores"]] for row in rows]),
        labels=tuple(data.get("labels", ())),
        logprobs=_logprobs([row.get("logprobs") for row in rows]),
    )


def load_all(folder: Path = FOLDER) -> list[Table]:
    """Read every table of a folder, by name."""
    return [load(path) for path in sorted(folder.glob("*.json"))]


def _logprobs(rows: Sequence[Sequence[Sequence[float] | None] | None]) -> np.ndarray | None:
    known = [one for row in rows if row is not None for one in row if one is not None]
    if not known:
        return None
    none = [np.nan] * len(known[0])
    width = max(len(row) for row in rows if row is not None)
    return np.array([[one or none for one in row or [None] * width] for row in rows], dtype=float)


def _written(scores: Sequence[float]) -> str | list[float]:
    """Return right and wrong answers as a string of digits, graded ones as numbers."""
    if all(score in (0.0, 1.0) for score in scores):
        return "".join(str(int(score)) for score in scores)
    return [round(float(score), 4) for score in scores]
