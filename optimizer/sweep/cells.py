"""From a matrix to cells: every combination of its values but the excluded ones, each with a name to read."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optimizer.errors import ConfigError, did_you_mean
from optimizer.sweep.schema import MOST_CELLS, keys_of
from optimizer.types import canonical_json, digest

Values = Mapping[str, Any]
Matrix = Mapping[str, Sequence[Any]]
# A file's name may have 255 bytes; what is beside a ledger has a longer one.
LONGEST_NAME = 120
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Cell:
    """One combination of a matrix's values, and the name of its folder."""

    name: str
    values: Values

    @property
    def key(self) -> str:
        """What tells it from all other cells."""
        return canonical_json(self.values)


def combinations(matrix: Matrix, exclude: Sequence[Values] = ()) -> list[Values]:
    """Return each combination of values that is not excluded; all with the first seed before those with the second.

    So a sweep that is cut short has played as many strategies, models and tasks as it could. A key of several, such as
    `task, seed`, gives each of them its value of a row.
    Raises ConfigError where there are too many, or an exclusion leaves out none of them.
    """
    count = math.prod(len(values) for values in matrix.values())
    if count > MOST_CELLS:
        what = f"matrix: {count:,} cells; at most {MOST_CELLS:,} are played"
        raise ConfigError(what, "Take fewer values of a key.")
    choices = [[_settings(key, value) for value in values] for key, values in matrix.items()]
    for number, excluded in enumerate(exclude):
        _refuse_idle(f"exclude[{number}]", excluded, choices)
    cells: list[Values] = [
        {key: value for settings in row for key, value in settings.items()} for row in itertools.product(*choices)
    ]
    ranks: dict[str, int] = {}
    cells.sort(key=lambda cell: ranks.setdefault(canonical_json(cell.get("seed")), len(ranks)))
    left = [cell for cell in cells if not any(covers(excluded, cell) for excluded in exclude)]
    if not left:
        raise ConfigError("exclude: every cell is left out", "Leave out fewer.")
    return left


def covers(excluded: Values, cell: Values) -> bool:
    """Tell if a cell has all the values of an exclusion."""
    return all(same(cell[key], value) for key, value in excluded.items())


def same(one: object, other: object) -> bool:
    """Tell if two values of YAML are the same: unlike Python's, true is not 1 there."""
    return canonical_json(one) == canonical_json(other)


def _settings(key: str, value: Any) -> Values:
    """Return what a value of a matrix's key sets: of a key of several, each to its value of the row."""
    keys = keys_of(key)
    return {key: value} if len(keys) == 1 else dict(zip(keys, value, strict=True))


def _refuse_idle(where: str, excluded: Values, choices: Sequence[Sequence[Values]]) -> None:
    if not excluded:
        raise ConfigError(f"{where}: names no key, so it would leave out every cell", "Name keys with values.")
    matrix: dict[str, list[Any]] = {}
    for settings in itertools.chain(*choices):
        for key, value in settings.items():
            matrix.setdefault(key, []).append(value)
    for key, value in excluded.items():
        if key not in matrix:
            raise ConfigError(f"{where}: '{key}' is no key of the matrix", f"In '{key}': {did_you_mean(key, matrix)}")
        if not any(same(value, known) for known in matrix[key]):
            known = did_you_mean(str(value), map(str, matrix[key]))
            raise ConfigError(f"{where}: {key} is never {value!r}, so it leaves out none", f"In '{key}': {known}")


def named(rows: Iterable[Values], known: Mapping[str, str]) -> list[Cell]:
    """Return combinations as cells; those that have a name already, by their key in `known`, keep it.

    Two that would share a name on a disk that does not tell A from a have a digest of their values behind it.
    """
    cells: list[Cell] = []
    fresh = [Cell(_name(row), row) for row in rows]
    taken = {name.casefold() for name in known.values()}
    wanted = [cell.name.casefold() for cell in fresh if cell.key not in known]
    for cell in fresh:
        name = known.get(cell.key)
        if name is None:
            folded = cell.name.casefold()
            name = cell.name
            if folded in taken or wanted.count(folded) > 1:
                name = f"{name}--{digest(cell.values, 8)}"
        cells.append(Cell(name, cell.values))
    return cells


def _name(values: Values) -> str:
    """Return the values in words that a folder may be called by: support_intent--tpe--smollm2-135m--seed-0."""
    name = "--".join(_word(key, value) for key, value in values.items())
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}--{digest(values, 8)}"


def _word(key: str, value: object) -> str:
    if isinstance(value, str):  # of a path its end, which tells it from the others
        text = re.split(r"[\\/]", value.rstrip("\\/"))[-1]
        return _UNFIT.sub("-", text).strip(".-") or "none"
    if isinstance(value, Mapping) and set(value) == {"strategy"}:
        return _word(key, value["strategy"])
    text = _UNFIT.sub("-", canonical_json(value)).strip(".-") or "none"
    return f"{key.rpartition('.')[2]}-{text}"
