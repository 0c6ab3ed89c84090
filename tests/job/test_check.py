from __future__ import annotations

import os
import random
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as Tree

import numpy as np
import pytest
from scipy.stats import binom

from optimizer.errors import ConfigError
from optimizer.evaluate.evaluator import Result
from optimizer.evaluate.statistics import binomial
from optimizer.job.check import EXIT, Checked, Criterion, Finding, Wanted, at_least, check, not_worse
from optimizer.testing.distributions import Distribution, errors_of
from optimizer.types import Failure, Score

SEED = int(os.environ.get("METIER_TEST_SEED", "11"))
CHECKS = 200
# Of 200 checks that each err with a chance of 3.5 %, more than 16 do in less than one of a thousand runs of this test.
STATED, MOST = 0.035, 16


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


@pytest.mark.parametrize(("count", "least"), [(20, 0.5), (60, 0.85), (63, 0.9), (69, 0.95), (102, 0.99), (300, 0.7)])
def test_the_stated_error_rate_holds_exactly(count: int, least: float) -> None:
    found = [at_least(results(right, count - right), least).outcome for right in range(count + 1)]
    chances = binom.pmf(range(count + 1), count, least)
    for wrong in ("fell", "holds"):  # the truth lies on the mark: neither may be said often
        assert sum(p for p, one in zip(chances, found, strict=True) if one == wrong) <= STATED


def test_the_stated_error_rate_holds_at_every_number_of_examples_and_every_mark() -> None:
    """Computed, not drawn: how likely the interval of zeros and ones lies on the wrong side of the truth."""
    marks, most = np.linspace(0.5, 0.99, 50), 0.0
    for count in range(20, 401):
        lows, highs = np.array([binomial(right, count) for right in range(count + 1)]).T
        # Both ends grow with the right answers.
        holds = binom.sf(np.searchsorted(lows, marks) - 1, count, marks)
        fell = binom.cdf(np.searchsorted(highs, marks) - 1, count, marks)
        most = max(most, holds.max(), fell.max())
        assert most <= STATED, count
    assert most > 0.03, "no end is much too far away"


def worst_of_comparisons(counts: Iterable[int], margins: Sequence[float]) -> float:
    """Return the greatest chance of a wrong word on two prompts of which one loses `margin` more than it wins.

    For 0 that is "fell", else "holds". What both differ on goes from little to nearly everything.
    """
    most = 0.0
    for count in counts:
        for margin in margins:
            for won in (0.002, 0.01, 0.03, 0.08, 0.2, 0.45, (1 - margin) / 2 - 0.001):
                chances = (won + margin, max(0.0, 1 - 2 * won - margin), won)
                errors = errors_of(Distribution((-1.0, 0.0, 1.0), chances), count)
                most = max(most, errors.above if margin else errors.below)
                assert most <= STATED, (count, margin, won)
    return most


def test_the_stated_error_rate_of_a_comparison_holds() -> None:
    assert worst_of_comparisons((20, 33, 60, 61, 102), (0.0, 0.05)) > 0.02


@pytest.mark.slow
@pytest.mark.timeout(900)  # on machines that may be slow
def test_the_stated_error_rate_of_a_comparison_holds_at_every_fifth_number_of_examples() -> None:
    """Another seed takes other numbers; five in a row take them all."""
    assert worst_of_comparisons(range(20 + SEED % 5, 200, 5), (0.0, 0.02, 0.05, 0.1)) > 0.02, f"METIER_TEST_SEED={SEED}"
    assert worst_of_comparisons(range(200 + SEED % 40, 401, 40), (0.0, 0.05)) > 0.02, f"METIER_TEST_SEED={SEED}"


def test_an_endpoint_that_refuses_every_call_tells_nothing_of_a_prompt() -> None:
    refused = [Score(0.0, failure="invalid_request")] * 40
    assert at_least(refused, 0.5).outcome == "unclear"
    assert at_least([*refused[1:], Score(1.0)], 0.5).outcome == "fell"


def test_answers_that_were_cut_off_leave_open_what_they_were_worth() -> None:
    short = [Score(0.0, cut=True)] * 5 + [Score(0.0)] * 35
    fallen, risen = at_least(short, 0.5), at_least([*short[:5], *[Score(1.0)] * 35], 0.5)
    assert (fallen.outcome, risen.outcome) == ("unclear", "holds")
    assert "5 of 40 answers were cut off at their limit of tokens" in fallen.message
    better = [Score(1.0)] * 40
    for one in (not_worse(better, short, 0.05, "c"), not_worse(short, better, 0.05, "c")):
        assert one.outcome == "unclear"
        assert "5 of 80 answers were cut off" in one.message
    # Of one side more than 2 %, of both together not.
    few = not_worse([Score(0.0, cut=True)] * 2 + [Score(1.0)] * 48, [Score(0.0)] * 50, 0.05, "c")
    assert (few.outcome, "2 of 100 answers were cut off" in few.message) == ("unclear", True)


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
