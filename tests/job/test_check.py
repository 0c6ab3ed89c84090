from __future__ import annotations

import os
import random
from xml.etree import ElementTree as Tree

import pytest

from optimizer.errors import ConfigError
from optimizer.evaluate.evaluator import Result
from optimizer.job.check import EXIT, Checked, Criterion, Finding, Wanted, at_least, check, not_worse
from optimizer.types import Failure, Score

SEED = int(os.environ.get("METIER_TEST_SEED", "11"))
CHECKS = 200
# Of 200 checks that each err with a chance of 4 %, more than 17 do in one of a thousand runs of this test.
STATED, MOST = 0.04, 17


def results(right: int, wrong: int, failed: int = 0) -> list[Result]:
    return [Score(1.0)] * right + [Score(0.0)] * wrong + [Failure("server", "500")] * failed


@pytest.mark.parametrize(
    ("answers", "least", "outcome"),
    [
        (results(95, 5), 0.85, "holds"),
        (results(95, 5), 0.94, "unclear"),
        (results(50, 50), 0.85, "fell"),
        (results(40, 0), 1.0, "unclear"),
        (results(40, 0, 11), 0.5, "unclear"),  # too many answers never came
        (results(40, 0, 3), 0.5, "holds"),
        ([], 0.5, "unclear"),
    ],
)
def test_the_interval_decides_whether_a_score_is_reached(answers: list[Result], least: float, outcome: str) -> None:
    found = at_least(answers, least)
    assert found.outcome == outcome
    assert found.ci95[0] <= found.ci95[1]


def test_not_worse_is_paired_and_allows_its_margin() -> None:
    good, bad = results(190, 10), results(100, 100)
    assert not_worse(good, bad, 0.05, "champion").outcome == "holds"
    assert not_worse(bad, good, 0.05, "champion").outcome == "fell"
    assert not_worse(good, good, 0.05, "champion").outcome == "holds"
    assert not_worse(good[:10], good[:10], 0.05, "champion").outcome == "unclear"  # ten examples tell little
    slightly = results(186, 14)
    assert not_worse(slightly, good, 0.10, "champion").outcome == "holds"
    assert not_worse(slightly, good, 0.0, "champion").outcome in {"unclear", "fell"}


@pytest.mark.parametrize("least", [0.5, 0.7, 0.85, 0.95])
@pytest.mark.parametrize("count", [60, 120, 300])
def test_the_stated_error_rate_holds_exactly(count: int, least: float) -> None:
    from scipy.stats import binom

    found = [at_least(results(right, count - right), least).outcome for right in range(count + 1)]
    chances = binom.pmf(range(count + 1), count, least)
    for wrong in ("fell", "holds"):  # the truth lies on the mark: neither may be said often
        assert sum(p for p, one in zip(chances, found, strict=True) if one == wrong) <= STATED


def drawn(rng: random.Random, chances: list[float]) -> list[Result]:
    return [Score(float(rng.random() < chance)) for chance in chances]


@pytest.mark.parametrize(("truth", "wrong"), [(0.85, "fell"), (0.849, "holds"), (0.95, "fell"), (0.7, "holds")])
def test_two_hundred_checks_of_a_score_err_as_rarely_as_stated(truth: float, wrong: str) -> None:
    rng = random.Random(f"{SEED} {truth}")
    found = [at_least(drawn(rng, [truth] * 120), 0.85).outcome for _ in range(CHECKS)]
    assert found.count(wrong) <= MOST, f"METIER_TEST_SEED={SEED}"  # type: ignore[arg-type]


def test_two_hundred_checks_find_a_fall_and_pass_what_is_well_above() -> None:
    rng = random.Random(SEED)
    fallen = [at_least(drawn(rng, [0.6] * 120), 0.85).outcome for _ in range(CHECKS)]
    well = [at_least(drawn(rng, [0.95] * 120), 0.85).outcome for _ in range(CHECKS)]
    assert fallen.count("fell") >= 195, f"METIER_TEST_SEED={SEED}"
    assert well.count("holds") >= 150, f"METIER_TEST_SEED={SEED}"


def test_two_hundred_comparisons_err_as_rarely_as_stated() -> None:
    rng = random.Random(SEED)
    equal, worse = list[Finding](), list[Finding]()
    for _ in range(CHECKS):
        chances = [rng.choice((0.4, 0.9, 1.0)) for _ in range(150)]
        champion = drawn(rng, chances)
        equal.append(not_worse(drawn(rng, chances), champion, 0.05, "c").outcome)
        worse.append(not_worse(drawn(rng, [max(0.0, c - 0.05) for c in chances]), champion, 0.05, "c").outcome)
    assert equal.count("fell") <= MOST, f"METIER_TEST_SEED={SEED}"
    assert worse.count("holds") <= MOST, f"METIER_TEST_SEED={SEED}"


def made(*outcomes: Finding) -> Checked:
    criteria = [Criterion(f"c{n} <&\x1b", one, 0.5, (0.4, 0.6), f"told <&\x00 {n}") for n, one in enumerate(outcomes)]
    return Checked("tickets <&", "best.json", 10, 0, criteria)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (("holds",), 0),
        (("holds", "unclear"), 2),
        (("unclear", "fell"), 1),
        (("fell", "holds"), 1),
    ],
)
def test_the_worst_criterion_decides(outcomes: tuple[Finding, ...], code: int) -> None:
    assert EXIT[made(*outcomes).outcome] == code


def test_junit_is_xml_with_a_case_for_each_criterion() -> None:
    suite = Tree.fromstring(made("holds", "fell", "unclear").to_junit())
    assert (suite.tag, suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("testsuite", "3", "1", "1")
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["error"]]
    assert suite.get("name") == "metier check tickets <&"
    assert made("fell").to_json()["outcome"] == "fell"


def test_something_must_be_asked_and_a_task_named() -> None:
    with pytest.raises(ConfigError, match="nothing to check"):
        check("best.json", Wanted(None, None, 0.05), "test", None, None, None)
    with pytest.raises(ConfigError, match="holds no examples"):
        check("best.json", Wanted(0.5, None, 0.05), "test", None, None, None)
