"""What `optimize` returns: its text, its page in a notebook, its table, its study and its prompt."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as Tree
from collections.abc import Iterator
from pathlib import Path

import pytest
from report.made import candidates, make_run
from report.made import result as made_result
from support.jobs import lighten, rule

import optimizer as metier
from job.made import asked
from optimizer.config.schema import RunConfig
from optimizer.errors import TaskError
from optimizer.ledger.result import Report


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Iterator[metier.Result]:
    patch = pytest.MonkeyPatch()
    lighten(patch.setattr)
    yield metier.optimize(**asked(tmp_path_factory.mktemp("result"), model=rule, test={"baselines": 20}))
    patch.undo()


def test_its_figures_are_the_reports(result: metier.Result) -> None:
    report = result.report
    assert (result.verdict, result.seed, result.winner) == (report.verdict, report.seed, report.winner)
    assert (result.run_dir, result.recommendation) == (report.run_dir, report.recommendation)
    assert result.winner.test_score > result.seed.test_score


def test_it_prints_as_a_few_lines(result: metier.Result) -> None:
    text = str(result)
    assert repr(result) == text
    assert text.startswith(f"improved: {result.recommendation}\n")
    assert f"winner  {result.winner.test_score:.3f}" in text
    assert "no search" in text
    assert str(result.run_dir / "best.md") in text
    assert len(text.splitlines()) < 10


def test_the_table_of_trials(result: metier.Result) -> None:
    frame = result.trials
    assert list(frame.columns[:12]) == [
        *("number", "candidate", "origin", "state", "reason", "score", "low", "high", "seen", "failures"),
        *("tokens", "calls"),
    ]
    assert {"predict.instruction", "predict.format", "predict.count"} <= set(frame.columns)
    assert list(frame["number"]) == list(range(4))
    assert sum(result.report.trials.values()) == len(frame) == len(result.study.trials)
    assert result.winner.candidate.id in set(frame["candidate"])
    question = 1  # whether the model tells log-probabilities
    assert frame["calls"].sum() + question == result.report.usage["calls"]["task"]


def test_the_prompt_answers_with_the_very_model(result: metier.Result) -> None:
    assert result.prompt(text="the far store has owl").kind == "bird"
    assert result.prompt.candidate == dataclasses.replace(result.winner.candidate, origin="file", parents=())
    with pytest.raises(TaskError, match="'text' is missing"):
        result.prompt()


def test_its_page_is_whole_and_shows_both_prompts(result: metier.Result) -> None:
    page = result._repr_html_()
    root = Tree.fromstring(page)
    text = " ".join(root.itertext())
    assert "improved" in text
    assert result.winner.candidate.prompts["predict"].instruction.split("\n")[0] in text
    assert [node.text for node in root.iter("h4")] == ["Seed", "Winner"]
    assert root.find(".//{http://www.w3.org/2000/svg}path") is not None


def test_what_a_model_or_the_data_wrote_is_escaped(tmp_path: Path) -> None:
    words = "<script>alert(1)</script>\u202e&amp;"
    run_dir = make_run(tmp_path / "run", words=words)
    seed, winner, *_ = candidates(words)
    data = {
        **made_result(seed, winner, "sorting"),
        "baselines": [],
        "parts": [],
        "slices": [],
        "statistic": None,
        "pareto_front": [],
        "proposers": {},
    }
    page = metier.Result(Report.from_json(data, seed, run_dir), RunConfig(task="x"))._repr_html_()
    assert "<script>" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e&amp;amp;" in page
    Tree.fromstring(page)
