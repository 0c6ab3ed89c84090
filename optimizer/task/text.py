"""Small helpers that the room shares: text folded for comparison, strict JSON, many problems in one error."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from optimizer.errors import TaskError, did_you_mean
from optimizer.system.files import is_folder
from optimizer.system.limits import TOO_DEEP, check_depth

SHOWN = 5
# Of the problems of a whole data set: lines that a message shows, and rows that one of them names.
LINES, NAMED = 20, 3


def fold(text: str) -> str:
    """Return text without case, surrounding space, repeated space or Unicode spelling variants."""
    return unicodedata.normalize("NFC", " ".join(unicodedata.normalize("NFC", text).casefold().split()))


def fold_all(value: object) -> Any:
    """Return a JSON-like value with all of its text (not its keys) folded."""
    if isinstance(value, str):
        return fold(value)
    if isinstance(value, dict):
        return {key: fold_all(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fold_all(item) for item in value]
    return value


def equal(one: object, two: object) -> bool:
    """Whether two JSON-like values are equal: text folded, numbers to nine digits, but true is not 1."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(equal, one, two))
    if isinstance(one, str) and isinstance(two, str):
        return fold(one) == fold(two)
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    if isinstance(one, float) or isinstance(two, float):
        return isinstance(one, (int, float)) and isinstance(two, (int, float)) and _close(one, two)
    return one == two


def parse_json(text: str) -> Any:
    """Parse JSON; raises ValueError on NaN, Infinity, a repeated key or half a surrogate pair as well."""
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_distinct)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    check_depth(value)
    if "\\ud" in text.lower():
        _encodable(json.dumps(value, ensure_ascii=False))
    return value


def refuse(problems: Sequence[str], remedy: str) -> None:
    """Raise one TaskError that shows the first five problems and counts the others; none, no error."""
    if not problems:
        return
    more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    raise TaskError("\n".join([*problems[:SHOWN], *more]), remedy)


@dataclass
class _Kind:
    """The problems of one kind: texts, the rows of each and how many, and how many rows have others."""

    rows: dict[object, list[str]] = field(default_factory=dict)
    texts: dict[object, str] = field(default_factory=dict)
    counts: dict[object, int] = field(default_factory=dict)
    beyond: int = 0

    def lines(self, most: int) -> list[str]:
        shown = list(self.rows)[:most]
        hidden = self.beyond + sum(self.counts[key] for key in self.rows if key not in shown)
        return [*(self._line(key) for key in shown), *([f"and {hidden:,} more"] if hidden else [])]

    def _line(self, key: object) -> str:
        first, *others = self.rows[key]
        if not first:  # the problem names its rows itself
            return self.texts[key]
        uncounted = self.counts[key] - len(self.rows[key])
        more = f" and {uncounted:,} more" if uncounted else ""
        return f"{first}: {self.texts[key]}" + (f" (also {', '.join(others)}{more})" if others else "")


class Problems:
    """What is wrong in the data, gathered in one pass and then told in one error.

    The same problem in several rows is one line. `repairs` tells if the task may say `repair`, which mends some kinds.
    """

    def __init__(self, repairs: bool = False) -> None:
        self._repairs = repairs
        self._kinds: dict[tuple[str, str | None], _Kind] = {}  # by remedy and repair

    def __len__(self) -> int:
        """Return in how many rows there is one, a row with two being counted twice."""
        return sum(kind.beyond + sum(kind.counts.values()) for kind in self._kinds.values())

    @property
    def repairs(self) -> tuple[str, ...]:
        """The repairs that would mend some of them, in the order in which they were met."""
        return tuple(dict.fromkeys(repair for _, repair in self._kinds if repair is not None))

    def add(self, origin: str, problem: object, remedy: str, repair: str | None = None) -> None:
        """Take note of a problem of the row at `origin`, which is empty where the problem names its rows itself.

        It is turned to text only if it is shown; its `key` tells it from others.
        """
        kind = self._kinds.setdefault((remedy, repair), _Kind())
        key = getattr(problem, "key", None) or str(problem)
        if key in kind.rows:
            kind.counts[key] += 1
            if len(kind.rows[key]) < NAMED:
                kind.rows[key].append(origin)
        elif len(kind.rows) < LINES:
            kind.rows[key], kind.counts[key], kind.texts[key] = [origin], 1, str(problem)
        else:
            kind.beyond += 1

    def refuse(self) -> None:
        """Raise one TaskError with all kinds of problems, each with some of its rows; none, no error."""
        if not self._kinds:
            return
        each = max(2, LINES // len(self._kinds))
        lines = [line for kind in self._kinds.values() for line in kind.lines(each)]
        remedies = list(dict.fromkeys(remedy for remedy, _ in self._kinds))
        if self.repairs and self._repairs:
            remedies.append(f"Or add repair: [{', '.join(self.repairs)}] under data.")
        raise TaskError("\n".join(lines), "\n  ".join(remedies))


def no_such_file(path: Path, label: str, suffixes: Container[str]) -> TaskError:
    """Return what to raise where a file that a task names is missing; `suffixes` are those of its kind."""
    beside = path.parent.glob("*") if is_folder(path.parent) else ()
    near = [other.name for other in beside if other.suffix.lower() in suffixes and other.is_file()]
    hint = did_you_mean(path.name, near) or "no file of that kind is there."
    return TaskError(
        f"{label}: no such file", f"Paths start at the folder of the task's file. In {path.parent}: {hint}"
    )


def _close(one: float, two: float) -> bool:
    try:
        return math.isclose(one, two)
    except OverflowError:  # a whole number too large for a float
        return one == two


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text} is too large")
    return number


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key '{key}' is given twice")
        found[key] = value
    return found


def _encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise ValueError(f"half a surrogate pair (\\u{ord(text[problem.start]):04x})") from None
