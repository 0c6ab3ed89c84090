"""Every error that metier raises on purpose, each with the exit code that it ends a command with.

MetierError                 2   bad input: one message, one remedy, no traceback
├── ConfigError             2   the run's YAML, --set, or a command's arguments
├── TaskError               2   task.yaml, its data, its metric, its program
├── ModelError              2   a model that is unknown, unreadable, damaged or cannot be fetched
├── LedgerError             2   a run directory that cannot be used
├── CallError               -   one model call failed; carries the kind of failure
├── BudgetSpent             -   a reservation was refused; ends the search normally
├── StoppedByFailures       3   the provider failed for too long; the run can be resumed
├── InternalError          70   a bug of metier's own; a report of it is written, and a run can be resumed
└── Interrupted           130   SIGINT or SIGTERM; the run can be resumed
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from optimizer.types import FailureKind

# C0 and C1 controls but tab and line feed, marks that reorder text, line separators, halves of surrogate pairs.
_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
# Of a message's line: what is shown of a long one's beginning and end. A value may be as long as the file it is from.
BEGINNING, END, MOST_LINES, MOST_WORDS, LONGEST_WORD = 700, 200, 40, 30, 60


class MetierError(Exception):
    """Something the user can mend: what was wrong, and what to do about it.

    Neither is longer than a page, and nothing in them acts on a terminal: they quote files, answers and providers.
    """

    exit_code = 2

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what, self.remedy = _cut(what), _cut(remedy)
        super().__init__(self.what)

    def __str__(self) -> str:
        return f"{self.what}\n  {self.remedy}" if self.remedy else self.what


class ConfigError(MetierError):
    """The configuration or the command line is wrong."""


class TaskError(MetierError):
    """The task's definition, data, metric or program is wrong."""


class ModelError(MetierError):
    """A model is unknown, unreadable, damaged or out of reach."""


class LedgerError(MetierError):
    """A run directory cannot be used as asked."""


class CallError(MetierError):
    """One model call failed; `kind` says how, `retry_after` (seconds) what the provider asked for."""

    def __init__(self, kind: FailureKind, what: str, retry_after: float | None = None) -> None:
        super().__init__(what)
        self.kind = kind
        self.retry_after = retry_after


class BudgetSpent(MetierError):
    """The budget has no room for one more call; `name` is the limit that was reached."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the budget's {name} are spent")
        self.name = name


class StoppedByFailures(MetierError):
    """The run stopped because calls kept failing; what was paid is kept."""

    exit_code = 3


class InternalError(MetierError):
    """A bug of metier's own, which is its cause; what was paid is kept."""

    exit_code = 70


class Interrupted(MetierError):
    """The run was asked to stop; what was paid is kept."""

    exit_code = 130


def did_you_mean(seen: str, known: Iterable[str]) -> str:
    """Return 'did you mean …?' for the nearest known word, else the known words; long ones without their ends."""
    words = sorted(known)
    near = difflib.get_close_matches(seen[:BEGINNING], words, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    words = [word if len(word) <= LONGEST_WORD else f"{word[: LONGEST_WORD - 1]}…" for word in words]
    more = f" and {len(words) - MOST_WORDS:,} more" if len(words) > MOST_WORDS else ""
    return f"known: {', '.join(words[:MOST_WORDS])}{more}." if words else ""


def spelled_out(text: str) -> str:
    r"""Return text in which the characters that a terminal or a browser obeys are spelled out, as in \u001b."""
    return _ACTING.sub(lambda found: f"\\u{ord(found.group()):04x}", text.replace("\r\n", "\n"))


def _cut(text: str) -> str:
    """Return text whose long lines are without their middle; of very many lines only the first are kept."""
    lines = spelled_out(text).split("\n")
    short = [
        line if len(line) <= BEGINNING + END else f"{line[:BEGINNING]} … ({len(line):,} characters) … {line[-END:]}"
        for line in lines[:MOST_LINES]
    ]
    return "\n".join([*short, *([f"… ({len(lines):,} lines)"] if len(lines) > MOST_LINES else [])])
