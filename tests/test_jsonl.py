from __future__ import annotations

from pathlib import Path

from experiments.jsonl import append, read


def test_lines_are_read_as_they_were_added(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "lines.jsonl"
    for number in range(3):
        append(place, {"number": number})
    assert list(read(place)) == [{"number": number} for number in range(3)]


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    place = tmp_path / "lines.jsonl"
    append(place, {"number": 0})
    with place.open("a", encoding="utf-8") as file:
        file.write('{"numb')
    append(place, {"number": 1})
    assert [line["number"] for line in read(place)] == [0, 1]


def test_no_file_is_no_line(tmp_path: Path) -> None:
    assert list(read(tmp_path / "none.jsonl")) == []
