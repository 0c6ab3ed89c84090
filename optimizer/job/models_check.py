"""`metier models check`: what a model can do, asked of the model itself with a few short calls."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from optimizer.config.models import ModelConfig, Models, is_local
from optimizer.config.schema import BudgetConfig, Failures
from optimizer.door.budget import Budget
from optimizer.door.door import Door, repetition_of_call
from optimizer.door.failures import RETRYABLE, classify
from optimizer.errors import CallError, MetierError, ModelError
from optimizer.ledger.ledger import Ledger
from optimizer.models.batches import batches_of
from optimizer.models.capabilities import FEATURES, NAMES, Documented, Provider, provider_of
from optimizer.models.fleet import Fleet, Say
from optimizer.models.prices import MILLION, Price, metered, price_of
from optimizer.models.providers import Endpoint
from optimizer.system.redact import scrub
from optimizer.types import Usage

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response

Seen = Literal["yes", "no", "unknown"]
# Calls that are made at once, and how many times as long as one they may take together to have run side by side.
AT_ONCE, SIDE_BY_SIDE = 4, 0.6
# Of a short answer, and of one by a model that reasons before it answers.
TOKENS, REASONED = 32, 4096
# Words of an answer that no chance repeats.
LONG_ENOUGH = 4
LONGEST_MESSAGE = 160
# In which a provider's list of batches is to answer.
BATCH_SECONDS = 30.0
SENTENCE = "Write one sentence about a journey by train, with a name and a number in it."
SCHEMA = {
    "type": "object",
    "properties": {"legs": {"type": "integer"}},
    "required": ["legs"],
    "additionalProperties": False,
}
# Lines of a prefix that is long enough to be cached: some 1,400 tokens, and for Anthropic's largest minimum 5,000.
LINES, MORE_LINES = 110, 400


@dataclass(frozen=True)
class Finding:
    """What was seen of one feature, in which words, and what the provider's documentation says."""

    name: str
    seen: Seen
    message: str = ""
    documented: Documented = field(default_factory=Documented)


@dataclass(frozen=True)
class ModelChecked:
    """What a model can do. `answers` tells that it was reached at all; `usage` is what the check has taken."""

    model: str
    provider: str
    answers: bool
    findings: Sequence[Finding]
    calls: int
    usage: Usage
    price: str

    def to_json(self) -> dict[str, object]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Call:
    """What came of a call: a response, or why there is none; `refused` tells that the provider took it for wrong."""

    seconds: float
    response: Response | None = None
    problem: str = ""
    refused: bool = False

    @property
    def text(self) -> str:
        """The answer's text; "" where none came."""
        return "" if self.response is None else self.response.message.text or ""

    def unanswered(self) -> tuple[Seen, str] | None:
        """Return what a call says that was not answered; None of one that was."""
        if self.response is not None:
            return None
        return ("no" if self.refused else "unknown"), self.problem


def check_model(config: ModelConfig, say: Say = lambda text: None) -> ModelChecked:
    """Return what a model can do, asked with eight short calls through the door, and for its list of batches.

    What the provider refuses is told as "no" with its message, and what nobody can tell as "unknown": nothing that a
    provider does is an error here. Raises ModelError where the model cannot be reached for, as its file is not there.
    """
    provider = provider_of(config.model, config.api_base)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ledger = stack.enter_context(closing(Ledger(folder / "ledger.db")))
        fleet = stack.enter_context(Fleet(Models(task=config), folder, say))
        endpoint = replace(fleet.endpoints["task"], concurrency=AT_ONCE)
        budget = Budget(BudgetConfig(), ledger.clock.now, time.time)
        price = _price(config)
        prices: dict[str, Price] = {} if price is None else {"task": price}
        failures = Failures(retries=1, give_up_after=30)
        door = stack.enter_context(closing(Door(ledger, budget, {"task": endpoint}, prices, failures)))
        asker = _Asker(door, endpoint, provider)
        findings, answers = asker.findings()
        usage = asker.usage(price or Price())
    return ModelChecked(config.model, provider.name, answers, findings, len(asker.calls), usage, _priced(config, price))


class _Asker:
    """Asks one model, and keeps what came of each call."""

    def __init__(self, door: Door, endpoint: Endpoint, provider: Provider) -> None:
        self._door, self._endpoint, self._provider = door, endpoint, provider
        self._reasons = endpoint.reasons
        self.calls: list[Call] = []

    def findings(self) -> tuple[list[Finding], bool]:
        """Return what is seen of each feature, and whether the model answers at all."""
        plain = self._ask([self._request(SENTENCE)])[0]
        if plain.response is not None:
            again = self._ask([self._request(SENTENCE)], first=1)[0]  # the first one may have waited for a start
            plain = again if again.response is not None and again.seconds < plain.seconds else plain
        if plain.response is None:
            unknown = [self._finding(name, "unknown", "it was not reached") for name in NAMES.values()]
            return [Finding("answers", "no", plain.problem), *unknown], False
        began = time.monotonic()
        at_once = [
            self._request(SENTENCE, logprobs=1),
            self._request("How many legs has a spider?", response_format={"type": "json_schema", "schema": SCHEMA}),
            *[self._request(SENTENCE, seed=7)] * 2,
        ]
        logprobs, structured, *twice = self._ask(at_once)
        together = time.monotonic() - began
        prefix = self._prefix()
        cached = [self._ask([self._cached(f"{prefix}\n{question}")])[0] for question in ("Say A.", "Say B.")]
        seen: Mapping[str, tuple[Seen, str]] = {
            "logprobs": _has_logprobs(logprobs),
            "structured": _is_structured(structured),
            "seed": _no("the protocol has none") if self._provider.of("seed").can == "no" else _is_same(*twice),
            "caching": _is_cached(*cached),
            "batch": _has_batches(self._endpoint),
            "rate_limits": ("yes", limits)
            if (limits := self._door.connections.limits())
            else ("unknown", "none was met"),
        }
        rest: tuple[Seen, str] = ("unknown", "not asked")
        features = [self._finding(NAMES[feature], *seen.get(feature, rest)) for feature in FEATURES]
        side_by_side = _parallel(plain, [logprobs, structured, *twice], together)
        return [Finding("answers", "yes", _speed(plain)), Finding("parallel calls", *side_by_side), *features], True

    def usage(self, price: Price) -> Usage:
        """Return what all calls have taken."""
        total = Usage()
        for call in self.calls:
            if call.response is not None:
                total += metered(call.response.usage, self._endpoint.model, price, Usage())
        return total

    def _finding(self, name: str, seen: Seen, message: str) -> Finding:
        feature = next(feature for feature in FEATURES if NAMES[feature] == name)
        return Finding(name, seen, message, self._provider.of(feature))

    def _ask(self, requests: Sequence[Request], first: int = 0) -> list[Call]:
        """Make calls side by side; the same request twice is two calls, told apart by numbers from `first` on."""
        began = time.monotonic()
        futures = []
        for number, request in enumerate(requests, first):
            token = repetition_of_call.set(number)
            futures.append(self._door.submit("task", request))
            repetition_of_call.reset(token)
        made = []
        for future in futures:
            try:
                response = future.result()
                made.append(Call(time.monotonic() - began, response))
            except CallError as problem:
                refused = problem.kind in ("invalid_request", "context_too_long")
                made.append(Call(time.monotonic() - began, None, _short(problem.what), refused))
            except MetierError as problem:
                made.append(Call(time.monotonic() - began, None, _short(problem.what)))
            except Exception as problem:  # noqa: BLE001 - the boundary to all providers' clients: a check never crashes
                text = f"{type(problem).__name__}: {problem}"
                made.append(Call(time.monotonic() - began, None, _short(text)))
        self.calls += made
        return made

    def _request(self, text: str, **settings: object) -> Request:
        from dspy.lm15 import Config, Message, Request

        sampling = {"max_tokens": REASONED} if self._reasons else {"max_tokens": TOKENS, "temperature": 1.0}
        return Request(self._endpoint.model, (Message.user(text),), config=Config(**{**sampling, **settings}))

    def _prefix(self) -> str:
        lines = MORE_LINES if self._provider.prefixes == ("anthropic",) else LINES
        return "\n".join(f"Rule {n}: whoever asks about place {n} is answered briefly." for n in range(lines))

    def _cached(self, text: str) -> Request:
        """Return a request whose prefix is marked to be cached, where the provider wants marks."""
        from dspy.lm15 import CacheConfig

        system, _, question = text.rpartition("\n")
        asked = self._request(question, cache=CacheConfig(prefix="stable"))
        return replace(asked, system=system)


def _no(why: str) -> tuple[Seen, str]:
    return "no", why


def _has_logprobs(call: Call) -> tuple[Seen, str]:
    if (unanswered := call.unanswered()) is not None:
        return unanswered
    known = call.response is not None and bool(call.response.logprobs)
    return ("yes", "") if known else ("no", "it answers without them")


def _is_structured(call: Call) -> tuple[Seen, str]:
    """Tell if an answer keeps to the schema, which a model that is not held to it would hardly do."""
    if (unanswered := call.unanswered()) is not None:
        return unanswered
    try:
        data = json.loads(call.text)
        kept = isinstance(data, dict) and set(data) == {"legs"} and type(data["legs"]) is int
    except (ValueError, RecursionError):
        kept = False
    if kept:
        return "yes", "by a JSON schema"
    if call.response is not None and call.response.finish_reason == "length":
        return "unknown", "the answer was cut off at its limit of tokens"
    return "no", f"it answers {call.text.strip()[:60]!r}"


def _is_same(first: Call, second: Call) -> tuple[Seen, str]:
    for call in (first, second):
        if (unanswered := call.unanswered()) is not None:
            return unanswered
    if first.text != second.text:
        return "no", "two answers with one seed differ"
    if len(first.text.split()) < LONG_ENOUGH:
        return "unknown", "the answers are too short to tell"
    return "yes", "the same answer twice"


def _is_cached(first: Call, second: Call) -> tuple[Seen, str]:
    if (unanswered := first.unanswered() or second.unanswered()) is not None:
        return unanswered
    used = None if second.response is None else second.response.usage
    if used is None or used.cache_read_tokens is None:
        return "unknown", "it does not tell how many tokens were cached"
    if used.cache_read_tokens:
        return "yes", f"{used.cache_read_tokens:,} tokens of a repeated prefix"
    return "no", "none of a repeated prefix was cached"


def _has_batches(endpoint: Endpoint) -> tuple[Seen, str]:
    """Tell if a list of batches is there: none is handed in, as its answers may take a day."""
    try:
        wire = endpoint.batch_wire(lambda headers: None)
    except ModelError:
        return "unknown", "not asked: batches of this provider are not known here"

    async def ask() -> None:
        try:
            async with asyncio.timeout(BATCH_SECONDS):
                await batches_of(wire, endpoint.model.partition("/")[0]).probe()
        finally:
            await wire.aclose()

    try:
        asyncio.run(ask())
    except Exception as problem:  # noqa: BLE001 - the boundary to all providers: a check never crashes
        error = classify(problem)
        if error is None or error.kind in RETRYABLE - {"malformed"}:
            return "unknown", _short(f"its list does not answer: {problem}")
        return "no", _short(error.what)
    return "yes", "the list of batches is there; none was handed in"


def _parallel(plain: Call, calls: Sequence[Call], seconds: float) -> tuple[Seen, str]:
    """Tell if calls that were made at once ran side by side: faster than one after the other, by their tokens."""
    answered = [call for call in calls if call.response is not None]
    if len(answered) < 2:
        return "unknown", "too few calls were answered to tell"
    message = f"{len(answered)} at once took {seconds / plain.seconds:.1f} times as long as one"
    length = sum(map(_made, answered)) / _made(plain)
    return ("yes" if seconds < SIDE_BY_SIDE * length * plain.seconds else "no"), message


def _made(call: Call) -> int:
    """Return how many tokens an answer has, 1 where that is not known."""
    return (None if call.response is None else call.response.usage.output_tokens) or 1


def _speed(call: Call) -> str:
    return f"in {call.seconds:.2f} s, {_made(call) / call.seconds:,.0f} tokens/s"


def _price(config: ModelConfig) -> Price | None:
    """Return what a model costs; None where that is not known."""
    from optimizer.models.prices import configured

    if config.price is not None:
        return configured(config.price)
    return Price() if is_local(config.model) else price_of(config.model)


def _priced(config: ModelConfig, price: Price | None) -> str:
    if is_local(config.model):
        return "none: it is served on this machine"
    if price is None:
        return "not known: name it in the config, models.task.price"
    cached = "" if price.cached is None else f", ${price.cached * MILLION:g} cached"
    return f"${price.input * MILLION:g} input{cached}, ${price.output * MILLION:g} output, per million tokens"


def _short(text: str) -> str:
    line = " ".join(scrub(text).split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[: LONGEST_MESSAGE - 1]}…"
