from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from optimizer.ledger.result import Baseline, Part, Side
from optimizer.report.blocks import Figure, Table, Text
from optimizer.report.clean import cell
from optimizer.report.tested import outcome_section

from .conftest import SEED, WINNER
from .parts import blocks
from .test_result import MakeReport


def baseline(gain: float, low: float, high: float, candidate: Any = SEED, name: str = "8 nearest demos") -> Baseline:
    return Baseline(name, Side(candidate, 0.75 - gain, (0.5, 0.9), 300.0), 0.75, gain, (low, high), 30)


@pytest.mark.parametrize(
    ("beside", "advice", "judged", "warning"),
    [
        (baseline(-0.1, -0.2, -0.05), "But 8 nearest demos without a search do better than the winner", "Better", True),
        (baseline(-0.1, -0.2, 0.05), "But 8 nearest demos without a search do as well as", "As good as", True),
        (baseline(0.1, -0.05, 0.2), "", "Not told apart", False),
        (baseline(0.1, 0.05, 0.2), "", "The winner is better than 8 nearest", False),
        (baseline(0.0, 0.0, 0.0, WINNER), "It is the seed with 8 nearest demos", "no search was needed", True),
    ],
)
def test_what_a_baseline_says_of_the_search_is_said_plainly(
    report: MakeReport, beside: Baseline, advice: str, judged: str, warning: bool
) -> None:
    made = report(baselines=(beside,))
    head = "Use the winner: it is better than the seed on examples that neither has seen."
    assert made.recommendation.startswith(f"{head} {advice}" if advice else head)
    assert advice or made.recommendation == head
    found = blocks(outcome_section(made.to_json()))[-1]
    assert isinstance(found, Text)
    assert judged in found.text
    assert found.warning == warning


def test_what_the_interval_costs_is_told(report: MakeReport) -> None:
    told = [b.text for b in blocks(outcome_section(report(test_examples=100).to_json())) if isinstance(b, Text)]
    assert any("among 100 examples: so no gain of 0.035 or less can be shown" in text for text in told)
    none = [b.text for b in blocks(outcome_section(report(test_examples=0).to_json())) if isinstance(b, Text)]
    assert not any("can be shown" in text for text in none)


def test_one_sentence_names_every_baseline_that_does_as_well(report: MakeReport) -> None:
    made = report(baselines=(baseline(-0.1, -0.2, 0.1, name="5 random demos"), baseline(0.0, -0.1, 0.1)))
    *_, told = made.recommendation.partition(" But ")
    assert told == (
        "5 random demos and 8 nearest demos without a search do as well as the winner: 5 random demos 0.850 against "
        "0.750 on the same 30 test examples (the winner's difference -0.100, 95 % interval [-0.200, +0.100]); 8 "
        "nearest demos 0.750 against 0.750 on the same 30 test examples (the winner's difference +0.000, 95 % interval "
        "[-0.100, +0.100])."
    )
    both = report(baselines=(baseline(-0.3, -0.4, -0.2, name="5 random demos"), baseline(0.0, -0.1, 0.1)))
    assert "But 5 random demos without a search do better than the winner and 8 nearest demos" in both.recommendation


def test_the_table_has_every_side_with_its_own_number_of_examples(report: MakeReport) -> None:
    made = report(baselines=(baseline(0.1, -0.05, 0.2), baseline(0.3, 0.2, 0.4, name="16 random demos")))
    figure = blocks(outcome_section(made.to_json()))[0]
    assert isinstance(figure, Figure)
    assert [(row[0], row[5], row[6]) for row in figure.table.rows] == [
        ("seed", "40", "+0.250"),
        ("winner", "40", "–"),
        ("8 nearest demos", "30", "+0.100"),
        ("16 random demos", "30", "+0.300"),
    ]
    assert figure.table.rows[2][7] == "[-0.050, +0.200]"
    assert "16 random demos 0.450, from 0.500 to 0.900" in figure.description


def test_a_baseline_that_was_cut_off_is_not_compared(report: MakeReport) -> None:
    beside = replace(baseline(0.5, 0.4, 0.6), side=replace(baseline(0.5, 0.4, 0.6).side, cut=30), cut_off=True)
    made = report(baselines=(beside,))
    assert "How good 8 nearest demos would be is not known" in made.recommendation
    found = blocks(outcome_section(made.to_json()))[-1]
    assert isinstance(found, Text)
    assert found.text.startswith("Not comparable with the winner: 8 nearest demos without a search, for 30 of its 30")
    assert found.warning


def test_a_report_comes_back_from_its_data(report: MakeReport) -> None:
    made = report(baselines=(baseline(0.1, -0.05, 0.2),))
    again = type(made).from_json(made.to_json(), SEED, made.run_dir)
    assert again.to_json() == made.to_json()


def test_the_parts_of_a_score_and_slices_have_a_table_of_their_own(report: MakeReport) -> None:
    assert not any(isinstance(block, Table) for block in blocks(outcome_section(report().to_json())))
    part = Part("total|*x*", 30, 0.5, (0.3, 0.7), 0.75, (0.6, 0.9), 0.25, (0.125, 0.375))
    both = blocks(outcome_section(report(parts=(part,), slices=(part, part)).to_json()))
    row = (cell("total|*x*"), "30", "0.500", "0.750", "+0.250", "[+0.125, +0.375]")
    tables = [(block.head[0], block.rows) for block in both if isinstance(block, Table)]
    assert tables == [("part", [row]), ("slice", [row, row])]


def test_a_score_that_is_no_mean_is_named(report: MakeReport) -> None:
    """Its interval allows for no loss that is too rare to be seen, so that has no price either."""
    statistic = {"kind": "f_beta", "labels": ["a", "b"], "label": "a", "beta": 1.0}
    told = [b.text for b in blocks(outcome_section(report(statistic=statistic).to_json())) if isinstance(b, Text)]
    assert any("The score is f_beta of a, computed of all answers together" in text for text in told)
    assert not any("can be shown" in text for text in told)
