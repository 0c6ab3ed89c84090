"""Which of the prompts that were tried would answer best together, by answers that are paid for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from optuna.trial import FixedTrial

from optimizer.config.models import is_local
from optimizer.config.presets import PRESETS
from optimizer.config.schema import Prior, RunConfig
from optimizer.evaluate.calibration import UNKNOWN, cross_fitted
from optimizer.evaluate.evaluator import Result
from optimizer.evaluate.readouts import label_numbers
from optimizer.prompt.readout import Labels
from optimizer.search.board import Board
from optimizer.search.proposals import Grows
from optimizer.search.sampler import Sampler
from optimizer.search.space import Space
from optimizer.search.spread import believed
from optimizer.task.metrics.agreement import Agreement
from optimizer.task.metrics.consistency import times_of
from optimizer.task.task import Task
from optimizer.types import NO_ANSWER, Candidate, Example, Score

# Of the candidates: how many of the best may be members, if each has answered so many examples, and half of the race.
POOL, LEAST = 8, 10
# How many prompts answer together where a call costs nothing: with at least so many calls in the budget.
MANY, ENOUGH, FEW, LEAST_CALLS = 5, 80, 3, 40
# How many examples the belief in the first ensemble is worth; of two that vote the first always has its way.
BELIEVED, LEAST_VOTES = 60, 3


def ensemble_size(config: RunConfig, task: Task) -> int:
    """Return how many prompts may answer a task's input together.

    `search.ensemble` says it. Where it does not, they are several if a call costs nothing, neither money nor time of
    the budget, there is one task model, only the score is wanted, and there are fixed demo sets, by which prompts
    differ. A task with a program of its own has no ensembles, nor has one that asks each example several times, one
    of DSPy's optimizers, or a search whose first round cannot hold one.
    """
    search = config.search
    own = task.module is not None or task.program is not None
    if own or search.strategy not in PRESETS or times_of(task.metric) > 1:
        return 1
    size = _size_by_default(config) if search.ensemble is None else search.ensemble
    return size if config.trials >= size + 2 else 1


def _size_by_default(config: RunConfig) -> int:
    search, model, calls = config.search, config.models.task, config.budget.calls
    free = is_local(model.model) and model.price is None and not config.budget.uncounted and not config.models.also
    sets = "static" in search.demos.policies and max(search.demos.counts) > 0
    scored = search.strategy == "default" and search.objective == ("score",) and search.margin is None
    if not (free and sets and scored):
        return 1
    believed_in = search.demos.sets + bool({*search.demos.policies} - {"static"})
    if calls is None or calls >= ENOUGH:
        return min(MANY, believed_in)
    return min(FEW, believed_in) if calls >= LEAST_CALLS else 1


def first_ensemble(space: Space, size: int) -> list[dict[str, Any] | Candidate]:
    """Return what is believed to answer best together, and all of it as one candidate; nothing where that is one."""
    params = believed(space, size)
    members = list({one.id: one for one in (space.suggest(FixedTrial(each)) for each in params)}.values())
    least = 2 if members and members[0].reads_labels else LEAST_VOTES
    return [*params, joined(members)] if len(members) >= least else []


def head_starts(planned: Sequence[dict[str, Any] | Candidate], prior: Prior | None) -> dict[str, float]:
    """Return with how many right answers the first ensemble begins, by its id.

    It was chosen before anything was answered. Those that follow are chosen by the very answers by which they are
    compared, which flatters them.
    """
    ensembles = [one for one in planned if isinstance(one, Candidate)]
    return {one.id: prior.ensemble * BELIEVED for one in ensembles} if prior is not None else {}


def joined(members: Sequence[Candidate]) -> Candidate:
    """Return candidates of one predictor as one that asks all their prompts; it is calibrated where one of them is."""
    ((name, first),) = members[0].prompts.items()
    others = tuple(next(iter(one.prompts.values())).uncalibrated for one in members[1:])
    readouts = [one.readout for one in (first, *others)]
    readout = "calibrated" if "calibrated" in readouts else first.readout
    whole = replace(first.uncalibrated, readout=readout, ensemble=others)
    return Candidate({name: whole}, "ensemble", tuple(one.id for one in members))


class Together(Protocol):
    """How the answers of several prompts become one, and what that is worth."""

    def told(self, candidate: Candidate, results: Sequence[Result]) -> Any:
        """Return what a candidate's answers have to say; None where it can be no member."""

    def gains(self, told: Mapping[str, Any], members: Sequence[str], room: int) -> dict[tuple[str, ...], float]:
        """Return what others, at most `room` of them, add to what the members are worth."""


@dataclass(frozen=True)
class Ensembles:
    """Builds ensembles of up to `size` prompts of one predictor, forward from the best (Caruana et al. 2004).

    They are tried beside what `proposals` brings in. Each member is the one that adds the most, on all examples that it
    and the members before it have answered (doi:10.1145/1015330.1015432); whether the ensemble is better than a prompt
    alone is for the race to say.
    """

    proposals: Grows
    together: Together
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
        if self.size < 2:
            return None
        told = self._told(board)
        best = board.winner()
        if best is not None and best not in told:
            best = next(iter(told), None)
        if best is None:
            return None
        model = board.candidates[best].model  # a label's log-probabilities are a model's own
        told = {cid: said for cid, said in told.items() if board.candidates[cid].model == model}
        members = [best]
        while (room := self.size - len(members)) > 0:
            gains = self.together.gains(told, members, room)
            chosen = max(gains, key=lambda added: gains[added], default=())
            if not chosen or gains[chosen] <= 0:
                break
            members.extend(chosen)
        made = joined([board.candidates[cid] for cid in members])
        return None if len(members) == 1 or made.id in board.candidates else made

    def _told(self, board: Board) -> dict[str, Any]:
        """Return what the best candidates' answers have to say, the best first."""
        estimates = board.estimates()
        least = max(LEAST, max((len(board.results(cid)) for cid in estimates), default=0) // 2)
        told: dict[str, Any] = {}
        for cid in sorted(estimates, key=lambda cid: -round(estimates[cid], 9)):
            candidate, results = board.candidates[cid], board.results(cid)
            if len(candidate.prompts) > 1 or board.is_ensemble(cid) or len(results) < least:
                continue
            if (said := self.together.told(candidate, results)) is not None:
                told[cid] = said
        return dict(list(told.items())[:POOL])


@dataclass(frozen=True)
class Sums:
    """Labels that are read by the sums of their log-probabilities, calibrated.

    What members are worth is the mean log-probability of the right label after a calibration that was fitted without
    it: probabilities tell more of a few examples than right answers do.
    """

    labels: Labels
    examples: Sequence[Example]

    def told(self, candidate: Candidate, results: Sequence[Result]) -> np.ndarray | None:
        """Return what a candidate tells of each label, examples × labels; None where its words are read."""
        if not candidate.reads_labels:
            return None
        nothing = (np.nan,) * len(self.labels.words)
        return np.array([(one.logprobs if isinstance(one, Score) else None) or nothing for one in results])

    def gains(self, told: Mapping[str, Any], members: Sequence[str], room: int) -> dict[tuple[str, ...], float]:
        """Return what each other prompt adds. Who says what the others say on average adds nothing."""
        truth, without = label_numbers(self.labels, self.examples), dict[int, float]()
        gains: dict[tuple[str, ...], float] = {}
        more = len(members) + 1
        for other in (cid for cid in told if cid not in members):
            count = min(len(told[cid]) for cid in (*members, other))
            tables = [told[cid][:count] for cid in (*members, other)]
            if count not in without:
                without[count] = _likelihood(more * _mean(tables[:-1]), truth[:count], more)
            gains[(other,)] = _likelihood(more * _mean(tables), truth[:count], more) - without[count]
        return gains


@dataclass(frozen=True)
class Votes:
    """Answers of which the one is taken with which the others `agree` the most.

    What members are worth is what it scores.
    """

    agree: Agreement

    def told(self, candidate: Candidate, results: Sequence[Result]) -> Sequence[Result] | None:
        """Return a candidate's answers; None where labels are read from it otherwise than by its words."""
        return None if candidate.reads_labels else results

    def gains(self, told: Mapping[str, Any], members: Sequence[str], room: int) -> dict[tuple[str, ...], float]:
        """Return what each other prompt adds, and each pair of them: of two prompts the first always has its way."""
        found = _Answers(told, self.agree)
        others = [cid for cid in told if cid not in members]
        sizes = [many for many in (1, 2) if many <= room and len(members) + many >= LEAST_VOTES]
        added = itertools.chain.from_iterable(itertools.combinations(others, many) for many in sizes)
        gains, without = {}, dict[int, float]()
        for some in added:
            count = min(len(told[cid]) for cid in (*members, *some))
            if count not in without:
                without[count] = found.worth(members, count)
            gains[some] = found.worth([*members, *some], count) - without[count]
        return gains


class _Answers:
    """What some candidates answered, and how far these answers agree."""

    def __init__(self, told: Mapping[str, Sequence[Result]], agree: Agreement) -> None:
        self._told, self._agree = told, agree
        self._agreed: dict[tuple[str, str], np.ndarray] = {}

    def worth(self, members: Sequence[str], count: int) -> float:
        """Return what the first `count` answers of members score together."""
        support = [
            sum((self._of(one, other)[:count] for other in members if other != one), np.zeros(count)) for one in members
        ]
        values = np.array([[_value(result) for result in self._told[cid][:count]] for cid in members])
        silent = np.array([[_answer(result) is None for result in self._told[cid][:count]] for cid in members])
        chosen = np.where(silent, -1.0, np.round(support, 9)).argmax(axis=0)
        return round(float(values[chosen, np.arange(count)].mean()), 9)

    def _of(self, one: str, other: str) -> np.ndarray:
        """Return how far one candidate's answers agree with another's, on the examples that both have answered."""
        if (one, other) not in self._agreed:
            pairs = zip(self._told[one], self._told[other], strict=False)
            agreed = [self._agree(_answer(a), _answer(b)) for a, b in pairs]
            self._agreed[one, other] = np.array(agreed)
        return self._agreed[one, other]


def _answer(result: Result) -> Mapping[str, Any] | None:
    """Return what an answer says; None where it never came or cannot be read."""
    return None if not isinstance(result, Score) or NO_ANSWER & result.answer.keys() else result.answer


def _value(result: Result) -> float:
    return result.value if isinstance(result, Score) else 0.0


def _mean(tables: Sequence[np.ndarray]) -> np.ndarray:
    """Return what several say of each label on average; those that tell nothing have no part in it."""
    known = [np.isfinite(table) for table in tables]
    total = np.sum([np.where(one, table, 0.0) for one, table in zip(known, tables, strict=True)], axis=0)
    return np.asarray(total / np.maximum(np.sum(known, axis=0), 1))


def _likelihood(table: np.ndarray, truth: Sequence[int], prompts: int) -> float:
    """Return the mean log-probability of the right label after a calibration that was fitted without it."""
    numbers = np.array(truth)
    known = numbers != UNKNOWN
    if not known.any():
        return 0.0
    chances = cross_fitted(table, truth, prompts)[known, numbers[known]]
    return round(float(np.log(np.maximum(chances, 1e-12)).mean()), 9)
