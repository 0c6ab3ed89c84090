from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import TaskError
from optimizer.task.data import read_rows
from optimizer.task.parts import Parts, make_parts
from optimizer.task.rows import Reading, Row
from optimizer.task.schema import TaskSpec
from optimizer.task.text import Problems


def parts_of(records: list[dict[str, Any]], split: dict[str, Any], repair: tuple[Any, ...] = ()) -> Parts:
    spec = TaskSpec.model_validate(
        {
            "name": "tiny",
            "inputs": {"message": None},
            "outputs": {"team": {"choices": ["a", "b"]}},
            "instruction": "Sort it.",
            "fields": {"message": "text"},
            "split": split,
        }
    )
    rows = [Row(record, f"x:{number}") for number, record in enumerate(records, 1)]
    return make_parts({"all": (rows, "x")}, spec, Problems(repairs=True), repair)


RECORDS = [{"text": f"text {n}", "team": "ab"[n % 2], "at": 10 - n, "who": f" W{n % 3}"} for n in range(6)]


def test_keys_stay_beside_their_examples() -> None:
    rows = [RECORDS[0], {**RECORDS[1], "team": "B "}, {**RECORDS[0]}, *RECORDS[2:]]
    parts = parts_of(rows, {"time": "at"}, ("trim", "fold_case", "drop_duplicates"))
    assert parts.keys is not None
    by_text = {e.inputs["message"]: key for e, key in zip(parts.examples["all"], parts.keys["all"], strict=True)}
    assert by_text == {f"text {n}": 10 - n for n in range(6)}
    assert parts_of(RECORDS, {}).keys is None
    groups = parts_of(RECORDS, {"group": "who"}).keys
    assert groups is not None
    assert list(groups["all"]) == ['"w0"', '"w1"', '"w2"'] * 2


def test_what_is_wrong_with_times_and_values_is_told_together() -> None:
    rows = [*RECORDS, {"text": "", "team": "c", "at": "soon"}, {"text": "x", "team": "a", "at": None}]
    parts = parts_of(rows, {"time": "at"})
    with pytest.raises(TaskError) as caught:
        parts.problems.refuse()
    for part in ("x:7: 'team' is 'c'", "x:7: the input message is empty", "x:7: 'at' is 'soon'", "x:8: 'at' is empty"):
        assert part in str(caught.value)
    parts = parts_of([*RECORDS, {"text": "x", "team": "a", "at": None}], {"time": "at"}, ("drop_blank",))
    parts.problems.refuse()
    assert len(parts.examples["all"]) == 6


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_sample_of_a_large_file_is_drawn_without_holding_it(tmp_path: Path, suffix: str) -> None:
    path, text, count = tmp_path / f"large.{suffix}", "some words of a message " * 20, 20_000
    if suffix == "parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table({"text": [f"{n} {text}" for n in range(count)]}), path)
    else:
        line = '{{"text": "{0} {1}"}}\n' if suffix == "jsonl" else "{0} {1}\n"
        head = "" if suffix == "jsonl" else "text\n"
        path.write_text(head + "".join(line.format(n, text) for n in range(count)))
    read_rows(path, "", Reading(sample=5))  # what is imported for it
    tracemalloc.start()
    try:
        rows = read_rows(path, "", Reading(sample=50))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(rows) == 50
    assert peak < 5_000_000 < count * len(text)
