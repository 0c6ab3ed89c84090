from __future__ import annotations

import json
import subprocess
import sys

import pytest
from dspy.lm15 import Usage as Reported

from optimizer.config.models import ModelPrice
from optimizer.models.prices import Price, configured, metered, price_of, price_table
from optimizer.types import Usage

PRICE = Price(1.0, 10.0, cached=0.1, written=1.25)
MOST = Usage(1, 0, 1000, 0, 100, 2250.0)


def test_a_price_in_the_config_is_by_the_million() -> None:
    price = configured(ModelPrice(input=0.4, cached=0.1, output=1.6))
    assert price.of(1_000_000, 0) == pytest.approx(0.4)
    assert price.of(1_000_000, 0, cached=1_000_000) == pytest.approx(0.1)
    assert price.of(0, 1_000_000) == pytest.approx(1.6)


def test_cached_tokens_cost_as_others_where_nothing_else_is_said() -> None:
    assert configured(ModelPrice(input=2.0, output=0.0)).of(10, 0, cached=10) == pytest.approx(2e-5)


def test_litellms_table_knows_the_discount() -> None:
    price = price_of("openai/gpt-4.1-mini")
    assert price is not None
    assert (price.input, price.cached, price.output) == (4e-7, 1e-7, 1.6e-6)
    assert price.longest == 32768
    assert price_of("openai/no-such-model") is None


@pytest.mark.slow
def test_the_table_is_the_one_that_litellm_itself_has() -> None:
    code = "import json, litellm; print(json.dumps(litellm.model_cost))"
    # In a process of its own: litellm imports half the world.
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    theirs = json.loads(told.stdout)
    assert len(theirs) > 1000
    assert {model: price_table().get(model) for model in theirs} == theirs


def test_openais_input_holds_its_cached_tokens() -> None:
    used = metered(Reported(input_tokens=100, output_tokens=5, cache_read_tokens=80), "openai/x", PRICE, MOST)
    assert used == Usage(1, 0, 100, 80, 5, pytest.approx(20 + 8 + 50))


def test_anthropics_input_leaves_them_out() -> None:
    counted = Reported(input_tokens=20, output_tokens=5, cache_read_tokens=80, cache_write_tokens=40)
    used = metered(counted, "anthropic/x", PRICE, MOST)
    assert used == Usage(1, 0, 140, 80, 5, pytest.approx(20 + 8 + 50 + 50))


def test_geminis_output_leaves_its_reasoning_out_and_openais_does_not() -> None:
    counted = Reported(input_tokens=10, output_tokens=5, reasoning_tokens=30)
    assert metered(counted, "gemini/x", PRICE, MOST).output_tokens == 35
    assert metered(counted, "openai/x", PRICE, MOST).output_tokens == 5


def test_what_is_not_reported_is_booked_at_the_most_it_can_be() -> None:
    used = metered(Reported(), "openai/x", PRICE, MOST)
    assert (used.input_tokens, used.output_tokens) == (1000, 100)
    assert used.usd == pytest.approx(2000.0)


def test_a_cache_larger_than_the_input_does_not_make_a_call_cheaper_than_free() -> None:
    used = metered(Reported(input_tokens=10, output_tokens=0, cache_read_tokens=50), "openai/x", PRICE, MOST)
    assert used == Usage(1, 0, 10, 10, 0, pytest.approx(1.0))


def test_in_a_batch_all_costs_half_or_what_the_table_names() -> None:
    assert Price(2.0, 10.0, 0.5, 2.5, 100).in_batch == Price(1.0, 5.0, 0.25, 1.25, 100)
    assert Price(2.0, 10.0).in_batch == Price(1.0, 5.0)
    assert Price(2.0, 10.0, batch=Price(0.5, 9.0)).in_batch == Price(0.5, 9.0)
    claude, mini = price_of("anthropic/claude-haiku-4-5"), price_of("openai/gpt-4.1-mini")
    assert claude is not None
    assert mini is not None
    for price in (claude, mini):
        assert (price.in_batch.input, price.in_batch.output) == (price.input / 2, price.output / 2)
    # Anthropic's discounts add up; of this model OpenAI names none for cached tokens in a batch.
    assert (claude.cached, mini.cached) == (pytest.approx(1e-7), pytest.approx(1e-7))
    assert (claude.in_batch.cached, mini.in_batch.cached) == (pytest.approx(5e-8), None)
    used = metered(Reported(input_tokens=100, output_tokens=5, cache_read_tokens=80), "openai/x", mini.in_batch, MOST)
    assert used.usd == pytest.approx(100 * 0.2e-6 + 5 * 0.8e-6)
