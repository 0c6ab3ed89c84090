"""The kept results stay readable: each cell once, and tables of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.field.kept import KEY, RESULTS, only, read_lines, table


@pytest.mark.parametrize("name", ["results.jsonl", "tried.jsonl"])
def test_every_kept_cell_has_its_scores_or_its_error(name: str) -> None:
    lines = read_lines(RESULTS.with_name(name))
    assert lines
    assert len({tuple(line[key] for key in KEY) for line in lines}) == len(lines)
    for line in lines:
        assert (line["scores"] is None) == (line["error"] is not None)
        assert line["scores"] is None or len(line["scores"]) == line["n"]


def test_the_newest_line_of_a_cell_counts_and_a_torn_one_is_left_out(tmp_path: Path) -> None:
    line = dict.fromkeys(KEY, "x") | {"score": 0.25, "scores": [0.25], "error": None}
    texts = [json.dumps(line), json.dumps(line | {"score": 0.5}), '{"task": "x", "me']
    (tmp_path / "lines.jsonl").write_text("\n".join(texts), encoding="utf-8")
    (kept,) = read_lines(tmp_path / "lines.jsonl")
    assert kept["score"] == 0.5


def test_a_table_has_a_row_for_each_method_and_variant() -> None:
    same = {"setting": "usual", "model": "local/smollm2-135m", "budget": 200}
    text = table(only(read_lines(RESULTS), **same))
    assert "| nearest-8 (turns) | 90.5 (seeds 0 1 2 3)" in text
    assert "| mipro (shipped) | failed |" in text
