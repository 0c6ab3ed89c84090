from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.jobs import ROOT

from optimizer.cli.main import cli

TICKETS = ROOT / "docs" / "pages" / "tutorials" / "tickets.csv"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tickets.csv").write_bytes(TICKETS.read_bytes())
    return tmp_path


def init(*arguments: str, said: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["init", *arguments], input=said)


def ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.cli.init._can_ask", lambda: True)


def test_it_shows_what_it_proposes_writes_it_and_names_the_next_command(run: Path) -> None:
    done = init("tickets.csv", "--yes")
    assert done.exit_code == 0, done.output
    assert "answer team  one of 3: billing, delivery, other" in done.output
    assert done.output.splitlines()[-1].startswith("Next: metier run tickets/run.yaml")
    checked = CliRunner().invoke(cli, ["tasks", "check", "tickets"])
    assert "tickets is sound. examples: 24 train, 18 validation, 18 test" in checked.output


def test_a_second_time_nothing_is_overwritten(run: Path) -> None:
    init("tickets.csv", "--yes")
    before = (run / "tickets" / "task.yaml").read_text()
    done = init("tickets.csv", "--yes", "--answer", "message")
    assert done.exit_code == 2
    assert "are there already, and nothing is overwritten" in done.output
    assert (run / "tickets" / "task.yaml").read_text() == before


def test_without_a_terminal_it_writes_only_with_yes(run: Path) -> None:
    done = init("tickets.csv")
    assert done.exit_code == 2
    assert "Add --yes to take what is proposed." in done.output
    assert not (run / "tickets").exists()


def test_on_a_terminal_it_asks_before_it_writes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(monkeypatch)
    assert init("tickets.csv", said="n\n").exit_code == 1
    assert not (run / "tickets").exists()
    assert init("tickets.csv", "--out", "mine", said="\n").exit_code == 0
    assert (run / "mine" / "run.yaml").exists()


def test_it_asks_which_column_is_the_answer(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"text number {n} of them,{'xy'[n % 2]},{'uv'[n % 2]}\n" for n in range(40))
    (run / "two.csv").write_text(f"message,a,b\n{rows}")
    done = init("two.csv", "--yes")
    assert (done.exit_code, done.output.count("\n")) == (2, 2)
    assert "two.csv: which column is the answer? 'a', 'b'" in done.output
    ask(monkeypatch)
    done = init("two.csv", said="b\ny\n")
    assert "answer b" in done.output
    assert done.exit_code == 0
