"""What is known of every candidate on the seeded order of validation examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from optimizer.config.schema import Cost
from optimizer.evaluate.aggregate import MEAN, Aggregate, answers
from optimizer.evaluate.latency import Latency, latency_of_results
from optimizer.evaluate.shrinkage import shrink
from optimizer.evaluate.statistics import Interval, mean
from optimizer.types import Candidate, Failure, Score

Result = Score | Failure
# Of a candidate's answers. One may be missing anyway: an example that no model answers is a third of three.
MOST_FAILURES, FORGIVEN = 0.2, 1
MILLION = 1_000_000


class Board:
    """Results by candidate; any two are compared on the examples that both have answered."""

    def __init__(
        self,
        head_starts: Mapping[str, float] = MappingProxyType({}),
        aggregate: Aggregate = MEAN,
        cost: Cost = "tokens",
        objective: Sequence[str] = ("score",),
    ) -> None:
        """`head_starts` are the right answers with which ensembles begin, by their id: what is believed of them.

        `aggregate` says how the results on many examples become one score, and `cost` by what one is cheaper.
        `objective` names what the front is of.
        """
        self._head_starts, self._aggregate, self._cost = head_starts, aggregate, cost
        self._objective = objective
        self._prices: dict[str, tuple[int, list[float], list[float]]] = {}  # by how many results they are of
        self.candidates: dict[str, Candidate] = {}
        self._results: dict[str, list[Result]] = {}
        self._earlier: dict[str, list[list[Result]]] = {}  # what replaced results were, shortest first
        self._numbers: dict[str, dict[int, list[float]]] = {}  # by how many results they are of
        self._failures: dict[str, int] = {}
        self.costs: dict[str, float] = {}

    def enter(self, candidate: Candidate) -> None:
        """List a candidate; ties go to the one that was listed first, whoever's results come first."""
        self.candidates.setdefault(candidate.id, candidate)
        self._results.setdefault(candidate.id, [])
        self._numbers.setdefault(candidate.id, {})

    def add(self, candidate: Candidate, results: Sequence[Result]) -> None:
        """Append the next block of a candidate's results."""
        self.enter(candidate)
        self._results[candidate.id].extend(results)
        self._numbers[candidate.id] = {}
        failed = sum(not isinstance(result, Score) for result in results)
        self._failures[candidate.id] = self.failures(candidate.id) + failed

    def replace(self, candidate: Candidate, results: Sequence[Result]) -> None:
        """Take a candidate as it is by now, and all of its results so far, in the place of what was added.

        What they were before is kept. The longer a calibrated candidate is asked the better its first answers are
        read, too: beside a rival that was asked less they count as they did when it had been asked as little.
        """
        cid = candidate.id
        self.candidates[cid] = candidate
        self._earlier.setdefault(cid, []).append(list(results))
        self._results[cid], self._failures[cid] = [], 0
        self.add(candidate, results)

    def results(self, candidate_id: str) -> list[Result]:
        """Return a candidate's results in order."""
        return self._results.get(candidate_id, [])

    @property
    def answered(self) -> int:
        """How many results there are, over all candidates."""
        return sum(map(len, self._results.values()))

    @property
    def nothing_answered(self) -> bool:
        """Whether every call of every candidate failed, whatever was to blame."""
        return all(result.failed for results in self._results.values() for result in results)

    def scores(self, candidate_id: str) -> list[float]:
        """Return a number for each example that was answered: its score, or its influence on the statistic."""
        return [value for value in self._first(candidate_id, None) if not math.isnan(value)]

    def interval(self, candidate_id: str) -> Interval:
        """Return a 95 % interval of a candidate's score on what it has answered."""
        return self._aggregate.interval(answers(self.results(candidate_id)))

    def failures(self, candidate_id: str) -> int:
        """Return how many answers never came."""
        return self._failures.get(candidate_id, 0)

    def too_many_failures(self, candidate_id: str) -> bool:
        """Tell if a candidate has too many failures to be ranked; one is forgiven where anything was answered."""
        failures, results = self.failures(candidate_id), len(self.results(candidate_id))
        return failures > MOST_FAILURES * results and (failures > FORGIVEN or failures == results)

    def tokens_per_call(self, candidate_id: str) -> float | None:
        """Return what an answer of the model took on average in the scores so far; None where nobody counted.

        An ensemble's is that of all its prompts: it takes as many calls for what a prompt alone says in one.
        """
        return self._per_call(candidate_id, lambda score: score.tokens)

    def usd_per_call(self, candidate_id: str) -> float | None:
        """Return the dollars of an answer, as `tokens_per_call` its tokens."""
        return self._per_call(candidate_id, lambda score: score.usd)

    def cost_per_call(self, candidate_id: str) -> float | None:
        """Return what an answer costs: in tokens, or in millionths of a dollar."""
        if self._cost == "tokens":
            return self.tokens_per_call(candidate_id)
        usd = self.usd_per_call(candidate_id)
        return None if usd is None else MILLION * usd

    def latency(self, candidate_id: str) -> Latency | None:
        """Return how long a candidate's answers took so far; None where no answer's time is known."""
        return latency_of_results(self.results(candidate_id))

    @property
    def races_for_the_front(self) -> bool:
        """Whether a candidate races against those alone that cost no more: where the front is of three.

        Of two, the race by score alone finds as good a front with few calls (experiments/replay/TRIED.md); of three
        much more of it lies far from the best score (experiments/front/README.md).
        """
        return len(self._objective) > 2

    def prices(self, candidate_id: str) -> tuple[list[float], list[float]]:
        """Return what a candidate costs so far in each objective beside the score, and what it may cost.

        The second has the upper ends of intervals, where there are such: a rival that is no slower than that may well
        be the faster one. Both are NaN where nobody knows.
        """
        seen = len(self.results(candidate_id))
        if self._prices.get(candidate_id, (-1,))[0] != seen:
            latency = self.latency(candidate_id) if "latency" in self._objective else None
            cost, time = self.cost_per_call(candidate_id), (math.nan,) * 2
            if latency is not None:
                time = (latency.p50, latency.ci95[1])
            ends = (math.nan if cost is None else cost,) * 2
            each = [time if name == "latency" else ends for name in self._objective[1:]]
            self._prices[candidate_id] = (seen, [one for one, _ in each], [one for _, one in each])
        return self._prices[candidate_id][1:]

    def _per_call(self, candidate_id: str, of: Callable[[Score], float]) -> float | None:
        scores = [result for result in self.results(candidate_id) if isinstance(result, Score)]
        calls = sum(score.calls for score in scores)
        return self.candidates[candidate_id].together * sum(map(of, scores)) / calls if calls else None

    def paired(self, one: str, two: str) -> tuple[list[float], list[float]]:
        """Return both candidates' scores on the examples that both have answered."""
        shared = min(len(self.results(one)), len(self.results(two)))
        pairs = zip(self._first(one, shared), self._first(two, shared), strict=True)
        both = [(a, b) for a, b in pairs if not (math.isnan(a) or math.isnan(b))]
        return [a for a, _ in both], [b for _, b in both]

    def estimate(self, candidate_id: str, reference: str | None) -> float:
        """Return a candidate's score as if it had seen what the reference saw.

        The mean over a few examples depends on how hard they are; the difference to the
        reference on the same examples does not (a control variate).
        """
        if reference is None or reference == candidate_id:
            return mean(self.scores(candidate_id))
        own, others = self.paired(candidate_id, reference)
        return mean(own) + mean(self.scores(reference)) - mean(others)

    def is_ensemble(self, candidate_id: str) -> bool:
        """Tell if several prompts answer as one candidate."""
        return self.candidates[candidate_id].together > 1

    def leader(self, length: int, ensembles: bool = False) -> str | None:
        """Return the best prompt alone, or ensemble, of those that have seen `length` examples, example by example."""
        alike = [cid for cid in self._results if self.is_ensemble(cid) == ensembles]
        return self._best([cid for cid in alike if len(self._results[cid]) >= length])

    def winner(self) -> str | None:
        """Return the candidate with the best shrunken score among the best of each length.

        Among those that saw equally much the same examples alone decide: the one that no other beats where both
        have answered. Between the best of each length the `shrunken` estimates do, less one standard deviation:
        so who has seen less is given less credit, and a lucky start does not beat a good score on many. Where
        the estimates are equal, who has seen most wins.
        """
        peers: dict[int, list[str]] = {}
        for cid, results in self._results.items():
            peers.setdefault(len(results), []).append(cid)
        best = [cid for cid in map(self._best, peers.values()) if cid is not None]
        if len(best) < 2:
            return best[0] if best else None
        estimates = shrink(*self.table(ranked := self.ranked()))
        sure = dict(zip(ranked, (estimates.mean - estimates.deviation).tolist(), strict=True))
        believed = {cid: self._head_start(cid) / len(self._results[cid]) for cid in best}
        return max(best, key=lambda cid: (round(sure[cid] + believed[cid], 9), len(self._results[cid])))

    def shrunken(self, candidate_id: str) -> float:
        """Return what a candidate is expected to score on new examples, given what all have scored.

        The mean of the one that was chosen for its mean is too high; this is not (`shrinkage.shrink`). A
        candidate that cannot be ranked has its mean.
        """
        return self.estimates().get(candidate_id, mean(self.scores(candidate_id)))

    def estimates(self) -> dict[str, float]:
        """Return the shrunken estimate of every candidate that can be ranked."""
        ranked = self.ranked()
        return dict(zip(ranked, shrink(*self.table(ranked)).mean.tolist(), strict=True)) if ranked else {}

    def table(self, candidates: Sequence[str], length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return (values, answered), candidate × example, of the first `length` examples; 0 where unanswered."""
        rows = [self._first(cid, length) for cid in candidates]
        table = np.full((len(rows), max(map(len, rows), default=0)), np.nan)
        for index, row in enumerate(rows):
            table[index, : len(row)] = row
        missing = np.isnan(table)
        return np.where(missing, 0.0, table), 1.0 - missing

    def ranked(self) -> list[str]:
        """Return the candidates that can be ranked, in the order in which they were listed."""
        return [cid for cid in self._results if self._may_rank(cid)]

    def _may_rank(self, candidate_id: str) -> bool:
        return bool(self.scores(candidate_id)) and not self.too_many_failures(candidate_id)

    def _best(self, candidates: Sequence[str]) -> str | None:
        """Return the minimax winner: whose worst paired margin is the best; ties to the cheaper, then older.

        Of equals, a candidate with unknown cost comes first, because its calls are not paid yet.

        A mean over what was answered would reward a candidate for failing on hard examples. Margins on
        the same examples can form a cycle, which minimax resolves (Simpson 1969, Kramer 1977).
        """
        rivals = [cid for cid in candidates if self._may_rank(cid)]
        if not rivals:
            return None
        worst = self._margins(rivals).min(axis=1).round(9)
        return max((worst[age], -self.costs.get(cid, 0.0), -age, cid) for age, cid in enumerate(rivals))[3]

    def _margins(self, rivals: Sequence[str]) -> np.ndarray:
        """Return by how much each rival is ahead of each, on average over what both have answered.

        What is believed of one counts as some right answers: the more there are, the less it decides.
        """
        lengths = np.array([len(self._results[cid]) for cid in rivals])
        shared, margins = np.minimum.outer(lengths, lengths), np.zeros((len(rivals), len(rivals)))
        # Where no number depends on how many there are, the longest table says it all: what one has not answered does
        # not count in it.
        alike = not self._earlier and self._aggregate is MEAN
        for length in [lengths.max()] if alike else sorted(set(lengths.tolist()), reverse=True):
            values, answered = self.table(rivals, length)
            sums = values @ answered.T
            ahead = (sums - sums.T) / np.maximum(answered @ answered.T, 1.0)
            margins = np.where(shared <= length, ahead, margins)
        believed = np.array([self._head_start(cid) for cid in rivals])
        return np.asarray(margins + np.subtract.outer(believed, believed) / np.maximum(shared, 1))

    def _head_start(self, candidate_id: str) -> float:
        """Return the right answers with which an ensemble begins; none if it answers just what its first prompt does.

        Other answers that are as right as those keep the belief: they show that the prompts do not agree elsewhere.
        """
        if not (start := self._head_starts.get(candidate_id, 0.0)):
            return 0.0
        pairs = zip(self.results(candidate_id), self.results(self.candidates[candidate_id].parents[0]), strict=False)
        return start if any(_said(own) != _said(first) for own, first in pairs) else 0.0

    def _first(self, candidate_id: str, length: int | None) -> list[float]:
        """Return a candidate's first numbers, as they were when it had answered as many examples."""
        now = self._results.get(candidate_id, [])
        results, length = now, len(now) if length is None else min(length, len(now))
        if length < len(now):
            results = next((then for then in self._earlier.get(candidate_id, ()) if len(then) >= length), now)
        if self._aggregate is not MEAN:
            results = results[:length]
        known = self._numbers[candidate_id] if results else {}
        if len(results) not in known:
            known[len(results)] = self._aggregate.numbers(results)
        return known[len(results)][:length]


def _said(result: Result) -> object:
    return (result.value, result.answer) if isinstance(result, Score) else None
