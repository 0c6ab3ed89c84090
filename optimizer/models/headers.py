"""What a provider's reply headers say about its limits."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]*)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Allowance:
    """A limit as a reply states it: units a minute, units left, seconds until it is whole."""

    per_minute: float | None = None
    left: float | None = None
    reset: float | None = None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a reply asks to wait for, or None; an HTTP date counts from now."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    return _seconds(headers.get("retry-after"))


def allowances(headers: Mapping[str, str]) -> dict[str, Allowance]:
    """Return the limits on 'requests' and 'tokens' in OpenAI's or Anthropic's headers."""
    limits = {}
    for unit in ("requests", "tokens"):
        for pattern in ("x-ratelimit-{}-" + unit, f"anthropic-ratelimit-{unit}-{{}}"):
            if pattern.format("limit") in headers or pattern.format("remaining") in headers:
                limits[unit] = Allowance(
                    _number(headers.get(pattern.format("limit"))),
                    _number(headers.get(pattern.format("remaining"))),
                    _seconds(headers.get(pattern.format("reset"))),
                )
    return limits


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _seconds(text: str | None) -> float | None:
    """Read '7', '1m30.5s', an HTTP date or an ISO time."""
    if not text or (number := _number(text)) is not None:
        return number if text else None
    parts = _PART.findall(text)
    if parts and "".join(value + unit for value, unit in parts) == text:
        return sum(float(value) * _SECONDS[unit] for value, unit in parts)
    for read in (dt.datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except ValueError:
            continue
        moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return max(0.0, (moment - dt.datetime.now(dt.UTC)).total_seconds())
    return None
