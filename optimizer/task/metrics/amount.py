"""numeric and set_f1: how near a number is, and which items of a list are there."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StrictBool, field_validator

from optimizer.task.metrics.base import Options
from optimizer.task.schema import FieldSpec
from optimizer.task.text import fold

# A sign counts where no digit or letter comes before it: '5-10' ends in 10, not in -10.
_AMOUNT = re.compile(
    r"(?P<sign>(?<!\w)[-+−])?[$€£]?\s?"
    r"(?P<digits>[0-9]{1,3}(?:[,_\u00a0\u202f][0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r"(?P<exponent>[eE][-+]?[0-9]+)?"
)


class NumericOptions(Options):
    """How far off a number may be: in its own unit, or as a share of the expected one; and what units are worth."""

    tolerance: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.0
    relative: StrictBool = False
    units: dict[str, Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)

    @field_validator("units")
    @classmethod
    def _one_is_the_base(cls, units: dict[str, float]) -> dict[str, float]:
        for unit in units:
            if unit != unit.strip() or not unit or unit[0].isdigit():
                raise ValueError(f"the unit {unit!r} is empty, has spaces around it or begins with a digit")
        if units and 1 not in units.values():
            raise ValueError("one unit must be worth 1: the one in which the tolerance is told")
        return units

    def misfit(self, outputs: Mapping[str, FieldSpec]) -> str:
        """Return why these options do not fit the outputs, or ""."""
        bare = [f"'{name}' is {spec.type}" for name, spec in outputs.items() if self.units and spec.type != "str"]
        return f"units are read from text, and {bare[0]}; make its type str" if bare else ""


def numeric(options: NumericOptions, spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score 1 where the answer's last number is within the tolerance of the expected one's.

    With `units` it is the last number that has one of them, and both are converted before they are compared.
    """
    if options.units:
        return _in_units(options, expected, seen)
    wanted, answered = last_number(expected), last_number(seen)
    if wanted is None or answered is None:
        return 0.0, "no number in it"
    right = _is_near(options, wanted, answered)
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


def measured(value: Any, units: dict[str, float]) -> tuple[float, str] | None:
    """Return (number, its unit as `units` spell it, "" for none or the word that stands there); None without a number.

    It is the last number that has one of the units; where none has, the last number.
    """
    text, amounts = str(value), []
    for match in _AMOUNT.finditer(text):
        number = last_number(match.group())
        if number is not None:
            unit = _unit_after(text[match.end() :], units) or _unit_before(text[: match.start("digits")], units)
            amounts.append((number, unit or _word_after(text[match.end() :])))
    known = [amount for amount in amounts if amount[1] in units]
    return next(reversed(known or amounts), None)


def set_f1(spec: FieldSpec, expected: Any, seen: Any) -> tuple[float, str]:
    """Score the F1 of the answer's items against the expected ones; order and case do not count."""
    wanted, answered = _folded_items(expected), _folded_items(seen)
    if not wanted and not answered:
        return 1.0, ""
    score = 2 * len(wanted & answered) / (len(wanted) + len(answered))
    named = {"missing": wanted - answered, "too many": answered - wanted}
    return score, "; ".join(f"{what}: {', '.join(sorted(items))}" for what, items in named.items() if items)


def _is_near(options: NumericOptions, wanted: float, answered: float) -> bool:
    room = options.tolerance * (abs(wanted) if options.relative else 1.0)
    return math.isclose(wanted, answered, rel_tol=1e-9, abs_tol=room)


def _in_units(options: NumericOptions, expected: Any, seen: Any) -> tuple[float, str]:
    """Compare two amounts once both are in the base unit, in which a number is that has no unit."""
    units, wanted, answered = options.units, measured(expected, options.units), measured(seen, options.units)
    if wanted is None or answered is None:
        return 0.0, "no number in it"
    (number, unit), known = answered, ", ".join(units)
    if unit == "" and wanted[1] != "":
        return 0.0, f"no unit after {number:g}; the units are {known}"
    for _, name in (answered, wanted):
        if name and name not in units:
            return 0.0, f"the unit {name!r} is none of {known}"
    base = next(name for name, factor in units.items() if factor == 1)
    in_base, meant = number * units.get(unit, 1), wanted[0] * units.get(wanted[1], 1)
    if _is_near(options, meant, in_base):
        return 1.0, ""
    converted = f" = {in_base:g} {base}" if unit not in ("", base) else ""
    return 0.0, f"read as {number:g} {unit or base}{converted}, off by {abs(in_base - meant):g} {base}"


def _unit_after(text: str, units: dict[str, float]) -> str:
    """Return the longest unit that a text begins with, "" if it begins with none; as written, else in any case."""
    rest = text.lstrip(" \t\u00a0\u202f-")
    for spelled in (str, str.casefold):
        for unit in sorted(units, key=len, reverse=True):
            begins = spelled(rest[: len(unit)]) == spelled(unit)
            if begins and not (unit[-1].isalpha() and rest[len(unit) : len(unit) + 1].isalnum()):
                return unit
    return ""


def _unit_before(text: str, units: dict[str, float]) -> str:
    """Return the longest unit that a text ends with, as currencies stand, "" if it ends with none."""
    head = text.rstrip(" \t\u00a0\u202f-−+")
    for unit in sorted(units, key=len, reverse=True):
        if head.endswith(unit) and not (unit[0].isalpha() and head[: -len(unit)][-1:].isalnum()):
            return unit
    return ""


def _word_after(text: str) -> str:
    found = re.match(r"[ \t\u00a0\u202f]?([^\W\d_]+|[%‰°$€£µ][^\W\d_]*)", text)
    return found[1] if found else ""


def _folded_items(value: Any) -> set[str]:
    items = value if isinstance(value, list) else str(value).split(",")
    return {folded for item in items if (folded := fold(str(item)))}
