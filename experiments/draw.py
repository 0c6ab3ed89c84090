"""Task folders of public data for experiments: each part drawn by a seed, with the labels' shares."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Row = dict[str, str]

FILES = {part: f"{part}.jsonl" for part in ("train", "validation", "test")}
# More labels than this are no classes but free text, which cannot be stratified.
MOST_LABELS = 20


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file of `{"input": …, "output": …}` lines, each input once."""
    return distinct([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])


def distinct(rows: Sequence[Row]) -> list[Row]:
    """Return the rows, each input once, with its last output."""
    return list({inputs_of(row): row for row in rows}.values())


def inputs_of(row: Row) -> tuple[str, ...]:
    """Return what a row has besides its output."""
    return tuple(value for column, value in row.items() if column != "output")


def draw(rows: Sequence[Row], sizes: Sequence[int], rng: random.Random) -> list[list[Row]]:
    """Return disjoint draws of these sizes, each with the labels' shares as near as whole examples allow."""
    if sum(sizes) > len(rows):
        raise ValueError(f"{sum(sizes)} examples are asked for, and the file has {len(rows)}; ask for fewer")
    by_label: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_label[row["output"]].append(row)
    if len(by_label) > MOST_LABELS:
        by_label = {"": list(rows)}
    placed = []
    for label in sorted(by_label):
        group = rng.sample(by_label[label], len(by_label[label]))
        placed += [((place + 0.5) / len(group), label, row) for place, row in enumerate(group)]
    # Each label's examples lie evenly over [0, 1], so that every stretch of the order has the labels' shares.
    order = [row for _, _, row in sorted(placed, key=lambda one: one[:2])]
    parts, start = [], 0
    for size in sizes:
        parts.append(rng.sample(order[start : start + size], size))
        start += size
    return parts


def write_task(folder: Path, name: str, task: Mapping[str, Any], parts: Sequence[Sequence[Row]]) -> Path:
    """Write a task's folder and return it: `task` as task.yaml, and the rows of train, validation and test.

    A row's output is the task's first output, its other columns are the task's inputs; the only one may be named input.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file, rows in zip(FILES.values(), parts, strict=True):
        (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    inputs = list(task["inputs"])
    fields = ({inputs[0]: "input"} if len(inputs) == 1 else {}) | {next(iter(task["outputs"])): "output"}
    text = yaml.safe_dump({"name": name, **task, "data": FILES, "fields": fields}, sort_keys=False)
    (folder / "task.yaml").write_text(text, encoding="utf-8")
    return folder


def reorder(folder: Path, seed: int) -> None:
    """Put a task's training and validation examples into an order of the seed's.

    Several of DSPy's optimizers draw the same examples whatever their seed: what a seed can change is the order.
    """
    rng = random.Random(seed)  # noqa: S311 - an order of examples, not a secret
    for part in ("train", "validation"):
        file = folder / FILES[part]
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join(rng.sample(lines, len(lines))), encoding="utf-8")
