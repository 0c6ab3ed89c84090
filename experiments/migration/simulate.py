"""How often a migration's verdicts are wrong, and how often right: `python -m experiments.migration.simulate`.

Each case draws test sets of today's answers and of those of one to five new models, as it is and tuned, and asks
`decide` for the verdicts. A model's true loss is planted, so that it is known which verdicts are false.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from optimizer.evaluate.bounded import mean_interval
from optimizer.evaluate.noninferiority import ERROR, Decided, Tried, decide

# Today's score, and the parts that a graded score is the mean of.
TODAY, PARTS = 0.8, 4


@dataclass(frozen=True)
class Truth:
    """What is true of each model: how much it loses as it is and tuned, in margins; the last may differ."""

    name: str
    as_it_is: float
    tuned: float
    last: tuple[float, float] | None = None

    def losses(self, models: int) -> list[tuple[float, float]]:
        """Return the losses of each model."""
        same = (self.as_it_is, self.tuned)
        return [*[same] * (models - 1), self.last or same]


TRUTHS = (
    Truth("no loss", 0, 0),
    Truth("all lose the margin", 1, 1),
    Truth("as it is loses the margin, tuned nothing", 1, 0),
    Truth("one loses the margin, the others nothing", 0, 0, (1, 1)),
    Truth("all lose three margins", 3, 3),
)


@dataclass(frozen=True)
class Case:
    """Test sets of so many examples; answers to one example are `alike` (correlation of what makes them right)."""

    models: int
    graded: bool
    margin: float
    truth: Truth
    examples: int
    alike: float

    def __str__(self) -> str:
        kind = "graded" if self.graded else "0 and 1"
        return f"{self.models} | {kind} | {self.margin:g} | {self.truth.name} | {self.examples} | {self.alike:g}"


@dataclass(frozen=True)
class Table:
    """A claim's bounds, worked out beforehand at ERROR / k for each k."""

    bounds: Mapping[float, tuple[float, float]]

    def least(self, error: float) -> float:
        """Return the lower bound."""
        return self.bounds[error][0]

    def most(self, error: float) -> float:
        """Return the upper bound."""
        return self.bounds[error][1]


def cases(examples: int, margins: tuple[float, ...], alike: tuple[float, ...]) -> Iterator[Case]:
    """Yield every case."""
    for margin, correlation, graded in itertools.product(margins, alike, (False, True)):
        for truth, models in itertools.product(TRUTHS, range(1, 6)):
            if models > 1 or truth.last is None:
                yield Case(models, graded, margin, truth, examples, correlation)


def verdicts_of(case: Case, draws: int, rng: np.random.Generator) -> Iterator[list[Decided]]:
    """Yield the verdicts on `draws` test sets."""
    losses = case.truth.losses(case.models)
    wanted = [TODAY, *(TODAY - case.margin * loss for pair in losses for loss in pair)]
    parts = PARTS if case.graded else 1
    kinds = np.arange(-parts, parts + 1) / parts
    counts = np.empty((draws, len(wanted) - 1, len(kinds)))
    for draw in range(draws):
        shared = rng.standard_normal((case.examples, 1, parts)) * np.sqrt(case.alike)
        own = rng.standard_normal((case.examples, len(wanted), parts)) * np.sqrt(1 - case.alike)
        right = (shared + own < ndtri(wanted)[None, :, None]).sum(axis=2)
        gains = right[:, 1:] - right[:, :1]
        counts[draw] = np.stack([(gains == kind).sum(axis=0) for kind in range(-parts, parts + 1)], axis=-1)
    levels = [ERROR / k for k in range(1, case.models + 1)]
    lows, highs = np.moveaxis(np.array([mean_interval(kinds, counts, level) for level in levels]), 1, 0)
    for draw in range(draws):
        claims = [
            Table(
                {level: (float(lows[k, draw, claim]), float(highs[k, draw, claim])) for k, level in enumerate(levels)}
            )
            for claim in range(2 * case.models)
        ]
        yield decide([Tried(*claims[at : at + 2]) for at in range(0, len(claims), 2)], case.margin)


def is_false(decided: Decided, losses: tuple[float, float]) -> str:
    """Return which kind of false claim a verdict is, "" for none; losses are in margins."""
    as_it_is, tuned = losses
    if (decided.verdict == "moves as it is" and as_it_is >= 1) or (
        decided.verdict == "moves after tuning" and tuned >= 1
    ):
        return "moves"
    return "stays" if decided.verdict == "do not move" and min(losses) <= 1 else ""


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--margins", type=float, nargs="+", default=[0.02, 0.05])
    parser.add_argument("--alike", type=float, nargs="+", default=[0.5, 0.9])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("models | scores | margin | truth | examples | alike | false moves | false do not move | verdicts")
    worst = 0.0
    for number, case in enumerate(cases(options.examples, tuple(options.margins), tuple(options.alike))):
        rng, losses = np.random.default_rng([options.seed, number]), case.truth.losses(case.models)
        false, verdicts = Counter[str](), Counter[str]()
        for decided in verdicts_of(case, options.draws, rng):
            kinds = {is_false(one, loss) for one, loss in zip(decided, losses, strict=True)}
            false.update(kinds - {""})
            verdicts.update(one.verdict for one in decided)
        share = {name: count / options.draws / case.models for name, count in sorted(verdicts.items())}
        told = ", ".join(f"{name} {part:.1%}" for name, part in share.items())
        moves = false["moves"] / options.draws
        worst = max(worst, moves)
        print(f"{case} | {moves:.2%} | {false['stays'] / options.draws:.2%} | {told}", flush=True)
    print(f"the most false moves of a family: {worst:.2%}")


if __name__ == "__main__":
    main()
