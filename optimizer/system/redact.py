"""Keeps keys and passwords out of everything that is written or printed."""

from __future__ import annotations

import logging
import os
import re
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from optimizer.errors import spelled_out

HIDDEN = "***"
SHORTEST = 6
_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")
_PATTERNS = (
    re.compile(r"(?<=://)[^/\s@'\"]+(?=@)"),  # user:password in a URL
    re.compile(r"(?<=[Bb]earer )[\w.~+/=-]{8,}"),
    re.compile(r"\bsk-[\w-]{16,}"),
)
_noted: set[str] = set()
_environment: tuple[dict[object, object] | None, frozenset[str]] = (None, frozenset())  # as last seen; its secrets


def hide(secret: str | None) -> None:
    """Take note of a secret; a very short one would hide words, and is left."""
    if secret is not None and len(secret) >= SHORTEST:
        _noted.add(secret)


def hide_credentials(url: str | None) -> None:
    """Take note of the password in a URL."""
    parts = split_url(url)
    password = None if parts is None else parts.password
    if password is not None:
        hide(password)
        hide(unquote(password))


def without_credentials(url: str | None) -> str | None:
    """Return a URL without its user and password."""
    parts = split_url(url)
    if parts is None:
        return None if url is None else HIDDEN
    return url if "@" not in parts.netloc else urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def split_url(url: str | None) -> SplitResult | None:
    """Return the parts of a URL; None where it is none."""
    try:
        return None if url is None else urlsplit(url)
    except ValueError:  # such as http://[bad
        return None


def is_web_address(url: str) -> bool:
    """Tell if a URL is one that HTTP can be spoken with: a scheme of the web, a host, and nothing unprintable."""
    parts = split_url(url)
    return parts is not None and url.isprintable() and parts.scheme in ("http", "https") and bool(parts.hostname)


def scrub_secrets(text: str) -> str:
    """Return a text without the secrets that are known: for data, which is left alone otherwise."""
    for secret in _secrets():
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def scrub(text: str) -> str:
    """Return a text without known secrets, and without whatever looks like one: for messages."""
    text = scrub_secrets(text)
    for pattern in _PATTERNS:
        text = pattern.sub(HIDDEN, text)
    return text


class ScrubbingFormatter(logging.Formatter):
    """Formats a log record, traceback included, without secrets and without what acts on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        return spelled_out(scrub(super().format(record)))


def _secrets() -> list[str]:
    """Return the secrets that are known, the longest first: one may be a part of another."""
    return sorted(_in_environment() | _noted, key=len, reverse=True)


def _in_environment() -> frozenset[str]:
    global _environment
    # Each row of the ledger asks. To iterate over os.environ decodes every name and value; the dict that it
    # keeps them in can be compared at once.
    raw = getattr(os.environ, "_data", None)
    if raw is None or raw != _environment[0]:
        values = (value for name, value in os.environ.items() if any(word in name.upper() for word in _NAMES))
        _environment = (
            None if raw is None else dict(raw),
            frozenset(value for value in values if len(value) >= SHORTEST),
        )
    return _environment[1]
