from __future__ import annotations

import dspy
import pytest
from dspy.utils.exceptions import LMError

from optimizer.config.models import ModelConfig
from optimizer.door.recorder import Recorder


def test_what_is_asked_is_noted_and_nothing_is_answered() -> None:
    recorder = Recorder()
    with (
        dspy.context(lm=recorder.model("task", ModelConfig(model="local/any")), disable_history=True),
        pytest.raises(LMError, match="recorded only"),
    ):
        dspy.Predict("question -> answer")(question="why?")
    ((role, request),) = recorder.requests
    assert role == "task"
    assert "why?" in str(request.messages)
