"""Which of the prompts that were tried would answer best together, by answers that are paid for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimizer.evaluate.calibration import UNKNOWN, cross_fitted
from optimizer.evaluate.readouts import label_numbers
from optimizer.prompt.readout import Labels
from optimizer.search.board import Board
from optimizer.search.proposals import Grows
from optimizer.search.sampler import Sampler
from optimizer.types import Candidate, Example, Score

# Of the candidates: how many of the best may be members, if each has answered so many examples.
POOL, LEAST = 8, 10


@dataclass(frozen=True)
class Ensembles:
    """Builds ensembles of up to `size` prompts of one predictor, forward from the best (Caruana et al. 2004).

    They are tried beside what `proposals` brings in. Each member is the one with which the calibrated probability of
    the right labels gains most, on all examples that it and the members before it have answered
    (doi:10.1145/1015330.1015432). Probabilities tell more of a few examples than right answers do; whether the ensemble
    is better than a prompt alone is for the race to say.
    `labels` are those that are read, None where none are: then there are no ensembles.
    """

    proposals: Grows
    labels: Labels | None
    examples: Sequence[Example]
    size: int

    async def grow(self, sampler: Sampler, board: Board) -> None:
        """Let an ensemble be tried next, where there is a new one, before what is proposed."""
        await self.proposals.grow(sampler, board)
        if (ensemble := self.next(board)) is not None:
            sampler.plan([ensemble])

    def settle(self, board: Board) -> None:
        """See `Proposals.settle`."""
        self.proposals.settle(board)

    def next(self, board: Board) -> Candidate | None:
        """Return an ensemble that is not on the board yet; None where nothing gains by another prompt."""
        if self.labels is None or self.size < 2:
            return None
        tables = self._tables(board, self.labels)
        best = board.winner()
        if best is not None and best not in tables:
            best = next(iter(tables), None)
        if best is None:
            return None
        truth, members = label_numbers(self.labels, self.examples), [best]
        while len(members) < self.size:
            gains = _gains(tables, members, truth)
            chosen = max(gains, key=lambda cid: gains[cid], default=None)
            if chosen is None or gains[chosen] <= 0:
                break
            members.append(chosen)
        made = self._made(board, members)
        return None if len(members) == 1 or made.id in board.candidates else made

    def _tables(self, board: Board, labels: Labels) -> dict[str, np.ndarray]:
        """Return what the best candidates told of each label, examples × labels, the best first."""
        estimates = board.estimates()
        tables: dict[str, np.ndarray] = {}
        for cid in sorted(estimates, key=lambda cid: -round(estimates[cid], 9)):
            (prompt, *others), results = board.candidates[cid].prompts.values(), board.results(cid)
            told = [one.logprobs if isinstance(one, Score) and one.logprobs else None for one in results]
            if others or prompt.ensemble or prompt.readout == "generate" or len(told) < LEAST:
                continue
            nothing = (0.0,) * len(labels.words)
            tables[cid] = np.array([one or nothing for one in told])
        return dict(list(tables.items())[:POOL])

    def _made(self, board: Board, members: Sequence[str]) -> Candidate:
        ((name, first),) = board.candidates[members[0]].prompts.items()
        others = tuple(next(iter(board.candidates[cid].prompts.values())).uncalibrated for cid in members[1:])
        whole = replace(first.uncalibrated, readout="calibrated", ensemble=others)
        return Candidate({name: whole}, "ensemble", tuple(members))


def _gains(tables: dict[str, np.ndarray], members: Sequence[str], truth: Sequence[int]) -> dict[str, float]:
    """Return what each other member adds to the mean log-probability of the right label, on the examples of all.

    Who says what the others say on average adds nothing.
    """
    gains, without = {}, dict[int, float]()
    for other in (cid for cid in tables if cid not in members):
        count = min(len(tables[cid]) for cid in (*members, other))
        together = np.sum([tables[cid][:count] for cid in members], axis=0)
        if count not in without:
            without[count] = _likelihood(together * (1 + 1 / len(members)), truth[:count])
        gains[other] = _likelihood(together + tables[other][:count], truth[:count]) - without[count]
    return gains


def _likelihood(table: np.ndarray, truth: Sequence[int]) -> float:
    """Return the mean log-probability of the right label after a calibration that was fitted without it."""
    numbers = np.array(truth)
    known = numbers != UNKNOWN
    if not known.any():
        return 0.0
    chances = cross_fitted(table, truth)[known, numbers[known]]
    return round(float(np.log(np.maximum(chances, 1e-12)).mean()), 9)
