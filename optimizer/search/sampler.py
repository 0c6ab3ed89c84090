"""Optuna by ask and tell; every ask is seeded by its number, so that a resumed run asks the same."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FixedTrial, TrialState, create_trial

from optimizer.prompt.demos import Embed
from optimizer.search.bayes import DIRECTIONS, VARIANCE, BayesianSampler
from optimizer.search.candidates import candidates, rows_of
from optimizer.search.features import Features
from optimizer.search.space import Space
from optimizer.search.spread import spread
from optimizer.types import Candidate, digest

REDRAWS = 6
# Optuna's sampler for one ask, in the space as it is by then, with the ask's own seed.
Strategy = Callable[[Space, int], optuna.samplers.BaseSampler]


@dataclass(frozen=True)
class Observation:
    """What a trial has shown: an estimate of its score, that estimate's variance, and the examples it rests on.

    An estimate from few examples, carried to all, may lie outside [0, 1] (`Board.estimate`). `tokens` is what a
    call of it takes, in the unit of the search, None where it made none; `latency` the median of its answers' times in
    milliseconds, None where no time is known.
    """

    value: float
    variance: float
    seen: int
    tokens: float | None = None
    latency: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"an observation's value is a number, not {self.value}; a failed trial is told as None")
        if not (math.isfinite(self.variance) and self.variance > 0):
            raise ValueError(f"an observation's variance is a number above 0, not {self.variance}")

    def values(self, objective: Sequence[str]) -> list[float] | None:
        """Return a value for each name of an objective, the score's first; None where one of them is not known."""
        values = [self.value, *(self.latency if name == "latency" else self.tokens for name in objective[1:])]
        return None if None in values else [value for value in values if value is not None]


@dataclass(frozen=True)
class Asked:
    """A candidate and the Optuna trial that asked for it; None for the seed, and for what lies outside the space."""

    candidate: Candidate
    trial: optuna.Trial | None = None


class Sampler:
    """Proposes candidates: a designed spread first, then what the strategy makes of what was seen.

    `strategy` is `default` (a Gaussian process, see BayesianSampler), `tpe` (Bergstra et al. 2011; multivariate, as
    Optuna implements it), `random`, or a function from space and seed to any sampler of Optuna's kind.
    """

    def __init__(
        self,
        space: Space,
        strategy: str | Strategy,
        seed: int,
        startup: int,
        embed: Embed | None = None,
        cost_weight: float = 0.0,
        objective: Sequence[str] = ("score",),
        believed: Sequence[dict[str, Any] | Candidate] = (),
    ) -> None:
        """`embed` gives the texts of the space a meaning, `cost_weight` is that of a candidate's tokens: see there.

        `objective` is score, or score and tokens (or usd), latency, or both: Optuna's study has a direction for each.
        The first `startup` trials are what is `believed` to be good, in the place of what one would try by hand, and
        others by design (`spread`).
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space, self._seed, self._asks = space, seed, 0
        ours = strategy == "default"
        self.strategy = _bayesian(space, embed, cost_weight, objective[1:]) if ours else _named(strategy, startup)
        self._nominal = strategy == "tpe"
        self._objective, self._directions = objective, DIRECTIONS[: len(objective)]
        self._study = optuna.create_study(directions=self._directions)
        self._planned: list[dict[str, Any] | Candidate] = [
            *believed,
            *spread(space, startup - len(believed), seed, by_hand=not believed),
        ]
        self.exhausted = False

    @property
    def space(self) -> Space:
        """The space as it is now."""
        return self._space

    def plan(self, planned: Sequence[dict[str, Any] | Candidate]) -> None:
        """Let these be asked next, before what the strategy proposes: parameters, or candidates outside the space."""
        self._planned = [*planned, *self._planned]

    def ask(self, known: Collection[str]) -> Asked:
        """Return a candidate that is not among the `known` ids; one of these when the space is `exhausted`."""
        if self.exhausted and not self._planned:
            return self._draw(None)
        for _ in range(REDRAWS):
            planned = self._planned.pop(0) if self._planned else None
            asked = Asked(planned) if isinstance(planned, Candidate) else self._draw(planned)
            if asked.candidate.id not in known:
                return asked
            self.tell(asked, None)  # told as failed it leaves no trace in the model; its value is known already
        unknown = self._unknown(known)
        self.exhausted = unknown is None
        return self._draw(unknown)

    def tell(self, asked: Asked, observation: Observation | None) -> None:
        """Report what a candidate has shown; None for a trial that failed.

        Of several objectives all must be known: a trial without tokens counts as failed.
        """
        values = None if observation is None else observation.values(self._objective)
        if observation is None or values is None:
            if asked.trial is not None:
                self._study.tell(asked.trial, state=TrialState.FAIL)
        elif asked.trial is not None:
            asked.trial.set_user_attr(VARIANCE, observation.variance)
            self._study.tell(asked.trial, values)
        elif (params := self._space.params_of(asked.candidate)) is not None:
            self._add(params, TrialState.COMPLETE, values, {VARIANCE: observation.variance})

    def grow(self, space: Space) -> None:
        """Go on in a space whose pools have grown at their ends; what was told stays known.

        The trials move to a new study, since TPE would stay in the old one's bounds. Raises ValueError if a pool lost
        or moved something, or if something was asked and not told.
        """
        for name, pool in self._space.pools.items():
            wider = space.pools[name]
            if not (_starts(wider.instructions, pool.instructions) and _starts(wider.sets, pool.sets)):
                raise ValueError(f"pool {name!r} may only grow at its end: past trials name its members by their index")
        trials = self._study.get_trials(deepcopy=False)
        if open_trials := sum(trial.state == TrialState.RUNNING for trial in trials):
            raise ValueError(f"{open_trials} candidates were asked and not told; tell them before the space grows")
        self.exhausted = False
        self._space, self._study = space, optuna.create_study(directions=self._directions)
        for trial in trials:
            self._add(trial.params, trial.state, trial.values, trial.user_attrs)

    def _draw(self, params: dict[str, Any] | None) -> Asked:
        """Draw once: these parameters, or what the strategy proposes."""
        self._study.sampler = self.strategy(self._space, int(digest([self._seed, self._asks], 8), 16))
        self._asks += 1
        if params is not None:
            self._study.enqueue_trial(params)
        trial = self._study.ask()
        return Asked(self._space.suggest(_Nominal(trial) if self._nominal else trial), trial)

    def _unknown(self, known: Collection[str]) -> dict[str, Any] | None:
        """Return parameters that give no known candidate; of all if these are few enough, else of a thousand."""
        rng, features = np.random.default_rng([self._seed, self._asks]), Features(self._space)
        parts = [rows_of(self._space, name) for name in self._space.pools]
        for row in rng.permutation(candidates(parts, features.encode([]), rng)):
            params = features.params(row)
            if self._space.suggest(FixedTrial(params)).id not in known:
                return params
        return None

    def _add(
        self, params: dict[str, Any], state: TrialState, values: Sequence[float] | None, attrs: dict[str, Any]
    ) -> None:
        allowed = self._space.distributions()
        used = {name: _named_index(allowed[name]) if self._nominal else allowed[name] for name in params}
        self._study.add_trial(
            create_trial(state=state, values=values, params=params, distributions=used, user_attrs=attrs)
        )


class _Nominal:
    """A trial to which indices in a pool are names: TPE reads an integer as a quantity."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return int(self._trial.suggest_categorical(name, range(low, high + 1)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._trial.suggest_categorical(name, choices)


def _named_index(distribution: BaseDistribution) -> BaseDistribution:
    if isinstance(distribution, IntDistribution):
        return CategoricalDistribution(range(distribution.low, distribution.high + 1))
    return distribution


def _starts(longer: Sequence[Any], shorter: Sequence[Any]) -> bool:
    return longer[: len(shorter)] == shorter


def _bayesian(space: Space, embed: Embed | None, cost_weight: float, costs: Sequence[str]) -> Strategy:
    # One for all asks: it keeps what it has fitted.
    sampler = BayesianSampler(space, 0, embed, cost_weight, costs)

    def at(space: Space, seed: int) -> BayesianSampler:
        sampler.space, sampler.seed = space, seed
        return sampler

    return at


def _named(strategy: str | Strategy, startup: int) -> Strategy:
    if not isinstance(strategy, str):
        return strategy
    if strategy == "random":
        return lambda space, seed: optuna.samplers.RandomSampler(seed=seed)
    if strategy == "tpe":
        return lambda space, seed: _tpe(seed, startup)
    raise ValueError(f"strategy {strategy!r} is none of default, tpe, random")


def _tpe(seed: int, startup: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=startup)
