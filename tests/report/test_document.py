from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.sent import SentPrompt
from optimizer.report.blocks import Code, Difference, Section, Text
from optimizer.report.document import document_of
from optimizer.report.gather import Facts, gather
from optimizer.types import Calibration, Candidate, Prompt

from .made import make_run
from .parts import blocks, tables


def test_the_lead_is_the_verdict_in_one_sentence(facts: Facts) -> None:
    document = document_of(facts)
    assert document.title == "sorting: improved"
    assert document.lead == ("0.500 → 0.917 on 12 test examples (+0.417, 95 % interval [+0.100, +0.700]).")
    assert document.advice.startswith("Use the winner")


def test_an_interrupted_run_says_so_and_claims_nothing(tmp_path: Path) -> None:
    with closing(Reader(make_run(tmp_path / "cut", finished=False) / "ledger.db")) as ledger:
        document = document_of(gather(ledger))
    assert document.title == "sorting: interrupted"
    assert document.lead.startswith(
        "This run was interrupted: 5 of at most 8 trials have ended. The best so far, trial 1,"
    )
    assert "0.917" in document.lead
    assert "No verdict yet" in document.advice
    assert "It stopped because: interrupted" in document.advice
    assert "metier resume RUN_DIR" in document.advice
    assert any("not been touched" in one.text for one in blocks(document) if isinstance(one, Text))
    assert [row[0] for row in tables(document)["Scores so far, on validation"].rows] == ["0 (seed)", "1"]


def test_a_run_that_goes_on_says_so(facts: Facts) -> None:
    document = document_of(dataclasses.replace(facts, state="running", result=None))
    assert document.title == "sorting: running"
    assert "is still going on" in document.lead
    assert "resume" not in document.advice


def test_where_the_budget_decides_no_number_of_trials_is_told(facts: Facts) -> None:
    document = document_of(dataclasses.replace(facts, state="running", result=None, planned=None))
    assert "5 trials have ended" in document.lead


def test_a_ledger_without_a_trial_makes_a_report(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.db").close()
    with closing(Reader(tmp_path / "ledger.db")) as ledger:
        document = document_of(gather(ledger))
    assert document.title == "a run that has not begun: interrupted"
    assert "None of them has a score yet." in document.lead


def test_the_change_of_the_prompt_is_shown_with_its_demos(facts: Facts) -> None:
    change = next(one for one in blocks(document_of(facts)) if isinstance(one, Difference))
    assert ("-", "Sort it. ") in change.lines
    assert ("+", "Sort it well. ") in change.lines


def test_a_winner_that_is_the_seed_is_called_so(facts: Facts) -> None:
    document = document_of(dataclasses.replace(facts, after=facts.before))
    assert not [one for one in blocks(document) if isinstance(one, Difference)]
    assert any("is the seed itself" in one.text for one in blocks(document) if isinstance(one, Text))


def test_costs_are_told_by_role_and_summed(facts: Facts) -> None:
    assert tables(document_of(facts))["What it cost, by role"].rows == [
        ("search, task", "40", "0", "840", "40", "0.4000"),
        ("test, task", "24", "0", "336", "24", "0.2400"),
        ("together", "64", "0", "1,176", "64", "0.6400"),
    ]


def test_failures_and_lost_calls_are_told(facts: Facts) -> None:
    document = document_of(dataclasses.replace(facts, lost=3))
    assert tables(document)["Calls that failed for good"].rows == [("server", "1", "500")]
    warning = next(one for one in blocks(document) if isinstance(one, Text) and one.warning)
    assert warning.text.startswith("3 calls were in flight")
    assert not [one for one in blocks(document_of(facts)) if isinstance(one, Text) and one.warning]


def test_every_trial_has_its_row(facts: Facts) -> None:
    rows = tables(document_of(facts))["Every trial"].rows
    assert [row[0] for row in rows] == ["0 (seed)", "1", "2", "3", "4"]
    assert rows[3][1:7] == ("0.250", "why", "[0.05, 0.45]", "4", "40", "raced out")
    assert rows[4][1:7] == ("–", "failed", "–", "0", "–", "failed")


def test_every_trial_leads_to_its_prompt(facts: Facts) -> None:
    document = document_of(facts)
    trials = next(section for section in document.sections if section.title == "Trials")
    folded = next(part for part in trials.blocks if isinstance(part, Section))
    assert folded.folded
    assert folded.page_only
    anchors = [part.anchor for part in folded.blocks if isinstance(part, Section)]
    assert tables(document)["Every trial"].links == anchors
    texts = [one.text for one in blocks(folded) if isinstance(one, Code)]
    assert texts[1].startswith("Sort it well. \n\ntrain 0")
    assert texts[2] == "Sort it fast."


def test_the_prompt_is_shown_as_it_was_sent(facts: Facts) -> None:
    messages = [{"role": "user", "content": "Sort it."}, {"role": "assistant", "content": "fruit"}]
    sent = SentPrompt("validation", "e", [messages, messages], "683 training examples")
    document = document_of(dataclasses.replace(facts, after_sent=sent))
    codes = [one for one in blocks(document) if isinstance(one, Code) and "first validation example" in one.caption]
    assert [code.caption[-6:] for code in codes] == ["call 1", "call 2"]
    assert codes[0].text == "[user]\nSort it.\n\n[the model's answer]\nfruit"


def test_what_failed_is_not_folded_away(facts: Facts) -> None:
    for failures, lost, folded in ((facts.failures, 0, False), ((), 1, False), ((), 0, True)):
        document = document_of(dataclasses.replace(facts, failures=failures, lost=lost))
        assert next(part for part in document.sections if part.title == "What it cost").folded == folded


def test_how_answers_are_read_is_a_column_where_it_varies(facts: Facts) -> None:
    table = tables(document_of(facts))["Every trial"]
    assert "answers read as" not in table.head
    seed, tried, *rest = facts.trials
    read = Candidate({"predict": Prompt("Sort it.", readout="calibrated")})
    varied = dataclasses.replace(facts, trials=[seed, dataclasses.replace(tried, candidate=read), *rest])
    table = tables(document_of(varied))["Every trial"]
    assert table.head[-1] == "answers read as"
    assert [row[-1] for row in table.rows] == ["their words", "calibrated", *["their words"] * 3]


def test_a_calibrated_winner_is_told_beside_its_prompt(facts: Facts) -> None:
    fitted = Calibration(1.0, (-0.5, 0.5), 0.9, ("fruit", "metal"))
    after = Candidate({"predict": Prompt("Sort it.", readout="calibrated", calibration=fitted)})
    document = document_of(dataclasses.replace(facts, after=after, fitted=12))
    assert [row[0] for row in tables(document)["Offsets by label"].rows] == ["fruit", "metal"]
    assert any("fitted on 12 validation answers" in one.text for one in blocks(document) if isinstance(one, Text))
