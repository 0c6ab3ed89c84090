"""numeric, set_f1 and json_fields: how near the answer is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, StrictBool

from optimizer.config.strict import Strict
from optimizer.task.metrics.match import same
from optimizer.task.schema import FieldSpec
from optimizer.task.text import equal, fold
from optimizer.task.values import coerce

# A sign counts where no digit or letter comes before it: '5-10' ends in 10, not in -10.
_AMOUNT = re.compile(
    r"(?P<sign>(?<!\w)[-+−])?[$€£]?\s?"
    r"(?P<digits>[0-9]{1,3}(?:[,_\u00a0\u202f][0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r"(?P<exponent>[eE][-+]?[0-9]+)?"
)


class NumericOptions(Strict):
    """How far off a number may be: in its own unit, or as a share of the expected one."""

    tolerance: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.0
    relative: StrictBool = False


def numeric(options: NumericOptions, spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score 1 where the answer's last number is within the tolerance of the expected one's."""
    wanted, answered = last_number(expected), last_number(seen)
    if wanted is None or answered is None:
        return 0.0, "no number in it"
    room = options.tolerance * (abs(wanted) if options.relative else 1.0)
    right = math.isclose(wanted, answered, rel_tol=1e-9, abs_tol=room)
    return float(right), "" if right else f"read as {answered:g}, off by {abs(answered - wanted):g}"


def last_number(value: Any) -> float | None:
    """Return a number, or the last one in a text; thousands separators, $ and % are passed over."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    text = value if isinstance(value, str) else str(float(value)) if abs(value) < 1e300 else ""
    number = None
    for match in _AMOUNT.finditer(text):
        digits = re.sub(r"[,_\u00a0\u202f]", "", match["digits"])
        sign = "-" if match["sign"] in ("-", "−") else ""
        number = float(f"{sign}{digits}{match['exponent'] or ''}")
    return number if number is not None and math.isfinite(number) else None


def set_f1(spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score the F1 of the answer's items against the expected ones; order and case do not count."""
    wanted, answered = _folded_items(expected), _folded_items(seen)
    if not wanted and not answered:
        return 1.0, ""
    score = 2 * len(wanted & answered) / (len(wanted) + len(answered))
    named = {"missing": wanted - answered, "too many": answered - wanted}
    return score, "; ".join(f"{what}: {', '.join(sorted(items))}" for what, items in named.items() if items)


def json_fields(spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score the fraction of the expected object's fields, nested ones included, that are equal."""
    if spec.type != "json" or not isinstance(expected, dict) or not expected:
        return float(same(spec, expected, seen)), ""
    try:
        answered = coerce(spec, seen)
    except ValueError as problem:
        return 0.0, f"it {problem}"
    checks = dict(_leaves(expected, answered, ""))
    wrong = [path for path, right in checks.items() if not right]
    return 1 - len(wrong) / len(checks), f"wrong or missing: {', '.join(wrong)}" if wrong else ""


def _folded_items(value: Any) -> set[str]:
    items = value if isinstance(value, list) else str(value).split(",")
    return {folded for item in items if (folded := fold(str(item)))}


def _leaves(expected: dict[str, Any], answered: Any, prefix: str) -> Iterator[tuple[str, bool]]:
    there = answered if isinstance(answered, dict) else {}
    for key, value in expected.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, there.get(key), f"{path}.")
        else:
            yield path, key in there and equal(there[key], value)
