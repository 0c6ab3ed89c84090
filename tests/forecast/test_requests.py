"""What a call takes, by the length of its request."""

from __future__ import annotations

from dspy.lm15 import Message, Request

from optimizer.forecast.forecast import Range
from optimizer.forecast.requests import FRAME, USUAL, sample_of, sample_of_size
from optimizer.models.prices import Price


def test_requests_are_measured_in_bytes_with_a_frame_a_message() -> None:
    request = Request("m", [Message.user("ü" * 190)], system="s" * 60)
    size = 2 * 190 + 60 + 2 * FRAME
    assert sample_of([request], None, 10) == sample_of_size(size, None, 10)
    assert sample_of([request, request], None, 10) == sample_of_size(size, None, 10)


def test_a_price_is_for_tokens_in_and_out() -> None:
    found = sample_of_size(400, Price(input=1.0, output=10.0), 20)
    assert found.tokens.mid == 400 / USUAL + 10
    assert found.usd is not None
    assert found.usd.mid == 400 / USUAL + 100


def test_no_request_takes_only_its_answer() -> None:
    assert sample_of([], None, 8).tokens == Range(1, 4, 8)
