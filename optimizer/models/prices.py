"""What a model's tokens cost: from the config, or from litellm's price table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from optimizer.config.models import ModelPrice, is_local
from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError
from optimizer.types import ModelKey, Usage, role_of

if TYPE_CHECKING:
    from dspy.lm15 import Usage as Reported

MILLION = 1_000_000
# The longest answer assumed where a request sets no limit and litellm does not know the model's.
LONGEST_ANSWER = 16_384
# The file inside litellm's package that holds its prices.
TABLE = "model_prices_and_context_window_backup.json"


# Of its price, where the provider's table does not name another one: OpenAI's and Anthropic's documentation.
BATCHED = 0.5


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars a token; None costs what any other input token costs.

    `batch` is the price in a batch; None: half of all that is here.
    """

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None
    written: float | None = None
    longest: int = LONGEST_ANSWER
    batch: Price | None = None

    @property
    def in_batch(self) -> Price:
        """What a token costs in a batch."""
        if self.batch is not None:
            return self.batch
        cached, written = (None if one is None else BATCHED * one for one in (self.cached, self.written))
        return Price(BATCHED * self.input, BATCHED * self.output, cached, written, self.longest)

    def of(self, input_tokens: int, output_tokens: int, cached: int = 0, written: int = 0) -> float:
        """Return the dollars of a call; `cached` and `written` are part of `input_tokens`."""
        plain = input_tokens - cached - written
        read = self.input if self.cached is None else self.cached
        write = self.input if self.written is None else self.written
        return self.input * plain + read * cached + write * written + self.output * output_tokens

    def most(self, input_tokens: int, output_tokens: int) -> Usage:
        """Return the most that a call with so many tokens can cost, however they are booked."""
        dearest = max(self.input, self.cached or 0.0, self.written or 0.0)
        usd = dearest * input_tokens + self.output * output_tokens
        return Usage(1, 0, input_tokens, 0, output_tokens, usd)


def average(prices: Sequence[Price]) -> Price:
    """Return what a token costs on average where each of some models is asked as often as the others."""
    if len(prices) == 1:
        return prices[0]
    cached, written = (
        fmean(getattr(one, kind) if getattr(one, kind) is not None else one.input for one in prices)
        for kind in ("cached", "written")
    )
    plain, output = fmean(one.input for one in prices), fmean(one.output for one in prices)
    return Price(plain, output, cached, written, max(one.longest for one in prices))


def configured(price: ModelPrice) -> Price:
    """Return the price that a config names, in dollars per million tokens."""
    cached = None if price.cached is None else price.cached / MILLION
    return Price(price.input / MILLION, price.output / MILLION, cached)


@cache
def price_table() -> dict[str, dict[str, Any]]:
    """Return litellm's entry of each model, as its package ships it."""
    # Read from its file: importing litellm, only to ask for it, costs seconds of every run.
    spec = find_spec("litellm")
    assert spec is not None  # noqa: S101 - it is a dependency
    assert spec.origin is not None  # noqa: S101
    file = Path(spec.origin).parent / TABLE
    if not file.exists():  # another release of litellm may name it otherwise
        import litellm

        return dict(litellm.model_cost)
    entries = json.loads(file.read_text(encoding="utf-8"))
    aliases = {alias: entry for entry in entries.values() for alias in entry.get("aliases") or ()}
    return {**aliases, **entries}


def price_of(model: str) -> Price | None:
    """Return a provider model's price, or None where litellm's table does not have it."""
    table = price_table()
    entry = table.get(model) or table.get(model.partition("/")[2])
    if not entry or "input_cost_per_token" not in entry:
        return None
    in_batch = _entry(entry, "_batches") if "input_cost_per_token_batches" in entry else None
    return replace(_entry(entry, ""), batch=in_batch)


def _entry(entry: Mapping[str, Any], kind: str) -> Price:
    """Return the figures of one kind: "" or "_batches", where a cached token costs as much as any if none is named."""
    cached, written = (
        entry.get(f"cache_read_input_token_cost{kind}"),
        entry.get(f"cache_creation_input_token_cost{kind}"),
    )
    return Price(
        input=float(entry[f"input_cost_per_token{kind}"]),
        output=float(entry.get(f"output_cost_per_token{kind}", 0.0)),
        cached=None if cached is None else float(cached),
        written=None if written is None else float(written),
        longest=int(entry.get("max_output_tokens") or LONGEST_ANSWER),
    )


def prices_of(config: RunConfig) -> dict[ModelKey, Price]:
    """Return the price of each paid model; an unknown one with a budget in dollars is refused."""
    prices: dict[ModelKey, Price] = {}
    for key, model in config.models.by_key.items():
        if is_local(model.model) and model.price is None:
            continue
        price = price_of(model.model) if model.price is None else configured(model.price)
        if price is not None:
            prices[key] = price
        elif config.budget.usd is not None:
            example = "{input: 0.4, output: 1.6} (dollars per million tokens)"
            remedy = (
                f"Give models.{_where(key)}.price, as in {example}. Or: Leave budget.usd out and bound calls or tokens."
            )
            raise ConfigError(f"budget.usd is set, but the price of {model.model} is not known", remedy)
    return prices


def _where(key: ModelKey) -> str:
    """Return where a config names a model."""
    return key if key == role_of(key) else "also"


def metered(used: Reported, model: str, price: Price, most: Usage) -> Usage:
    """Return a response's usage in one convention; what is not reported counts as `most`.

    Providers count differently, and lm15 hands their counters on as they are: Anthropic's input leaves
    cached tokens out, which OpenAI's and Gemini's hold; Gemini's and xAI's output leaves reasoning out.
    """
    provider = model.partition("/")[0]
    sent = most.input_tokens if used.input_tokens is None else used.input_tokens
    made = most.output_tokens if used.output_tokens is None else used.output_tokens
    read, written = used.cache_read_tokens or 0, used.cache_write_tokens or 0
    if provider.endswith("anthropic") and used.input_tokens is not None:
        sent += read + written
    if provider in {"gemini", "vertex", "vertex-express", "xai"} and used.output_tokens is not None:
        made += used.reasoning_tokens or 0
    read = min(read, sent)
    written = min(written, sent - read)
    return Usage(1, 0, sent, read, made, price.of(sent, made, read, written))
