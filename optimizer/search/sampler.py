"""Optuna by ask and tell; every ask is seeded by its number, so that a resumed run asks the same."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import optuna

from optimizer.search.space import Space
from optimizer.types import Candidate, digest

REDRAWS = 24


@dataclass(frozen=True)
class Asked:
    """A candidate and the Optuna trial that asked for it."""

    candidate: Candidate
    trial: optuna.Trial
    params: Mapping[str, Any]


class Sampler:
    """Proposes candidates: a designed spread first, then TPE (or random) over what was seen.

    TPE: Bergstra et al. 2011; multivariate, as Optuna implements it.
    """

    def __init__(self, space: Space, strategy: str, seed: int, startup: int) -> None:
        self._space, self._strategy, self._seed, self._startup = space, strategy, seed, startup
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(direction="maximize")
        self._asks = 0
        for params in space.spread(startup, seed):
            self._study.enqueue_trial(params)

    def ask(self, known: Collection[str]) -> Asked:
        """Return a candidate that is not among the `known` ids, if a few draws find one."""
        for _ in range(REDRAWS):
            self._study.sampler = self._reseeded()
            self._asks += 1
            trial = self._study.ask()
            candidate = self._space.suggest(trial)
            if candidate.id not in known:
                break
            # Told as failed it leaves no trace in the sampler; its value is known already.
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return Asked(candidate, trial, trial.params)

    def tell(self, asked: Asked, value: float | None) -> None:
        """Report a candidate's estimated score; None for a trial that failed."""
        if value is None:
            self._study.tell(asked.trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(asked.trial, value)

    def _reseeded(self) -> optuna.samplers.BaseSampler:
        seed = int(digest([self._seed, self._asks], 8), 16)
        if self._strategy == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=True, n_startup_trials=self._startup, warn_independent_sampling=False
            )
