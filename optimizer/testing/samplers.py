"""What every sampler must do: inherit SamplerSuite in a test file, name the strategy, and pytest runs it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import optuna

from optimizer.config.schema import Demos, Prior
from optimizer.propose.base import Proposal
from optimizer.search.sampler import Asked, Observation, Sampler, Strategy
from optimizer.search.space import Pool, Space
from optimizer.types import Candidate, Example, Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from optimizer.search.features import Levels

EXAMPLES = tuple(Example({"text": f"message {n}"}, {"label": "abc"[n % 3]}) for n in range(40))
Rule = Callable[[Candidate], Observation | None]


def proposals(first: int, last: int) -> tuple[Proposal, ...]:
    """Return the instructions with these numbers, the last not among them."""
    return tuple(Proposal(f"instruction {n}", "templates" if n else "seed") for n in range(first, last))


def example_space(
    instructions: int = 3,
    formats: Sequence[str] = ("turns", "block"),
    counts: tuple[int, ...] = (0, 2, 4),
    names: int = 1,
) -> Space:
    """Return a space as a run has it, over `names` predictors."""
    pool = Pool(proposals(0, instructions), (EXAMPLES[:8], EXAMPLES[8:16]), len(EXAMPLES))
    return Space({f"step{n}": pool for n in range(names)}, formats, Demos(counts=counts), Prior())


class Listed:
    """Rows (see `optimizer.search.candidates`) that were counted out: those of a table, or to hold a grid against."""

    def __init__(self, rows: Levels) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, places: NDArray[np.intp]) -> Levels:
        return self._rows[places]

    def near(self, row: Levels, most: int) -> NDArray[np.intp]:
        """Return the places of the rows near one; see Rows."""
        return np.flatnonzero((self._rows != row).sum(axis=1) <= most)


def size_of(space: Space) -> int:
    """Return how many candidates a space of `example_space` has."""
    size = 1
    for pool in space.pools.values():
        kinds = sum(len(pool.sets) if policy == "static" else 1 for policy in space.demos.policies)
        shown = sum(count > 0 for count in space.counts(pool)) * kinds * len(space.demos.orders)
        size *= len(pool.instructions) * len(space.formats) * (shown + (0 in space.counts(pool)))
    return size


def plain_rule(candidate: Candidate) -> Observation:
    """Score a candidate by its parts: turns and demos are good, and later instructions."""
    parts = [
        0.3 * (p.format == "turns") + 0.05 * p.count + 0.02 * int(p.instruction.split()[-1])
        for p in candidate.prompts.values()
    ]
    return Observation(sum(parts) / len(parts), 0.01, 10)


def ids(candidates: Iterable[Candidate]) -> set[str]:
    """Return the candidates' ids."""
    return {candidate.id for candidate in candidates}


def _raises_value_error(function: Callable[..., object], *arguments: object) -> bool:
    try:
        function(*arguments)
    except ValueError:
        return True
    return False


class SamplerSuite:
    """The tests of one strategy: a name that Sampler knows, or a class that is made from a space and a seed.

    Optuna's own suite for samplers (optuna.testing) may be run beside this one.
    """

    strategy: str | Strategy

    def sampler(self, space: Space, seed: int = 0, startup: int = 4) -> Sampler:
        """Return the sampler under test."""
        return Sampler(space, self.strategy, seed, startup)

    def played(
        self, sampler: Sampler, asks: int, rule: Rule = plain_rule, known: set[str] | None = None
    ) -> list[Candidate]:
        """Return the candidates that are asked for when each is told at once; their ids are added to `known`."""
        known = set() if known is None else known
        candidates = []
        for _ in range(asks):
            asked = sampler.ask(known)
            known.add(asked.candidate.id)
            candidates.append(asked.candidate)
            sampler.tell(asked, rule(asked.candidate))
        return candidates

    def test_the_same_tells_give_the_same_asks(self) -> None:
        """Two samplers with one seed that are told the same ask the same."""
        first, second = (self.played(self.sampler(example_space(), 3), 16) for _ in range(2))
        assert first == second

    def test_another_seed_asks_otherwise(self) -> None:
        """The seed matters: of four not all ask the same. Two may, where a first round is by design."""
        first, *others = (self.played(self.sampler(example_space(), seed), 16) for seed in range(4))
        assert any(other != first for other in others)

    def test_what_is_told_decides_the_future_only(self) -> None:
        """A run that was cut off and begins anew asks the same up to where it was."""
        long, short = (self.played(self.sampler(example_space()), asks) for asks in (18, 9))
        assert long[:9] == short

    def test_a_round_is_asked_before_it_is_told(self) -> None:
        """Several are asked before any is told: no two alike, and the same again."""

        def rounds() -> list[str]:
            sampler, known = self.sampler(example_space()), set[str]()
            for _ in range(4):
                entrants = []
                for _ in range(4):
                    entrants.append(sampler.ask(known))
                    known.add(entrants[-1].candidate.id)
                for asked in entrants:
                    sampler.tell(asked, plain_rule(asked.candidate))
            return sorted(known)

        assert len(rounds()) == 16
        assert rounds() == rounds()

    def test_nothing_known_is_asked_while_anything_else_is_left(self) -> None:
        """A small space is gone through without a repetition."""
        space = example_space(2, ("turns",), (0, 2))
        asked = self.played(self.sampler(space), size_of(space))
        assert len(ids(asked)) == size_of(space)

    def test_what_others_have_tried_is_not_asked(self) -> None:
        """What is known from elsewhere is not asked either."""
        space = example_space(2, ("turns",), (0, 2))
        tried = ids(self.played(self.sampler(space, 1), size_of(space) - 2))
        left = self.played(self.sampler(space, 2), 2, known=set(tried))
        assert len(ids(left) | tried) == size_of(space)

    def test_a_space_that_is_used_up_still_answers(self) -> None:
        """With nothing else left it repeats itself."""
        space = example_space(1, ("turns",), (0,))
        assert len(ids(self.played(self.sampler(space), 3))) == 1

    def test_every_candidate_is_of_the_space(self) -> None:
        """Of two predictors, too."""
        space = example_space(names=2)
        candidates = self.played(self.sampler(space), 12)
        assert all(space.params_of(candidate) is not None for candidate in candidates)
        assert len(ids(candidates)) == 12

    def test_failed_trials_stop_nothing(self) -> None:
        """It goes on when all trials fail, or some."""
        for rule in (lambda _: None, lambda c: None if c.prompts["step0"].count == 4 else plain_rule(c)):
            assert len(ids(self.played(self.sampler(example_space()), 14, rule))) == 14

    def test_equal_scores_stop_nothing(self) -> None:
        """It goes on when nothing can be learned."""
        assert len(ids(self.played(self.sampler(example_space()), 14, lambda _: Observation(0.5, 1e-4, 100)))) == 14

    def test_sure_and_unsure_scores_stop_nothing(self) -> None:
        """It goes on with variances of four orders of magnitude."""

        def rule(candidate: Candidate) -> Observation:
            sure = int(candidate.id, 16) % 3
            return Observation((0.0, 1.0, 0.4)[sure], (1e-4, 1.0, 0.02)[sure], 5)

        assert len(ids(self.played(self.sampler(example_space()), 14, rule))) == 14

    def test_what_is_no_number_is_refused(self) -> None:
        """NaN and infinity are no scores, and nothing is without variance."""
        for value, variance in ((math.nan, 0.1), (math.inf, 0.1), (0.5, math.nan), (0.5, 0.0), (0.5, -1.0)):
            assert _raises_value_error(Observation, value, variance, 1), f"Observation({value}, {variance}, 1)"

    def test_the_seed_that_nobody_asked_for_can_be_told(self) -> None:
        """So can a candidate from outside the space."""
        seed = Candidate({"step0": Prompt("instruction 0")})
        for candidate in (seed, Candidate({"step0": Prompt("not of this space", "json")})):
            for observation in (Observation(0.4, 0.01, 10), None):
                sampler = self.sampler(example_space())
                sampler.tell(Asked(candidate), observation)
                assert candidate.id not in ids(self.played(sampler, 8, known={candidate.id}))

    def test_pools_grow(self) -> None:
        """What is new is asked for, and what was known stays known."""
        narrow = example_space(2)
        wide = narrow.grown("step0", proposals(2, 8), (EXAMPLES[16:24],))

        def asked() -> list[Candidate]:
            sampler, known = self.sampler(narrow), set[str]()
            before = self.played(sampler, 10, known=known)
            sampler.grow(wide)
            return before + self.played(sampler, 16, known=known)

        candidates = asked()
        assert candidates == asked()
        assert len(ids(candidates)) == 26
        new = {proposal.text for proposal in proposals(2, 8)}
        instructions = [candidate.prompts["step0"].instruction for candidate in candidates]
        assert not new & {*instructions[:10]}
        assert new & {*instructions[10:]}

    def test_a_pool_must_not_lose_or_move_anything(self) -> None:
        """A pool that shrank is refused."""
        for smaller in (example_space(2), Space({"step0": Pool(proposals(1, 5), (), 0)}, ("turns",), Demos())):
            assert _raises_value_error(self.sampler(example_space(3)).grow, smaller)

    def test_it_plugs_into_a_study_of_optuna(self) -> None:
        """Without Sampler, in a study of the user's own."""
        space = example_space()
        asked = self.sampler(space)
        study = optuna.create_study(direction="maximize", sampler=asked.strategy(space, 0))
        study.optimize(lambda trial: plain_rule(space.suggest(trial)).value, n_trials=12)
        assert len(study.trials) == 12
