from __future__ import annotations

import pytest

from experiments.field.entries import entries, paired, peers
from experiments.field.methods import LARGER, METHODS, SMALL

from .made import TASK, failed, line


def test_every_method_and_variant_has_a_row() -> None:
    rows = entries([], SMALL)
    assert len(rows) == sum(len(method.variants) for method in METHODS.values())
    assert not any(row.complete(TASK) for row in rows)
    assert [row.variant for row in entries([], LARGER, ("ours", "mipro"))] == ["shipped", "shipped"]


def test_a_row_takes_its_own_lines_only() -> None:
    lines = [line("ours", 9), line("ours", 1, budget=50), line("ours", 1, model=LARGER), line("mipro", 1)]
    (row,) = entries(lines, SMALL, ("ours",))
    assert row.scores("sst2") == [1.0] * 9 + [0.0]
    assert row.scores("agnews") == []
    assert row.overall(("sst2", "agnews")) == pytest.approx(0.45)


def test_a_row_holds_the_seeds_that_are_asked_for() -> None:
    lines = [line("ours", 9), line("ours", 1, seed=2)]
    assert entries(lines, SMALL, ("ours",))[0].scores("sst2") == [1.0] * 9 + [0.0]
    assert entries(lines, SMALL, ("ours",), (2,))[0].scores("sst2") == [1.0] + [0.0] * 9


def test_a_failed_seed_has_no_scores_and_the_lowest_value() -> None:
    (row,) = entries([line("ours", 9), failed("ours", 1)], SMALL, ("ours",))
    assert len(row.scores("sst2")) == 10
    assert [row.value("sst2", seed) for seed in (0, 1, 2)] == [0.9, -1.0, None]


def test_a_pair_needs_both() -> None:
    lines = [line("ours", 9), failed("gepa"), line("mipro", 2)]
    shipped = [row for row in entries(lines, SMALL, ("ours", "gepa", "mipro")) if row.variant == "shipped"]
    ours, gepa, mipro = shipped
    assert paired(ours, gepa, "sst2") is None
    found = paired(ours, mipro, "sst2")
    assert found is not None
    assert found.mean == pytest.approx(0.7)
    assert 0 < found.low < 0.7 < found.high


def test_an_example_of_two_seeds_counts_once() -> None:
    lines = [line("ours", 10, places=list(range(10))), line("ours", 0, 1, places=[*range(5), *range(10, 15)])]
    lines += [line("mipro", 0, places=list(range(10))), line("mipro", 0, 1, places=[*range(5), *range(10, 15)])]
    ours, mipro = (row for row in entries(lines, SMALL, ("ours", "mipro")) if row.variant == "shipped")
    assert ours.scores("sst2") == [0.5] * 5 + [1.0] * 5 + [0.0] * 5
    found = paired(ours, mipro, "sst2")
    assert found is not None
    assert found.mean == pytest.approx(7.5 / 15)


def test_the_same_examples_twice_prove_no_more_than_once() -> None:
    def gain(second: list[int]) -> float:
        lines = [line(name, right, seed) for name, right in (("ours", 9), ("mipro", 5)) for seed in (0, 1)]
        lines = [{**one, "places": second if one["seed"] else list(range(10))} for one in lines]
        ours, mipro = (row for row in entries(lines, SMALL, ("ours", "mipro")) if row.variant == "shipped")
        found = paired(ours, mipro, "sst2")
        assert found is not None
        return found.low

    assert gain(list(range(10))) < gain(list(range(10, 20)))


def test_peers_are_what_is_not_ours_with_every_cell() -> None:
    lines = [
        line("ours", 9),
        line("nearest-8", 9, variant="turns"),
        line("mipro", 2),
        line("capo", 1),
        line("capo", 1, 1),
    ]
    rows = entries(lines, SMALL)
    assert [row.name for row in peers(rows, TASK)] == ["CAPO"]
    assert [row.name for row in peers(rows, TASK, (0,))] == ["MIPROv2", "CAPO"]
