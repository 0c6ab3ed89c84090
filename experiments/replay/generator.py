"""A model of a score table, from which larger ones are drawn.

The expected score of candidate c on example e is the logistic function of

    base + format × manner + demos (policy × count) + instruction + order + set + own_c + hard_e + taste_c · kind_e

where `manner` is whether demos are none, fixed or retrieved, `own` what the main effects do not explain of a
candidate, `hard` an example's difficulty, and the product, of rank 2, lets a candidate be good at some kinds of
examples. What an instruction does, and how large `own` is, depends on the manner: prompts with retrieved demos are
nearly equal, those without demos are not. Fitted by penalized (quasi-)likelihood, with variances by an approximate
EM as in generalized linear mixed models (Breslow & Clayton 1993, doi:10.1080/01621459.1993.10594284).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from experiments.replay.tables import Choice, Table
from experiments.replay.worlds import World, cells_of, formats_of, nearest, world_of

RANK, ROUNDS, STEPS = 2, 12, 60
NODES = 41
MANNERS = ("none", "fixed", "retrieved")


def manner_of(one: Choice) -> str:
    """Return how a prompt comes by its demos, one of MANNERS."""
    if not one.count:
        return "none"
    return "fixed" if one.policy == "static" else "retrieved"


def _instruction_among(manner: str) -> Callable[[Choice], object]:
    return lambda one: one.instruction if manner_of(one) == manner else None


# Each factor's level of a choice; None where it means nothing.
FACTORS: dict[str, Callable[[Choice], object]] = {
    "format": lambda one: one.format,
    "manner": manner_of,
    "format, manner": lambda one: (one.format, manner_of(one)),
    "demos": lambda one: (one.policy, one.count) if one.count else None,
    "order": lambda one: one.order if one.count else None,
    "set": lambda one: one.set if manner_of(one) == "fixed" else None,
    **{f"instruction, {manner}": _instruction_among(manner) for manner in MANNERS},
}
# Which instruction and which set is the good one differs from task to task; what demos and formats do less so.
REDRAWN = ("set", *(name for name in FACTORS if name.startswith("instruction")))


# Standard deviations by kind of effect; that of `own` is one a candidate.
Spreads = dict[str, Any]


@dataclass(frozen=True)
class Fit:
    """A fitted model: effects by factor and level, standard deviations, that of `own` by manner, and tastes."""

    base: float
    effects: dict[str, dict[object, float]]
    spreads: dict[str, float]
    own: dict[str, float]
    tastes: np.ndarray
    binary: bool
    precision: float


def fit(table: Table) -> Fit:
    """Return the model of a table; graded scores get a beta distribution around their expectation."""
    seen = Answers.of(table.choices, table.scores)
    manners = np.array([MANNERS.index(manner_of(one)) for one in table.choices])
    spreads: Spreads = {**dict.fromkeys(FACTORS, 1.0), "hard": 1.0, "taste": 0.5, "kind": 1.0}
    own, noise, binary = np.ones(len(MANNERS)), 1.0, bool(np.isin(seen.scores, (0.0, 1.0)).all())
    point = np.random.default_rng(0).normal(0, 0.1, seen.shape.size)
    for _ in range(ROUNDS):
        held = {**spreads, "own": own[manners]}
        point = likeliest(point, seen, held, noise)
        new = _squares(seen.shape.parts(point), seen, held, noise)
        spreads = {name: _spread(new[name]) for name in spreads} | {"kind": 1.0}  # the product has the taste's scale
        own = np.array([_spread(new["own"][manners == manner]) for manner in range(len(MANNERS))])
        noise = 1.0 if binary else _noise(seen.shape.parts(point), seen)
    parts = seen.shape.parts(point)
    effects = {name: dict(zip(levels, parts[name].tolist(), strict=True)) for name, levels in seen.levels.items()}
    precision = max(1 / min(_noise(parts, seen), 0.99) - 1, 0.05)
    by_manner = dict(zip(MANNERS, own.tolist(), strict=True))
    return Fit(float(parts["base"][0]), effects, spreads, by_manner, parts["taste"], binary, precision)


@dataclass(frozen=True)
class Answers:
    """Scores of choices × examples, which count where `answered` is 1.

    `levels` are those of each factor that occur, and `design` has a one where a choice is of a level.
    """

    scores: np.ndarray
    answered: np.ndarray
    levels: dict[str, list[object]]
    design: dict[str, np.ndarray]

    @classmethod
    def of(cls, choices: Sequence[Choice], scores: np.ndarray, answered: np.ndarray | None = None) -> Answers:
        """Return the scores of these choices; all count where nothing else is said."""
        levels = {name: sorted({of(one) for one in choices} - {None}, key=str) for name, of in FACTORS.items()}
        design = {
            name: np.array([[float(of(one) == level) for level in levels[name]] for one in choices])
            for name, of in FACTORS.items()
        }
        return cls(scores, np.ones(scores.shape) if answered is None else answered, levels, design)

    @property
    def shape(self) -> _Shape:
        """How the model's parameters lie in one vector."""
        return _Shape(self.scores.shape, {name: len(levels) for name, levels in self.levels.items()})


@dataclass(frozen=True)
class _Shape:
    """How the parameters lie in one vector."""

    scores: tuple[int, ...]
    levels: dict[str, int]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        rows, columns = self.scores
        own = {"own": (rows,), "hard": (columns,), "taste": (rows, RANK), "kind": (columns, RANK)}
        return {"base": (1,), **{name: (size,) for name, size in self.levels.items()}, **own}

    @property
    def size(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def parts(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Return the parameters by name."""
        found, start = {}, 0
        for name, shape in self.shapes.items():
            length = int(np.prod(shape))
            found[name] = vector[start : start + length].reshape(shape)
            start += length
        return found


def _linear(parts: dict[str, np.ndarray], design: dict[str, np.ndarray]) -> np.ndarray:
    # einsum, not @: on a busy machine the threads behind @ waited a hundred times longer than they worked.
    effects = sum(np.einsum("rl,l->r", matrix, parts[name]) for name, matrix in design.items())
    rows = parts["base"][0] + parts["own"] + effects
    return np.asarray(rows[:, None] + parts["hard"][None, :] + np.einsum("rk,ck->rc", parts["taste"], _kinds(parts)))


def _kinds(parts: dict[str, np.ndarray]) -> np.ndarray:
    # Nought on average: else a taste would explain how good a candidate is, and be lost where examples are redrawn.
    return np.asarray(parts["kind"] - parts["kind"].mean(axis=0))


def likeliest(
    start: np.ndarray,
    seen: Answers,
    spreads: Spreads,
    noise: float,
    held: frozenset[str] = frozenset(),
    most: int = STEPS,
) -> np.ndarray:
    """Return the parameters of the least penalized loss, those of the parts in `held` as they were at the start."""
    options = {"maxiter": most}
    arguments = (seen, spreads, noise, held)
    return np.asarray(minimize(_loss, start, arguments, jac=True, method="L-BFGS-B", options=options).x)


def _loss(
    vector: np.ndarray, seen: Answers, spreads: Spreads, noise: float, held: frozenset[str]
) -> tuple[float, np.ndarray]:
    """Return the penalized negative log-likelihood and its gradient; `noise` is as in `_noise`."""
    parts = seen.shape.parts(vector)
    linear = _linear(parts, seen.design)
    loss = float(((np.logaddexp(0, linear) - seen.scores * linear) * seen.answered).sum()) / noise
    slope = (expit(linear) - seen.scores) * seen.answered / noise
    by_row = slope.sum(axis=1)
    gradient = {"base": np.array([slope.sum()]), "own": by_row, "hard": slope.sum(axis=0)}
    gradient |= {name: np.einsum("rl,r->l", matrix, by_row) for name, matrix in seen.design.items()}
    gradient["taste"] = np.einsum("rc,ck->rk", slope, _kinds(parts))
    by_column = np.einsum("rc,rk->ck", slope, parts["taste"])
    gradient["kind"] = by_column - by_column.mean(axis=0)
    for name, spread in spreads.items():
        loss += float(((parts[name] / spread) ** 2).sum()) / 2
        gradient[name] = gradient[name] + parts[name] / spread**2
    gradient |= {name: np.zeros_like(parts[name]) for name in held}
    return loss, np.concatenate([gradient[name].ravel() for name in seen.shape.shapes])


def _squares(parts: dict[str, np.ndarray], seen: Answers, old: Spreads, noise: float) -> dict[str, np.ndarray]:
    """Return the expected square of each effect: its estimate's, and that estimate's own uncertainty."""
    expected = expit(_linear(parts, seen.design))
    weight = expected * (1 - expected) / noise
    known = {"own": weight.sum(axis=1), "hard": weight.sum(axis=0), "taste": weight @ _kinds(parts) ** 2}
    known |= {name: matrix.T @ weight.sum(axis=1) for name, matrix in seen.design.items()} | {"kind": np.zeros(1)}
    return {name: parts[name] ** 2 + 1 / (held + 1 / old[name] ** 2) for name, held in known.items()}


def _noise(parts: dict[str, np.ndarray], seen: Answers) -> float:
    """Return the residuals' variance as a share of that of right and wrong answers, p (1 − p)."""
    expected = expit(_linear(parts, seen.design))
    return float(((seen.scores - expected) ** 2).sum() / (expected * (1 - expected)).sum())


def _spread(squares: np.ndarray) -> float:
    return float(np.sqrt(np.clip(squares.mean(), 0.01, 16.0)))


def drawn(table: Table, seed: int, candidates: int, examples: int) -> World:
    """Return a world of so many cells of the default space (0: all), drawn from the model of a table.

    Format, demos and order do what they did in the table; which instruction and which set is good, what is
    a candidate's own, and the examples are drawn anew. The truth is the mean over a population of examples.
    """
    rng = np.random.default_rng([seed, 2])
    choices = cells_of(table.instructions, table.sets, formats_of(table))
    if candidates:
        picked = np.sort(rng.permutation(np.arange(1, len(choices)))[: candidates - 1])
        choices = (choices[0], *(choices[place] for place in picked))
    scores, truth = sampled(table, choices, examples, rng, redraw=True)
    tokens = np.array(table.tokens)[nearest(choices, table.choices)]
    return world_of(table, choices, scores, truth, tokens)


def sampled(
    table: Table, choices: tuple[Choice, ...], examples: int, rng: np.random.Generator, redraw: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return (scores of choices × examples, true means); `redraw` draws instructions' and sets' effects anew."""
    model = fitted(table)
    rows = np.full(len(choices), model.base)
    for name, of in FACTORS.items():
        effects = model.effects[name]
        if redraw and name in REDRAWN:
            effects = {level: float(rng.normal(0, model.spreads[name])) for level in effects}
        rows += [effects.get(of(one), 0.0) for one in choices]
    rows += rng.normal(0, [model.own[manner_of(one)] for one in choices])
    tastes = model.tastes[nearest(choices, table.choices)]
    hard, kinds = rng.normal(0, model.spreads["hard"], examples), rng.normal(0, 1, (examples, RANK))
    expected = expit(rows[:, None] + hard[None, :] + tastes @ kinds.T)
    return _answers(model, expected, rng), over_examples(model, rows, tastes)


def over_examples(model: Fit, rows: np.ndarray, tastes: np.ndarray) -> np.ndarray:
    """Return candidates' mean scores over the population of examples, given their linear predictors and tastes."""
    # Over the examples a linear predictor is normal: its mean score by Gauss-Hermite quadrature.
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    deviation = np.sqrt(model.spreads["hard"] ** 2 + (tastes**2).sum(axis=1))
    return np.asarray(expit(rows[:, None] + deviation[:, None] * nodes) @ (weights / weights.sum()))


def _answers(model: Fit, expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if model.binary:
        return (rng.random(expected.shape) < expected).astype(float)
    inside = np.clip(expected, 1e-3, 1 - 1e-3)
    return rng.beta(inside * model.precision, (1 - inside) * model.precision)


_MODELS: dict[bytes, Fit] = {}


def fitted(table: Table) -> Fit:
    """Return the model of a table, fitted once a process."""
    key = table.scores.tobytes()
    if key not in _MODELS:
        _MODELS[key] = fit(table)
    return _MODELS[key]


def likeness(scores: np.ndarray) -> dict[str, float]:
    """Return what a race feels of a table: how candidates and examples differ, and how the best disagree."""
    means = scores.mean(axis=1)
    top = scores[np.argsort(-means)[: max(2, len(means) // 5)]]
    pairs = [np.abs(one - two).mean() for i, one in enumerate(top) for two in top[:i]]
    return {
        "mean": float(means.mean()),
        "sd of candidates": float(means.std()),
        "best": float(means.max()),
        "upper quartile": float(np.quantile(means, 0.75)),
        "sd of examples": float(scores.mean(axis=0).std()),
        "disagreement of the best fifth": float(np.mean(pairs)),
    }
