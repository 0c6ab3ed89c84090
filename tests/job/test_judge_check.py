"""How far a judge agrees with people: a strict one, a coin, one that fails, one that is moody."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.jobs import PLACES, TRUTH, make_task, rule
from support.judges import METRIC, coin, judging, strict

from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError, StoppedByFailures
from optimizer.job.judge_check import Checked, check_judge
from optimizer.task.load import load_task
from optimizer.task.scored import ScoredAnswer
from optimizer.task.task import Task
from optimizer.testing.fake_server import FakeServer, Messages
from optimizer.types import Example

Grade = Callable[[dict[str, str]], object]
LEAST = {"least_agreement": 0.4}


def answers(n: int = 60) -> list[ScoredAnswer]:
    """Return answers of which every second is right, as people say too, but for each tenth."""
    made = []
    for number, (place, word) in enumerate(itertools.islice(itertools.product(PLACES, TRUTH), n)):
        right = number % 2 == 0
        answer = TRUTH[word] if right else next(label for label in ("fruit", "metal") if label != TRUTH[word])
        example = Example({"text": f"the {place} store has {word}"}, {"kind": TRUTH[word]})
        score = float(right != (number % 10 == 0))
        made.append(ScoredAnswer(example, {"kind": answer}, score, {"right": score}))
    return made


@contextmanager
def judged_by(grade: Grade, folder: Path, metric: Any = METRIC) -> Iterator[tuple[FakeServer, Task, RunConfig]]:
    with FakeServer(judging(grade, rule)) as server:
        task = load_task(make_task(folder / "task", metric=metric))
        models = {"judge": "openai/judge", "api_base": server.api_base, "concurrency": 8}
        config = RunConfig.model_validate({"task": "t", "models": models, "judge": LEAST, "failures": {"retries": 0}})
        yield server, task, config


def found(grade: Grade, folder: Path, scored: list[ScoredAnswer] | None = None) -> tuple[Checked, FakeServer]:
    with judged_by(grade, folder) as (server, task, config):
        return check_judge(config, task, answers() if scored is None else scored), server


def test_a_judge_that_agrees_is_accepted_with_its_figures(tmp_path: Path) -> None:
    checked, server = found(strict, tmp_path)
    record = checked.record
    assert checked.refused == ""
    assert (record.answers, record.failed, record.model) == (60, 0, "openai/judge")
    assert record.agreement["accuracy"].value == 0.9
    assert record.agreement["kappa"].value == pytest.approx(0.8)
    assert record.agreement["repeatability"].value == 1.0
    assert record.criteria["right"]["kappa"] == record.agreement["kappa"]
    assert record.constant == 0.6
    assert server.count == 60 + 30  # the first thirty are really asked again
    assert "the judge may be used" in checked.text()
    assert "a judge that always gives people's most frequent grade: 0.60" in checked.text()


def test_a_coin_is_refused(tmp_path: Path) -> None:
    checked, _ = found(coin, tmp_path)
    assert "agrees too little with people: Cohen's kappa" in checked.refused
    assert "judge.least_agreement is 0.4" in checked.refused


def test_a_coin_is_refused_where_nobody_says_how_much_is_enough(tmp_path: Path) -> None:
    with judged_by(coin, tmp_path) as (_, task, config):
        checked = check_judge(config.model_copy(update={"judge": RunConfig(task="t").judge}), task, answers())
    assert "no more with people than chance may" in checked.refused


@pytest.mark.slow
def test_a_judge_that_always_says_the_same_is_refused(tmp_path: Path) -> None:
    checked, _ = found(lambda seen: 5, tmp_path)
    assert checked.record.agreement["kappa"].value == 0.0
    assert checked.refused


@pytest.mark.slow
def test_a_judge_that_changes_its_mind_is_not_repeatable(tmp_path: Path) -> None:
    grades = itertools.count()
    checked, _ = found(lambda seen: 1 + 4 * (next(grades) >= 60), tmp_path)
    assert checked.record.agreement["repeatability"].value == 0.0


def test_a_judge_may_be_asked_once(tmp_path: Path) -> None:
    with judged_by(strict, tmp_path) as (server, task, config):
        checked = check_judge(config, task, answers(), again=0)
    assert server.count == 60
    assert "repeatability" not in checked.record.agreement
    assert "asked again" not in checked.text()


def test_answers_that_the_judge_does_not_grade_are_left_out_and_counted(tmp_path: Path) -> None:
    checked, _ = found(lambda seen: "no" if "north" in seen["input"] else strict(seen), tmp_path)
    assert (checked.record.answers, checked.record.failed) == (54, 6)
    assert "6 more could not be graded" in checked.text()


@pytest.mark.slow
def test_a_judge_that_grades_too_few_is_no_judge(tmp_path: Path) -> None:
    with pytest.raises(StoppedByFailures, match=r"no grade for 60 of 60 answers \(the judge was asked twice"):
        found(lambda seen: "no", tmp_path)


@pytest.mark.slow
def test_the_labels_of_a_scale_are_grades(tmp_path: Path) -> None:
    scale = {"name": "judge", "criteria": {"right": {"description": "x", "scale": ["wrong", "right"]}}}
    with judged_by(lambda seen: "right" if strict(seen) == 5 else "wrong", tmp_path, scale) as (_, task, config):
        assert check_judge(config, task, answers()).record.agreement["accuracy"].value == 0.9


@pytest.mark.parametrize(
    ("scored", "message"),
    [(answers(9), "9 answers have a score"), ([one for one in answers() if one.score == 1], "the same score")],
)
def test_too_few_or_equal_scores_are_refused_before_anything_is_asked(
    tmp_path: Path, scored: list[ScoredAnswer], message: str
) -> None:
    with judged_by(strict, tmp_path) as (server, task, config), pytest.raises(ConfigError, match=message):
        check_judge(config, task, scored)
    assert server.count == 0


def test_a_task_or_a_config_without_a_judge_is_refused(tmp_path: Path) -> None:
    with judged_by(strict, tmp_path) as (_, task, config):
        with pytest.raises(ConfigError, match="no model is named"):
            check_judge(RunConfig(task="t"), task, answers())
        other = load_task(make_task(tmp_path / "other"))
        with pytest.raises(ConfigError, match="its metric is choice"):
            check_judge(config, other, answers())


@pytest.mark.slow
def test_a_budget_in_dollars_ends_it(tmp_path: Path) -> None:
    with judged_by(strict, tmp_path) as (_, task, config):
        data = config.model_dump()
        data["models"]["judge"]["price"] = {"input": 1000.0, "output": 1000.0}
        data["budget"]["usd"] = 0.5
        with pytest.raises(ConfigError, match=r"budget\.usd: too little to check the judge"):
            check_judge(RunConfig.model_validate(data), task, answers())


def test_a_judge_that_prefers_a_place_is_seen_through(tmp_path: Path) -> None:
    """One that always names the first answer finds all answers equal, and the check says so."""
    pairs = {"name": "judge", "criteria": {"right": "It is right."}, "pairwise": True}

    def first(messages: Messages) -> str:
        return "right reason: It is so.\nright grade: first"

    with FakeServer(first) as server:
        task = load_task(make_task(tmp_path / "task", metric=pairs))
        config = RunConfig.model_validate(
            {"task": "t", "models": {"judge": "openai/judge", "api_base": server.api_base, "concurrency": 8}}
        )
        checked = check_judge(config, task, answers(20), again=0)
        assert server.count == 10 + 2 * 10  # beside itself an answer is asked about once
    figures = checked.record.agreement
    assert (figures["position_bias"].value, figures["same_swapped"].value) == (0.5, 0.0)
    assert "prefers the first     0.50" in checked.text()
    assert checked.refused
