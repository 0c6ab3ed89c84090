"""Optuna by ask and tell; every ask is seeded by its number, so that a resumed run asks the same."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass

import optuna

from optimizer.search.space import Space
from optimizer.types import Candidate, digest

REDRAWS = 24


@dataclass(frozen=True)
class Asked:
    """A candidate and the Optuna trial that asked for it; None for the seed, which nobody asked for."""

    candidate: Candidate
    trial: optuna.Trial | None = None


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
        asked = self._draw()
        for draw in range(REDRAWS):
            if asked.candidate.id not in known:
                break
            self.tell(asked, None)  # told as failed it leaves no trace in the model; its value is known already
            asked = self._draw(widely=draw >= REDRAWS // 2)
        return asked

    def _draw(self, widely: bool = False) -> Asked:
        """Draw once; `widely` without the model, which may know only prompts that were tried."""
        self._study.sampler = self._reseeded(widely or self._strategy == "random")
        self._asks += 1
        trial = self._study.ask()
        return Asked(self._space.suggest(trial), trial)

    def tell(self, asked: Asked, value: float | None) -> None:
        """Report a candidate's estimated score; None for a trial that failed."""
        if asked.trial is None:
            return
        if value is None:
            self._study.tell(asked.trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(asked.trial, value)

    def _reseeded(self, widely: bool) -> optuna.samplers.BaseSampler:
        seed = int(digest([self._seed, self._asks], 8), 16)
        if widely:
            return optuna.samplers.RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=self._startup)
