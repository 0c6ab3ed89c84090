from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.config.strict import validate
from optimizer.errors import TaskError
from optimizer.task import survey as module
from optimizer.task.schema import TaskFile
from optimizer.task.streams import File
from optimizer.task.survey import can_survey, survey, will_be_cut

TASK = {"name": "a", "inputs": {"text": {}}, "outputs": {"team": {}}, "instruction": "Which?", "metric": "exact_match"}
SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]


def texts(count: int, words: int = 30, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    pool = ["".join(SYLLABLES[at] for at in row) for row in rng.integers(0, len(SYLLABLES), (2000, 3))]
    picked = rng.integers(0, len(pool), (count, words)).tolist()
    return [" ".join([pool[at] for at in row]) + f" order {rng.integers(1e6)}" for row in picked]


def write(path: Path, rows: list[str], **others: list[Any]) -> File:
    columns = {"text": rows, **others}
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path, row_group_size=100)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ";")
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
    return File(path, path.name)


def seen(files: dict[str, File], columns: tuple[str, ...] = ("text",)) -> set[str]:
    found = survey(files, columns, columns)
    return {row.origin for rows in found.rows.values() for row in rows}


@pytest.mark.parametrize("suffix", ["parquet", "csv", "tsv"])
def test_rows_that_are_worth_a_look(tmp_path: Path, suffix: str) -> None:
    rows = texts(1000)
    rows[900] = rows[10].upper().replace(" ", "  ")
    words = rows[11].split()
    rows[901] = " ".join([*words[:7], "another", *words[8:]])
    rows[12] += " mail ann.meier@example.org"
    rows[13] += " call +49 30 90182012"
    rows[14] += " to DE89 3704 0044 0532 0130 00"
    other = texts(50, seed=1)
    other[5] = rows[15]
    files = {"train": write(tmp_path / f"a.{suffix}", rows), "test": write(tmp_path / f"b.{suffix}", other)}
    expected = {f"a.{suffix}": [10, 900, 11, 901, 12, 13, 14, 15], f"b.{suffix}": [5]}
    origin = "{}" + (" row {}" if suffix == "parquet" else ":{}")
    first = 1 if suffix == "parquet" else 2
    looked_at = seen(files)
    assert {origin.format(name, first + at) for name, some in expected.items() for at in some} <= looked_at
    assert len(looked_at) < 100, "few of the others"
    assert survey(files, ["text"], ["text"]).total == 1050


def test_the_ends_of_long_texts_are_compared_and_all_of_them_is_searched(tmp_path: Path) -> None:
    rows = texts(300, words=400)
    rows[200] = rows[1][:500] + "x" + rows[1][501:]
    middle = len(rows[2]) // 2
    rows[2] = f"{rows[2][:middle]} 4111 1111 1111 1111 {rows[2][middle:]}"
    assert {f"a.parquet row {n}" for n in (2, 3, 201)} <= seen({"all": write(tmp_path / "a.parquet", rows)})


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=60), min_size=1, max_size=30)
)
def test_whatever_stands_there_equal_rows_are_found(tmp_path: Path, rows: list[str]) -> None:
    file = write(tmp_path / "a.parquet", [*rows, rows[0].upper()])
    found = seen({"all": file})
    if any(letter.isascii() and letter.isalnum() for letter in rows[0]) and rows[0].upper().lower() == rows[0].lower():
        assert f"a.parquet row {len(rows) + 1}" in found


def test_several_inputs_and_numbers_are_one_text(tmp_path: Path) -> None:
    rows = texts(60)
    numbers = list(range(60))
    rows[50], numbers[50] = rows[1], 1
    rows[51] = rows[2]
    file = write(tmp_path / "a.parquet", rows, n=numbers)
    assert {"a.parquet row 2", "a.parquet row 51"} <= seen({"all": file}, ("text", "n"))


def test_answers_are_searched_for_personal_data_too(tmp_path: Path) -> None:
    rows, answers = texts(60), ["fine"] * 60
    answers[7] = "ask ann.meier@example.org"
    file = write(tmp_path / "a.csv", rows, answer=answers, n=list(range(60)))
    found = survey({"all": file}, ["text"], ["text", "answer"], ["answer", "n"])
    assert [(row.origin, row.values["answer"]) for row in found.rows["all"]] == [("a.csv:9", answers[7])]


def test_each_kind_has_its_share_of_the_rows_that_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "MOST_SUSPECTS", 12)
    rows = texts(100)
    rows[:50] = [rows[0]] * 50
    rows[99] += " mail ann.meier@example.org"
    found = survey({"all": write(tmp_path / "a.csv", rows)}, ["text"], ["text"])
    assert found.rows["all"][-1].origin == "a.csv:101"
    assert len(found.rows["all"]) == 12
    assert found.remarks == ("of 51 rows that may be one of these 12 were looked at",)


def test_a_row_without_all_cells_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text,team\none mail@example.org,a,\ntwo\n{'x y' * 9},a\n{'X Y' * 9},b\n", encoding="utf-8")
    assert seen({"all": File(path, "a.csv")}) == {"a.csv:2", "a.csv:4", "a.csv:5"}


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_what_cannot_be_streamed_is_told(tmp_path: Path, suffix: str) -> None:
    file = write(tmp_path / f"a.{suffix}", texts(10))
    with pytest.raises(TaskError, match=rf"a\.{suffix}: cannot be streamed"):
        survey({"all": file}, ["question"], ["question"])
    assert not can_survey({"all": File(tmp_path / "a.jsonl", "a.jsonl")})
    assert not can_survey({})


def test_whether_rows_will_be_left_out_is_told_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = validate(TaskFile, {**TASK, "data": {"train": "a.csv", "test": "b.parquet", "sample": 20}}, "", TaskError)
    assert not will_be_cut(written, tmp_path), "no file is there"
    write(tmp_path / "a.csv", texts(20))
    write(tmp_path / "b.parquet", texts(20))
    assert not will_be_cut(written, tmp_path)
    write(tmp_path / "b.parquet", texts(21))
    assert will_be_cut(written, tmp_path)
    (tmp_path / "b.parquet").write_bytes(b"none")
    assert not will_be_cut(written, tmp_path)
    write(tmp_path / "a.csv", texts(21))
    assert will_be_cut(written, tmp_path)
    write(tmp_path / "a.csv", texts(2))
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    assert will_be_cut(written, tmp_path)
