"""regex: whether the answer matches a pattern."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import StrictBool, field_validator

from optimizer.system.limits import shorten
from optimizer.task.metrics.base import Options
from optimizer.task.metrics.overlap import whole
from optimizer.task.schema import FieldSpec

# The longest that one answer is matched. A pattern such as (a+)+b takes time that doubles with each letter.
SECONDS = 1.0


class RegexOptions(Options):
    """The pattern, by default the expected value; `full`: it must match all of the answer, else some part of it."""

    pattern: str | None = None
    full: StrictBool = True
    ignore_case: StrictBool = False

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None and (fault := _fault(pattern)):
            raise ValueError(fault)
        return pattern


def regex_match(options: RegexOptions, spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score 1 where the answer, without the spaces around it, matches the pattern, or one of several."""
    text, remarks = whole(seen).strip(), []
    for pattern in _patterns(options, expected):
        if (remark := _mismatch(options, pattern, text)) == "":
            return 1.0, ""
        remarks.append(remark)
    return 0.0, "; ".join(remarks)


def regex_check(options: RegexOptions, spec: FieldSpec, expected: Any) -> str:
    """Return why no answer can match: an expected pattern that is none, or an expected answer that does not match."""
    if options.pattern is not None:
        return regex_match(options, spec, expected, expected)[1]
    return "; ".join(fault for pattern in _patterns(options, expected) if (fault := _fault(pattern)))


def _patterns(options: RegexOptions, expected: Any) -> list[str]:
    if options.pattern is not None:
        return [options.pattern]
    return [str(one) for one in expected] if isinstance(expected, list) else [str(expected)]


def _mismatch(options: RegexOptions, pattern: str, text: str) -> str:
    """Return why a text does not match; "" where it does."""
    shown = shorten(pattern)
    if fault := _fault(pattern):
        return fault
    try:
        if _matches(pattern, text, options.full, options.ignore_case):
            return ""
        if options.full and _matches(pattern, text, False, options.ignore_case):
            return f"a part of it matches the pattern {shown}, but not all of it"
        if not options.ignore_case and _matches(pattern, text, options.full, True):
            return f"it would match the pattern {shown} but for upper and lower case"
    except TimeoutError:
        return f"matching it with the pattern {shown} took longer than {SECONDS:g} s; simplify the pattern"
    return f"it does not match the pattern {shown}"


def _matches(pattern: str, text: str, full: bool, ignore_case: bool) -> bool:
    compiled = _compiled(pattern, ignore_case)
    return (compiled.fullmatch if full else compiled.search)(text, timeout=SECONDS) is not None


def _fault(pattern: str) -> str:
    """Return what is wrong with a pattern, "" where it is one."""
    import regex

    try:
        _compiled(pattern, False)
    except (regex.error, RecursionError, OverflowError) as problem:
        return f"{shorten(pattern)} is not a pattern ({problem})"
    return ""


@lru_cache(maxsize=256)
def _compiled(pattern: str, ignore_case: bool) -> Any:
    # Not `re`: it cannot be told to give up.
    import regex

    return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)
