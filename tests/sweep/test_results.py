from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optimizer.sweep.results import ONLY, Results, by_example, outcome, value_text
from sweep.made import made_outcome, played_sweep

MATRIX = {"task": ["one", "two"], "search.strategy": ["default", "random"], "seed": [0, 1]}
SKILL = {"default": 0.9, "random": 0.4}


def results(folder: Path) -> Results:
    """The random strategy has no cell of the second task."""

    def play(values: object) -> object:
        assert isinstance(values, dict)
        if (values["task"], values["search.strategy"]) == ("two", "random"):
            return "it failed"
        return made_outcome(values["task"], SKILL[values["search.strategy"]], 40, serial=values["seed"])

    return Results.read(played_sweep(folder, MATRIX, play))  # type: ignore[arg-type]


def test_cells_are_put_in_order(tmp_path: Path) -> None:
    found = results(tmp_path)
    assert (found.varying, found.method_keys) == (["task", "search.strategy", "seed"], ["search.strategy"])
    assert (found.tasks, found.methods) == (["one", "two"], ["default", "random"])
    assert (len(found.cells), len(found.finished)) == (8, 6)
    assert found.everywhere == ["default"]
    assert [scores.shape for scores in found.by_task] == [(1, 2, 40), (1, 2, 40)]
    assert len(found.of("one")) == len(found.of(method="default")) == 4


def test_scores_are_means_over_seeds_with_an_interval_over_examples(tmp_path: Path) -> None:
    found = results(tmp_path)
    cells = found.of("one", "default")
    score = found.score(cells)
    assert score.mean == pytest.approx(np.mean([outcome(one)["winner"]["score"] for one in cells]))
    assert score.ci95[0] < score.mean < score.ci95[1]
    assert score.examples == 40
    assert found.score(cells, "seed").mean == 0.5


def test_a_difference_is_paired_by_example_and_seed(tmp_path: Path) -> None:
    found = results(tmp_path)
    gain = found.difference("one", "default", "random")
    assert gain is not None
    ours, theirs = (by_example(found.of("one", method), 1) for method in ("default", "random"))
    assert gain.mean == pytest.approx(np.mean([ours[name] - theirs[name] for name in ours]))
    assert 0 < gain.ci95[0] < gain.mean < gain.ci95[1]
    back = found.difference("one", "random", "default")
    assert back is not None
    assert (back.mean, *back.ci95) == pytest.approx((-gain.mean, -gain.ci95[1], -gain.ci95[0]))
    assert found.difference("two", "default", "random") is None


def test_a_statistic_has_an_interval_by_its_influences(tmp_path: Path) -> None:
    def play(values: object) -> object:
        made = made_outcome(score=0.7, examples=30)
        test = {name: [a, b - 0.3 if b else b] for name, (a, b) in made["test"].items()}
        return {**made, "is_mean": False, "test": test}

    found = Results.read(played_sweep(tmp_path, {"seed": [0]}, play))  # type: ignore[arg-type]
    assert found.methods == [ONLY]
    score = found.score(found.finished)
    assert score.ci95[0] < score.mean < score.ci95[1]


def test_answers_that_never_came_are_left_out(tmp_path: Path) -> None:
    def play(values: object) -> object:
        made = made_outcome(examples=10)
        gone = [*made["test"]][:3]
        return {**made, "test": {name: [a, None if name in gone else b] for name, (a, b) in made["test"].items()}}

    found = Results.read(played_sweep(tmp_path, {"seed": [0, 1]}, play))  # type: ignore[arg-type]
    assert len(by_example(found.finished, 1)) == 7
    assert np.isnan(found.by_task[0]).sum() == 6


def test_the_target_is_what_half_of_a_tasks_cells_reached(tmp_path: Path) -> None:
    curves = {0: [[5, 0.1, 0.4]], 1: [[5, 0.1, 0.5], [20, 0.2, 0.6]], 2: [[9, 0.3, 0.9]]}
    found = Results.read(played_sweep(tmp_path, {"seed": [0, 1, 2]}, lambda v: made_outcome(curve=curves[v["seed"]])))
    assert found.target("sorting") == 0.6
    assert found.reached("sorting", found.finished) == ([20, 9], [0.2, 0.3])


def test_two_tasks_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    found = Results.read(played_sweep(tmp_path, {"task": ["a/x", "b/x"]}, lambda values: made_outcome("x")))
    assert found.tasks == ["x (a/x)", "x (b/x)"]


def test_a_section_is_told_by_its_strategy_and_its_keys() -> None:
    assert value_text({"strategy": "baseline.nearest", "readouts": ["calibrated"]}) == (
        "baseline.nearest, readouts calibrated"
    )
    assert value_text({"strategy": "default"}) == "default"
    assert value_text({"counts": [0, 4]}) == "counts [0,4]"
    assert (value_text(True), value_text([1]), value_text("tpe"), value_text({})) == ("true", "[1]", "tpe", "{}")
