"""Which dimensions of the search mattered: Optuna's fANOVA importance, with its uncertainty."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizer.ledger.trials import Trial

if TYPE_CHECKING:
    import optuna

FEWEST, MOST, RESAMPLES, TREES = 8, 300, 20, 24
# Optuna's fANOVA walks every node in Python: at depth 5 the shares are equal to two digits and take 3 s where
# Optuna's own depth of 64 takes seven minutes (300 trials).
DEPTH = 5
# A level becomes a column of its own: a long run may have hundreds of instructions, most of them tried once.
MOST_LEVELS = 16
NONE, OTHER = "none", "any other"


@dataclass(frozen=True)
class Importance:
    """A dimension's share of the variance of scores, with the 5th and 95th percentile over resampled trials."""

    name: str
    share: float
    low: float
    high: float


def importances(trials: Sequence[Trial], seed: int = 0) -> list[Importance]:
    """Return each dimension's importance, the largest first; none where there are too few trials to tell.

    fANOVA (Hutter et al. 2014, ICML), as Optuna computes it, on the estimates that the sampler was told. A
    bootstrap over the trials shows how much of a share is chance.
    """
    import optuna

    scored = [trial for trial in trials if trial.value is not None and trial.state != "failed"]
    if len(scored) < FEWEST:
        return []
    levels = _levels(scored)
    study = [_frozen(trial, levels) for trial in scored]
    rng = random.Random(seed)  # noqa: S311 - no secret
    samples = [rng.choices(study, k=min(MOST, len(study))) for _ in range(RESAMPLES)]
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        whole, *rest = (_shares(sample, seed) for sample in (study[-MOST:], *samples))
    finally:
        optuna.logging.set_verbosity(verbosity)
    if not whole:
        return []
    drawn = {name: [shares[name] for shares in rest if name in shares] or [whole[name]] for name in whole}
    ends = {name: np.quantile(shares, (0.05, 0.95), method="nearest").tolist() for name, shares in drawn.items()}
    return [Importance(name, share, *ends[name]) for name, share in sorted(whole.items(), key=lambda d: (-d[1], d[0]))]


def _levels(trials: Sequence[Trial]) -> dict[str, list[str]]:
    """Return each dimension's values; one that a trial lacks, as policy without demos, has the value "none".

    Beyond the `MOST_LEVELS` commonest, values count as one.
    """
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    levels = {}
    for name in names:
        counted = Counter(str(trial.params.get(name, NONE)) for trial in trials)
        common = sorted(counted, key=lambda value: (-counted[value], value))[:MOST_LEVELS]
        levels[name] = sorted(common) + [OTHER] * (len(counted) > MOST_LEVELS)
    return {name: values for name, values in levels.items() if len(values) > 1}


def _frozen(trial: Trial, levels: dict[str, list[str]]) -> optuna.trial.FrozenTrial:
    import optuna

    return optuna.trial.create_trial(
        params={name: _level(trial, name, values) for name, values in levels.items()},
        distributions={name: optuna.distributions.CategoricalDistribution(values) for name, values in levels.items()},
        value=trial.value,
    )


def _level(trial: Trial, name: str, values: list[str]) -> str:
    value = str(trial.params.get(name, NONE))
    return value if value in values else OTHER


def _shares(trials: Sequence[Any], seed: int) -> dict[str, float]:
    """Return the shares over some trials, {} where their scores do not differ."""
    import optuna

    if len({trial.value for trial in trials}) < 2:
        return {}
    study = optuna.create_study(direction="maximize")
    study.add_trials(list(trials))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental, and dimensions that a sample holds in one value
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, max_depth=DEPTH, seed=seed)
        try:
            return optuna.importance.get_param_importances(study, evaluator=evaluator)
        except RuntimeError:  # every tree saw equal scores only
            return {}
