"""Test answers for people to score, and the verdict by their scores of some and the metric's of all."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimizer.errors import ConfigError, LedgerError
from optimizer.evaluate.powered import Powered, powered
from optimizer.ledger.answers import Answer, answers_of
from optimizer.ledger.examples import known_examples
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import result_of
from optimizer.report.words import interval
from optimizer.types import Example, digest

ID, SCORE = "id", "score"
# Fewer examples with people's scores tell nothing.
LEAST = 10
_ID = re.compile(r"(\d+)-(\d+)-([0-9a-f]{12})")


@dataclass(frozen=True)
class Rated:
    """The verdict by people's scores of `scored` of the test's examples; `drawn` were given to them.

    `people` is what their scores alone say, `judged` the mean difference by the metric alone.
    """

    verdict: str
    together: Powered
    people: Powered
    judged: float
    examples: int
    drawn: int
    scored: int

    def text(self) -> str:
        """Return it for a person."""
        lines = [
            f"{self.verdict}, by people's scores of {self.scored} of {self.examples} test examples",
            f"  people and metric  {_figures(self.together)}",
            f"  people alone       {_figures(self.people)}",
            f"  metric alone       {self.judged:+.3f}",
        ]
        if self.scored < self.drawn:
            left = self.drawn - self.scored
            lines.append(f"  {left} of {self.drawn} drawn examples have no score: if they differ, this does not hold")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Pair:
    """One test example that both have answered."""

    example: str
    seed: Answer
    winner: Answer

    @property
    def gain(self) -> float:
        """The winner's score minus the seed's, by the metric."""
        return (self.winner.value or 0.0) - (self.seed.value or 0.0)


def write_sample(run_dir: Path, count: int, seed: int, path: Path) -> int:
    """Write a table of test answers to be scored, drawn by `seed`; return how many answers it has.

    It holds seed's and winner's answers to `count` examples in an order that tells nothing; an answer that both gave
    is there once, and not at all where nobody could read it. Raises LedgerError for a run without a test, or whose
    winner is its seed.
    """
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        pairs, run_id = _pairs(ledger, run_dir)
        examples = known_examples(ledger)
    rows = {}
    for pair in _drawn(pairs, run_id, seed, count):
        for answer in (pair.seed, pair.winner):
            if answer.readable:
                name = f"{seed}-{count}-{_mark(run_id, answer)}"
                rows[name] = {ID: name, **_shown(examples.get(pair.example), answer), SCORE: ""}
    ordered = sorted(rows.values(), key=lambda row: digest([run_id, row[ID]]))
    columns = list(dict.fromkeys(column for row in ordered for column in row if column != SCORE))
    try:
        # With a mark by which spreadsheets know the encoding; never over scores that somebody has written.
        with path.open("x", encoding="utf-8-sig", newline="") as file:
            table = csv.DictWriter(file, [*columns, SCORE], restval="")
            table.writeheader()
            table.writerows(ordered)
    except FileExistsError:
        raise ConfigError(f"{path} is there already", "Give another file, or remove it.") from None
    except OSError as problem:
        raise ConfigError(f"{path} cannot be written ({problem})", "Give another file.") from None
    return len(ordered)


def rated(run_dir: Path, path: Path, scale: tuple[float, float] = (0.0, 1.0)) -> Rated:
    """Return the verdict of a run by a table of `write_sample` that people have filled in.

    Scores lie on `scale`, from the worst to the best. Raises ConfigError for a table that is none of this run's, or has
    too few scores, LedgerError as `write_sample` does.
    """
    scores, drawn_by = _read(path, scale)
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        pairs, run_id = _pairs(ledger, run_dir)
    drawn = _drawn(pairs, run_id, *drawn_by)
    marks = {_mark(run_id, answer) for pair in drawn for answer in (pair.seed, pair.winner)}
    if strange := scores.keys() - marks:
        what = f"{path}: {len(strange)} of its answers are none of {run_dir}"
        raise ConfigError(what, "Give the table that `metier judge sample` wrote of this run.")
    known = {pair.example: _gain(pair, run_id, scores) for pair in drawn}
    people = [known.get(pair.example) for pair in pairs]
    count = sum(gain is not None for gain in people)
    if count < LEAST:
        raise ConfigError(f"{path}: {count} examples have people's scores of both answers", f"Score {LEAST} at least.")
    judged = [pair.gain for pair in pairs]
    together, alone = powered(judged, people), powered([0.0] * len(pairs), people)
    low, high = together.ci95
    verdict = "improved" if low > 0 else "worse" if high < 0 else "inconclusive"
    return Rated(verdict, together, alone, math.fsum(judged) / len(judged), len(pairs), len(drawn), count)


def _pairs(ledger: Reader, run_dir: Path) -> tuple[list[_Pair], str]:
    report = result_of(ledger)
    if report is None:
        remedy = f"Let it finish with `metier resume {run_dir}`."
        raise LedgerError(f"{run_dir}: this run has not come to its test", remedy)
    if report.statistic is not None:
        what = f"{run_dir}: its score is {report.statistic['kind']}, no mean that people could give"
        raise LedgerError(what, "People score answers of a run whose metric scores each answer by itself.")
    if report.seed.candidate.id == report.winner.candidate.id:
        raise LedgerError(f"{run_dir}: the winner is the seed", "There is nothing to compare.")
    sides = [
        {
            answer.position: answer
            for answer in answers_of(ledger, side.candidate.id, "test")
            if answer.value is not None
        }
        for side in (report.seed, report.winner)
    ]
    both = sorted(sides[0].keys() & sides[1].keys())
    return [_Pair(sides[0][at].example, sides[0][at], sides[1][at]) for at in both], report.run_id


def _drawn(pairs: Sequence[_Pair], run_id: str, seed: int, count: int) -> list[_Pair]:
    return sorted(pairs, key=lambda pair: digest([run_id, seed, pair.example]))[:count]


def _gain(pair: _Pair, run_id: str, scores: Mapping[str, float]) -> float | None:
    """Return people's difference on an example; None where they left one of its answers out."""
    if pair.seed.fields == pair.winner.fields:
        return 0.0
    sides = [scores.get(_mark(run_id, one)) if one.readable else 0.0 for one in (pair.winner, pair.seed)]
    return None if None in sides else float(sides[0] or 0.0) - float(sides[1] or 0.0)


def _mark(run_id: str, answer: Answer) -> str:
    """Return what names an answer to an example, whoever gave it."""
    return digest([run_id, answer.example, dict(answer.fields)], 12)


def _shown(example: Example | None, answer: Answer) -> dict[str, str]:
    asked = {} if example is None else example.inputs
    shown = {f"input {name}": _cell(value) for name, value in asked.items()}
    return shown | {f"answer {name}": _cell(value) for name, value in answer.fields.items()}


def _cell(value: Any) -> str:
    """Return a value as text that no spreadsheet takes for a formula."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _read(path: Path, scale: tuple[float, float]) -> tuple[dict[str, float], tuple[int, int]]:
    """Return people's scores in [0, 1] by answer, and the seed and count by which the answers were drawn."""
    worst, best = scale
    if worst == best or not (math.isfinite(worst) and math.isfinite(best)):
        raise ConfigError(f"a scale from {worst:g} to {best:g} tells nothing", "Give the worst and the best score.")
    scores, draws = {}, set()
    for number, row in enumerate(_rows(path), 2):
        found = _ID.fullmatch((row.get(ID) or "").strip())
        if found is None:
            raise ConfigError(
                f"{path}:{number}: {row.get(ID)!r:.60} names no answer", "Leave the column 'id' as it is."
            )
        draws.add((int(found[1]), int(found[2])))
        if text := (row.get(SCORE) or "").strip():
            scores[found[3]] = _scored(text, worst, best, f"{path}:{number}")
    if len(draws) != 1:
        raise ConfigError(f"{path}: it holds {len(draws)} samples", "Give one table of `metier judge sample`.")
    return scores, draws.pop()


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            start = file.readline()
            file.seek(0)
            # A spreadsheet writes semicolons where the comma is the sign of decimals.
            table = csv.DictReader(file, delimiter=max(",;\t", key=start.count))
            rows = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise ConfigError(f"{path}: cannot be read ({problem})", "Give a table as CSV in UTF-8.") from None
    if missing := [name for name in (ID, SCORE) if name not in (table.fieldnames or ())]:
        raise ConfigError(f"{path}: no column '{missing[0]}'", "Give the table that `metier judge sample` wrote.")
    return rows


def _scored(text: str, worst: float, best: float, place: str) -> float:
    try:
        score = (float(text.replace(",", ".")) - worst) / (best - worst)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        raise ConfigError(
            f"{place}: the score {text!r:.40} is not from {worst:g} to {best:g}", "Correct it, or --scale."
        )
    return score


def _figures(found: Powered) -> str:
    return f"{found.mean:+.3f}  {interval(*found.ci95, form='+.3f')}"
