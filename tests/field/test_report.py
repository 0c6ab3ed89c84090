from __future__ import annotations

import pytest

from experiments.field.lines import RESULTS, read_lines
from experiments.field.methods import LARGER
from experiments.field.report import BEGIN, END, README, early, failures, fresh, larger, renewed, reported, useless

from .made import failed, line, row_of


def test_only_the_tables_are_made_anew() -> None:
    text = renewed(f"before\n{BEGIN}\nold\n{END}\nafter\n", [line("ours", 9, validation_score=0.9)])
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text


@pytest.mark.skipif(not RESULTS.exists(), reason="nothing was measured yet")
def test_the_readme_shows_the_results() -> None:
    text = README.read_text(encoding="utf-8")
    assert renewed(text, read_lines(RESULTS)) == text, "run python -m experiments.field.report"


def test_what_begins_with_a_useless_instruction_has_its_own_tables_and_the_seed_beside_it() -> None:
    bare = {"variant": "turns", "task": "larger_animal", "setting": "bare", "budget": 250}
    lines = [line("ours", 9, seed_scores=[0.0] * 10, **bare), line("gepa", 2, **bare), line("ours", 1)]
    head, rows, seed, pairs = useless(lines, "bare")
    assert '"Do it."' in head
    assert row_of(rows, "metier")[2].startswith("**90.0**")
    assert row_of(rows, "GEPA + our format")[2].startswith("20.0")
    assert seed.startswith("The seed alone: larger_animal 0.0, metier +90.0 [")
    assert "+70.0" in row_of(pairs, "GEPA + our format")[2]


def test_failures_at_one_place_share_a_line() -> None:
    text = failures([failed("gepa", 1), failed("gepa"), failed("mipro"), line("ours", 9)])
    assert "- GEPA (shipped), sst2 (seed 0), sst2 (seed 1): `ValueError: no` at `dspy/x.py:1 f`" in text
    assert text.count("\n- ") == 2
    assert failures([line("ours", 9)]) == ""


def test_ours_after_fewer_calls_is_told_with_every_seed_only() -> None:
    lines = [line("ours", 8, budget=50), line("ours", 6, 1, budget=50), line("ours", 9, budget=100), line("ours", 1, 2)]
    assert early(lines, 50) == {"sst2": pytest.approx(0.7)}
    assert early(lines, 100) == early(lines, 200) == {}


def test_fresh_seeds_have_a_table_of_their_own() -> None:
    assert fresh([line("ours", 9)]) == []
    head, rows, pairs, told = fresh([line("ours", 9, 2), line("bootstrap", 5, 2, variant="turns"), line("ours", 1)])
    assert "seeds 2 and 3" in head
    assert row_of(rows, "metier")[4] == "**90.0** [57, 100] (1 of 2 seeds)"
    assert "BootstrapFewShotWithRandomSearch |" not in rows
    assert "+40.0" in row_of(pairs, "BootstrapFewShotWithRandomSearch + our format")[4]
    assert "none on any task" in told


def test_what_was_said_before_the_test_stands_beside_it() -> None:
    lines = [line("ours", 9, validation_score=0.8), line("ours", 6, 2, validation_score=0.9), line("mipro", 1)]
    assert "+10.0 points [" in reported(lines)
    assert "over 2 searches, each from -10 to +30." in reported(lines)
    assert reported([line("mipro", 1)]) == ""


def test_who_is_above_us_with_the_larger_model_is_named() -> None:
    more = {"model": LARGER, "task": "banking10"}
    *_, told = larger([line("ours", 1, **more), line("mipro", 10, **more)])
    assert told.startswith("Significantly above metier: MIPROv2 on banking10")
