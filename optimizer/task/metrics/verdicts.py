"""What a judge is asked, and what its reply says: for each criterion a reason, then a grade."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.task.metrics.rubric import Criterion, bare_name

if TYPE_CHECKING:
    from jinja2 import Template

PROMPTS = Path(__file__).parent / "prompts"
Criteria = Mapping[str, Criterion]
# A tag of ours, however it is spaced: what stands in the data must neither close nor open one.
_TAG = re.compile(r"<(?=\s*/?\s*(?:input|expected|answer|first|second)\b)", re.IGNORECASE)
_LINE = re.compile(r"^(?P<name>.*?)\b(?P<what>reason|grade)\b[\s*_`]*:(?P<text>.*)$", re.IGNORECASE)
_BULLET = re.compile(r"^[\W_]*(?:[0-9]+[.)]\s+)?")
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's word on one criterion: the grade's number on its scale, 0 being the worst, and why."""

    level: int
    reason: str


@dataclass(frozen=True, slots=True)
class Request:
    """What a judge is asked: what it is told, turns that show the form (a request, its reply), and what to grade."""

    told: str
    turns: Sequence[tuple[str, str]]
    shown: str

    @property
    def texts(self) -> list[str]:
        """All of its messages."""
        return [self.told, *(text for turn in self.turns for text in turn), self.shown]


class UnreadableVerdict(ValueError):
    """A judge's reply that does not give each criterion a reason, and one grade on its scale."""


def request(
    criteria: Criteria, inputs: Mapping[str, Any], reference: Mapping[str, Any], answer: Mapping[str, Any]
) -> Request:
    """Return what a judge is asked; the values are data that cannot end the tags around them.

    Without `inputs` or a `reference` nothing is said of them.
    """
    # The examples of the form are graded on the criteria's own scales: a small model copies the grades that it sees.
    scales = list(criteria.values())
    shown = {"criteria": criteria, "inputs": inputs, "reference": reference, "answer": answer, "scales": scales}
    return _filled("judge", shown)


def comparison(
    criteria: Criteria, inputs: Mapping[str, Any], first: Mapping[str, Any], second: Mapping[str, Any]
) -> Request:
    """Return what a judge is asked about two answers, in the order in which they are shown."""
    return _filled("judge_pair", {"criteria": criteria, "inputs": inputs, "first": first, "second": second})


def complaint(criteria: Criteria, problem: str) -> str:
    """Return what a judge is told whose reply cannot be read."""
    (part,) = _parts("judge_again")
    return part.render(criteria=criteria, problem=problem).strip()


def grading_instruction(reference: bool) -> str:
    """Return what a judge is told that gives one grade and no reason: a tuned one's prompt begins with it."""
    (part,) = _parts("judge_grade")
    return part.render(reference=reference).strip()


def templates(pairwise: bool = False) -> list[str]:
    """Return the files that `request`, or `comparison`, and `complaint` fill in, as text."""
    return [_source(name) for name in ("judge_pair" if pairwise else "judge", "judge_again")]


def as_data(value: Any) -> str:
    """Return a value as a judge is shown it: whole, and unable to end the tags around it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return _TAG.sub("‹", text)


def read_verdicts(criteria: Criteria, reply: str) -> dict[str, Verdict]:
    """Return the verdict on each criterion; raises UnreadableVerdict, which says what is wrong with a reply."""
    grades: dict[str, list[str]] = {name: [] for name in criteria}
    reasons: dict[str, list[str]] = {name: [] for name in criteria}
    names = {bare_name(name): name for name in criteria}
    current, open_reason = next(iter(criteria)) if len(criteria) == 1 else None, False
    for line in (_BULLET.sub("", line) for line in reply.splitlines()):
        match = _LINE.match(line)
        label = bare_name(match["name"] if match else line)
        if label in names:
            current = names[label]
        elif match is not None and label:
            match = None  # a sentence with such a word in it, or a criterion that there is not
        if current is None:
            continue
        if match is None:
            open_reason = open_reason and label not in names
            if open_reason:
                reasons[current].append(line)
            continue
        open_reason = match["what"].casefold() == "reason"
        (reasons if open_reason else grades)[current].append(match["text"])
    return {
        name: Verdict(_level(name, criterion, grades[name]), _reason(name, reasons[name]))
        for name, criterion in criteria.items()
    }


def _level(name: str, criterion: Criterion, written: list[str]) -> int:
    if not written:
        raise UnreadableVerdict(f"the line '{name} grade: …' is missing")
    levels = {criterion.level_in(words) for words in written}
    if None in levels:
        words = next(words for words in written if criterion.level_in(words) is None)
        raise UnreadableVerdict(f"'{name} grade: {words.strip():.{_SHOWN}}' is not {criterion.grades}")
    if len(levels) > 1:
        raise UnreadableVerdict(f"{name} has several grades")
    (level,) = levels
    assert level is not None  # noqa: S101 - for mypy
    return level


def _reason(name: str, written: list[str]) -> str:
    # A judge that gives none obeys what it grades, or guesses: a small one was seen to.
    reason = " ".join(" ".join(written).split())
    if not re.search(r"\w", reason):
        raise UnreadableVerdict(f"the line '{name} reason: …' is missing")
    return reason


def _filled(name: str, shown: Mapping[str, Any]) -> Request:
    told, *turns, asked = (part.render(shown).strip() for part in _parts(name))
    return Request(told, list(zip(turns[::2], turns[1::2], strict=True)), asked)


def _source(name: str) -> str:
    return (PROMPTS / f"{name}.jinja").read_text(encoding="utf-8")


@cache
def _parts(name: str) -> list[Template]:
    from jinja2 import Environment, StrictUndefined

    # What is rendered is a prompt, not markup: `as_data` keeps the data inside its tags.
    made = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # noqa: S701
    made.filters["data"] = as_data
    # Cut before anything is filled in: the data may have such a line, too.
    return [made.from_string(part) for part in _source(name).split("\n---\n")]
