"""Random tables of scores, candidates × examples, whose true means are known; and their fit to recorded ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

NODES = 41
CLOSEST = 0.98


@dataclass(frozen=True)
class Scores:
    """`values` (candidates × examples) and `truth`: each candidate's expected score on a new example."""

    values: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class ScoreModel:
    """A crossed random-effects probit: an answer is right where ability + skill − difficulty + residual > 0.

    All in units of the residual's standard deviation; skill, difficulty and residual are normal (Thurstone
    1927; Baayen, Davidson & Bates 2008, for crossed effects of subjects and items).

    ability: of the mean candidate on the mean example; 0 is a score of one half.
    skill: standard deviation between candidates.
    difficulty: standard deviation between examples; the same for all candidates, so that a paired comparison
        takes it out.
    residual: correlation of the residuals of two candidates of one family: that they are right on the same
        examples beyond what difficulty explains. Candidate c is of family c modulo `families`.
    duds: share of the candidates that are never right, as with a format which a model cannot follow.
    softness: 0 gives scores of 0 and 1; above, the score is the normal probability of the latent value
        divided by this, a grade in [0, 1].
    """

    ability: float = 0.0
    skill: float = 0.5
    difficulty: float = 1.0
    residual: float = 0.0
    families: int = 8
    duds: float = 0.0
    softness: float = 0.0

    def draw(self, rng: np.random.Generator, candidates: int, examples: int) -> Scores:
        """Return a table of new candidates on new examples. Deterministic for a given generator."""
        from scipy.special import ndtr

        level = self.ability + self.skill * rng.standard_normal(candidates)
        family = rng.standard_normal((self.families, examples))[np.arange(candidates) % self.families]
        own = rng.standard_normal((candidates, examples))
        latent = math.sqrt(self.residual) * family + math.sqrt(1 - self.residual) * own
        latent += level[:, None] - self.difficulty * rng.standard_normal(examples)
        answering = rng.random(candidates) >= self.duds
        values = ndtr(latent / self.softness) if self.softness > 0 else (latent > 0).astype(float)
        truth = ndtr(level / math.sqrt(1 + self.difficulty**2 + self.softness**2))
        return Scores(values * answering[:, None], truth * answering)


def fit(values: Any, families: Any = None) -> ScoreModel:
    """Return the ScoreModel whose moments are those of a recorded table of zeros and ones.

    `values` is candidates × examples, at least 3 × 10; `families` names each candidate's family, None for no
    residual correlation. Skill comes from the spread of the candidates' means beyond chance; difficulty and
    residual from how often two candidates are right together (tetrachoric correlations, averaged over pairs).
    Raises ValueError for another shape, or other scores.
    """
    from scipy.special import ndtri

    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or table.shape[0] < 3 or table.shape[1] < 10:
        raise ValueError(f"a table of at least 3 candidates × 10 examples is needed, not one of shape {table.shape}")
    if not np.isin(table, (0.0, 1.0)).all():
        raise ValueError("only tables of zeros and ones can be fitted; round graded scores first")
    answering = table.any(axis=1)
    alive = table[answering]
    if len(alive) < 3:
        raise ValueError(f"{len(alive)} of {len(table)} candidates were ever right; at least 3 are needed")
    share = (alive.sum(axis=1) + 0.5) / (alive.shape[1] + 1)
    height = ndtri(share)
    names = np.arange(len(alive)) if families is None else np.asarray(families)[answering]
    common, within = _correlations(alive, height, names)
    unit = 1 / math.sqrt(1 - common)
    return ScoreModel(
        ability=unit * float(height.mean()),
        skill=unit * math.sqrt(max(0.0, float(height.var(ddof=1)) - _chance(alive, share, height))),
        difficulty=math.sqrt(unit**2 - 1),
        residual=min(1.0, max(0.0, within - common) * unit**2),
        families=len(set(names.tolist())),
        duds=1 - len(alive) / len(table),
    )


def _correlations(table: np.ndarray, height: np.ndarray, names: np.ndarray) -> tuple[float, float]:
    """Return the latent correlation of two candidates of different families, and of two of the same."""
    same, different = names[:, None] == names[None, :], ~np.eye(len(names), dtype=bool)
    between = _correlation(table, height, different & ~same)
    pairs = different & same
    return between, _correlation(table, height, pairs) if pairs.any() else between


def _correlation(table: np.ndarray, height: np.ndarray, pairs: np.ndarray) -> float:
    """Return the latent correlation at which the `pairs` are right together as often as in the table."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    if not pairs.any():
        raise ValueError("candidates of at least two families are needed")
    n, share = table.shape[1], table.mean(axis=1)
    together = np.outer(share, share)
    # A sample's covariance is too small by (n − 1) / n.
    wanted = (together + (table @ table.T / n - together) * n / (n - 1))[pairs].mean()
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()

    def excess(correlation: float) -> float:
        right = ndtr((height[:, None] + math.sqrt(correlation) * nodes) / math.sqrt(1 - correlation))
        return float(((right * weights) @ right.T)[pairs].mean() - wanted)

    if excess(0.0) >= 0:
        return 0.0
    return CLOSEST if excess(CLOSEST) <= 0 else float(brentq(excess, 0.0, CLOSEST, xtol=1e-4))


def _chance(table: np.ndarray, share: np.ndarray, height: np.ndarray) -> float:
    """Return the variance of `height` that the choice of examples explains, beyond what all have in common."""
    varied = table[table.std(axis=1) > 0]
    different = ~np.eye(len(varied), dtype=bool)
    shared = float(np.corrcoef(varied)[different].mean()) if len(varied) > 1 else 0.0
    density = np.exp(-(height**2) / 2) / math.sqrt(2 * math.pi)
    return float(np.mean((1 - shared) * share * (1 - share) / table.shape[1] / density**2))
