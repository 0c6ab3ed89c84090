"""The schedule of a search: which examples its race uses, in which blocks and rounds, by which rule."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from optimizer.config.schema import USUAL_TRIALS, RunConfig
from optimizer.errors import ConfigError
from optimizer.search.race import BettingRace, PairedRace, Race
from optimizer.task.schema import FieldSpec
from optimizer.task.split import interleaved, stratum_of
from optimizer.types import Example

# The first round: the seed, five trials by hand, or as many prompts that answer together, and one by design in each of
# the other four formats. The ensemble itself comes on top: it asks nothing that its prompts do not ask.
FIRST, MOST_LATER, LEAST_LATER = 10, 16, 4
# The quick race's block is the shortest it has; it grows with the calls, up to the careful one's.
CAREFUL_BLOCK, QUICK_BLOCK = 10, 5
# Of the calls that are left after the first block of the others: what the first ensemble may take.
ENSEMBLE = 0.8
# So many rounds without a new answer: the space is used up, and nobody proposes anything that is new.
IDLE = 3


@dataclass(frozen=True)
class Schedule:
    """The examples in the order in which every candidate sees them, and how candidates race over them.

    `block` examples lie before the race's first decision, and before each that follows; in a `doubling` race each
    block after the first is as long as all before it. `first` candidates race in the first round, `later` in each
    that follows. Up to `together` prompts answer as one candidate.
    """

    examples: list[Example]
    race: Race
    block: int
    first: int
    later: int
    doubling: bool = False
    together: int = 1

    def blocks(self) -> Iterator[tuple[int, Sequence[Example]]]:
        """Yield each block's start in `examples` and the block."""
        start = 0
        while block := self.examples[start : start + (max(self.block, start) if self.doubling else self.block)]:
            yield start, block
            start += len(block)

    def rounds(self) -> Iterator[int]:
        """Yield how many candidates race in each round, without end."""
        return itertools.chain([self.first], itertools.repeat(self.later))


def make_schedule(
    validation: Sequence[Example],
    config: RunConfig,
    outputs: Mapping[str, FieldSpec] = MappingProxyType({}),
    calls_each: int = 1,
    together: int = 1,
) -> Schedule:
    """Return how `config` searches on these validation examples, whose output fields are `outputs`.

    An answer takes `calls_each` calls; `answers` are how many the budget pays for. Up to `together` prompts answer as
    one, which is tried in the first round beside them.

    Labels come in turn, each as often as it is there: who always gives the same answer is not favoured by the first
    block, and fewer examples tell as much (experiments/replay/README.md).

    A quick race leaves bad candidates soon and so sees many more; a careful one bounds the chance that the best is
    lost. `search.race: auto` is quick where the budget would not let every trial see every example (`USUAL_TRIALS` of
    them where nobody counts), or is not counted in calls. The quick one halves the field again and again, and its
    blocks double, so that as many calls are in flight. With a budget of calls the race is at most a quarter of the
    answers long, so that several candidates can finish it, and one block of the first round takes at most half of
    them. A later round of n candidates takes some 3 n blocks until one is left, and shall take no more than a quarter.
    """
    search, answers = config.search, affordable_answers(config, calls_each)
    order = interleaved(validation, config.seed, stratum_of(validation, outputs))
    quick = is_quick(config, len(order), calls_each)
    block = search.block or (quick_block(answers) if quick else CAREFUL_BLOCK)
    affordable = FIRST if answers is None else answers // (2 * block)
    first, longest = max(2, min(FIRST, affordable)), len(order) if answers is None else answers // 4
    if together > 1:
        first = max(first + 1, together + 2)
        if answers is not None:
            others = (first - 1 - together) * block
            longest = min(longest, int(ENSEMBLE * (answers - others)) // together)
    return Schedule(
        examples=order[: max(block, longest)],
        race=PairedRace() if quick else BettingRace(),
        block=block,
        first=max(2, min(first, config.trials)),
        later=search.round or round_size(answers, block),
        doubling=quick,
        together=together,
    )


def quick_block(answers: int | None) -> int:
    """Return how many examples come before the quick race's first decision: a fifth of the root of all answers.

    What more answers there are goes half to more candidates, half to knowing each one better.
    """
    wanted = 0 if answers is None else round(math.sqrt(answers) / 5)
    return min(CAREFUL_BLOCK, max(QUICK_BLOCK, wanted))


def round_size(answers: int | None, block: int) -> int:
    """Return how many candidates race in a round after the first."""
    affordable = MOST_LATER if answers is None else answers // (4 * 3 * block)
    return max(LEAST_LATER, min(MOST_LATER, affordable))


def refuse_few(config: RunConfig, calls_each: int) -> None:
    """Raise ConfigError where the calls do not suffice for two prompts on one block, if an answer takes so many."""
    if (few := config.few_calls(calls_each)) is not None:
        what, remedy = few
        raise ConfigError(what, f"{remedy.capitalize()}.")


def affordable_answers(config: RunConfig, calls_each: int) -> int | None:
    """Return how many examples the budget's calls can answer; None where it does not count them."""
    return None if config.budget.calls is None else config.budget.calls // calls_each


def is_quick(config: RunConfig, examples: int, calls_each: int = 1) -> bool:
    """Tell if the race is to be the quick one, with so many validation examples and calls for each answer."""
    if config.search.race != "auto":
        return config.search.race == "quick"
    answers, trials = affordable_answers(config, calls_each), config.search.trials or USUAL_TRIALS
    return config.budget.uncounted or (answers is not None and answers < trials * examples)
