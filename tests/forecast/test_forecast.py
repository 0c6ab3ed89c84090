from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.config.schema import BudgetConfig
from optimizer.forecast.forecast import Forecast, Plan, Range, Sample, forecast

SAME = Sample(Range(100, 100, 100), Range(0.01, 0.01, 0.01), 2.0)
PLAN = Plan(Range(150, 200, 250), 50)


def exactly(figure: float) -> Range:
    return Range(figure, figure, figure)


def test_calls_that_are_all_alike_leave_the_number_of_calls_open() -> None:
    found = forecast(PLAN, [SAME, SAME], BudgetConfig(), 4, ["that"])
    assert found.calls == Range(250, 300, 350)
    assert found.tokens == Range(25_000, 30_000, 35_000)
    assert found.usd == Range(pytest.approx(2.5), pytest.approx(3.0), pytest.approx(3.5))
    assert found.seconds == Range(125, 150, 175)
    assert found.assumed == ("that",)


def test_calls_and_tokens_bound_the_search_and_the_rest_the_whole_job() -> None:
    limits = BudgetConfig(calls=160, tokens=15_500, usd=1.0, seconds=60)
    found = forecast(PLAN, [SAME, SAME], limits, 4, [])
    assert found.calls == exactly(100)
    assert found.tokens == Range(25_000, 25_500, 25_500)
    assert found.usd == exactly(1.0)
    assert found.seconds == exactly(60)


@pytest.mark.parametrize(
    ("limits", "calls"),
    [
        (BudgetConfig(calls=160), Range(250, 260, 260)),
        (BudgetConfig(tokens=15_500), Range(250, 255, 255)),
        (BudgetConfig(usd=1.2), exactly(pytest.approx(120))),
        (BudgetConfig(seconds=60), exactly(120)),
    ],
)
def test_there_are_no_more_calls_than_a_limit_pays(limits: BudgetConfig, calls: Range) -> None:
    endless = Plan(Range(150, 10_000, 20_000), 50)
    assert forecast(endless, [SAME, SAME], limits, 4, []).calls == calls


def test_a_limit_in_dollars_does_not_bound_calls_that_cost_nothing() -> None:
    free = Sample(exactly(100), exactly(0.0), 2.0)
    assert forecast(PLAN, [free, free], BudgetConfig(usd=1.0), 4, []).calls == Range(250, 300, 350)


def test_the_seed_is_tested_at_its_price_and_the_winner_at_anyones() -> None:
    cheap, dear = Sample(exactly(10), exactly(0.0)), Sample(exactly(90), exactly(0.0))
    found = forecast(Plan(exactly(0), 10), [cheap, dear], BudgetConfig(), 1, [])
    assert found.tokens == Range(10 * 10 + 10 * 10, 10 * 10 + 10 * 50, 10 * 10 + 10 * 90)


def test_a_baseline_is_tested_at_anyones_price_too() -> None:
    cheap, dear = Sample(exactly(10), exactly(0.0)), Sample(exactly(90), exactly(0.0))
    found = forecast(Plan(exactly(0), 10, baselines=6), [cheap, dear], BudgetConfig(), 1, [])
    assert found.calls == exactly(26)
    assert found.tokens == Range(10 * 10 + 16 * 10, 10 * 10 + 16 * 50, 10 * 10 + 16 * 90)


def test_written_instructions_are_paid_too() -> None:
    plan = Plan(exactly(100), 0, Sample(exactly(1000), exactly(0.5)), 7)
    found = forecast(plan, [SAME], BudgetConfig(), 1, [])
    assert (found.calls.mid, found.tokens.mid) == (107, 100 * 100 + 7 * 1000)
    assert found.usd is not None
    assert found.usd.mid == pytest.approx(1.0 + 3.5)


def test_what_is_not_known_is_said() -> None:
    found = forecast(PLAN, [Sample(exactly(10), None)], BudgetConfig(), 1, ["x"])
    assert (found.usd, found.seconds) == (None, None)
    assert found.text() == (
        "Forecast: search 200 (150–250) calls, test and baselines 100 calls; "
        "3,000 (2,500–3,500) tokens, dollars not known\n  assumed: x"
    )


def test_the_text_gives_the_middle_and_the_interval() -> None:
    found = Forecast(Range(20, 30, 40), exactly(1234), exactly(0.5), Range(10, 20, 30), (), 12, Range(1, 2, 3))
    assert found.text() == (
        "Forecast: search 18 (8–28) calls, test and baselines 12 calls; 1,200 tokens, $0.50, "
        "20 (10–30) s, 2 (1–3) s of them for test and baselines"
    )


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Range(9_167, 301_234, 983_098), "up to 980,000"),
        (Range(0, 0, 20), "up to 20"),
        (Range(101_000, 149_600, 1_000_000), "150,000 (100,000–1,000,000)"),
        (Range(0.001234, 0.00999, 0.0100), "0.010 (0.0012–0.010)"),
        (Range(499.6, 499.8, 500.2), "500"),
        (exactly(0), "0"),
    ],
)
def test_a_figure_has_two_digits_and_a_range_only_where_it_tells_something(figure: Range, text: str) -> None:
    assert figure.text() == text


def test_the_test_and_its_time_are_told_apart() -> None:
    found = forecast(Plan(exactly(80), 50, baselines=40), [SAME, SAME], BudgetConfig(), 4, [])
    assert (found.test_calls, found.test_seconds) == (140, exactly(70))
    assert found.text().startswith("Forecast: search 80 calls, test and baselines 140 calls; ")
    assert found.text().endswith("110 s, 70 s of them for test and baselines")


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=14), st.integers(0, 300), st.integers(0, 99))
def test_an_interval_holds_its_middle(tokens: list[float], calls: int, test: int) -> None:
    samples = [Sample(exactly(one), exactly(one / 1e6), one) for one in tokens]
    found = forecast(Plan(Range(calls / 2, calls, 2 * calls), test), samples, BudgetConfig(), 3, [])
    for figure in (found.calls, found.tokens, found.usd, found.seconds):
        assert figure is not None
        assert 0 <= figure.low <= figure.mid * (1 + 1e-9) + 1e-9
        assert figure.mid <= figure.high * (1 + 1e-9) + 1e-9


def test_proposals_are_paid_at_the_prompt_models_price_or_as_answers() -> None:
    dear = Sample(exactly(1000), exactly(0.5))
    plan = Plan(exactly(100), 0, dear, 0, proposals=Range(0, 5, 20))
    found = forecast(plan, [SAME], BudgetConfig(), 1, [])
    assert found.calls == Range(100, 105, 120)
    assert found.tokens == Range(100 * 100, 100 * 100 + 5 * 1000, 100 * 100 + 20 * 1000)
    answered = forecast(Plan(exactly(100), 0, proposals=Range(0, 0, 20)), [SAME], BudgetConfig(calls=110), 1, [])
    assert answered.calls == Range(100, 100, 110)
    assert answered.tokens == Range(10_000, 10_000, 12_000)
