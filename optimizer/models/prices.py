"""What a model's tokens cost, from litellm's price table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for one input and one output token."""

    input: float = 0.0
    output: float = 0.0

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Return the dollars of a call."""
        return self.input * input_tokens + self.output * output_tokens


def price_of(model: str) -> Price | None:
    """Return a provider model's price, or None where litellm's table does not have it."""
    import litellm

    entry = litellm.model_cost.get(model) or litellm.model_cost.get(model.partition("/")[2])
    if not entry or "input_cost_per_token" not in entry:
        return None
    return Price(float(entry["input_cost_per_token"]), float(entry.get("output_cost_per_token", 0.0)))
