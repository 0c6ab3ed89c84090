"""Holds a run that was disturbed against the calm one: outcome, trials, scores, and what was paid."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.ledger.reader import Reader
from optimizer.testing.protocols import text_of

if TYPE_CHECKING:
    from experiments.chaos.tracking import Tracking

TRIALS = "number, candidate, state, reason, value, score, low, high, seen, failures, params"
SCORES = "candidate, split, position, example, metric, value, answer, feedback, failure, tokens, calls, cut"
# Times, names, and what a lost call may have cost. What the server had cached depends on the order of arrival.
APART = ("seconds", "run_id", "lost_calls", "mlflow", "usage", "test_usage")
UNSURE = ("cached_input_tokens", "input_tokens", "output_tokens", "usd")


@dataclass(frozen=True)
class Outcome:
    """What a run came to. `calls` are (messages, state, attempts, phase) of its rows, `mirrored` MLflow's trials."""

    result: Mapping[str, Any]
    trials: Sequence[tuple[Any, ...]]
    scores: Sequence[tuple[Any, ...]]
    calls: Sequence[tuple[str, str, int, str]]
    mirrored: Sequence[tuple[Any, ...]]


def outcome_of(run_dir: Path, tracking: Tracking | None) -> Outcome:
    """Read what a finished run left."""
    result = json.loads((run_dir / "result.json").read_text())
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        trials = [tuple(row) for row in ledger.read(f"SELECT {TRIALS} FROM trials ORDER BY 1")]  # noqa: S608
        scores = [tuple(row) for row in ledger.read(f"SELECT {SCORES} FROM scores ORDER BY 1, 2, 3")]  # noqa: S608
        rows = ledger.read_whole("calls")
    calls = [(_asked(json.loads(row["request"])), row["state"], row["attempts"], row["phase"]) for row in rows]
    mirrored = tracking.trials(result["run_id"]) if tracking is not None and result["mlflow"] else ()
    return Outcome(result, trials, scores, calls, mirrored)


def differences(calm: Outcome, other: Outcome, disturbed: bool) -> list[str]:
    """Return what differs; `disturbed` by what may have cost something without an answer."""
    findings = [
        f"{name} differ: {_first(getattr(calm, name), getattr(other, name))}"
        for name in ("trials", "scores", "mirrored")
        if getattr(calm, name) != getattr(other, name)
    ]
    for name in calm.result.keys() | other.result.keys():
        was, now = calm.result.get(name), other.result.get(name)
        if name in ("usage", "test_usage"):
            findings += _usage(name, was, now, disturbed)
        elif name not in APART and was != now:
            findings.append(f"result.json: {name}: {was!r} → {now!r}")
    for phase, name in (("search", "usage"), ("test", "test_usage")):
        paid = sum(state == "done" and attempts > 0 and of == phase for _, state, attempts, of in other.calls)
        if paid != sum(other.result[name]["calls"].values()):
            findings.append(f"{name}: {other.result[name]['calls']} calls, and {paid} rows")
    return findings


def _usage(name: str, was: Any, now: Any, disturbed: bool) -> list[str]:
    findings = [] if was["calls"] == now["calls"] else [f"{name}: calls {was['calls']} → {now['calls']}"]
    for part in UNSURE[1:]:
        less = now[part] < was[part] - 1e-9
        if less or (not disturbed and now[part] > was[part] + 1e-9):
            findings.append(f"{name}: {part} {was[part]} → {now[part]}")
    return findings


def _first(was: Sequence[Any], now: Sequence[Any]) -> str:
    pairs = [pair for pair in zip(was, now, strict=False) if pair[0] != pair[1]]
    return f"{len(was)} and {len(now)}; {pairs[0][0]} → {pairs[0][1]}" if pairs else f"{len(was)} and {len(now)}"


def paid_twice(other: Outcome, paid: Sequence[Counter[str]], most_lost: int) -> list[str]:
    """Return what was answered more often than the ledger knows; `paid` counts answered bodies, a server each.

    A call that was in flight when its process died may have been answered once more: its row says so.
    """
    answered: Counter[str] = Counter()
    for bodies in paid:
        for body, count in bodies.items():
            answered[_asked_openai(json.loads(body))] += count
    done = Counter(asked for asked, state, attempts, _ in other.calls if state == "done" and attempts)
    lost: Counter[str] = Counter()
    for asked, state, attempts, _ in other.calls:
        lost[asked] += max(1, attempts) * (state in ("lost", "intent", "failed"))
    findings = [
        f"answered {answered[asked]} times, {done[asked]} committed and {lost[asked]} lost: {asked[-200:]}"
        for asked in answered
        if answered[asked] > done[asked] + lost[asked]
    ]
    never = [asked for asked in done if answered[asked] < done[asked]]
    findings += [f"{len(never)} calls are in the ledger that nobody answered"] * bool(never)
    if other.result["lost_calls"] > most_lost:
        findings.append(f"{other.result['lost_calls']} calls lost, at most {most_lost} were in flight")
    return findings


def _asked(request: Mapping[str, Any]) -> str:
    system = [("system", str(request["system"]))] if request.get("system") else []
    turns = [(m["role"], "".join(str(part.get("text", "")) for part in m["parts"])) for m in request["messages"]]
    return json.dumps([*system, *turns])


def _asked_openai(body: Mapping[str, Any]) -> str:
    return json.dumps([(message["role"], text_of(message)) for message in body["messages"]])
