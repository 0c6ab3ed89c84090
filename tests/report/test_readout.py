from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from optimizer.evaluate.reliability import Reliability
from optimizer.report.blocks import Section, Table, Text
from optimizer.report.gather import Facts
from optimizer.report.readout import SHOWN, meaning, offset_lines, offsets_table, readout_section
from optimizer.types import Calibration, Candidate, Prompt, Readout

from .parts import blocks, tables

FITTED = Calibration(1.5, (0.9, -1.2, 0.3, 0.0), 0.984, ("billing", "delivery", "other", "refund"))


def read_by(facts: Facts, readout: Readout, calibration: Calibration | None = None) -> Facts:
    """Return a run's facts with another winner."""
    after = Candidate({"predict": Prompt("Sort it.", readout=readout, calibration=calibration)})
    return dataclasses.replace(facts, after=after, fitted=50 if calibration else 0)


def texts(section: Section) -> list[str]:
    return [block.text for block in blocks(section) if isinstance(block, Text)]


def test_a_calibrated_winner_is_told_with_its_offsets(facts: Facts) -> None:
    known = dataclasses.replace(
        read_by(facts, "calibrated", FITTED), reliability=Reliability(answers=48, before=0.25, after=0.0625)
    )
    (section,) = readout_section(known)
    assert section.title == "How answers are read"
    sentence, evidence, error = texts(section)
    assert (
        sentence == "Answers are read as the likeliest label after an offset for each, fitted on 50 validation answers."
    )
    assert "offsets are needed at all, as these answers show it, is 0.98. " in evidence
    assert "multiplied by 1.50: the model was less sure than it was right." in evidence
    assert "error on 48 validation answers: 0.250 by the model's own probabilities, 0.062 after" in error
    assert list(tables(section)["Offsets by label"].rows) == [
        ("delivery", "-1.20", "0.30", "the model favoured it"),
        ("refund", "+0.00", "1.00", "the model was fair to it"),
        ("other", "+0.30", "1.35", "the model held it back"),
        ("billing", "+0.90", "2.46", "the model held it back"),
    ]


def test_what_offsets_do_for_the_metric_is_told_apart(facts: Facts) -> None:
    leant = dataclasses.replace(FITTED, evidence=0.25).leant((-0.9, 1.5, -0.6, 0.0))
    (section,) = readout_section(read_by(facts, "calibrated", leant))
    assert "is 0.25. Offsets lean to what the metric wants said more often than is likely. Before" in texts(section)[1]
    table = tables(section)["Offsets by label"]
    assert table.head[-1] == "of it for the metric"
    assert list(table.rows) == [
        ("other", "-0.30", "0.74", "the model held it back", "-0.60"),
        ("billing", "+0.00", "1.00", "the model held it back", "-0.90"),
        ("refund", "+0.00", "1.00", "the model was fair to it", "+0.00"),
        ("delivery", "+0.30", "1.35", "the model favoured it", "+1.50"),
    ]


def test_without_evidence_the_offsets_are_said_to_be_small(facts: Facts) -> None:
    weak = dataclasses.replace(FITTED, scale=0.8, evidence=0.25)
    (section,) = readout_section(read_by(facts, "calibrated", weak))
    evidence = texts(section)[1]
    assert "is 0.25: so they are small." in evidence
    assert "multiplied by 0.80: the model was surer than it was right." in evidence
    assert len(texts(section)) == 2, "nothing is known of how reliable the answers are"


def test_the_likeliest_label_needs_one_sentence_and_words_none(facts: Facts) -> None:
    (section,) = readout_section(read_by(facts, "choose"))
    assert texts(section) == ["Answers are read as the label that the model holds the likeliest."]
    assert readout_section(read_by(facts, "generate")) == []
    assert readout_section(dataclasses.replace(facts, after=None)) == []


def test_of_many_labels_the_largest_offsets_are_shown_and_all_folded(facts: Facts) -> None:
    count = SHOWN + 5
    many = Calibration(1.0, tuple(float(n) for n in range(count)), 1.0, tuple(f"label {n}" for n in range(count)))
    (section,) = readout_section(read_by(facts, "calibrated", many))
    shown = tables(section)
    assert [row[0] for row in shown[f"The {SHOWN} largest of {count} offsets by label"].rows] == [
        f"label {n}" for n in range(5, count)
    ]
    assert len(shown["Offsets by label"].rows) == count
    folded = section.blocks[-1]
    assert isinstance(folded, Section)
    assert folded.folded


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=30), st.integers(1, 30))
def test_rows_are_the_largest_offsets_in_order(offsets: list[float], most: int) -> None:
    table = offsets_table(Calibration(1.0, tuple(offsets), 1.0, tuple(f"l{n}" for n in range(len(offsets)))), most)
    assert isinstance(table, Table)
    numbers = [int(row[0][1:]) for row in table.rows]
    values = [offsets[number] for number in numbers]
    assert len(numbers) == len(set(numbers)) == min(most, len(offsets))
    assert values == sorted(values)
    left_out = [abs(offset) for number, offset in enumerate(offsets) if number not in numbers]
    assert max(left_out, default=0.0) <= min(map(abs, values))
    assert [row[3] for row in table.rows] == [meaning(value) for value in values]


def test_a_labels_text_has_no_power_over_a_line() -> None:
    (line,) = offset_lines(Calibration(1.0, (-0.5,), 1.0, ("a\x1b[31m\nb",)))
    assert line.startswith(" -0.50  a")
    assert line.endswith(": the model favoured it")
    assert not set("\x1b\n") & set(line)
