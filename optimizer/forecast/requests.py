"""What a call takes, judged by the length of its request: nothing is asked, nothing is paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimizer.forecast.forecast import Range, Sample
from optimizer.models.prices import Price

if TYPE_CHECKING:
    from dspy.lm15 import Request

# Bytes of text to a token: sparse, usual, dense. A message's frame takes as much as twenty bytes.
SPARSE, USUAL, DENSE, FRAME = 6.0, 4.0, 2.5, 20


def sample_of(requests: Sequence[Request], price: Price | None, longest: float) -> Sample:
    """Return the mean call of some requests that were not sent; an answer has `longest` tokens at most."""
    return sample_of_size(sum(map(_bytes, requests)) / max(1, len(requests)), price, longest)


def sample_of_size(size: float, price: Price | None, longest: float) -> Sample:
    """Return the mean call of requests of so many bytes on average, the frames of their messages included."""
    sent, out = Range(size / SPARSE, size / USUAL, size / DENSE), Range(1, longest / 2, longest)
    if price is None:
        return Sample(sent + out, None)
    return Sample(sent + out, sent.scaled(price.input) + out.scaled(price.output))


def _bytes(request: Request) -> int:
    texts = [str(request.system or ""), *(message.text or "" for message in request.messages)]
    return sum(len(text.encode("utf-8", "replace")) + FRAME for text in texts)
