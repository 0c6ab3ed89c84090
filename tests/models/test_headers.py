from __future__ import annotations

import datetime as dt
from email.utils import format_datetime

import pytest

from optimizer.models.headers import Allowance, allowances, retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1..5s"}, None),
    ],
)
def test_the_delay_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_counts_from_now() -> None:
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    assert retry_after({"retry-after": format_datetime(moment)}) == pytest.approx(30, abs=3)
    past = format_datetime(moment - dt.timedelta(days=1))
    assert retry_after({"retry-after": past}) == 0.0


def test_openai_and_anthropic_say_the_same_in_their_own_words() -> None:
    openai = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-requests": "1m30.5s",
        "x-ratelimit-limit-tokens": "1000",
    }
    assert allowances(openai) == {
        "requests": Allowance(60.0, 3.0, 90.5),
        "tokens": Allowance(1000.0, None, None),
    }
    moment = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20)).isoformat()
    anthropic = {"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": moment}
    found = allowances(anthropic)["requests"]
    assert (found.per_minute, found.left) == (None, 0.0)
    assert found.reset == pytest.approx(20, abs=3)


def test_no_headers_say_nothing() -> None:
    assert allowances({"content-type": "application/json"}) == {}
