"""Made-up sets of five models: what each prompt scores with each, what a call costs, and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optuna.trial import FixedTrial
from scipy.special import ndtr, ndtri

from optimizer.config.schema import Demos
from optimizer.propose.base import Proposal
from optimizer.search.candidates import rows_of
from optimizer.search.features import Features
from optimizer.search.space import Pool, Space
from optimizer.types import Candidate, Example

MODELS, INSTRUCTIONS, EXAMPLES = 5, 6, 100
FORMATS, COUNTS = ("turns", "block"), (0, 4)
# How much of what makes an answer right is the example's, the same for all candidates.
SHARED = 0.5
# Of a call's time: the spread of its logarithm, and how many calls are held up, by which factor.
JITTER, HELD_UP, LONGER = 0.3, 0.03, 5.0


@dataclass(frozen=True)
class World:
    """Candidates in a space of five models; `right` and `seconds` are of candidate × example.

    `truth` is what each candidate scores on average, `usd` the price of a call, `median` its median seconds.
    """

    space: Space
    candidates: tuple[Candidate, ...]
    truth: np.ndarray
    usd: np.ndarray
    median: np.ndarray
    right: np.ndarray
    seconds: np.ndarray

    @property
    def calls(self) -> int:
        """How many calls it takes to ask every candidate every example."""
        return int(self.right.size)

    @property
    def costs(self) -> np.ndarray:
        """Price and time of each candidate, shape (candidates, 2)."""
        return np.stack([self.usd, self.median], axis=1)


def world(seed: int) -> World:
    """Return the set of a seed.

    Models: prices over a factor of some hundred, times over one of ten, and dearer models are better and slower on the
    whole, each with luck of its own, so that some are beaten in everything. Prompts: an instruction, a format and demos
    add to a model's level, in part alike for all models, in part not; demos cost tokens.
    """
    rng = np.random.default_rng(seed)
    examples = tuple(Example({"text": f"message {n}"}, {"label": "abcd"[n % 4]}) for n in range(40))
    lengths = rng.integers(1, 12, INSTRUCTIONS)
    texts = tuple(Proposal(f"Instruction {n}. {'Mind the rule. ' * m}", "made up") for n, m in enumerate(lengths))
    demos = Demos(counts=COUNTS, policies=("static",), orders=("given",))
    names = ("", *(f"openai/m{n}" for n in range(1, MODELS)))
    space = Space({"predict": Pool(texts, (examples[:8],), 40)}, FORMATS, demos, models=names)
    features, rows = Features(space), rows_of(space, "predict").all()
    candidates = tuple(space.suggest(FixedTrial(features.params(row))) for row in rows)
    rank = rng.permutation(np.linspace(-1, 1, MODELS))
    level = 0.62 + 0.14 * rank + rng.normal(0, 0.06, MODELS)
    price = 2e-7 * np.exp(2.2 * (rank + 1) + rng.normal(0, 0.4, MODELS))
    pace = 0.3 * np.exp(0.8 * (rank + 1) + rng.normal(0, 0.5, MODELS))
    effect = {
        "instruction": (rng.normal(0, 0.05, INSTRUCTIONS), rng.normal(0, 0.03, (MODELS, INSTRUCTIONS))),
        "format": (rng.normal(0, 0.03, len(FORMATS)), rng.normal(0, 0.03, (MODELS, len(FORMATS)))),
        "count": (np.array([0.0, rng.normal(0.06, 0.04)]), rng.normal(0, 0.02, (MODELS, len(COUNTS)))),
    }
    truth, usd, median = [], [], []
    for one in candidates:
        prompt = one.prompts["predict"]
        model = names.index(prompt.model)
        text = next(n for n, proposal in enumerate(texts) if proposal.text == prompt.instruction)
        levels = {"instruction": text, "format": FORMATS.index(prompt.format), "count": COUNTS.index(prompt.count)}
        score = level[model] + sum(effect[kind][0][at] + effect[kind][1][model, at] for kind, at in levels.items())
        tokens = len(prompt.instruction) / 4 + 40 * prompt.count + 50
        truth.append(score + rng.normal(0, 0.015))
        usd.append(price[model] * (tokens + 4 * 10))
        median.append(pace[model] * (1 + tokens / 1000))
    means = np.clip(np.array(truth), 0.02, 0.98)
    ease = rng.normal(size=EXAMPLES)
    # So that the mean over all examples there could be is the truth.
    chance = ndtr(ndtri(means)[:, None] * np.sqrt(1 + SHARED**2) + SHARED * ease)
    right = rng.random((len(candidates), EXAMPLES)) < chance
    noise = np.exp(JITTER * rng.normal(size=right.shape)) * np.where(rng.random(right.shape) < HELD_UP, LONGER, 1.0)
    seconds = np.array(median)[:, None] * noise
    return World(space, candidates, means, np.array(usd), np.array(median), right.astype(float), seconds)
