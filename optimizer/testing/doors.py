"""What a door promises, whatever is asked of it and whatever befalls it: a state machine of hypothesis.

Name your endpoint in a subclass, and pytest runs it: `TestMine = MyMachine.TestCase`. It needs hypothesis.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

from dspy.lm15 import Config, Message, Request, Response
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from optimizer.config.models import ModelConfig
from optimizer.config.schema import BudgetConfig, Failures
from optimizer.door.budget import Budget
from optimizer.door.door import Door, tag_of_call
from optimizer.errors import BudgetSpent, CallError, LedgerError, StoppedByFailures
from optimizer.ledger.calls import CallTag, begin_attempt
from optimizer.ledger.clock import active_seconds, catch_up
from optimizer.ledger.ledger import Ledger, Write
from optimizer.ledger.reader import connect
from optimizer.ledger.spend import usage_in
from optimizer.models.prices import Price
from optimizer.models.providers import Endpoint, remote
from optimizer.system.steady import SteadyClock
from optimizer.testing.crash import Frozen, NotLived, arm
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.testing.faults import EVERY_KIND, Fault
from optimizer.types import Usage

PRICE = Price(2e-6, 6e-6)
TIMEOUT, CONCURRENCY, LONGEST = 0.5, 4, 60.0
REFUSALS = tuple(Fault("status", status) for status in (400, 401, 408, 413))
FAULTS = (*(fault for fault in EVERY_KIND if fault.kind != "slow"), Fault("slow", seconds=0.02), *REFUSALS)
SIDES = ("before", "after")
IN_USE = [f"{name}.{side}" for name in ("intent", "response", "hit", "statement", "commit") for side in SIDES]
OPENING = [f"{name}.{side}" for name in ("open", "attempt", "meta", "statement", "commit") for side in SIDES]
# So many words that a few answers pass a limit, if nothing holds them back.
LONG = " and so on" * 20
QUESTIONS = st.lists(st.integers(0, 9), min_size=1, max_size=6)
LIMITS = st.builds(
    BudgetConfig,
    calls=st.none() | st.integers(1, 6),
    tokens=st.none() | st.integers(300, 1500),
    usd=st.none() | st.floats(8e-4, 4e-3),
    seconds=st.none() | st.floats(5, 500),
)
Phases = Literal["search", "test"]
Outcome = str | BaseException


class PassingClock(SteadyClock):
    """A steady clock on which time can be let pass."""

    passed = 0.0

    def now(self) -> float:
        """Return seconds since 1970."""
        return super().now() + self.passed


class DoorMachine(RuleBasedStateMachine):
    """A door, its ledger and its budget against a model: what each question was answered with.

    What was answered and paid stays so, and is given again for nothing; nothing is paid twice but what was in flight at
    a kill; no limit is passed; the counters are those of the rows; and a resumed run goes on with all of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="door-")))
        self.numbers = count()
        self.server = self.stack.enter_context(FakeServer(self.reply))
        for target, value in (("connection.FIRST_WAIT", 0.0005), ("breaker.FIRST_PROBE", 0.001)):
            self.stack.enter_context(patch(f"optimizer.door.{target}", value))
        self.stack.enter_context(patch("optimizer.door.limiter.Limiter._wait", lambda limiter: 0.0))
        self.attempt = ExitStack()
        self.answers: dict[str, str] = {}
        self.wall, self.worked, self.limits = 0.0, 0.0, BudgetConfig()
        self.path = self.new_path()
        self.open()

    def endpoint(self, server: FakeServer) -> Endpoint:
        """Return what is under test, at the server's address: the provider's dialect is yours to choose."""
        config = ModelConfig(model="openai/fake", api_base=server.api_base)
        return remote(config, TIMEOUT, CONCURRENCY)

    def reply(self, messages: Messages) -> str:
        """Answer each request with another text: who is asked twice says so."""
        return f"answer {next(self.numbers)} to {text_of(messages[-1]).removesuffix(LONG)}"

    @rule(questions=QUESTIONS, phase=st.sampled_from(("search", "search", "test")))
    def ask(self, questions: Sequence[int], phase: Phases) -> None:
        """Ask questions, new ones and old ones, all at once."""
        left = self.budget.time_left(phase)
        known, asked = dict(self.answers), self.server.count
        outcomes = self.outcomes(self.submit(questions, phase))
        self.learn(known, outcomes)
        new = [outcome for question, outcome in outcomes if question not in known]
        if left is not None and left <= 0:
            assert all(isinstance(outcome, BudgetSpent | StoppedByFailures) for outcome in new), "its time was up"
        assert new or self.server.count == asked, "what is known was asked for again"

    @rule(faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4))
    def order_faults(self, faults: Sequence[Fault]) -> None:
        """Let the next requests fail."""
        self.server.inject(*faults)

    @rule(seconds=st.floats(-2e5, 2e5))
    def set_wall_clock(self, seconds: float) -> None:
        """Set the wall clock of the machine."""
        self.wall += seconds

    @rule(seconds=st.floats(0, 100))
    def let_time_pass(self, seconds: float) -> None:
        """Let time pass while the run is at work."""
        self.clock.passed += seconds

    @rule(limits=LIMITS)
    def resume(self, limits: BudgetConfig) -> None:
        """End in order and go on, with other limits."""
        self.close()
        self.worked, self.limits = self.active(), limits
        self.open()

    @rule(point=st.sampled_from(IN_USE), number=st.integers(1, 4), questions=QUESTIONS)
    def kill(self, point: str, number: int, questions: Sequence[int]) -> None:
        """Die at a point of some calls, and go on."""
        seen: list[tuple[str, Future[Response]]] = []
        futures: list[tuple[str, Future[Response]]] = []
        after = self.new_path()

        def keep() -> None:
            seen.extend(pair for pair in futures if pair[1].done())
            self.copy(after)

        frozen = Frozen(point, number, keep)
        disarm = arm(frozen)
        try:
            futures += self.submit(questions, "search")
            deadline = time.monotonic() + LONGEST
            while not frozen.dead.wait(0.001) and not all(future.done() for _, future in futures):
                assert time.monotonic() < deadline, "a call does not end"
            frozen.freeze()
            self.close()
        finally:
            disarm()
        known = dict(self.answers)
        self.learn(known, [pair for pair in self.outcomes(seen) if not isinstance(pair[1], NotLived)])
        self.go_on(after)

    @rule(point=st.sampled_from(OPENING), number=st.integers(1, 3))
    def kill_while_opening(self, point: str, number: int) -> None:
        """End in order, die while going on, and go on."""
        self.close()
        self.worked = self.active()
        after = self.new_path()
        frozen = Frozen(point, number, lambda: self.copy(after))
        disarm = arm(frozen)
        try:
            self.open()
        except (NotLived, LedgerError):
            assert frozen.dead.is_set()
        finally:
            if not frozen.dead.is_set():
                frozen.freeze()
            self.close()
            disarm()
        self.go_on(after)

    @rule(commits=st.integers(0, 5), questions=QUESTIONS)
    def fill_disk(self, commits: int, questions: Sequence[int]) -> None:
        """Let the disk be full after some commits, and go on when there is room."""
        from optimizer.ledger import ledger

        left, real = count(commits, -1), ledger.commit

        def commit(connection: sqlite3.Connection, writes: Sequence[Write]) -> None:
            if next(left) > 0:
                real(connection, writes)
                return
            for write in writes:
                write.future.set_exception(LedgerError("the ledger cannot be written", "Free some disk space."))

        known = dict(self.answers)
        with patch.object(ledger, "commit", commit):
            outcomes = self.outcomes(self.submit(questions, "search"))
            self.close()
        self.learn(known, [pair for pair in outcomes if not isinstance(pair[1], LedgerError)])
        self.go_on(self.path)

    @invariant()
    def keeps_what_it_promises(self) -> None:
        """Hold the ledger, the budget and the server's own book against the model."""
        rows = self.rows()
        done = {row["question"]: row for row in rows if row["state"] == "done"}
        texts = {question: row["text"] for question, row in done.items()}
        assert texts == self.answers, f"{texts} in the ledger, {self.answers} were given"
        for question, row in done.items():
            before = question in self.before
            assert row["hits"] == self.hits[question] - before, f"hits of {question}"
        self.check_bill(rows)
        search, test = self.usage("search"), self.usage("test")
        assert search.calls + test.calls == len(done), f"{search.calls} and {test.calls} calls, {len(done)} rows"
        reported = {"calls": search.calls, "tokens": search.tokens, "usd": search.usd + test.usd}
        for name, (spent, limit) in self.budget.used().items():
            if name == "seconds":
                worked = active_seconds(self.ledger, self.clock.now())
                assert abs(spent - worked) < 1, f"{spent} s of the budget, {worked} s by the ledger"
            else:
                assert abs(spent - reported[name]) < 1e-9, f"{name}: {spent} counted, {reported[name]} in the rows"
                most = max(limit, self.at_opening[name])
                assert reported[name] <= most + 1e-9, f"{name}: {reported[name]} of {limit}"

    def check_bill(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Hold what the server answered against the rows: each answer is in one, and no question has one too many."""
        room: Counter[str] = Counter()
        for row in rows:
            # A row stands for one answer, and for one more with each attempt that may have been answered unheard.
            room[row["question"]] += max(1, row["attempts"])
        answered: Counter[str] = Counter()
        for body, times in self.server.bodies.items():
            answered[text_of(json.loads(body)["messages"][-1])] += times
        assert not answered - room, f"answered more often than is written down: {answered - room}"
        reported = self.usage("search") + self.usage("test")
        charged = self.server.tokens + self.server.spoilt
        assert charged <= reported.tokens, f"{charged} tokens were charged, {reported.tokens} are reported"
        assert charged * PRICE.input <= reported.usd + 1e-12, f"{charged} tokens were charged for ${reported.usd}"

    def teardown(self) -> None:
        """Let go of everything."""
        self.close()
        self.stack.close()

    def open(self) -> None:
        """Begin an attempt at the run."""
        with patch("time.time", self.wall_clock()):
            self.ledger, self.clock = Ledger(self.path), PassingClock()
        self.attempt.callback(self.ledger.close)
        self.ledger.clock = self.clock
        catch_up(self.ledger)
        begun = sum(row["state"] == "intent" for row in self.rows())
        assert begin_attempt(self.ledger) == begun, f"{begun} calls were in flight"
        self.budget = Budget(self.limits, self.clock.now, self.wall_clock())
        self.budget.begin(self.ledger, 0, CONCURRENCY)
        assert abs(active_seconds(self.ledger, self.clock.now()) - self.worked) < 1, "seconds were lost or won"
        self.before, self.hits = set(self.answers), Counter[str]()
        search = self.usage("search")
        usd = search.usd + self.usage("test").usd
        self.at_opening = {"calls": search.calls, "tokens": search.tokens, "usd": usd}
        endpoint, failures = self.endpoint(self.server), Failures(retries=3, give_up_after=LONGEST)
        self.door = Door(self.ledger, self.budget, {"task": endpoint}, {"task": PRICE}, failures)
        self.attempt.callback(self.door.close)

    def close(self) -> None:
        """End the attempt in order; harmless where it could not begin."""
        self.attempt.close()

    def go_on(self, path: Path) -> None:
        """Go on with what a kill left at a path, which is what the model knows, or more."""
        self.path = path
        self.worked = self.active()
        done = {row["question"]: row["text"] for row in self.rows() if row["state"] == "done"}
        for question, text in self.answers.items():
            assert done.get(question) == text, f"the answer to {question} is lost"
        self.answers = done
        self.server.forgive()
        self.open()

    def submit(self, questions: Sequence[int], phase: Phases) -> list[tuple[str, Future[Response]]]:
        """Ask questions at once; returns their futures."""
        tag_of_call.set(CallTag("task", phase, 0))
        texts = [f"question {number}{LONG}" for number in questions]
        config = Config(max_tokens=10, temperature=0)
        asked = [(text, Request("fake", (Message.user(text),), config=config)) for text in texts]
        return [(text, self.door.submit("task", request)) for text, request in asked]

    def outcomes(self, futures: Sequence[tuple[str, Future[Response]]]) -> list[tuple[str, Outcome]]:
        """Wait for calls; returns what each came to."""
        assert not wait([future for _, future in futures], LONGEST).not_done, "a call does not end"
        return [(question, future.exception() or str(future.result().message.text)) for question, future in futures]

    def learn(self, known: Mapping[str, str], outcomes: Sequence[tuple[str, Outcome]]) -> None:
        """Hold answers against what is known, and add them."""
        paid = set(known)
        for question, outcome in outcomes:
            if isinstance(outcome, str):
                assert self.answers.setdefault(question, outcome) == outcome, "another answer to the same call"
                self.hits[question] += question in paid
                paid.add(question)
            else:
                assert question not in known, f"{question} was paid, and is not answered: {outcome!r}"
                assert isinstance(outcome, BudgetSpent | CallError | StoppedByFailures), repr(outcome)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the calls with their texts; none where the ledger has no tables yet."""
        with closing(connect(self.path.as_uri())) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'calls'").fetchone():
                return []
            return [_texts(row) for row in connection.execute("SELECT * FROM calls ORDER BY id")]

    def active(self) -> float:
        """Return the seconds in which a process worked on the run, by what is on disk."""
        with closing(Ledger(self.path, exclusive=False)) as ledger:
            return active_seconds(ledger)

    def usage(self, phase: Phases) -> Usage:
        """Return what the ledger says that a phase took."""
        return usage_in(self.ledger, phase)

    def copy(self, path: Path) -> None:
        """Keep what a kill would leave of the ledger: what is committed."""
        with closing(connect(self.path.as_uri())) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)

    def wall_clock(self) -> Callable[[], float]:
        """Return the wall clock of the machine, as it is set now and later."""
        real = time.time
        return lambda: real() + self.wall

    def new_path(self) -> Path:
        """Return where a ledger may lie."""
        return self.folder / f"{next(self.numbers)}.db"


def _texts(row: sqlite3.Row) -> dict[str, Any]:
    asked = json.loads(row["request"])["messages"][-1]
    answer = json.loads(row["response"] or '{"message": {"parts": []}}')["message"]
    question, text = ("".join(part["text"] for part in message["parts"]) for message in (asked, answer))
    return {**dict(row), "question": question, "text": text}
