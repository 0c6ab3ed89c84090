from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from optimizer.errors import ConfigError, LedgerError
from optimizer.ledger.answers import put_scores
from optimizer.ledger.examples import put_examples
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.result import put_result
from optimizer.ledger.trials import begin_trial
from optimizer.report.rated import rated, write_sample
from optimizer.types import Example, Failure, Score

from .conftest import SEED, WINNER
from .test_result import MakeReport

SIZE = 40
EXAMPLES = [Example({"note": f"=note {n}"}, {"summary": f"s {n}"}) for n in range(SIZE)]
DOWN = Failure("server", "down")


@pytest.fixture
def run(report: MakeReport, tmp_path: Path) -> Path:
    """The winner's answers are good on three of four examples, the seed's never; on every fifth both say the same."""
    folder = tmp_path / "run"
    folder.mkdir()
    with closing(Ledger(folder / "ledger.db")) as ledger:
        put_examples(ledger, EXAMPLES)
        begin_trial(ledger, 0, SEED, {})
        seed: list[Score | Failure] = [Score(0.5, {"summary": answer(n, "bad")}) for n in range(SIZE)]
        winner: list[Score | Failure] = [
            Score(0.75, {"summary": answer(n, "good" if n % 4 else "poor")}) for n in range(SIZE)
        ]
        winner[1], seed[2] = Score(0.0, {"unreadable": "?"}), DOWN
        for candidate, results in ((SEED, seed), (WINNER, winner)):
            put_scores(ledger, candidate.id, "test", 0, [e.id for e in EXAMPLES], "m@1", results).result(5)
        put_result(ledger, replace(report(), run_dir=folder), "{}")
    return folder


def answer(number: int, kind: str) -> str:
    return f"same {number}" if number % 5 == 0 else f"{kind} {number}"


def fill(path: Path, score: Callable[[str], str], delimiter: str = ",") -> list[dict[str, str]]:
    """Score each answer of a table, and write it as a spreadsheet does."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["score"] = score(row["answer summary"])
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys(), delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)
    return rows


def people(text: str) -> str:
    return {"good": "5", "poor": "2", "bad": "1", "same": "3"}[text.split()[0]]


def test_people_see_each_answer_once_and_not_whose_it_is(run: Path, tmp_path: Path) -> None:
    count = write_sample(run, SIZE, 0, tmp_path / "rate.csv")
    rows = fill(tmp_path / "rate.csv", people)
    # 39 examples that both answered: 8 alike, one of the winner's unreadable.
    assert count == len(rows) == 2 * 39 - 8 - 1
    assert list(rows[0]) == ["id", "input note", "answer summary", "score"]
    assert all(row["input note"].startswith("'=") for row in rows), "no formula for a spreadsheet"
    assert not any(word in str(row["id"]) for row in rows for word in (SEED.id, WINNER.id))


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_peoples_scores_of_a_part_give_a_verdict(run: Path, tmp_path: Path, delimiter: str) -> None:
    write_sample(run, 30, 3, tmp_path / "rate.csv")
    fill(tmp_path / "rate.csv", people, delimiter)
    found = rated(run, tmp_path / "rate.csv", (1.0, 5.0))
    assert (found.verdict, found.examples, found.drawn, found.scored) == ("improved", 39, 30, 30)
    assert 0.4 < found.people.mean < 0.8
    # By the metric: the same answers differ by a quarter too, and the unreadable one lost a half.
    assert found.judged == pytest.approx((38 * 0.25 - 0.5) / 39)
    assert "improved, by people's scores of 30 of 39 test examples" in found.text()


def test_scores_that_are_left_out_are_told(run: Path, tmp_path: Path) -> None:
    write_sample(run, SIZE, 0, tmp_path / "rate.csv")
    fill(tmp_path / "rate.csv", lambda text: "" if text == "bad 3" else people(text))
    found = rated(run, tmp_path / "rate.csv", (1.0, 5.0))
    assert (found.drawn, found.scored) == (39, 38)
    assert "1 of 39 drawn examples have no score" in found.text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("score", "grade"), "no column 'score'"),
        (lambda text: text.replace("0-40-", "0-40-x"), "names no answer"),
        (lambda text: text.replace("0-40-", "0-41-", 1), "it holds 2 samples"),
        (lambda text: text.replace(",3\n", ",30\n").replace(",3\r\n", ",30\r\n"), "the score '30' is not from 1 to 5"),
        (lambda text: text.replace(",5\r\n", ",\r\n").replace(",2\r\n", ",\r\n"), "examples have people's scores"),
    ],
)
def test_a_table_that_is_none_is_refused(run: Path, tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    path = tmp_path / "rate.csv"
    write_sample(run, SIZE, 0, path)
    fill(path, people)
    path.write_bytes(change(path.read_bytes().decode()).encode())
    with pytest.raises(ConfigError, match=message):
        rated(run, path, (1.0, 5.0))


def test_nothing_is_overwritten_and_another_runs_table_is_refused(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "rate.csv"
    write_sample(run, SIZE, 0, path)
    with pytest.raises(ConfigError, match="is there already"):
        write_sample(run, SIZE, 0, path)
    rows = fill(path, people)
    path.write_text(
        path.read_text().replace(rows[0]["id"], f"{rows[0]['id'][:-1]}{'0' if rows[0]['id'][-1] != '0' else '1'}")
    )
    with pytest.raises(ConfigError, match="1 of its answers are none of"):
        rated(run, path, (1.0, 5.0))
    with pytest.raises(ConfigError, match="a scale from 1 to 1"):
        rated(run, path, (1.0, 1.0))


def test_a_run_without_two_prompts_or_without_means_is_refused(report: MakeReport, tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        begin_trial(ledger, 0, SEED, {})
        with pytest.raises(LedgerError, match="has not come to its test"):
            write_sample(tmp_path, 9, 0, tmp_path / "rate.csv")
        put_result(ledger, replace(report(), winner=replace(report().winner, candidate=SEED)), "{}")
        with pytest.raises(LedgerError, match="the winner is the seed"):
            write_sample(tmp_path, 9, 0, tmp_path / "rate.csv")
        statistic = {"kind": "macro_f1", "labels": ["a", "b"], "label": None, "beta": 1.0}
        put_result(ledger, replace(report(), statistic=statistic), "{}")
        with pytest.raises(LedgerError, match="its score is macro_f1, no mean"):
            write_sample(tmp_path, 9, 0, tmp_path / "rate.csv")
