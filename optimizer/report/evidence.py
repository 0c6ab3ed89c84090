"""The report's section on answers: classes before and after, examples fixed and broken, labels in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from optimizer.ledger.answers import Answer
from optimizer.report.answers import Change, changed, class_fields, confusion, doubtful
from optimizer.report.blocks import Block, Section, Table, Text
from optimizer.report.clean import cell
from optimizer.report.gather import Facts

SHOWN, MATRIX = 20, 12


def answers_section(facts: Facts) -> Section:
    """Return what seed and winner answered, compared example by example."""
    both = facts.before is not None and facts.after is not None and facts.before_answers and facts.after_answers
    if not both:
        return Section("Answers", [Text("No two candidates have answered the same examples yet.")])
    after = "winner" if facts.result else "best so far"
    fixed, broken = changed(facts.before_answers, facts.after_answers)
    fields = class_fields(facts.examples, [answer.example for answer in facts.before_answers])
    return Section(
        "Answers",
        [
            Text(f"On the {facts.split} examples; before is the seed, after the {after}{_of_folds(facts)}."),
            *(_classes(facts, field) for field in fields),
            _changes(facts, "fixed", fixed),
            _changes(facts, "broken", broken),
            _doubts(facts),
        ],
    )


def _of_folds(facts: Facts) -> str:
    return " of each example's fold" if facts.result is not None and facts.result["folds"] else ""


def _classes(facts: Facts, field: str) -> Section:
    before, after = (confusion(field, facts.examples, side) for side in (facts.before_answers, facts.after_answers))
    tables: list[Block | Section] = []
    if len(before) <= MATRIX:
        names = [f"Confusion of {cell(field)}, {side}" for side in ("after", "before")]
        tables = [
            Section(names[0], [_matrix(names[0], after)]),
            Section(names[1], [_matrix(names[1], before)], folded=True),
        ]
    by_class = Section(f"By class of {cell(field)}", [_by_class(field, before, after)], folded=bool(tables))
    return Section(f"Classes of {cell(field)}", [*tables, by_class], columns=True)


def _by_class(field: str, before: pd.DataFrame, after: pd.DataFrame) -> Table:
    labels = before.index.union(after.index)
    before, after = (side.reindex(labels, fill_value=0) for side in (before, after))
    rows = [
        (cell(label), str(after.loc[label].sum()), *_fate(before.loc[label], label), *_fate(after.loc[label], label))
        for label in labels
    ]
    head = ("class", "examples", "right before", "mostly taken for", "right after", "mostly taken for, after")
    return Table(f"Right and wrong by class of {cell(field)}", head, rows)


def _fate(counts: pd.Series, label: str) -> tuple[str, str]:
    """Return how often a class was right, and what it was mostly taken for."""
    wrong = counts.drop(label, errors="ignore")
    mistaken = f"{cell(wrong.idxmax())} ({wrong.max()})" if wrong.any() else "–"
    return str(counts.get(label, 0)), mistaken


def _matrix(caption: str, counts: pd.DataFrame) -> Table:
    rows = [
        (cell(label), *(str(count or "·") for count in row))
        for label, row in zip(counts.index, counts.to_numpy(), strict=True)
    ]
    return Table(caption, ("expected, answered as →", *map(cell, counts.columns)), rows, shaded=True)


def _changes(facts: Facts, how: str, changes: Sequence[Change]) -> Section:
    rows = [(*_known(facts, c.example), _answer(c.before), _answer(c.after)) for c in changes[:SHOWN]]
    head = ("input", "expected", "before", "after")
    blocks: list[Block] = [Table(f"Examples {how}", head, rows, f"No example was {how}.")]
    if len(changes) > SHOWN:
        blocks.append(Text(f"{SHOWN} of {len(changes)} are shown."))
    return Section(f"Examples {how}: {len(changes)}", blocks, folded=True)


def _doubts(facts: Facts) -> Section:
    doubts = doubtful(facts.good)
    rows = [(*_known(facts, d.example), _fields(d.answer), f"{d.votes} of {d.voters}") for d in doubts[:SHOWN]]
    head = ("input", "label", "answer that they agree on", "candidates")
    explanation = Text(
        "Validation examples to which the best candidates agree to answer otherwise than their label says. They share "
        "one model and may be wrong together: look at each before you change a label."
    )
    empty = f"None: of the {len(facts.good)} best candidates, no four in five (of at least three) contradict a label."
    table = Table("Labels in doubt", head, rows, empty)
    return Section(f"Labels in doubt: {len(doubts)}", [explanation, table] if rows else [table], folded=True)


def _known(facts: Facts, example: str) -> tuple[str, str]:
    """Return what an example asks, by its id where that is not known, and what it expects."""
    known = facts.examples.get(example, {})
    return _fields(known.get("inputs", {})) or example, _fields(known.get("outputs", {}))


def _answer(answer: Answer) -> str:
    if answer.failure is not None:
        return f"({answer.failure})"
    if "unreadable" in answer.fields:
        return f"(unreadable) {cell(answer.fields['unreadable'])}"
    return _fields(answer.fields)


def _fields(fields: Mapping[str, Any]) -> str:
    if len(fields) == 1:
        return cell(next(iter(fields.values())))
    return cell("; ".join(f"{name}: {value}" for name, value in fields.items()))
