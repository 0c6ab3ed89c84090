"""Says whether two files of `play.py` tell of the same work; ends with 1 where anything differs.

python experiments/unchanged/compare.py BEFORE.json AFTER.json [--only fake]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHOWN, LEAD = 90, 20  # characters of a value, and how many of them before the first that differs
# What names a row of a table.
KEYS = {
    "trials": ("number",),
    "calls": ("role", "phase", "trial", "example"),
    "scores": ("candidate", "split", "position"),
}
Row = Mapping[str, Any]
MISSING = object()


@dataclass(frozen=True)
class Difference:
    """One value that is not the same: in which table and column, of which row, and what it is."""

    column: str
    row: str
    before: Any
    after: Any

    def __str__(self) -> str:
        one, two = text(self.before), text(self.after)
        same = next((at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
        start = max(0, same - LEAD) if max(len(one), len(two)) > SHOWN else 0
        return f"{self.row}: {cut(one, start)} | {cut(two, start)}"


def text(value: Any) -> str:
    """Return a value as it is compared."""
    if value is MISSING:
        return "(nothing)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def cut(whole: str, start: int) -> str:
    """Return a piece of a text, on one line."""
    piece = whole[start : start + SHOWN].replace("\n", "⏎")
    return ("…" if start else "") + piece + ("…" if len(whole) > start + SHOWN else "")


def main() -> None:
    """Compare the files job by job; tell first what differs at all, then where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--only", default="", metavar="TEXT", help="the jobs whose names have it: fake, real, a task")
    options = parser.parse_args()
    files = (json.loads(path.read_text(encoding="utf-8")) for path in (options.before, options.after))
    before, after = ({name: job for name, job in file.items() if options.only in name} for file in files)
    found = {name: differences(before.get(name), after.get(name)) for name in {**before, **after}}
    for name, different in found.items():
        for line in told(name, before.get(name), after.get(name), different):
            print(line)
    print(summary(found))
    sys.exit(any(found.values()) or not found)


def told(name: str, before: Row | None, after: Row | None, found: Sequence[Difference]) -> Iterator[str]:
    """Yield the lines about one job: what is the same, and one example of each column that is not."""
    if before is None or after is None:
        yield f"{name}: only in the {'first' if after is None else 'second'} file"
        return
    winners = [winner(one) for one in (before, after)]
    facts = [f"same winner {winners[0]}" if winners[0] == winners[1] else f"WINNERS {winners[0]} | {winners[1]}"]
    for table in KEYS:
        counts = [len(one.get(table, ())) for one in (before, after)]
        facts.append(f"{counts[0]} {table}" if counts[0] == counts[1] else f"{table.upper()} {counts[0]} | {counts[1]}")
    yield f"{name}: {'DIFFERENT' if found else 'the same'}; {', '.join(facts)}"
    for column, those in grouped(found).items():
        yield f"    {column}: {len(those)} differ, the first is {those[0]}"


def winner(job: Row) -> str:
    """Return the winner's id, or how the run ended without one."""
    outcome = job.get("outcome")
    return outcome["winner"]["candidate_id"] if outcome else f"none (exit {job['exit']})"


def grouped(found: Sequence[Difference]) -> dict[str, list[Difference]]:
    """Return the differences by column, in the order in which they come."""
    columns: dict[str, list[Difference]] = defaultdict(list)
    for one in found:
        columns[one.column].append(one)
    return columns


def summary(found: Mapping[str, Sequence[Difference]]) -> str:
    """Return what differs over all jobs."""
    counts = Counter(one.column for those in found.values() for one in those)
    if not counts:
        return f"All {len(found)} jobs are the same." if found else "There is no job in the files."
    jobs = {column: sum(any(one.column == column for one in those) for those in found.values()) for column in counts}
    listed = ", ".join(f"{column} ({count} in {jobs[column]} jobs)" for column, count in counts.most_common())
    one = sum(map(bool, found.values()))
    return f"{one} of {len(found)} jobs differ, in {'one field' if len(counts) == 1 else 'these fields'} only: {listed}"


def differences(before: Row | None, after: Row | None) -> list[Difference]:
    """Return all that is not the same in a job."""
    if before is None or after is None:
        sides = (MISSING if job is None else "played" for job in (before, after))
        return [Difference("job", "the whole", *sides)]
    found: list[Difference] = []
    for table, names in KEYS.items():
        pair = [
            rows_of(job.get(table, []), other.get(table, []), names)
            for job, other in ((before, after), (after, before))
        ]
        found += of_rows(table, *pair)
    rest = sorted({*before, *after} - {*KEYS})
    for part in rest:
        flat = [dict(leaves(job.get(part, MISSING))) for job in (before, after)]
        for place in {**flat[0], **flat[1]}:
            one, two = (side.get(place, MISSING) for side in flat)
            if text(one) != text(two):
                found.append(Difference(column_of(part, place), place or part, one, two))
    return found


def rows_of(rows: Sequence[Row], others: Sequence[Row], names: Sequence[str]) -> dict[str, Row]:
    """Return the rows that the other side does not have exactly so, by what names them."""
    left, found = Counter(map(text, others)), {}
    numbers: Counter[str] = Counter()
    for row in rows:
        written = text(row)
        if left[written] > 0:
            left[written] -= 1
            continue
        name = " ".join(f"{key} {row[key]}" for key in names)
        numbers[name] += 1
        found[name if numbers[name] == 1 else f"{name} ({numbers[name]})"] = row
    return found


def of_rows(table: str, before: Mapping[str, Row], after: Mapping[str, Row]) -> Iterator[Difference]:
    """Yield what differs between the rows of a table that have no twin."""
    for name in {**before, **after}:
        if name not in before or name not in after:
            sides = (one.get(name, MISSING) for one in (before, after))
            yield Difference(f"{table} (a whole row)", name, *sides)
            continue
        one, two = before[name], after[name]
        for column in {**one, **two}:
            if text(one.get(column, MISSING)) != text(two.get(column, MISSING)):
                yield Difference(f"{table}.{column}", name, one.get(column, MISSING), two.get(column, MISSING))


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the places in nested data with what is there; a text of several lines is taken line by line."""
    if isinstance(value, str) and "\n" in value:
        value = value.splitlines()
    if isinstance(value, dict | list) and value:
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, f"{place} > {name}" if place else str(name))
    elif value is not MISSING:
        yield place, value


def column_of(part: str, place: str) -> str:
    """Return a place's name for the groups: its part, and the first step inside of it."""
    return f"{part}.{place.partition(' > ')[0]}" if place else part


if __name__ == "__main__":
    main()
