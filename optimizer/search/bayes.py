"""Bayesian optimization of prompts as an Optuna sampler: it knows noise, meaning, and what a candidate costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import ThreadpoolController

from optimizer.prompt.demos import Embed
from optimizer.search.acquisition import Cost, Tokens, expected_improvement, front_improvement, pareto
from optimizer.search.candidates import Rows, candidates, rows_of, without
from optimizer.search.features import Features
from optimizer.search.space import Space
from optimizer.search.surrogate import Observations, Posterior, Surrogate

if TYPE_CHECKING:
    from optimizer.search.features import Floats, Levels

VARIANCE = "variance"
# Of a score that came without its variance: that of ten answers, half of them right.
UNKNOWN_VARIANCE = 0.025
# Of the best: how many have their neighbours tried. Of the observations: on how many the hyperparameters are
# fitted and the posterior rests (time goes with the cube), and how many more call for a new fit.
KIN, FIT_ON, REST_ON, MORE = 8, 100, 400, 1.25
# Of a score, and of what a call costs.
DIRECTIONS = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE, StudyDirection.MINIMIZE]
THREADS = ThreadpoolController()


class Model:
    """The space in numbers and the surrogate fitted to its trials; kept from ask to ask, as both take time."""

    def __init__(self, space: Space, embed: Embed | None) -> None:
        self.space, self._embed = space, embed
        self.features, self.cost = Features(space, embed), Cost(space)
        self.parts: list[Rows] = [rows_of(space, name) for name in space.pools]
        self.surrogate = Surrogate(self.features.tables)
        self._fits: dict[int, Floats] = {}

    def at(self, space: Space) -> Model:
        """Return the model of this space, which may have grown."""
        return self if space is self.space else Model(space, self._embed)

    def observed(self, levels: Levels, trials: Sequence[FrozenTrial]) -> Observations:
        """Return what some finished trials have shown, given their levels."""
        values = np.array([t.values[0] for t in trials], dtype=float)
        variances = np.array([t.user_attrs.get(VARIANCE, UNKNOWN_VARIANCE) for t in trials], dtype=float)
        return Observations(levels, values, variances, self.features.beliefs(levels))

    def costs(self, names: Sequence[str], levels: Levels, trials: Sequence[FrozenTrial]) -> list[Tokens]:
        """Return what calls take, given the levels of the finished ones of some trials: a model for each cost.

        `names` are those of the costs, which are the trials' second value and third.
        """
        values = [t.values[1:] for t in trials if t.state == TrialState.COMPLETE]
        measured = np.maximum(np.array(values, dtype=float).reshape(len(values), len(names)), 1.0)
        sizes = [len(table) for table in self.features.tables]
        return [
            Tokens(self.space, sizes, levels, measured[:, number], timed=name == "latency")
            for number, name in enumerate(names)
        ]

    def posterior(self, seen: Observations, running: Levels) -> tuple[Posterior, Observations]:
        """Return what is believed after the observations, and these; both as if `running` had met expectations."""
        theta = self._theta(seen)
        known = seen.take(_telling(seen.values, REST_ON))
        posterior = Posterior(self.surrogate, theta, known)
        if len(running):
            beliefs = self.features.beliefs(running)
            mean, _ = posterior.predict(running, beliefs)
            variance = float(np.median(known.variances)) if len(known) else UNKNOWN_VARIANCE
            posterior = Posterior(self.surrogate, theta, known.with_more(running, mean, variance, beliefs))
        return posterior, known

    def _theta(self, seen: Observations) -> Floats:
        """Return the hyperparameters; those of the first n observations, where n grows by a quarter each time.

        So they depend on what was seen alone, not on when somebody asked.
        """
        count = 1
        while max(count + 1, int(count * MORE)) <= len(seen):
            count = max(count + 1, int(count * MORE))
        if count not in self._fits:
            some = np.unique(np.linspace(0, count - 1, FIT_ON).astype(int))
            self._fits[count] = self.surrogate.fitted(seen.take(some[: len(seen)]))
        return self._fits[count]


class BayesianSampler(BaseSampler):
    """Asks for the candidate with the largest expected improvement, by a Gaussian process over the space.

    A trial's user attribute `variance` tells how sure its score is. Trials that are running count as if they had
    scored what is expected of them (kriging believer; Ginsbourger et al. 2010, doi:10.1007/978-3-642-10701-6_6),
    so the candidates of a round differ. Improvement is over the best expected score, not the luckiest seen, and is
    divided by the candidate's cost to the power of `cost_weight`. What was asked is not asked again while
    anything else is left. A trial's parameters follow from `seed`, its number, and the trials before it.

    In a study of two or three objectives, a score to be maximized, and tokens and time to be minimized, it asks for the
    candidate that is expected to enlarge what the Pareto front dominates the most (see `front_improvement`). `costs`
    name what is minimized: tokens (or usd) and latency, in the order of the study's directions.
    """

    def __init__(
        self,
        space: Space,
        seed: int = 0,
        embed: Embed | None = None,
        cost_weight: float = 0.0,
        costs: Sequence[str] = ("tokens", "latency"),
    ) -> None:
        self.space, self.seed, self._cost_weight, self._costs = space, seed, cost_weight, costs
        self._embed = embed
        self._model: Model | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the distributions of the whole space as it is now."""
        return self.space.distributions()

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters of the next candidate. Raises ValueError in a study of other objectives."""
        if study.directions != DIRECTIONS[: len(study.directions)]:
            names = ", ".join(direction.name.lower() for direction in study.directions)
            raise ValueError(
                f"the study's directions are {names}; it takes maximize, or maximize and minimize once or twice"
            )
        # Matrices this small take many times as long on several threads next to a busy model, and other last digits.
        with THREADS.limit(limits=1, user_api="blas"):
            return self._chosen(study, trial)

    def _chosen(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        model = self._model = Model(self.space, self._embed) if self._model is None else self._model.at(self.space)
        rng = np.random.default_rng([self.seed, trial.number])
        trials = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number and self._describes(t)]
        levels = model.features.encode([t.params for t in trials])
        done, running = (
            np.array([t.state == s for t in trials], bool) for s in (TrialState.COMPLETE, TrialState.RUNNING)
        )
        seen = model.observed(levels[done], [t for t in trials if t.state == TrialState.COMPLETE])
        posterior, known = model.posterior(seen, levels[running])
        expected, _ = posterior.predict(known.levels, known.beliefs)
        best = np.argsort(-expected.round(6), kind="stable")[:KIN]
        names = self._costs[: len(study.directions) - 1]
        costs = model.costs(names, seen.levels, trials)

        def prices(levels: Levels) -> Floats:
            return np.stack([one.of(levels) for one in costs], axis=1)

        if costs:
            best = np.array(pareto(expected.round(6), prices(known.levels))[-KIN:], dtype=np.intp)
        rows = without(candidates(model.parts, known.levels[best], rng), levels)
        rows = rows[rng.permutation(len(rows))]
        mean, deviation = posterior.predict(rows, model.features.beliefs(rows))
        if costs:
            gain = front_improvement(mean, deviation, prices(rows), (expected, prices(known.levels)))
        else:
            gain = expected_improvement(mean, deviation, float(expected.max(initial=0.0)))
        worth = np.log(np.maximum(gain, 1e-300)) - self._cost_weight * np.log(model.cost.of(rows))
        # Rounded, so that the last digits of the arithmetic do not decide: among equals the seed does, by the order.
        return model.features.params(rows[int(np.argmax(worth.round(6)))])

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return a random value for a parameter that is none of the space's."""
        chance = RandomSampler(seed=int(np.random.default_rng([self.seed, trial.number]).integers(2**31)))
        return chance.sample_independent(study, trial, param_name, param_distribution)

    def _describes(self, trial: FrozenTrial) -> bool:
        """Tell if a trial has the parameters of a whole candidate; one that was broken off has not."""
        return all(f"{name}.count" in trial.params for name in self.space.pools)


def _telling(values: Floats, most: int) -> Any:
    """Return the indices of at most `most` observations: the better half, and some of all the others."""
    if len(values) <= most:
        return np.arange(len(values))
    ranked = np.argsort(-values, kind="stable")
    rest = ranked[most // 2 :]
    return np.sort(np.append(ranked[: most // 2], rest[np.linspace(0, len(rest) - 1, most - most // 2).astype(int)]))
