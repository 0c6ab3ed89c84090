"""How a prompt's answers are read: in a sentence, and the offset of each label with what it means."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optimizer.report.blocks import Block, Section, Table, Text
from optimizer.report.clean import cell
from optimizer.report.gather import Facts
from optimizer.report.words import readout_in_words
from optimizer.types import Calibration

# Of more labels those are shown whose offsets are the largest.
SHOWN = 12
# An offset below this, in nats, changes odds by less than a twentieth.
SMALL = 0.05


def readout_section(facts: Facts) -> list[Section]:
    """Return how the winner's answers are read, with what was fitted; nothing where words are read as ever."""
    if facts.after is None or all(prompt.readout == "generate" for prompt in facts.after.prompts.values()):
        return []
    blocks: list[Block | Section] = []
    for prompt in facts.after.prompts.values():
        blocks.append(Text(readout_in_words(prompt, facts.fitted or None)))
        if prompt.calibration is not None:
            blocks += [offsets_table(prompt.calibration), Text(_evidence(prompt.calibration)), *_reliability(facts)]
            if len(prompt.calibration.labels) > SHOWN:
                whole = offsets_table(prompt.calibration, len(prompt.calibration.labels))
                blocks.append(Section("The offsets of all labels", [whole], folded=True, page_only=True))
    return [Section("How answers are read", blocks)]


def offsets_table(calibration: Calibration, most: int = SHOWN) -> Table:
    """Return the labels with their offsets, the most favoured first; of more than `most` the largest offsets.

    Where offsets lean to labels for the metric, the last column is that part of them; the others tell of the model.
    """
    lean = calibration.lean or (0.0,) * len(calibration.labels)
    known = list(zip(calibration.labels, calibration.offsets, lean, strict=True))
    shown = sorted(known, key=lambda row: -abs(row[1]))[:most]
    rows = [
        (cell(label), f"{offset:+.2f}", f"{math.exp(offset):.2f}", meaning(offset - part), f"{part:+.2f}")
        for label, offset, part in sorted(shown, key=lambda row: row[1])
    ]
    head = ("label", "offset in nats", "its odds are multiplied by", "what it tells", "of it for the metric")
    columns = len(head) if calibration.lean else len(head) - 1
    caption = "Offsets by label" if len(shown) == len(known) else f"The {most} largest of {len(known)} offsets by label"
    return Table(caption, head[:columns], [row[:columns] for row in rows])


def meaning(offset: float) -> str:
    """Return what an offset tells of the model."""
    if abs(offset) < SMALL:
        return "the model was fair to it"
    return "the model favoured it" if offset < 0 else "the model held it back"


def offset_lines(calibration: Calibration) -> Sequence[str]:
    """Return the same table as lines of text: offset, label, what it tells."""
    return [f"{row[1]:>6}  {row[0]}: {row[3]}" for row in offsets_table(calibration).rows]


def _evidence(calibration: Calibration) -> str:
    """Return how sure it is that offsets are needed, and what the scale does."""
    evidence, scale = min(1.0, calibration.evidence), calibration.scale
    small = ": so they are small" if evidence < 0.5 and not calibration.lean else ""
    leant = "Offsets lean to what the metric wants said more often than is likely. " if calibration.lean else ""
    return (
        f"The probability that offsets are needed at all, as these answers show it, is {evidence:.2f}{small}. {leant}"
        f"Before they are added, log-probabilities are multiplied by {scale:.2f}{_scale(scale)}."
    )


def _scale(scale: float) -> str:
    if abs(math.log(max(scale, 1e-9))) < SMALL:
        return ""
    return ": the model was less sure than it was right" if scale > 1 else ": the model was surer than it was right"


def _reliability(facts: Facts) -> list[Text]:
    known = facts.reliability
    if known is None:
        return []
    return [
        Text(
            f"Expected calibration error on {known.answers} validation answers: {known.before:.3f} by the model's own "
            f"probabilities, {known.after:.3f} after calibration, each answer by one that was fitted without it. It is "
            "the mean distance between how sure the answers are and how often they are right."
        )
    ]
