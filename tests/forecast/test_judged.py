"""What a judge adds to a forecast."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.judges import METRIC

from optimizer.config.schema import BudgetConfig, RunConfig
from optimizer.forecast.forecast import Plan, Range, Sample, forecast
from optimizer.forecast.judged import judge_sample, judging_share, with_judge
from optimizer.forecast.lengths import price_in_role
from optimizer.models.prices import Price
from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.types import Example, Role

JUDGE = build_metric(METRIC, {"kind": FieldSpec()}, Path())
EACH = {"name": "judge", "rubric": ["Right.", "Short.", "Kind."], "each": True}
EXAMPLES = [Example({"text": "w" * 400}, {"kind": "metal"})] * 3


def exactly(figure: float) -> Range:
    return Range(figure, figure, figure)


def test_a_judges_call_is_as_long_as_what_it_is_shown() -> None:
    found = judge_sample(JUDGE, EXAMPLES, Price(input=1.0, output=2.0))
    assert found is not None
    assert 300 < found.tokens.mid < 900
    assert found.usd is not None
    assert found.usd.mid > found.tokens.mid
    longer = judge_sample(JUDGE, [Example({"text": "w" * 4000}, {"kind": "metal"})], None)
    assert longer is not None
    assert longer.usd is None
    assert longer.tokens.mid > found.tokens.mid + 800


def test_a_metric_that_asks_nobody_adds_nothing() -> None:
    metric = build_metric("exact_match", {"kind": FieldSpec()}, Path())
    sample = Sample(exactly(100), exactly(1.0), 2.0)
    assert judge_sample(metric, EXAMPLES, None) is None
    assert judging_share(metric, 2) == 0
    assert with_judge(sample, None, 0.0) == sample


@pytest.mark.parametrize(("metric", "predictors", "share"), [(METRIC, 1, 0.5), (METRIC, 3, 0.25), (EACH, 1, 0.75)])
def test_the_share_of_the_judge_follows_from_the_calls(
    metric: dict[str, object], predictors: int, share: float
) -> None:
    assert judging_share(build_metric(metric, {"kind": FieldSpec()}, Path()), predictors) == share


def test_a_mean_call_is_weighted_by_the_shares() -> None:
    mixed = with_judge(Sample(exactly(100), exactly(1.0), 2.0), Sample(exactly(300), exactly(3.0), 6.0), 0.25)
    assert mixed == Sample(exactly(150), exactly(1.5), 3.0)
    assert with_judge(Sample(exactly(100), exactly(1.0)), Sample(exactly(300), None), 0.5).usd is None


def test_an_ensembles_answer_is_judged_once() -> None:
    plan = Plan(exactly(200), test=100, together=3, judging=0.5)
    assert plan.winner_calls == 3 * 50 + 50
    assert (plan.test_calls, plan.judged_calls) == (300, 100)
    found = forecast(plan, [Sample(exactly(10), None)], BudgetConfig(), 1, [])
    assert found.judged == exactly(100 + 100)
    assert ", 200 of them of the judge" in found.text()
    assert "judge" not in forecast(Plan(exactly(200), 100), [Sample(exactly(10), None)], BudgetConfig(), 1, []).text()


def test_a_local_model_beside_a_paid_judge_costs_nothing() -> None:
    prices: dict[Role, Price] = {"judge": Price(input=1.0)}
    config = RunConfig.model_validate({"task": "t", "models": {"task": "local/smollm2-135m", "judge": "openai/c"}})
    assert price_in_role(config, prices, "task") == Price()
    assert price_in_role(config, prices, "judge") == Price(input=1.0)
    assert price_in_role(config, {}, "judge") is None
    assert price_in_role(config, prices, "prompt") is None
