"""The report's statistics, by examples that can be checked by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from sweep.made import made_outcome, played_sweep

from experiments.cells import finished_in
from experiments.outside.report import PUBLISHED, below, recommended, report, untuned
from experiments.outside.tasks import BENCHMARKS
from experiments.pooled import Run, run_of, score

SEED = {"a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0}


def run(method: str, winner: Mapping[str, float], split: str = "0", verdict: str = "inconclusive") -> Run:
    return Run("t", method, split, SEED, winner, verdict, 100, 10.0)


WRITTEN = run("baseline.instructions", {"a": 0.0, "b": 1.0, "c": 1.0, "d": 0.0})


def test_the_best_untuned_prompt_is_the_better_of_the_seed_and_the_written_ones() -> None:
    runs = [WRITTEN, run("default", {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}), run("gepa", SEED, "1")]
    assert untuned(runs) == {("t", "0"): WRITTEN.winner, ("t", "1"): SEED}


def test_runs_below_the_bar_are_counted_and_a_tie_is_none() -> None:
    bars = {("t", split): WRITTEN.winner for split in "012"}  # a half is right
    worse, level, better = SEED, {"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.0}
    runs = [run("m", worse, "0"), run("m", level, "1", "improved"), run("m", better, "2")]
    # The second is level with the bar only on what it answered: 2 of 2 to 1 of 2.
    assert below(runs, bars, lambda one: one.winner) == (1, 3)
    assert below([WRITTEN], {("t", "0"): WRITTEN.winner}, lambda one: one.winner) == (0, 1)
    # Without "improved" a run recommends its seed, which is below the bar.
    assert below(runs, bars, recommended) == (2, 3)


def test_the_report_is_made_of_a_sweeps_own_ledger(tmp_path: Path) -> None:
    matrix = {"search": [{"strategy": "default"}, {"strategy": "baseline.instructions"}], "seed": [0, 1]}

    def play(values: Mapping[str, Any]) -> Mapping[str, Any] | None:
        skill = 0.9 if values["search"]["strategy"] == "default" else 0.6
        made = made_outcome("sst5", skill, 40, serial=values["seed"])
        # The splits share half of their examples.
        names = [f"{number + 20 * values['seed']}" for number in range(40)]
        return {**made, "test": dict(zip(names, made["test"].values(), strict=True))}

    folder = played_sweep(tmp_path / "sweep", matrix, play)
    runs = [run_of(cell) for cell in finished_in(folder)]
    text = report(runs, yaml.safe_load(PUBLISHED.read_text(encoding="utf-8")))
    default = [one for one in runs if one.method == "default"]
    scored = score(one.winner for one in default)
    assert scored is not None
    assert f"| default | {100 * scored.mean:.1f} [" in text
    assert "| best untuned prompt |" in text
    assert "| default | 0 of 2 [" in text
    assert "| sst5 | CAPO | 62.3 | +1.9 |" in text


def test_what_is_published_is_of_benchmarks_that_there_are() -> None:
    published = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    assert set(published) <= set(BENCHMARKS)
    for rows in published.values():
        for row in rows:
            assert {"model", "methods", "untuned", "source"} <= set(row)
            assert all(0 < percent < 100 and not math.isnan(percent) for percent in row["methods"].values())
