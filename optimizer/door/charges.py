"""What one call can cost at most, what its lost attempts may have cost, and what is booked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from optimizer.door.budget import Budget
from optimizer.door.failures import causes
from optimizer.errors import BudgetSpent
from optimizer.ledger.calls import CallTag
from optimizer.models.prices import Price
from optimizer.types import FailureKind, Phase, Usage, canonical_json

# Tokens that a provider adds to a request: a chat template's default system text, and what explains tools.
TEMPLATE, TOOLS = 64, 640
# An HTTP error is not charged, but behind these the model may have worked.
DOUBTFUL_STATUS = frozenset({408, 499, 504, 524})
FREE: frozenset[FailureKind] = frozenset(
    {"rate_limit", "server", "authentication", "unknown_model", "context_too_long", "invalid_request", "content_filter"}
)
# Names, because three clients have them: the request never left this machine.
NEVER_SENT = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "ConnectionRefusedError", "gaierror", "ClientConnectorError"}
)


def most_of(request: Mapping[str, Any], price: Price) -> Usage:
    """Return an upper bound of one attempt: a token is at least a byte of the request's JSON.

    It holds for every tokenizer of bytes and for any script; media that are named by a URL are not bounded.
    """
    added = TEMPLATE + (TOOLS if request.get("tools") else 0)
    longest = (request.get("config") or {}).get("max_tokens") or price.longest
    return price.most(len(canonical_json(request).encode("utf-8", "replace")) + added, longest)


def maybe_charged(problem: BaseException, kind: FailureKind) -> bool:
    """Tell if the provider may have worked, and so be paid, for an attempt that failed."""
    chain = list(causes(problem))
    if any(cls.__name__ in NEVER_SENT for cause in chain for cls in type(cause).__mro__):
        return False
    if any(getattr(cause, "status", None) in DOUBTFUL_STATUS for cause in chain):
        return True
    return kind not in FREE


class Charge:
    """What one call holds of the budget over all its attempts.

    An attempt that may have been charged without an answer is booked at the most it can have cost: the
    input of the answer that came in the end, or else the request's bytes, and the longest answer allowed.
    `holds` counts the attempts that it has room for: those that may have been charged, and the one to come.
    `row` is the call's in the ledger, once it has one.
    """

    def __init__(
        self, budget: Budget, tag: CallTag, price: Price, most: Usage, alone: tuple[Price, Usage] | None = None
    ) -> None:
        """`price` and `most` are those of a batch where `alone` has those of a call by itself."""
        self.most, self.price = most, price
        self.row = 0
        self._alone, self._shown = alone, 1.0
        self._budget, self._tag = budget, tag
        self.holds = 0
        self._lost = 0
        self._wasted = Usage()
        self._booked: Usage | None = None

    async def reserve(self) -> None:
        """Hold one attempt's worst case; waits while others hold what it needs; raises BudgetSpent."""
        while (waiter := self._budget.hold(self._tag, self.most)) is not None:
            await asyncio.wrap_future(waiter)
        self.holds = 1

    def time_left(self) -> float | None:
        """Return the seconds that the call's phase has left; None without a limit on its time."""
        return self._budget.time_left(self._tag.phase)

    def leave_batch(self) -> bool:
        """Go on at the price of a call by itself; False where the budget has no room for that now."""
        if self._alone is None:
            return True
        price, most = self._alone
        more = self.holds * (most.usd - self.most.usd)
        try:
            if self._budget.hold(self._tag, Usage(usd=max(0.0, more))) is not None:
                return False
        except BudgetSpent:
            return False
        # What other calls will cost is judged by the price of a batch, in which they are asked.
        self._shown = self.most.usd / most.usd if most.usd else 1.0
        self.price, self.most, self._alone = price, replace(most, usd=max(most.usd, self.most.usd)), None
        return True

    def lose(self, problem: BaseException, kind: FailureKind) -> None:
        """Take note of a failed attempt."""
        self._lost += maybe_charged(problem, kind)

    def waste(self, usage: Usage) -> None:
        """Take note of an answer that cannot be used: it was charged, and its usage is known."""
        self._wasted += usage

    def renew(self) -> bool:
        """Hold enough for a further attempt; False where the budget has no room for it now."""
        if self.holds > self._lost + self._wasted.calls:
            return True
        try:
            if self._budget.hold(self._tag, replace(self.most, calls=0)) is not None:
                return False
        except BudgetSpent:
            return False
        self.holds += 1
        return True

    def settle(self, usage: Usage, seconds: float) -> Usage:
        """Book an answered call; returns what it cost with its lost attempts, for the ledger."""
        paid, clean = usage, self._lost + self._wasted.calls == 0  # only then it shows what a call costs
        if not clean:
            lost = self.price.most(usage.input_tokens, self.most.output_tokens)
            paid += _times(lost, self._lost, 0) + replace(self._wasted, calls=0)
        self._budget.settle(self._tag, _times(self.most, self.holds, 1), paid, seconds if clean else None, self._shown)
        return paid

    def known_at_last(self, lost: Mapping[Phase, Usage], usage: Usage) -> Usage:
        """Book `lost` attempts, which a kill cut off in these phases, anew now that the same call was answered.

        Returns what each of them can have cost at most: the answer's input, and the longest answer.
        """
        each = self.price.most(usage.input_tokens, self.most.output_tokens)
        for phase, booked in lost.items():
            tokens, usd = booked.calls * each.tokens - booked.tokens, booked.calls * each.usd - booked.usd
            self._budget.settle(replace(self._tag, phase=phase), Usage(), Usage(0, 0, tokens, 0, 0, usd))
        return each

    def fail(self, cut: bool = False) -> Usage:
        """Book a call without an answer, `cut` if it was in flight; returns its possible cost."""
        if self._booked is None:
            self._booked = _times(self.most, self._lost + cut, 0) + replace(self._wasted, calls=0)
            self._budget.settle(self._tag, _times(self.most, self.holds, 1), self._booked)
        return self._booked


def _times(usage: Usage, count: int, calls: int) -> Usage:
    return Usage(calls, 0, count * usage.input_tokens, 0, count * usage.output_tokens, count * usage.usd)
