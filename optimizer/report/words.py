"""In words and lines: a prompt's settings and demos, what changed between two, and how calls failed."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from optimizer.ledger.reader import Reader
from optimizer.ledger.records import failures_by_kind
from optimizer.report.blocks import Sign
from optimizer.types import Example, Prompt

SHOWN_DEMOS = 32


def told_failures(ledger: Reader) -> str:
    """Return how calls failed, by kind, with one message."""
    kinds = failures_by_kind(ledger)
    return "; ".join(f"{count} × {kind}: {message}" for kind, count, message in kinds) or "no call failed"


def at_most(planned: int | None) -> str:
    """Return what follows a number of trials: how many there may be, where that is known."""
    return f" of at most {planned}" if planned else ""


def settings_of(prompt: Prompt) -> str:
    """Return a prompt's format and demo policy as a sentence."""
    if prompt.count == 0:
        return f"Format `{prompt.format}`, no demos."
    how = {
        "static": f"the {prompt.count} demos below, always the same",
        "nearest": f"the {prompt.count} training examples nearest to the input",
        "diverse": f"{prompt.count} training examples near the input and unlike each other",
    }[prompt.policy]
    place = ""
    if prompt.policy != "static":
        place = ", the nearest last" if prompt.order == "given" else ", the nearest first"
    return f"Format `{prompt.format}`; {how}{place}."


def demo_lines(prompt: Prompt) -> list[str]:
    """Return a static prompt's demos as the model sees them, a line each, at most `SHOWN_DEMOS`."""
    if prompt.policy != "static":
        return []
    shown = prompt.shown
    return [demo_line(demo) for demo in shown[:SHOWN_DEMOS]]


def demo_line(demo: Example) -> str:
    """Return an example as one line: inputs → outputs."""
    return " | ".join(map(str, demo.inputs.values())) + " → " + " | ".join(map(str, demo.outputs.values()))


def difference(before: Prompt, after: Prompt) -> list[tuple[Sign, str]]:
    """Return the lines of two prompts, settings last: ` ` for both, `-` for the first, `+` for the second."""
    old, new = _lines(before), _lines(after)
    found: list[tuple[Sign, str]] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            found += [(" ", line) for line in old[a:b]]
        else:
            found += [("-", line) for line in old[a:b]]
            found += [("+", line) for line in new[c:d]]
    return found


def _lines(prompt: Prompt) -> Sequence[str]:
    return [*prompt.instruction.splitlines(), f"[{settings_of(prompt)}]"]
