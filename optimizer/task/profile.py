"""What a task's examples look like, split by split, and what is doubtful in them: for `metier tasks check`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from optimizer.task.duplicates import ALIKE, GRAM, Near, nearly_equal
from optimizer.task.metrics.labels import NO, YES
from optimizer.task.repair import input_key
from optimizer.task.schema import FieldSpec
from optimizer.types import Example, canonical_json

# The worst first.
Kind = Literal["leak", "conflict", "suspicious", "near_leak", "copy", "near_duplicate", "personal", "missing", "rare"]
KINDS: tuple[Kind, ...] = (
    *("leak", "conflict", "suspicious", "near_leak", "copy", "near_duplicate", "personal", "missing", "rare"),
)
Group = list[tuple[str, Example]]  # examples, each with the name of its split
# Examples of a label in the test below which its score says little.
RARE = 5
# Letters of which each is about a token: Chinese, Japanese, Korean. Of others about four are.
_WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
LETTERS_A_TOKEN = 4
_PAIRS_APART = "Remove one of each pair, or keep what belongs together in one split: split.group."
_AGREE = "Decide which is right, or add repair: [drop_conflicting] under data."
_ONCE = "Remove the copies, or add repair: [drop_duplicates] under data."
_LOOK = f"Look whether they are one case: at least {100 * ALIKE:.0f} % of their runs of {GRAM} characters are the same."
_ONE_SPLIT = "Remove them from one of the splits: a score on what was seen before says nothing."


@dataclass(frozen=True)
class Lengths:
    """How long the inputs of a split are: half of them at most `median`, 19 of 20 at most `most`."""

    median: int
    most: int
    longest: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Lengths:
        """Return those of at least one length."""
        ordered = sorted(lengths)
        return cls(ordered[(len(ordered) - 1) // 2], ordered[(len(ordered) - 1) * 19 // 20], ordered[-1])


@dataclass(frozen=True)
class PartProfile:
    """One split: how many examples, how long their inputs are, and how often each label stands in it, by output."""

    examples: int
    characters: Lengths
    tokens: Lengths
    labels: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Finding:
    """Something doubtful: how often it is there, in words, and which examples, a group of origins for each case."""

    kind: Kind
    count: int
    what: str
    remedy: str
    examples: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Profile:
    """The splits by name, and what is doubtful, worst first."""

    parts: Mapping[str, PartProfile]
    findings: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = field(default=())

    def with_findings(self, findings: Sequence[Finding], remarks: Sequence[str] = ()) -> Profile:
        """Return this profile with more findings, in their order, and remarks on how they were looked for."""
        ordered = sorted((*self.findings, *findings), key=lambda finding: KINDS.index(finding.kind))
        return Profile(self.parts, tuple(ordered), (*self.remarks, *remarks))


def profile_of(
    parts: Mapping[str, Sequence[Example]], outputs: Mapping[str, FieldSpec], repeated: bool = True
) -> Profile:
    """Return the profile of a task's splits, or of the parts of its data where it cannot be split.

    Without `repeated` nobody looks for examples that are equal or nearly so.
    """
    filled = {name: examples for name, examples in parts.items() if examples}
    findings = repeated_in(filled) if repeated else []
    if set(filled) != {"all"}:
        findings += _thin(filled, outputs)
    return Profile({name: _part(examples, outputs) for name, examples in filled.items()}).with_findings(findings)


def repeated_in(parts: Mapping[str, Sequence[Example]]) -> list[Finding]:
    """Return what is to be said of examples with the same input, and with nearly the same one."""
    return [*_same(parts), *_near(parts)]


def text_of(example: Example) -> str:
    """Return the inputs of an example as one text."""
    return "\n".join(text for _, text in texts_of(example.inputs))


def texts_of(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each value; what is no text is written as JSON."""
    for name, value in values.items():
        yield name, value if isinstance(value, str) else canonical_json(value)


def tokens_of(text: str) -> int:
    """Return about how many tokens a text has: one for four letters, one for each Chinese, Japanese or Korean one."""
    wide = 0 if text.isascii() else len(_WIDE.findall(text))
    return wide + -(-(len(text) - wide) // LETTERS_A_TOKEN)


def label_of(value: object) -> str:
    """Return a label as it is listed: true and false as in YAML."""
    return (YES if value else NO) if isinstance(value, bool) else str(value)


def has_labels(spec: FieldSpec) -> bool:
    """Whether an output's values are labels."""
    return spec.choices is not None or spec.type == "bool"


def _part(examples: Sequence[Example], outputs: Mapping[str, FieldSpec]) -> PartProfile:
    texts = list(map(text_of, examples))
    labels = {
        name: dict(Counter(label_of(example.outputs[name]) for example in examples).most_common())
        for name, spec in outputs.items()
        if has_labels(spec)
    }
    characters, tokens = Lengths.of(list(map(len, texts))), Lengths.of(list(map(tokens_of, texts)))
    return PartProfile(len(examples), characters, tokens, labels)


def _same(parts: Mapping[str, Sequence[Example]]) -> list[Finding]:
    """Return what is to be said of examples with the same input: leaks, conflicting labels, copies."""
    groups: dict[str, Group] = {}
    leaks: list[Group] = []
    conflicts: list[Group] = []
    copies: list[Group] = []
    for part, examples in parts.items():
        for example in examples:
            groups.setdefault(input_key(example), []).append((part, example))
    for group in groups.values():
        leaked = len({part for part, _ in group}) > 1
        different = len({_outputs(example) for _, example in group}) > 1
        leaks += [group] if leaked else []
        conflicts += [group] if different else []
        copies += [group] if len(group) > 1 and not leaked and not different else []
    cases: tuple[tuple[Kind, list[Group], str, str, str], ...] = (
        ("leak", leaks, "input is in more than one split", "inputs are in more than one split", _ONE_SPLIT),
        ("conflict", conflicts, "input has different outputs", "inputs have different outputs", _AGREE),
        ("copy", copies, "example is there more than once", "examples are there more than once", _ONCE),
    )
    return [
        Finding(kind, len(chosen), one if len(chosen) == 1 else more, remedy, _origins(chosen, parts))
        for kind, chosen, one, more, remedy in cases
        if chosen
    ]


def _near(parts: Mapping[str, Sequence[Example]]) -> list[Finding]:
    """Return what is to be said of examples whose inputs are nearly equal, across splits and within one."""
    distinct: dict[str, tuple[str, Example]] = {}
    for part, examples in parts.items():
        for example in examples:
            distinct.setdefault(input_key(example), (part, example))
    entries, names = list(distinct.values()), list(parts)
    pairs = nearly_equal(
        [[text for _, text in texts_of(example.inputs)] for _, example in entries],
        [names.index(part) for part, _ in entries],
    )
    across = [pair for pair in pairs if entries[pair.one][0] != entries[pair.two][0]]
    leaked = {pair.two for pair in across}
    within = [pair for pair in pairs if entries[pair.one][0] == entries[pair.two][0] and pair.two not in leaked]
    cases: tuple[tuple[Kind, list[Near], str, str], ...] = (
        ("near_leak", across, "of another split", _PAIRS_APART),
        ("near_duplicate", within, "of its split", _LOOK),
    )
    return [
        _near_finding(kind, [[entries[pair.one], entries[pair.two]] for pair in chosen], where, remedy, parts)
        for kind, chosen, where, remedy in cases
        if chosen
    ]


def _near_finding(
    kind: Kind, pairs: Sequence[Group], where: str, remedy: str, parts: Mapping[str, Sequence[Example]]
) -> Finding:
    other = sum(_outputs(one) != _outputs(two) for (_, one), (_, two) in pairs)
    verb = "example says" if len(pairs) == 1 else "examples say"
    aside = f", {other:,} of them with another output" if other else ""
    return Finding(kind, len(pairs), f"{verb} nearly what one {where} says{aside}", remedy, _origins(pairs, parts))


def _thin(parts: Mapping[str, Sequence[Example]], outputs: Mapping[str, FieldSpec]) -> Iterator[Finding]:
    """Yield the labels that a split lacks, and those that the test has a few of."""
    for name, spec in outputs.items():
        if not has_labels(spec):
            continue
        counts = {part: Counter(label_of(example.outputs[name]) for example in parts[part]) for part in parts}
        labels = spec.choices or (YES, NO)
        for part, count in counts.items():
            if absent := [label for label in labels if not count[label]]:
                what = f"of the labels of {name} {_has(absent)} no example in {part}: {_some(absent)}"
                yield Finding("missing", len(absent), what, "Add examples of each, or take the label out of choices.")
        test = counts.get("test", Counter())
        if rare := [label for label in labels if 0 < test[label] < RARE]:
            what = f"of the labels of {name} {_has(rare)} fewer than {RARE} examples in test: {_some(rare)}"
            yield Finding("rare", len(rare), what, "Their scores will say little: add examples of them.")


def _has(labels: Sequence[str]) -> str:
    return "has" if len(labels) == 1 else "have"


def _some(labels: Sequence[str], most: int = 8) -> str:
    more = f" and {len(labels) - most:,} more" if len(labels) > most else ""
    return ", ".join(labels[:most]) + more


def _outputs(example: Example) -> str:
    return canonical_json(dict(example.outputs))


def _origins(groups: Iterable[Group], parts: Mapping[str, Sequence[Example]]) -> tuple[tuple[str, ...], ...]:
    """Return where the examples of each group are, with the split where there are several."""
    one = len(parts) == 1
    return tuple(tuple(ex.origin if one else f"{ex.origin} ({part})" for part, ex in group) for group in groups)
