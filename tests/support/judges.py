"""Judges for tests: what a fake provider says in the judge's role, and which task asks it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from optimizer.testing.fake_server import Messages, text_of

CRITERIA: dict[str, Any] = {"right": "The label is the expected one."}
METRIC = {"name": "judge", "criteria": CRITERIA}
_VALUES = re.compile(r"<(input|expected|answer) name=\"\w+\">\n(.*?)\n</\1>", re.DOTALL)
Grade = Callable[[dict[str, str]], object]


def is_judged(messages: Messages) -> bool:
    """Tell if a request is one to a judge."""
    return text_of(messages[0]).startswith("You grade answers")


def shown(messages: Messages) -> dict[str, str]:
    """Return what a judge is shown first: input, expected and answer."""
    return dict(_VALUES.findall(asked_of(messages)))


def asked_of(messages: Messages) -> str:
    """Return what is to be graded, and by which criteria: it comes after two examples of the form."""
    return text_of(messages[5])


def judging(grade: Grade, otherwise: Callable[[Messages], str]) -> Callable[[Messages], str]:
    """Return a model that grades each criterion alike, and answers `otherwise` where it is not asked to judge."""

    def answer(messages: Messages) -> str:
        if not is_judged(messages):
            return otherwise(messages)
        names = re.findall(r"^- ([\w ]+):", asked_of(messages), re.MULTILINE)
        said = grade(shown(messages))
        return "\n".join(f"{name} reason: It is so.\n{name} grade: {said}" for name in names)

    return answer


def strict(seen: dict[str, str]) -> int:
    """Give 5 to the expected answer, 1 to any other."""
    return 5 if seen["answer"] == seen["expected"] else 1


def coin(seen: dict[str, str]) -> int:
    """Give 1 to 5 by chance, the same each time."""
    return 1 + hashlib.sha256(repr(sorted(seen.items())).encode()).digest()[0] % 5
