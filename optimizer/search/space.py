"""The search space: from Optuna's parameters to a Candidate, for every predictor of the program."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from optimizer.config.schema import Demos
from optimizer.propose.base import Proposal
from optimizer.types import Candidate, Example, Order, Policy, Prompt

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Pool:
    """What one predictor can be given: instructions, static demo sets, and examples to retrieve."""

    instructions: tuple[Proposal, ...]
    sets: tuple[tuple[Example, ...], ...]
    retrievable: int


@dataclass(frozen=True)
class Space:
    """Instruction × format × demo policy × count × order (× static set), for each predictor."""

    pools: Mapping[str, Pool]
    formats: Sequence[str]
    demos: Demos

    def suggest(self, trial: optuna.Trial) -> Candidate:
        """Return the candidate that a trial's suggestions describe."""
        prompts, origins = {}, []
        for name, pool in self.pools.items():
            chosen = trial.suggest_categorical(f"{name}.instruction", range(len(pool.instructions)))
            prompts[name] = self._prompt(trial, name, pool, pool.instructions[chosen].text)
            origins.append(pool.instructions[chosen].origin)
        return Candidate(prompts, "+".join(dict.fromkeys(origins)))

    def _prompt(self, trial: optuna.Trial, name: str, pool: Pool, instruction: str) -> Prompt:
        layout = trial.suggest_categorical(f"{name}.format", list(self.formats))
        counts = self.counts(pool)
        count = trial.suggest_categorical(f"{name}.count", counts) if len(counts) > 1 else counts[0]
        if count == 0:
            return Prompt(instruction, layout)
        policy: Policy = trial.suggest_categorical(f"{name}.policy", list(self.demos.policies))  # type: ignore[assignment]
        order: Order = trial.suggest_categorical(f"{name}.order", list(self.demos.orders))  # type: ignore[assignment]
        if policy != "static":
            return Prompt(instruction, layout, policy, count, order)
        chosen = trial.suggest_categorical(f"{name}.set", range(len(pool.sets)))
        return Prompt(instruction, layout, policy, count, order, pool.sets[chosen][:count])

    def counts(self, pool: Pool) -> list[int]:
        """Return the demo counts that the predictor's examples allow."""
        return [count for count in sorted(set(self.demos.counts)) if count <= pool.retrievable] or [0]

    def spread(self, size: int, seed: int) -> list[dict[str, Any]]:
        """Return `size` first trials which cover format × policy × count by design, not by luck.

        Greedy pairwise covering (as in AETG, Cohen et al. 1997, doi:10.1109/32.605761): each next
        trial has the most pairs of levels that no earlier one had.
        """
        counts = self.counts(next(iter(self.pools.values())))
        levels: list[list[Any]] = [list(self.formats), list(self.demos.policies), counts, list(self.demos.orders)]
        first = (self.demos.policies[0], 0, self.demos.orders[0])
        # Without demos their policy and order mean nothing: one trial a format will do.
        open_trials = [t for t in itertools.product(*levels) if t[2] > 0 or t[1:] == first]
        rng = random.Random(seed)  # noqa: S311
        rng.shuffle(open_trials)
        covered: set[tuple[Any, ...]] = set()
        chosen: list[tuple[Any, ...]] = []
        while open_trials and len(chosen) < size:
            best = max(open_trials, key=lambda levels: len(_pairs(levels) - covered))
            open_trials.remove(best)
            covered |= _pairs(best)
            chosen.append(best)
        return [self._params(levels, number) for number, levels in enumerate(chosen)]

    def _params(self, levels: tuple[Any, ...], number: int) -> dict[str, Any]:
        layout, policy, count, order = levels
        params: dict[str, Any] = {}
        for name, pool in self.pools.items():
            # A predictor may have fewer examples than the first, for which the levels were chosen.
            allowed = max((c for c in self.counts(pool) if c <= count), default=self.counts(pool)[0])
            params |= {f"{name}.format": layout, f"{name}.policy": policy, f"{name}.count": allowed}
            params[f"{name}.order"] = order
            params[f"{name}.instruction"] = number % len(pool.instructions)
            params[f"{name}.set"] = number % max(1, len(pool.sets))
        return params


def _pairs(levels: tuple[Any, ...]) -> set[tuple[Any, ...]]:
    # A level alone counts too, so that the first trials show every level once.
    return set(itertools.combinations(enumerate(levels), 2)) | set(enumerate(levels))
