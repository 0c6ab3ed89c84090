from __future__ import annotations

import dspy

from optimizer.config.models import ModelConfig, Models
from optimizer.models.dspy_lm import LMEndpoint
from optimizer.models.fleet import Fleet
from optimizer.models.wire import HttpWire


def test_a_plain_lm_takes_our_wire_and_another_makes_its_own_attempts() -> None:
    lm = dspy.LM("openai/mine", api_base="http://127.0.0.1:9/v1", api_key="key")
    settings = {"api_base": "http://127.0.0.1:9/v1", "api_key": "key", "lm": lm}
    assert isinstance(LMEndpoint("openai/mine", "mine", **settings).dial(lambda headers: None), HttpWire)
    wire = LMEndpoint("openai/mine", "mine", plain=False, **settings).dial(lambda headers: None)
    assert isinstance(wire, dspy.LM)
    assert (wire.cache, wire.num_retries) == (False, 0)


def test_a_model_in_memory_is_not_started() -> None:
    endpoint = LMEndpoint("openai/mine", "mine", lm=dspy.LM("openai/mine"))
    with Fleet(Models(task=ModelConfig(model="local/not-there")), endpoints={"task": endpoint}) as models:
        assert models.endpoints["task"] is endpoint
