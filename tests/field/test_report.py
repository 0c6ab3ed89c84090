from __future__ import annotations

import pytest

from experiments.field.entries import entries
from experiments.field.lines import RESULTS, read_lines
from experiments.field.methods import SMALL
from experiments.field.report import (
    BEGIN,
    END,
    README,
    against,
    calls_needed,
    failures,
    mean_ranks,
    renewed,
    table,
    useless,
)

from .made import TASK, failed, line


def row_of(text: str, name: str) -> list[str]:
    (found,) = [row for row in text.splitlines() if row.startswith(f"| {name} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_a_row_shows_score_interval_and_what_it_took() -> None:
    text = table(entries([line("ours", 9), line("mipro", 5)], SMALL), TASK, (0,))
    assert row_of(text, "metier") == ["metier", "**90.0** [60, 98]", "90.0", "1.0", "180", "90"]
    assert row_of(text, "MIPROv2")[1:4] == ["50.0 [24, 76]", "50.0", "2.0"]


def test_what_was_not_run_is_marked_and_has_no_rank() -> None:
    text = table(entries([line("ours", 9)], SMALL), TASK, (0,))
    assert row_of(text, "CAPO") == ["CAPO", "not run", "–", "–", "–", "–"]


def test_a_missing_seed_is_told() -> None:
    text = table(entries([line("ours", 9)], SMALL), TASK, (0, 1))
    assert row_of(text, "metier")[1] == "**90.0** [60, 98] (1 of 2 seeds)"


def test_seeds_are_pooled() -> None:
    text = table(entries([line("ours", 9), line("ours", 7, 1)], SMALL), TASK, (0, 1))
    assert row_of(text, "metier")[1] == "**80.0** [58, 92]"


def test_a_failure_ranks_last_and_is_told_with_its_place() -> None:
    lines = [line("ours", 9), failed("gepa"), line("mipro", 0)]
    assert mean_ranks(entries(lines, SMALL), TASK, (0,)) == {"metier": 1.0, "MIPROv2": 2.0, "GEPA": 3.0}
    assert row_of(table(entries(lines, SMALL), TASK, (0,)), "GEPA")[1] == "failed"
    assert "- GEPA (shipped), sst2, local/smollm2-135m, seed 0: `ValueError: no` at `dspy/x.py:1 f`" in failures(lines)


def test_ties_share_a_rank() -> None:
    lines = [line("ours", 9), line("gepa", 9), line("mipro", 1)]
    assert mean_ranks(entries(lines, SMALL), TASK, (0,)) == {"metier": 1.5, "GEPA": 1.5, "MIPROv2": 3.0}


def test_the_two_variants_are_two_rows() -> None:
    text = table(entries([line("mipro", 5), line("mipro", 7, variant="turns")], SMALL), TASK, (0,))
    assert row_of(text, "MIPROv2")[2] == "50.0"
    assert row_of(text, "MIPROv2 + our format")[2] == "70.0"


def test_pairs_are_the_same_seed() -> None:
    lines = [line("ours", 9), line("ours", 9, 1), line("mipro", 4, 1)]
    text = against(entries(lines, SMALL), TASK)
    assert row_of(text, "MIPROv2")[1].startswith("+50.0 [")


def test_fewer_calls_stand_beside_the_best_peer() -> None:
    lines = [line("ours", 9), line("ours", 8, budget=50), line("gepa", 6), line("nearest-8", 10, variant="turns")]
    text = calls_needed(lines, entries(lines, SMALL))
    assert row_of(text, "sst2") == ["sst2", "80.0", "not run", "90.0", "60.0 (GEPA)"]


def test_only_the_tables_are_made_anew() -> None:
    text = renewed(f"before\n{BEGIN}\nold\n{END}\nafter\n", [line("ours", 9)])
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
