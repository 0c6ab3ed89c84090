from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import dspy
import numpy as np
import pytest

from optimizer.config.schema import RunConfig
from optimizer.errors import BudgetSpent
from optimizer.evaluate.evaluator import Evaluator, Progress, no_progress
from optimizer.ledger.answers import answers_of
from optimizer.ledger.ledger import Ledger
from optimizer.prompt.program import Programs as RealPrograms
from optimizer.propose.demosets import balanced_sets
from optimizer.search.baselines import Compared, baseline_runs, measure_baselines, positions_of, simple_baselines
from optimizer.search.verdict import Tested as Side
from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task as RealTask
from optimizer.types import Candidate, Example, Prompt

from .conftest import TRAIN, Metric, Programs, Rule, candidate, scores

TEST = tuple(Example({"n": n}, {"answer": "yes"}) for n in range(40))
WINNER = candidate("found")


class Task(NamedTuple):
    test: tuple[Example, ...] = TEST
    outputs: dict[str, FieldSpec] = {}  # noqa: RUF012 - never changed


class Demoed(Programs):
    """Programs whose only predictor has a pool of training examples."""

    task, pool = Task(), TRAIN

    def seed(self, format_name: str) -> Candidate:
        return Candidate({"predict": Prompt("seed", format_name)}, "seed")

    def pool_of(self, predictor: str) -> tuple[Example, ...]:
        return self.pool


def config(baselines: int = 15, counts: tuple[int, ...] = (0, 4, 8, 16, 32)) -> RunConfig:
    return RunConfig.model_validate(
        {"task": "t", "test": {"baselines": baselines}, "search": {"demos": {"counts": counts}}, "seed": 3}
    )


def policy(one: Candidate) -> str:
    return one.prompts["predict"].policy


def measured(
    ledger: Ledger,
    rule: Rule,
    winner: Side | None = None,
    settings: RunConfig | None = None,
    progress: Progress = no_progress,
) -> tuple[list[Compared], Demoed, list[str]]:
    programs, notes = Demoed(rule), list[str]()
    winner = winner or Side(WINNER, scores(*(float(n % 2) for n in range(40))))

    async def go() -> list[Compared]:
        evaluator = Evaluator(programs, dspy.utils.DummyLM([{}]), Metric(), ["answer"], ledger, 4)
        measuring = measure_baselines(evaluator, programs, settings or config(), winner, notes.append, progress)  # type: ignore[arg-type]
        return await measuring

    return asyncio.run(go()), programs, notes


def test_the_baselines_are_the_seed_with_demos_as_the_search_allows() -> None:
    made = simple_baselines(Demoed(lambda *_: 0.0), config())  # type: ignore[arg-type]
    assert [one.name for one in made] == ["16 random demos", "8 nearest demos"]
    random, nearest = (one.candidate.prompts["predict"] for one in made)
    assert (
        random.demos == balanced_sets(TRAIN, 2, config().search.demos.counts, 3)[0][:16]
    )  # those of the search's first set: a shared prefix
    assert (nearest.policy, nearest.count, nearest.demos) == ("nearest", 8, ())
    assert {one.instruction for one in (random, nearest)} == {"seed"}


@pytest.mark.parametrize("settings", [config(counts=(0,)), config(counts=(32,)), config(baselines=0)])
def test_no_demos_no_baselines_and_no_calls(ledger: Ledger, settings: RunConfig) -> None:
    found, programs, notes = measured(ledger, lambda *_: 1.0, settings=settings)
    assert (found, programs.calls, notes) == ([], [], [])
    assert baseline_runs(programs, settings) == 0  # type: ignore[arg-type]


def test_each_is_paired_with_the_winner_on_a_fixed_part_of_the_test(ledger: Ledger) -> None:
    """The nearest demos are right on even places, where this winner is wrong; the random ones never are."""
    found, programs, notes = measured(ledger, lambda one, n: float(policy(one) == "nearest" and n % 2 == 0))
    places = positions_of(TEST, config())
    odd = sum(place % 2 for place in places)
    assert len(places) == 15
    assert places == sorted(places)
    assert places != list(range(15))
    assert len(programs.calls) == baseline_runs(programs, config()) == 30  # type: ignore[arg-type]
    assert [(one.outcome.examples, round(one.outcome.mean * 15)) for one in found] == [
        (15, odd),
        (15, odd - (15 - odd)),
    ]
    assert [row.position for row in answers_of(ledger, found[1].outcome.seed.candidate.id, "test")] == places
    assert notes == []


def test_what_the_budget_leaves_is_compared_and_said(ledger: Ledger) -> None:
    places = positions_of(TEST, config())

    def rule(one: Candidate, n: int) -> Any:
        return BudgetSpent("usd") if policy(one) == "nearest" or n > places[9] else 1.0

    found, _, notes = measured(ledger, rule)
    assert [(one.name, one.outcome.examples) for one in found] == [("16 random demos", 10)]
    assert len(found[0].outcome.seed.results) == 10
    assert found[0].outcome.winner.results == scores(*(float(place % 2) for place in places[:10]))
    assert [note.rpartition("compared on ")[2] for note in notes] == ["10 of 15 test examples", "0 of 15 test examples"]


def test_a_winner_that_is_a_baseline_is_not_run_again(ledger: Ledger) -> None:
    nearest = simple_baselines(Demoed(lambda *_: 0.0), config())[1].candidate  # type: ignore[arg-type]
    winner = Side(Candidate(nearest.prompts, "spread"), scores(*[1.0] * 40))
    heard = list[tuple[int, int]]()
    found, programs, _ = measured(ledger, lambda *_: 0.0, winner, progress=lambda *counts: heard.append(counts))
    assert len(programs.calls) == 15
    assert heard == [(answered, 15) for answered in range(1, 16)]
    assert {one for one, _ in programs.calls} == {found[0].outcome.seed.candidate.id}
    assert (found[1].outcome.mean, found[1].outcome.ci95, found[1].outcome.examples) == (0.0, (0.0, 0.0), 15)


def names(tmp_path: Path, instruction: str, first_format: str = "turns", **changes: Any) -> list[str]:
    """Return the baselines of a task with the labels a, b and c whose instruction is this."""
    task = make_task(tmp_path, instruction=instruction, train=TRAIN[:6], **changes)
    settings = RunConfig.model_validate({"task": "t", "search": {"formats": [first_format, "block"]}})
    programs = RealPrograms(task, task.train, lambda texts: np.ones((len(texts), 1), np.float32))
    return [
        f"{one.name}: {one.candidate.prompts['predict'].instruction}" for one in simple_baselines(programs, settings)
    ]


def test_where_the_seed_does_not_name_its_labels_a_prompt_that_does_is_a_baseline(tmp_path: Path) -> None:
    *demos, named = names(tmp_path, "Sort it.")
    assert [one.split(":")[0] for one in demos] == ["4 random demos", "4 nearest demos"]
    assert named == "labels named in the prompt: Sort it.\nAnswer with one of: a, b, c."
    for instruction, style in (("Sort it into a, b or c.", "turns"), ("Sort it.", "chat")):
        assert len(names(tmp_path, instruction, style)) == 2
    assert len(names(tmp_path, "Sort it.", outputs={"answer": FieldSpec()})) == 2


def make_task(folder: Path, **changes: Any) -> RealTask:
    outputs = {"answer": FieldSpec(choices=("a", "b", "c"))}
    made: dict[str, Any] = {
        "name": "tiny",
        "description": "",
        "inputs": {"n": FieldSpec()},
        "outputs": outputs,
        "validation": (),
        "test": TEST,
        "metric": build_metric("exact_match", outputs, folder),
        "folder": folder,
    }
    return RealTask.from_parts(**{**made, **changes})
