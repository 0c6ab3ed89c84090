from __future__ import annotations

import dspy

from optimizer.models.own import LMEndpoint, LMSet
from optimizer.models.wire import HttpWire


def test_a_plain_lm_takes_our_wire_and_another_makes_its_own_attempts() -> None:
    lm = dspy.LM("openai/mine", api_base="http://127.0.0.1:9/v1", api_key="key")
    settings = {"api_base": "http://127.0.0.1:9/v1", "api_key": "key", "lm": lm}
    assert isinstance(LMEndpoint("openai/mine", "mine", **settings).dial(lambda headers: None), HttpWire)
    wire = LMEndpoint("openai/mine", "mine", plain=False, **settings).dial(lambda headers: None)
    assert isinstance(wire, dspy.LM)
    assert (wire.cache, wire.num_retries) == (False, 0)


def test_a_set_of_lms_starts_and_ends_nothing() -> None:
    endpoint = LMEndpoint("openai/mine", "mine", lm=dspy.LM("openai/mine"))
    with LMSet({"task": endpoint}) as models:
        assert models.endpoints["task"] is endpoint
