"""Between rounds: asks the proposers that pay for more, and widens the pools with what they wrote."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from optuna.trial import FixedTrial

from optimizer.errors import BudgetSpent
from optimizer.evaluate.statistics import mean
from optimizer.propose.bandit import Bandit
from optimizer.propose.base import Attempt, Proposal, Proposer, Subject, Tried, folded
from optimizer.propose.screen import Screen
from optimizer.search.board import Board
from optimizer.search.lineage import informed, with_proposal
from optimizer.search.sampler import Sampler
from optimizer.search.space import Space
from optimizer.types import Candidate, Prompt

# An incumbent as good as this leaves nothing to propose for.
CEILING = 0.98
# How many rounds a proposal may wait to be tried; how many rejections are published.
WAIT, REJECTED = 2, 20
Answers = Callable[[Candidate, int], Awaitable[Sequence[Attempt]]]


class Grows(Protocol):
    """What widens the pools: `grow` before each round, `settle` when the last is over."""

    async def grow(self, sampler: Sampler, board: Board) -> None:
        """Widen the sampler's space, given what is known so far."""

    def settle(self, board: Board) -> None:
        """Take note of what became of the proposals."""


class NoProposals:
    """Leaves the pools as they are."""

    async def grow(self, sampler: Sampler, board: Board) -> None:
        """Do nothing."""

    def settle(self, board: Board) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Terms:
    """On what terms proposals are asked for: `share` calls for each answer on the board, `size` before a round.

    `writing` are the names of those that need the prompt model; the others are asked from `late` answers on.
    `answers(candidate, serial)` gives what a candidate makes of `window` training examples; None: nobody may ask.
    """

    share: float = 0.25
    size: int = 2
    late: int = 0
    window: int = 6
    writing: frozenset[str] = frozenset()
    answers: Answers | None = None


@dataclass
class _Waiting:
    """A proposal that waits for its score: who made it, its candidate, and the one which it must beat."""

    proposer: str
    candidate: str
    rival: str
    rounds: int = 0


@dataclass
class _Slot:
    """Room for one proposal: what proposers see, whom to ask next, and whose turn it is."""

    subject: Subject
    names: Iterator[str]
    attempts: dict[str, Sequence[Attempt]] = field(default_factory=dict)
    name: str = ""
    calls: int = 0


class Proposals:
    """A bandit chooses the proposers, the per-example Pareto front their parents; a child takes its parent's place.

    The proposals of a round are asked for at the same time, and taken in order. Whatever is drawn by chance is drawn by
    (seed, serial number), what may be paid is settled before anybody answers, and what models answered is in the
    ledger: so a resumed run proposes what the uninterrupted one would have. `publish` takes the records as they change.
    """

    def __init__(
        self,
        proposers: Mapping[str, Proposer],
        subjects: Mapping[str, Subject],
        screen: Screen,
        seed: int,
        terms: Terms = Terms(),
        publish: Callable[[dict[str, Any]], None] = lambda record: None,
    ) -> None:
        """`subjects` are what may be seen of each predictor before anything was tried."""
        self.bandit = Bandit(proposers)
        self._proposers, self._subjects, self._screen, self._seed = proposers, subjects, screen, seed
        self._terms, self._publish = terms, publish
        self._waiting: list[_Waiting] = []
        self._rejected: list[str] = []
        self._serial = self._paid = self._rounds = 0
        self._over = False

    async def grow(self, sampler: Sampler, board: Board) -> None:
        """Ask for proposals, widen the pools, and plan to try each proposal in its parent's place.

        Before the first round there is nothing to do: the pools were just filled.
        """
        self.settle(board)
        if self._rounds == 1:
            self._learn_first(board)
        self._rounds += 1
        best = board.winner()
        if self._rounds == 1 or best is None or board.shrunken(best) >= CEILING:
            return
        if board.is_ensemble(best):
            best = board.leader(1) or best  # what is proposed is a prompt alone
        size = self._terms.size * (2 if sampler.exhausted else 1)
        space, plans = await self._widened(sampler.space, board, best, size)
        if space is not sampler.space:
            sampler.grow(space)
            sampler.plan(plans)

    def settle(self, board: Board) -> None:
        """Tell the bandit of the proposals that have a score by now, and publish what all of them did."""
        waiting = []
        for child in self._waiting:
            record, child.rounds = self.bandit.records[child.proposer], child.rounds + 1
            own, rivals = board.paired(child.candidate, child.rival)
            if own:
                record.tried += 1
                record.won += mean(own) > mean(rivals)
            elif child.rounds < WAIT:
                waiting.append(child)
        self._waiting = waiting
        self._publish(self.record())

    def _learn_first(self, board: Board) -> None:
        """Tell the bandit whose first instructions beat the seed's, by candidates that are like it in all else."""
        seed = next((one for one in board.candidates.values() if one.origin == "seed"), None)
        if seed is None:
            return
        for one in board.candidates.values():
            own, seeds = board.paired(one.id, seed.id)
            if own and one.origin in self.bandit.records and _wordless(one) == _wordless(seed):
                self.bandit.saw(one.origin, mean(own) > mean(seeds))

    def record(self) -> dict[str, Any]:
        """Return what each proposer did, by name, with its share of all that was asked; and the last rejections."""
        shares = self.bandit.shares()
        rows = {name: {**one.to_json(), "share": shares[name]} for name, one in self.bandit.records.items()}
        return {"proposers": rows, "rejected": self._rejected[-REJECTED:]}

    async def _widened(self, space: Space, board: Board, best: str, size: int) -> tuple[Space, list[dict[str, Any]]]:
        """Return the space with up to `size` proposals, and how to try them; who has nothing gives way to the next."""
        slots, plans = [self._slot(space, board, best) for _ in range(size)], list[dict[str, Any]]()
        while slots := [slot for slot in slots if self._next(slot, board)]:
            asked = [self._proposers[slot.name].propose(slot.subject, 1) for slot in slots]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            waiting = []
            for slot, written in zip(slots, answers, strict=True):
                self._book(slot)
                if isinstance(written, BudgetSpent):
                    self._over = True
                elif isinstance(written, BaseException):
                    raise written
                elif (proposal := self._accepted(slot, written, space)) is not None:
                    space = self._added(slot, proposal, space, board, best, plans)
                    continue
                waiting.append(slot)
            slots = waiting
        return space, plans

    def _slot(self, space: Space, board: Board, best: str) -> _Slot:
        """Return a slot for the next proposal."""
        self._serial += 1
        serial, rng = self._serial, random.Random(f"{self._seed}:{self._serial}")  # noqa: S311
        predictor = list(self._subjects)[serial % len(self._subjects)]

        async def attempts(parent: Tried) -> Sequence[Attempt]:
            return await self._attempts(slot, board, parent.id)

        subject = informed(self._subjects[predictor], space, board, best, serial, rng, attempts)
        slot = _Slot(subject, iter(self.bandit.order(self._proposers, rng)))
        return slot

    def _next(self, slot: _Slot, board: Board) -> bool:
        """Give a slot the next proposer who may be asked, and set aside a call; False where there is none."""
        for name in slot.names:
            if self._may_ask(name, board):
                slot.name, slot.calls = name, int(name in self._terms.writing)
                slot.subject = replace(slot.subject, asked=[])
                self._paid += slot.calls
                return True
        return False

    def _may_ask(self, name: str, board: Board) -> bool:
        """Tell if it is a proposer's time: while there is room for a call, or late enough for one without."""
        if name in self._terms.writing:
            return not self._over and self._room(board) >= 1
        return board.answered >= self._terms.late

    def _room(self, board: Board) -> float:
        """Return how many calls may yet be made for proposals."""
        return self._terms.share * board.answered - self._paid

    async def _attempts(self, slot: _Slot, board: Board, parent: str) -> Sequence[Attempt]:
        """Return a parent's answers to some training examples; none where there is no room for the calls.

        One parent a slot: whether a second could be paid would hang on which of the others is answered first.
        """
        calls = self._terms.window * len(self._subjects)
        if not slot.attempts and self._terms.answers is not None and not self._over and self._room(board) >= calls:
            self._paid += calls
            slot.calls += calls
            slot.attempts[parent] = ()
            slot.attempts[parent] = await self._terms.answers(board.candidates[parent], slot.subject.serial)
        return slot.attempts.get(parent, ())

    def _book(self, slot: _Slot) -> None:
        """Take note of the calls that were made; one that was set aside and not made is free again."""
        unmade = int(slot.name in self._terms.writing) - len(slot.subject.asked)
        self._paid -= unmade
        self.bandit.records[slot.name].calls += slot.calls - unmade

    def _accepted(self, slot: _Slot, written: Sequence[Proposal], space: Space) -> Proposal | None:
        """Return what a proposer wrote; None if it wrote nothing, or nothing that is new and may be used."""
        record, asked = self.bandit.records[slot.name], bool(slot.subject.asked)
        record.asked += bool(written) or asked
        if not written:
            record.rejected += asked
            return None
        proposal, problem = self._usable(written[0], space, slot.subject.predictor)
        if proposal is None:
            record.rejected += 1
            self._rejected.append(f"{slot.name}: {problem}")
        else:
            record.kept += 1
        return proposal

    def _added(
        self, slot: _Slot, proposal: Proposal, space: Space, board: Board, best: str, plans: list[dict[str, Any]]
    ) -> Space:
        """Return the space with a proposal in it; adds to `plans` how it is to be tried."""
        rival = next((parent for parent in proposal.parents if parent in board.candidates), best)
        space, params = with_proposal(space, proposal, slot.subject.predictor, board.candidates[rival])
        if params is not None:
            plans.append(params)
            self._waiting.append(_Waiting(slot.name, space.suggest(FixedTrial(params)).id, rival))
        return space

    def _usable(self, proposal: Proposal, space: Space, predictor: str) -> tuple[Proposal | None, str]:
        pool = space.pools[predictor]
        if proposal.demos:
            return (None, "the demo set is known") if proposal.demos in pool.sets else (proposal, "")
        text, problem = self._screen.take(proposal.text)
        if folded(text) in {folded(one.text) for one in pool.instructions}:
            return None, "the instruction is known"
        return (replace(proposal, text=text) if text else None), problem


def _wordless(candidate: Candidate) -> dict[str, Prompt]:
    bare = {"instruction": "", "readout": "generate", "calibration": None}
    return {name: replace(prompt, **bare) for name, prompt in candidate.prompts.items()}  # type: ignore[arg-type]
