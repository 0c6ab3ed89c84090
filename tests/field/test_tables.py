from __future__ import annotations

from experiments.field.entries import entries
from experiments.field.methods import SMALL
from experiments.field.tables import against, calls_needed, commits, mean_ranks, table

from .made import TASK, failed, line, row_of


def test_a_row_shows_score_interval_and_what_it_took() -> None:
    text = table(entries([line("ours", 9), line("mipro", 5)], SMALL), TASK, (0,))
    assert row_of(text, "metier") == ["metier", "**90.0** [57, 100]", "90.0", "1.0", "180", "7", "90"]
    assert row_of(text, "MIPROv2")[1:4] == ["50.0 [20, 80]", "50.0", "2.0"]


def test_what_was_not_run_is_named_below() -> None:
    text = table(
        entries([line("ours", 9), line("mipro", 5)], SMALL, ("ours", "mipro", "capo")), ("sst2", "agnews"), (0,)
    )
    assert row_of(text, "metier") == ["metier", "**90.0** [57, 100]", "not run", "–", "–", "180", "7", "90"]
    assert "\nNot run: MIPROv2 + our format, CAPO." in text
    assert "| CAPO |" not in text


def test_a_missing_seed_is_told() -> None:
    text = table(entries([line("ours", 9)], SMALL), TASK, (0, 1))
    assert row_of(text, "metier")[1] == "**90.0** [57, 100] (1 of 2 seeds)"


def test_seeds_are_pooled() -> None:
    text = table(entries([line("ours", 9), line("ours", 7, 1)], SMALL), TASK, (0, 1))
    assert row_of(text, "metier")[1] == "**80.0** [57, 94]"


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
    assert row_of(text, "MIPROv2")[2] == row_of(text, "MIPROv2")[1], "the mean of one task"
    assert row_of(against(entries(lines, SMALL), (*TASK, "other")), "MIPROv2")[2:] == ["not run", "not run"]


def test_a_failure_ranks_last() -> None:
    lines = [line("ours", 9), failed("gepa"), line("mipro", 0)]
    assert mean_ranks(entries(lines, SMALL), TASK, (0,)) == {"metier": 1.0, "MIPROv2": 2.0, "GEPA": 3.0}
    assert row_of(table(entries(lines, SMALL), TASK, (0,)), "GEPA")[1] == "failed"


def test_a_seed_that_failed_is_missing_from_the_mean() -> None:
    text = table(entries([line("gepa", 9), failed("gepa", 1)], SMALL), TASK, (0, 1))
    assert row_of(text, "GEPA")[1:3] == ["**90.0** [57, 100] (1 of 2 seeds)", "–"]


def test_fewer_calls_stand_beside_the_best_peer() -> None:
    rivals = entries([line("gepa", 6)], SMALL, ("gepa",))[:1]
    text = calls_needed({50: {"sst2": 0.8}, 100: {}, 200: {"sst2": 0.9}}, rivals, TASK)
    assert row_of(text, "sst2") == ["sst2", "80.0", "not run", "90.0", "60.0 (GEPA)"]
    assert calls_needed({50: {}, 200: {}}, rivals, TASK) == ""


def test_the_commits_of_our_cells_are_told() -> None:
    lines = [line("ours", 9, versions={"metier": "abc"}), line("mipro", 1, versions={"metier": "def"})]
    assert commits(entries(lines, SMALL)) == ["metier's cells are of abc."]
    assert commits(entries([line("mipro", 1)], SMALL)) == []
