"""The report's section on answers: classes before and after, examples fixed and broken, labels in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.report.answers import Change, Confusion, changed, class_fields, confusion, doubtful
from optimizer.report.blocks import Block, Section, Table, Text
from optimizer.report.clean import cell
from optimizer.report.gather import Answer, Facts

SHOWN, MATRIX = 20, 12


def answers_section(facts: Facts) -> Section:
    """Return what seed and winner answered, compared example by example."""
    both = facts.before is not None and facts.after is not None and facts.before_answers and facts.after_answers
    if not both:
        return Section("Answers", [Text("No two candidates have answered the same examples yet.")])
    where = (
        f"On the {facts.split} examples; before is the seed, after the {'winner' if facts.result else 'best so far'}."
    )
    fixed, broken = changed(facts.before_answers, facts.after_answers)
    return Section(
        "Answers",
        [
            Text(where),
            *_classes(facts),
            Section("Examples fixed", _changes(facts, "fixed", fixed)),
            Section("Examples broken", _changes(facts, "broken", broken)),
            Section("Labels in doubt", _doubts(facts)),
        ],
    )


def _classes(facts: Facts) -> list[Section]:
    found = []
    for field in class_fields(facts.examples, [answer.example for answer in facts.before_answers]):
        before = confusion(field, facts.examples, facts.before_answers)
        after = confusion(field, facts.examples, facts.after_answers)
        blocks: list[Block | Section] = [_by_class(before, after)]
        if len(before.classes) <= MATRIX:
            blocks += [_matrix(name, side) for name, side in (("before", before), ("after", after))]
        found.append(Section(f"Classes of {cell(field)}", blocks))
    return found


def _by_class(before: Confusion, after: Confusion) -> Table:
    rows = []
    for label in sorted({*before.classes, *after.classes}):
        rows.append((cell(label), f"{after.total(label)}", *_fate(before, label), *_fate(after, label)))
    head = ("class", "examples", "right before", "mostly taken for", "right after", "mostly taken for, after")
    return Table(f"Right and wrong by class of {cell(before.field)}", head, rows)


def _fate(side: Confusion, label: str) -> tuple[str, str]:
    mistaken, times = side.mistaken_for(label)
    return str(side.counts.get((label, label), 0)), f"{cell(mistaken)} ({times})" if times else "–"


def _matrix(name: str, side: Confusion) -> Table:
    rows = [
        (cell(label), *(str(side.counts.get((label, seen), 0) or "·") for seen in side.columns))
        for label in side.classes
    ]
    head = ("expected, answered as →", *map(cell, side.columns))
    return Table(f"Confusion of {cell(side.field)}, {name}", head, rows)


def _changes(facts: Facts, how: str, found: Sequence[Change]) -> list[Block | Section]:
    rows = [
        (
            _asked(facts, change.example),
            _fields(facts.examples.get(change.example, {}).get("outputs", {})),
            _answer(change.before),
            _answer(change.after),
        )
        for change in found[:SHOWN]
    ]
    head = ("input", "expected", "before", "after")
    blocks: list[Block | Section] = [Table(f"Examples {how}", head, rows, f"No example was {how}.")]
    if len(found) > SHOWN:
        blocks.append(Text(f"{SHOWN} of {len(found)} are shown."))
    return blocks


def _doubts(facts: Facts) -> list[Block | Section]:
    found = doubtful(facts.good)
    rows = [
        (
            _asked(facts, doubt.example),
            _fields(facts.examples.get(doubt.example, {}).get("outputs", {})),
            _fields(doubt.answer),
            f"{doubt.votes} of {doubt.voters}",
        )
        for doubt in found[:SHOWN]
    ]
    head = ("input", "label", "answer that they agree on", "candidates")
    told = (
        "Validation examples to which the best candidates agree to answer otherwise than their label says. They share "
        "one model and may be wrong together: look at each before you change a label."
    )
    empty = f"None: of the {len(facts.good)} best candidates, no four in five (of at least three) contradict a label."
    table = Table("Labels in doubt", head, rows, empty)
    return [Text(told), table] if rows else [table]


def _asked(facts: Facts, example: str) -> str:
    return _fields(facts.examples.get(example, {}).get("inputs", {})) or example


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
