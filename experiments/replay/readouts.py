"""Plays searches whose labels are read from recorded log-probabilities, with and without ensembles.

python -m experiments.replay.readouts experiments/replay/tables/readout/*.json --seeds 100
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import dspy
import numpy as np

from experiments.replay.methods import PoolSampler
from experiments.replay.play import Forgetful
from experiments.replay.tables import Table, load
from experiments.replay.worlds import SETTINGS, World, in_turn, world_of
from optimizer.config.schema import BudgetConfig, RunConfig
from optimizer.errors import BudgetSpent
from optimizer.evaluate.aggregate import MEAN
from optimizer.evaluate.calibration import fit
from optimizer.evaluate.evaluator import BlockCut
from optimizer.prompt.program import ROOT
from optimizer.prompt.readout import choose, labels_of
from optimizer.search.ensembles import Ensembles, Sums, first_ensemble
from optimizer.search.loop import Search
from optimizer.search.proposals import NoProposals
from optimizer.search.schedule import make_schedule
from optimizer.search.trials import TrialLog
from optimizer.task.metrics.base import Grade
from optimizer.types import Candidate, Example, Score

# Of a table's columns: what a search sees. The rest are the test.
SEEN = 2 / 3
FIELD = "answer"


def main() -> None:
    """Print, for each table, what winners and what needs no search score on columns that they have not seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--calls", type=int, nargs="+", default=[100, 200])
    parser.add_argument("--ensembles", type=int, nargs="+", default=[1, 3])
    options = parser.parse_args()
    names = ["8 nearest, chosen", "8 nearest, calibrated", "16 fixed, calibrated"]
    names += [f"{calls} calls, ensembles of {size}" for calls in options.calls for size in options.ensembles]
    print(f"| table | {' | '.join(names)} | tried | best prompt |\n|{'---|' * (len(names) + 3)}")
    for path in options.tables:
        table = of_the_space(load(path))
        rows = np.array([row(table, seed, options.calls, options.ensembles) for seed in range(options.seeds)])
        errors = rows.std(axis=0, ddof=1) / len(rows) ** 0.5
        cells = [f"{100 * mean:.1f} ± {196 * error:.1f}" for mean, error in zip(rows.mean(axis=0), errors, strict=True)]
        print(f"| {path.stem} | {' | '.join(cells[:-1])} | {cells[-1]} |", flush=True)


def of_the_space(table: Table) -> Table:
    """Return a table without the prompts that the default space does not hold: those with more demos."""
    rows = [number for number, one in enumerate(table.choices) if one.count in SETTINGS.demos.counts]
    assert table.logprobs is not None
    kept = {name: tuple(getattr(table, name)[number] for number in rows) for name in ("choices", "tokens", "seconds")}
    return replace(table, **kept, scores=table.scores[rows], logprobs=table.logprobs[rows])


def row(table: Table, seed: int, budgets: Sequence[int], sizes: Sequence[int]) -> list[float]:
    """Return the scores of one seed's draw of columns, in the order of the printed table."""
    order = np.random.default_rng([seed, 2]).permutation(len(table.examples))
    cut = round(SEEN * len(order))
    shown, hidden = Reading.of(table, order[:cut], seed), Reading.of(table, order[cut:], None)
    found = [
        _mean(shown, hidden, lambda one: (one.policy, one.count) == ("nearest", 8), fitted=False),
        _mean(shown, hidden, lambda one: (one.policy, one.count) == ("nearest", 8)),
        _mean(shown, hidden, lambda one: (one.policy, one.count) == ("static", 16)),
    ]
    tried = 0
    for calls in budgets:
        for size in sizes:
            winner, tried = searched(shown, calls, size, seed)
            found.append(hidden.score(winner))
    best = max(hidden.score(shown.calibrated(one)) for one in shown.world.candidates)
    return [*found, tried / 100, best]


def searched(shown: Reading, calls: int, size: int, seed: int) -> tuple[Candidate, int]:
    """Return the winner of the product's search, calibrated on what it saw, and how many candidates were tried."""
    config = RunConfig(task="replay", budget=BudgetConfig(calls=calls), seed=seed)
    schedule = make_schedule(shown.examples, config, together=size)
    schedule = replace(schedule, examples=shown.examples[: len(schedule.examples)])
    believed = first_ensemble(shown.world.space, size)
    sampler = PoolSampler(shown.world, config.search.strategy, seed, schedule.first - 1, believed)
    log = TrialLog(cast("Any", Forgetful()), len(schedule.examples), lambda event: None)
    labels = labels_of(shown.signature)
    assert labels is not None
    ensembles = Ensembles(NoProposals(), Sums(labels, schedule.examples), size)
    evaluator = Answering(shown, calls)
    search = Search(sampler, cast("Any", evaluator), log, schedule, proposals=ensembles)
    best = asyncio.run(search.run(shown.world.candidates[0], len(shown.world.candidates)))
    assert best is not None
    return search.board.candidates[best], len(search.board.candidates)


class Reading:
    """A world whose labels are read: what was told of each label, candidates × examples × labels."""

    def __init__(self, world: World, logprobs: np.ndarray) -> None:
        self.world, self.logprobs = world, logprobs
        words = tuple(str(number) for number in range(logprobs.shape[2]))
        self.signature = dspy.Signature("text -> answer", "i").with_updated_fields(FIELD, type_=Literal[words])
        self.examples = [Example({"text": str(n)}, {FIELD: str(label)}) for n, label in enumerate(world.labels)]

    @classmethod
    def of(cls, table: Table, columns: np.ndarray, seed: int | None) -> Reading:
        """Return some columns of a table, labels in turn where a seed is named."""
        assert table.logprobs is not None
        world = world_of(table, table.choices, table.scores[:, columns], np.zeros(0), np.array(table.tokens))
        world = replace(world, labels=tuple(table.labels[column] for column in columns))
        logprobs = table.logprobs[:, columns]
        if seed is not None:
            # The columns' own numbers go through the same ordering, so that what was told follows its example.
            numbered = in_turn(replace(world, scores=np.arange(len(columns))[None, :]), seed)
            order = numbered.scores[0].astype(int)
            world, logprobs = replace(world, scores=world.scores[:, order], labels=numbered.labels), logprobs[:, order]
        return cls(world, logprobs)

    def told(self, candidate: Candidate) -> np.ndarray:
        """Return what a candidate's prompts tell of each label together, examples × labels."""
        rows = [self.world.places[Candidate({ROOT: one}).id] for one in candidate.asked]
        return np.nan_to_num(self.logprobs[rows], nan=-20.0).sum(axis=0)

    def score(self, candidate: Candidate) -> float:
        """Return how many of the examples a candidate answers rightly."""
        (prompt,) = candidate.prompts.values()
        chosen = [choose(prompt, tuple(one)) for one in self.told(candidate).tolist()]
        return float(np.mean(np.array(chosen) == np.array(self.world.labels)))

    def calibrated(self, candidate: Candidate) -> Candidate:
        """Return a candidate with the calibration that all examples show."""
        ((name, prompt),) = candidate.prompts.items()
        fitted = fit(self.told(candidate), self.world.labels)
        return replace(candidate, prompts={name: replace(prompt, calibration=fitted)})


class Answering:
    """An evaluator that answers from what was recorded; a prompt's answer to an example is paid for once."""

    aggregate = MEAN

    def __init__(self, reading: Reading, budget: int) -> None:
        self._reading, self._left, self._paid = reading, budget, set[tuple[str, int]]()
        predictor = SimpleNamespace(signature=reading.signature)
        program = SimpleNamespace(predictors=lambda: [predictor])
        self.programs = SimpleNamespace(build=lambda candidate: program)

    async def run(self, one: Candidate, examples: Sequence[Example], _: str, start: int, tag: Any) -> list[Score]:
        """Return what was recorded; raises BlockCut where the budget ends."""
        told, results = self._reading.told(one), list[Score]()
        for number in range(start, start + len(examples)):
            new = {(Candidate({ROOT: prompt}).id, number) for prompt in one.asked} - self._paid
            if len(new) > self._left:
                raise BlockCut(BudgetSpent("calls"), results)
            self._left -= len(new)
            self._paid |= new
            logprobs = tuple(told[number].tolist())
            answer = {FIELD: str(int(np.argmax(told[number])))}
            value = self.metric(self._reading.examples[number], answer)[0]
            results.append(Score(value, answer, calls=1, logprobs=logprobs))
        return results

    async def graded(self, example: Example, answer: Any) -> Grade:
        """Return the metric's word on an answer."""
        return Grade(*self.metric(example, answer))

    def metric(self, example: Example, answer: Any) -> tuple[float, str]:
        """Return 1 for the right label."""
        return float(answer[FIELD] == example.outputs[FIELD]), ""

    async def record(self, *_: Any) -> None:
        """Keep nothing."""


def _mean(shown: Reading, hidden: Reading, which: Any, fitted: bool = True) -> float:
    """Return the mean score of the seed's instruction's prompts of a kind, or of all of that kind."""
    kind = [one for one, choice in zip(shown.world.candidates, shown.world.choices, strict=True) if which(choice)]
    return float(np.mean([hidden.score(shown.calibrated(one) if fitted else one) for one in kind]))


if __name__ == "__main__":
    main()
