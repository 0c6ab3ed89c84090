"""How many calls the search needs for the front of score × dollars × latency, against asking all. See the README."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, cast

import numpy as np

from experiments.front.worlds import World, world
from experiments.replay.play import Forgetful
from optimizer.config.schema import BudgetConfig, RunConfig, SearchConfig
from optimizer.errors import BudgetSpent
from optimizer.search.acquisition import REFERENCE, pareto
from optimizer.search.board import Board
from optimizer.search.front import front, points
from optimizer.search.loop import Search
from optimizer.search.sampler import Sampler
from optimizer.search.schedule import make_schedule
from optimizer.search.trials import TrialLog
from optimizer.types import Candidate, Example, Score

OBJECTIVES = {"both": ("score", "usd", "latency"), "usd": ("score", "usd"), "latency": ("score", "latency")}
WANTED = 0.95


class Answers:
    """An evaluator that answers from a world, and stops at a budget of calls."""

    def __init__(self, made: World, budget: int) -> None:
        self.made, self.budget, self.calls = made, budget, 0
        self.rows = {one.id: row for row, one in enumerate(made.candidates)}

    async def run(self, one: Candidate, examples: Sequence[Example], _: str, start: int, tag: Any) -> list[Score]:
        """Return the scores of the next examples; raises BudgetSpent where they would cost more than there is."""
        if self.calls + len(examples) > self.budget:
            raise BudgetSpent("calls")
        self.calls += len(examples)
        row, some = self.rows[one.id], slice(start, start + len(examples))
        pairs = zip(self.made.right[row, some].tolist(), self.made.seconds[row, some].tolist(), strict=True)
        usd = float(self.made.usd[row])
        return [Score(value, tokens=1, calls=1, usd=usd, seconds=seconds) for value, seconds in pairs]


def searched(
    made: World, seed: int, calls: int, objective: Sequence[str], strategy: str, by_score: bool = False
) -> Board:
    """Return what the product's search has seen of a world when its budget is spent."""
    config = RunConfig(
        task="front",
        seed=seed,
        budget=BudgetConfig(calls=calls),
        search=SearchConfig.model_validate({"objective": list(objective), "prior": None}),
    )
    examples = [Example({"text": str(n)}, {}) for n in range(made.right.shape[1])]
    schedule = make_schedule(examples, config)
    sampler = Sampler(made.space, strategy, seed, schedule.first - 1, objective=config.search.objective)
    board = Board(cost=config.search.cost, objective=("score",) if by_score else config.search.objective)
    log = TrialLog(cast("Any", Forgetful()), len(schedule.examples), lambda event: None)
    search = Search(sampler, cast("Any", Answers(made, calls)), log, schedule, board)
    asyncio.run(search.run(made.candidates[0], config.trials))
    return board


def asked_all(made: World) -> Board:
    """Return the board of an exhaustive search."""
    board, answers = Board(cost="usd"), Answers(made, made.calls)
    examples = [Example({"text": str(n)}, {}) for n in range(made.right.shape[1])]
    for one in made.candidates:
        board.add(one, asyncio.run(answers.run(one, examples, "", 0, None)))
        board.costs[one.id] = board.cost_per_call(one.id) or 0.0
    return board


def handed_over(board: Board, made: World, objective: Sequence[str]) -> list[int]:
    """Return the rows of the candidates on the front that a run with such a board hands over."""
    rows = {one.id: row for row, one in enumerate(made.candidates)}
    return [rows[one.candidate_id] for one in front(points(board, board._cost, True), objective)]


def volume(made: World, rows: Sequence[int], objective: Sequence[str]) -> float:
    """Return the true hypervolume of some candidates: of score from 0, and of the logarithms of their true costs.

    It reaches to a tenth beyond the dearest and the slowest of all. As in the search, costs count by their logarithms:
    from 1 to 2 cents is as far as from 10 to 20.
    """
    if not rows:
        return 0.0
    names = [0 if name == "usd" else 1 for name in objective[1:]]
    costs = np.log(made.costs[:, names])
    far = costs.max(axis=0) + np.log(REFERENCE)
    own, scores = costs[list(rows)], made.truth[list(rows)]
    edges = [np.append(np.unique(own[:, column]), far[column]) for column in range(len(names))]
    corners = np.stack(np.meshgrid(*(side[:-1] for side in edges), indexing="ij"), axis=-1)
    widths = np.prod(np.stack(np.meshgrid(*map(np.diff, edges), indexing="ij"), axis=-1), axis=-1)
    inside = (own <= corners[..., None, :] + 1e-12).all(axis=-1)
    return float((np.where(inside, scores, 0.0).max(axis=-1) * widths).sum())


def play(seed: int, shares: Sequence[float], name: str, strategy: str, by_score: bool = False) -> dict[str, Any]:
    """Return the share of the true front's volume that is handed over after each share of all calls, and after all."""
    made, objective = world(seed), OBJECTIVES[name]
    true = pareto(made.truth, made.costs[:, [0 if one == "usd" else 1 for one in objective[1:]]])
    best = volume(made, true, objective)
    found, began = [], time.process_time()
    for share in shares:
        board = searched(made, seed, round(share * made.calls), objective, strategy, by_score)
        found.append(volume(made, handed_over(board, made, objective), objective) / best)
    everything = volume(made, handed_over(asked_all(made), made, objective), objective) / best
    return {"seed": seed, "front": len(true), "found": found, "all": everything, "took": time.process_time() - began}


def line(label: str, values: Sequence[float]) -> str:
    """Return a row of the README's table."""
    row = np.array(values)
    reached = int((row >= WANTED).sum())
    return f"| {label} | {row.mean():.3f} | {np.quantile(row, 0.05):.3f} | {row.min():.3f} | {reached} of {len(row)} |"


def main() -> None:
    """Print, for each share of an exhaustive search's calls, how much of the true front's volume is handed over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.05, 0.1, 0.2, 0.35, 0.5])
    parser.add_argument("--objective", choices=OBJECTIVES, default="both")
    parser.add_argument("--strategy", default="default", help="the search's sampler: default, tpe or random")
    parser.add_argument("--by-score", action="store_true", help="race by score alone, as for a front of two")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out")
    options = parser.parse_args()
    task = partial(play, shares=options.shares, name=options.objective, strategy=options.strategy)
    task = partial(task, by_score=options.by_score)
    seeds = range(options.first, options.first + options.seeds)
    with ProcessPoolExecutor(options.jobs) as pool:
        rows = list(pool.map(task, seeds))
    print("| share of all calls | mean | 5th percentile | least | seeds at 95 % |\n|---|---|---|---|---|")
    for number, share in enumerate(options.shares):
        print(line(f"{share:.0%}", [row["found"][number] for row in rows]))
    print(line("100 %, all asked", [row["all"] for row in rows]))
    sizes = [row["front"] for row in rows]
    print(f"\nOn the true front: {min(sizes)} to {max(sizes)} candidates, {np.mean(sizes):.1f} on average.")
    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    main()
