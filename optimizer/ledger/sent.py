"""Prompts as they were sent to the model, from the recorded calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optimizer.ledger.answers import answers_of
from optimizer.ledger.calls import calls_of
from optimizer.ledger.reader import Reader
from optimizer.ledger.trials import trial_figures


@dataclass(frozen=True, slots=True)
class SentPrompt:
    """A candidate's prompt as it was sent for one example, a conversation for each call of the program.

    A conversation holds messages as OpenAI's chat protocol has them, the model's answer last. `pool` names the
    examples that demos are retrieved from: "683 training examples".
    """

    split: str
    example: str
    conversations: Sequence[Sequence[Mapping[str, str]]]
    pool: str


@dataclass(frozen=True, slots=True)
class Masked:
    """How often personal data was masked: `counts` by kind, in `requests` of the `sent` ones."""

    counts: Mapping[str, int]
    requests: int
    sent: int


def masked_data(ledger: Reader) -> Masked | None:
    """Return what was masked in the requests that were sent; None where the run masks nothing."""
    identity = ledger.meta("identity") or {}
    if not identity.get("config", {}).get("privacy", {}).get("redact"):
        return None
    sent = "attempts > 0 AND state IN ('done', 'failed')"
    total = ledger.read(f"SELECT COUNT(*) AS n, COUNT(request ->> '$.masked') AS masked FROM calls WHERE {sent}")[0]  # noqa: S608
    kinds = "SELECT kind.key AS kind, SUM(kind.value) AS n FROM calls, json_each(calls.request, '$.masked') AS kind"
    sql = f"{kinds} WHERE {sent} GROUP BY kind.key ORDER BY n DESC, kind.key"
    return Masked({row["kind"]: row["n"] for row in ledger.read(sql)}, total["masked"], total["n"])


def prompt_as_sent(ledger: Reader, candidate: str) -> SentPrompt | None:
    """Return a candidate's prompt for the first example that its trials paid for; None where they paid for none."""
    numbers = [trial.number for trial in trial_figures(ledger) if trial.candidate_id == candidate]
    size = (ledger.meta("identity") or {}).get("task", {}).get("train", "").partition(" examples")[0]
    for split in ("validation", "train"):
        for answer in answers_of(ledger, candidate, split):
            for number in numbers:
                calls = calls_of(ledger, "search", number, answer.example)
                conversations = [[*call.messages, call.reply] for call in calls if call.reply is not None]
                if conversations:
                    return SentPrompt(split, answer.example, conversations, f"{size} training examples".strip())
    return None
