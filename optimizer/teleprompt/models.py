"""The LMs that DSPy's optimizers are given: each sample an answer of its own, and an end when the budget ends."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import dspy

from optimizer.door.door import Door, repetition_of_call
from optimizer.door.engine import SyncEngine
from optimizer.door.failures import metier_error_in
from optimizer.errors import CallError, MetierError
from optimizer.types import ModelKey

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response

# So many samples can one call of DSPy's ask for before two rollouts meet.
ROLLOUT = 1000
_draws: ContextVar[Iterator[int]] = ContextVar("draws")


class Stopped(BaseException):
    """Ends an optimizer, which takes any Exception for a wrong answer."""


class Gate:
    """Whether an optimizer may go on; what stopped it is in `reason`."""

    def __init__(self, spent: Callable[[], bool]) -> None:
        """`spent` tells if what is left of the budget is kept for what comes after the optimizer."""
        self._spent, self._closed = spent, threading.Event()
        self.reason: MetierError | None = None

    def check(self) -> None:
        """Raise Stopped if no further call may be made."""
        if self._closed.is_set() or self._spent():
            raise self.close(None)

    def close(self, reason: MetierError | None) -> Stopped:
        """Let no further call be made; returns what to raise."""
        self.reason = self.reason or reason
        self._closed.set()
        return Stopped()

    def stopped_by(self, problem: BaseException) -> Stopped | None:
        """Return what to raise for an error that is not one call's own."""
        error = metier_error_in(problem)
        return None if error is None or isinstance(error, CallError) else self.close(error)


class DrawingEngine(SyncEngine):
    """Asks for each sample of a call as another repetition: the door would give the first one's answer again."""

    def complete(self, request: Request) -> Response:
        """Return the response; raises what `Door.submit` raises."""
        token = repetition_of_call.set(next(_draws.get(itertools.count())))
        try:
            return super().complete(request)
        finally:
            repetition_of_call.reset(token)


class RolloutLM(dspy.LM):
    """A dspy.LM whose rollouts are answers of their own: DSPy means them to bypass a cache that we do not have."""

    gate: Gate

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        """Return what dspy.LM returns; raises Stopped where no call may be made any more."""
        self.gate.check()
        rollout = kwargs.get("rollout_id", self.kwargs.get("rollout_id")) or 0
        token = _draws.set(itertools.count(int(rollout) * ROLLOUT))
        try:
            return super().__call__(prompt, messages=messages, **kwargs)
        except Exception as problem:
            stop = self.gate.stopped_by(problem)
            if stop is None:
                raise
            raise stop from None
        finally:
            _draws.reset(token)


def rolling(lm: dspy.LM, door: Door, model: ModelKey, gate: Gate) -> RolloutLM:
    """Return a copy of an LM of the door's for an optimizer of DSPy's."""
    made: RolloutLM = lm.copy(engine=DrawingEngine(partial(door.submit, model)))
    made.__class__, made.gate = RolloutLM, gate
    return made


def asked_text(lm: RolloutLM, prompt: str, rollout: int) -> str:
    """Return the text with which a model answers a prompt; each `rollout` is an answer of its own."""
    answer = lm(prompt, rollout_id=rollout)[0]
    return str(answer["text"] if isinstance(answer, Mapping) else answer)
