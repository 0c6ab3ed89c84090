from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from optimizer.errors import LedgerError
from optimizer.ledger.reader import Reader
from optimizer.ledger.trials import all_trials
from optimizer.report.trial import Shown, shown_trial


def shown(run: Path, number: int, example: int | None = None) -> Shown:
    with closing(Reader(run / "ledger.db")) as ledger:
        return shown_trial(ledger, all_trials(ledger)[number], example)


def test_a_trial_shows_what_it_saw_and_no_more(made_run: Path) -> None:
    found = shown(made_run, 3)
    assert len(found.rows) == 4
    assert (found.first, found.alone) == (0, False)
    row = found.rows[0]
    assert (row.asked, row.expected, row.answer, row.value) == ("validation 0 ", "fruit", "fruit", 1.0)
    assert found.inputs == {"text": "validation 0 "}
    data = json.loads(json.dumps(found.to_json()))
    assert (data["number"], data["candidate"], len(data["answers"])) == (3, found.trial.candidate.id, 4)


def test_one_example_may_be_asked_for(made_run: Path) -> None:
    found = shown(made_run, 1, 5)
    assert [row.place for row in found.rows] == [5]
    assert (found.first, found.alone, found.inputs) == (5, True, {"text": "validation 5 "})


@pytest.mark.parametrize("example", [-1, 12, 999])
def test_an_example_that_it_has_not_seen_is_refused(made_run: Path, example: int) -> None:
    with pytest.raises(LedgerError, match=f"has not seen an example {example}"):
        shown(made_run, 1, example)


def test_a_trial_without_answers_shows_none(made_run: Path) -> None:
    found = shown(made_run, 4)
    assert (found.rows, found.inputs, found.first) == ([], {}, 0)
