"""How `metier tasks check` prints a profile: what is doubtful, then the splits, the labels, and what they can show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.job.profile import Checked, Proof
    from optimizer.task.profile import Finding, PartProfile

# Labels that are listed, the rarest first; and of each finding, cases that are named.
MOST_LABELS, NAMED = 12, 3


def profile_lines(checked: Checked) -> Iterator[str]:
    """Yield the lines: findings first, the worst above, as the end of a long output is what is read last."""
    parts = checked.profile.parts
    for finding in checked.profile.findings:
        yield from _finding(finding)
    for remark in checked.profile.remarks:
        yield f"note: {remark}"
    if parts:
        yield from _sizes(parts)
    for output in dict.fromkeys(name for part in parts.values() for name in part.labels):
        yield from _labels(output, list(parts.items()))
    if checked.proofs:
        yield from _proofs(checked.proofs)


def _proofs(proofs: Mapping[str, Proof]) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("what they can show", "examples", "never a gain up to", "every other time one of")]
    for name, proof in proofs.items():
        gains = (f"{100 * gain:.1f} points" for gain in (proof.never, proof.every_other_time))
        rows.append((name, f"{proof.examples:,}", *gains))
    yield from aligned(rows)
    yield "  (for answers that are right or wrong, half of them right; the test decides the verdict)"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"{finding.count:,} {finding.what}" if finding.kind not in ("missing", "rare") else finding.what
    for case in finding.examples[:NAMED]:
        more = f" and {len(case) - NAMED:,} more" if len(case) > NAMED else ""
        yield f"    {' and '.join(case[:NAMED])}{more}"
    if len(finding.examples) > NAMED:
        yield f"    and {len(finding.examples) - NAMED:,} more; --json lists all"
    yield f"    {finding.remedy}"


def _sizes(parts: Mapping[str, PartProfile]) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [
        ("", "examples", "characters: half, 19 of 20, all have at most", "tokens, about (4 letters each)")
    ]
    for name, part in parts.items():
        lengths = [
            "  ".join(f"{length:>7,}" for length in (one.median, one.most, one.longest))
            for one in (part.characters, part.tokens)
        ]
        rows.append((name, f"{part.examples:,}", *lengths))
    yield from aligned(rows)


def _labels(output: str, parts: Sequence[tuple[str, PartProfile]]) -> Iterator[str]:
    totals: dict[str, int] = {}
    for _, part in parts:
        for label, count in part.labels.get(output, {}).items():
            totals[label] = totals.get(label, 0) + count
    ordered = sorted(totals, key=lambda label: (totals[label], label))
    rows = [(output, *(name for name, _ in parts))]
    for label in ordered[:MOST_LABELS]:
        cells = [part.labels.get(output, {}).get(label, 0) for _, part in parts]
        shares = [
            f"{count:,} {100 * count / part.examples:3.0f} %" for count, (_, part) in zip(cells, parts, strict=True)
        ]
        rows.append((label, *shares))
    yield from aligned(rows)
    if len(ordered) > MOST_LABELS:
        least = totals[ordered[MOST_LABELS]]
        yield f"  and {len(ordered) - MOST_LABELS:,} more labels, each with {least:,} examples or more"


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows as lines, indented by two: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join(["", first.ljust(widths[0]), *cells]).rstrip()
