"""A predictor reads its answer as its prompt's readout says."""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import dspy
import numpy as np
import pytest
from dspy.utils.exceptions import AdapterParseError

from optimizer.prompt.demos import DemoPool
from optimizer.prompt.formatted import NoLabel
from optimizer.prompt.program import Prompted
from optimizer.prompt.readout import TOP
from optimizer.testing.fake_server import Answer, FakeServer
from optimizer.testing.label_model import LabelModel
from optimizer.types import Calibration, Prompt, Readout

LABELS = ("card", "loan", "none")
SIGNATURE = dspy.Signature("message -> team: Literal['card', 'loan', 'none']", "Sort.")
LIKELY = {"loan": math.log(0.6), "card": math.log(0.4)}
# The likeliest answer names no label.
TALKS = {"I cannot say": math.log(0.5), "loan": math.log(0.3), "card": math.log(0.2)}
NO_POOL = DemoPool((), lambda texts: np.zeros((len(texts), 1), dtype=np.float32))
TO_CARD = Calibration(1.0, (1.0, -1.0, 0.0), 1.0, LABELS)
Serve = Callable[..., FakeServer]


def model(weights: Mapping[str, float]) -> LabelModel:
    return LabelModel(lambda messages: weights)


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], FakeServer]]:
    """Return what starts a provider; all are stopped in the end."""
    with ExitStack() as started:
        yield lambda answer: started.enter_context(FakeServer(answer))


def predictor(readout: Readout, calibration: Calibration | None = None) -> Prompted:
    prompt = Prompt("Sort.", "turns", readout=readout, calibration=calibration)
    return Prompted(dspy.Predict(SIGNATURE), prompt, NO_POOL)


def ask(server: FakeServer, asked: Prompted, **settings: Any) -> dspy.Prediction:
    settings = {"max_tokens": 100, **settings}
    lm = dspy.LM("openai/fake", api_base=server.api_base, api_key="none", cache=False, num_retries=0, **settings)
    with dspy.context(lm=lm):
        prediction = asked(message="a message")
        assert asyncio.run(asked.acall(message="a message")).toDict() == prediction.toDict()
    return prediction


def test_the_likeliest_label_is_chosen(serve: Serve) -> None:
    server = serve(model(LIKELY))
    prediction = ask(server, predictor("choose"))
    assert prediction.team == "loan"
    assert len(prediction.label_logprobs) == 3
    assert prediction.label_logprobs[1] - prediction.label_logprobs[0] == pytest.approx(math.log(1.5))
    (body, _) = server.requests
    assert (body["logprobs"], body["top_logprobs"], body["max_completion_tokens"]) == (True, TOP, 2 + len("card"))


def test_a_calibration_moves_the_answer(serve: Serve) -> None:
    server = serve(model(LIKELY))
    assert ask(server, predictor("calibrated", TO_CARD)).team == "card"
    assert ask(server, predictor("calibrated")).team == "loan", "not fitted yet"
    assert server.requests[0] == server.requests[2], "the model is asked the same"


def test_words_are_read_without_a_question(serve: Serve) -> None:
    server = serve(model(LIKELY))
    prediction = ask(server, predictor("generate"))
    assert prediction.team == "loan"
    assert "label_logprobs" not in prediction
    assert not {"logprobs", "top_logprobs"} & set(server.requests[0])


def test_an_answer_that_names_no_label_is_read_from_what_is_likely(serve: Serve) -> None:
    server = serve(model(TALKS))
    assert ask(server, predictor("choose")).team == "loan"
    with pytest.raises(AdapterParseError, match="names no label"):
        ask(server, predictor("generate"))


@pytest.mark.parametrize("readout", ["choose", "calibrated"])
def test_without_log_probabilities_the_words_are_read(serve: Serve, readout: Readout) -> None:
    asked = predictor(readout, TO_CARD if readout == "calibrated" else None)
    prediction = ask(serve(lambda messages: "Loan."), asked)
    assert prediction.team == "loan"
    assert "label_logprobs" not in prediction


def test_where_nothing_tells_a_label_the_answer_cannot_be_read(serve: Serve) -> None:
    """It does not become the label that a missing value looks like."""
    for answer, logprobs in ((lambda messages: "Who knows", None), (model({"Who knows": 0.0}), ())):
        with pytest.raises(NoLabel, match="names no label") as problem:
            ask(serve(answer), predictor("choose"))
        assert (problem.value.lm_response, problem.value.logprobs) == ("Who knows", logprobs)


def test_a_lower_limit_of_the_models_own_is_kept(serve: Serve) -> None:
    server = serve(model(LIKELY))
    assert ask(server, predictor("choose"), max_tokens=3).team == "loan"
    assert server.requests[0]["max_completion_tokens"] == 3
    ask(server, predictor("choose"), max_tokens=7)
    assert server.requests[2]["max_completion_tokens"] == 6


def test_a_copy_answers_the_same(serve: Serve) -> None:
    server = serve(model(LIKELY))
    for asked in (predictor("choose"), predictor("calibrated", TO_CARD)):
        copied = copy.deepcopy(asked)
        assert ask(server, copied).toDict() == ask(server, asked).toDict()


def test_yes_and_no_are_truth_values(serve: Serve) -> None:
    signature = dspy.Signature("message -> urgent: bool", "Is it urgent?")
    asked = Prompted(dspy.Predict(signature), Prompt("i", readout="choose"), NO_POOL)
    for weights, wanted in (({"yes": 1.0, "no": 0.0}, True), ({"No": 1.0, "Yes": 0.0}, False)):
        assert ask(serve(model(weights)), asked).urgent is wanted
