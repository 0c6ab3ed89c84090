"""Strategies of hypothesis for what is read: valid data or bytes, damaged; and what may become of them.

Random bytes test only a reader's first check: each strategy begins with something valid. Whoever uses it needs
hypothesis.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from optimizer.errors import InternalError, MetierError

LONGEST_MESSAGE = 4_000  # a page: one message tells of twenty problems in a file
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Built once: deep values are compared and shown often.
_DEEP: list[Any] = []
for _ in range(300):
    _DEEP = [_DEEP]

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, -0.0, 2**31, -(2**31), 2**63, -(2**63), 2**64, 10**40, 10**400, 1e308, -1e308),
    *(float("nan"), float("inf"), float("-inf"), 1e-320),
    *("", " ", "\n", "0", "-1", "1e999", "nan", "null", "true", "~", "07:00", "2025-02-30", "0x41", "=1+1", "{text}"),
    *("\x00", "\x1b[2J", "\x7f", "\u202eabc", "\u2028", "\ufeff", "\ud800", "\U0001f600", "e\u0301", "ﬀ", "İ"),
    *("a" * 10_000, "é" * 2_000, "../" * 40, "/dev/zero", "/", ".", "a/b", "http://[", "http://x:99999/", "file:///"),
    *("{{text}}", "%s%n", "'; DROP TABLE calls; --", "<script>", "&amp;", "[[ ## x ## ]]", "```json", "__proto__"),
    *([], {}, [[]], [None], {"": ""}, {"a": {"b": {"c": []}}}, [1, "1", 1.0, True], ["x"] * 300),
    *({str(n): n for n in range(300)}, _DEEP),
)
_PIECES = (
    *(
        b"\x00",
        b"\x1b",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\r",
        b"\r\n",
        b"\n",
        b"\t",
        b'"',
        b"'",
    ),
    *(
        b",",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
        b"\\",
        b"\\ud800",
        b"&a ",
        b"*a",
        b"<<: ",
        b"!!python/object:os.x ",
        b"!!set ",
    ),
    *(b"---\n", b"...\n", b"#", b"? ", b"- ", b"| ", b"> ", b"%YAML 9.9\n", b"NaN", b"1e999", b"-", b"\xe2\x80\xa8"),
    *(b"9" * 5_000, b"[" * 5_000, b"a" * 20_000, b'{"a":' * 2_000, b"=", b";", b"null", b"\xc2\x85", b"\xf0\x9f"),
)


def odd_values() -> st.SearchStrategy[Any]:
    """Return a strategy of values that a reader may not expect: of other types, huge, deep, or acting on terminals."""
    return st.sampled_from(ODD).map(lambda value: value if value is _DEEP else copy.deepcopy(value))


@st.composite
def mutated(draw: st.DrawFn, valid: Any, most: int = 3) -> Any:
    """Return nested data like `valid` with one to `most` changes: values, keys and items put in, out, or twice."""
    data = copy.deepcopy(draw(st.sampled_from(valid)) if isinstance(valid, tuple) else valid)
    for _ in range(draw(st.integers(1, most))):
        paths = list(_paths(data))
        if not paths:
            return data
        holder, key = paths[draw(st.integers(0, len(paths) - 1))]
        _change(draw, holder, key)
    return data


def _paths(data: Any) -> Any:
    """Yield (container, key or index) of every value that is nested in data."""
    left = [data]
    while left:
        one = left.pop()
        if one is _DEEP or not isinstance(one, (dict, list)):
            continue
        for key in one if isinstance(one, dict) else range(len(one)):
            yield one, key
            left.append(one[key])


def _change(draw: st.DrawFn, holder: Any, key: Any) -> None:
    kind = draw(st.sampled_from(("value", "value", "value", "out", "key", "wrap", "number", "text", "twin")))
    value = holder[key]
    if kind == "out":
        del holder[key]
    elif kind == "key" and isinstance(holder, dict):
        name = draw(
            st.sampled_from((f"{key}x", str(key).upper(), "", "a" * 500, "\x1b[2J", "é\u202e", "__class__", "0"))
        )
        holder[name] = holder.pop(key)
    elif kind == "wrap":
        holder[key] = draw(
            st.sampled_from(([value], {"a": value}, [value, value], {str(key): value}, str(value)[:999]))
        )
    elif kind == "number" and isinstance(value, (int, float)):
        holder[key] = draw(st.integers(-(2**70), 2**70) | st.floats())
    elif kind == "text" and isinstance(value, str):
        holder[key] = value + draw(st.text(max_size=8)) if draw(st.booleans()) else draw(st.text(max_size=20))
    elif kind == "twin" and isinstance(holder, list):
        holder.append(copy.copy(value))
    else:
        holder[key] = draw(odd_values())


# One change of bytes: what is done, where, how far or by what.
Damage = tuple[str, int, int | bytes]


def damages(length: int, most: int = 4) -> st.SearchStrategy[list[Damage]]:
    """Return a strategy of what `broken` does to bytes of that length, for bytes too large to be drawn.

    Hypothesis keeps what it draws: 10,000 damaged files of 300 kB are 2.7 GB.
    """
    at, size = st.integers(0, max(0, length - 1)), st.integers(1, 64)
    by_size = st.tuples(st.sampled_from(("flip", "flip", "out", "cut", "twice", "zero")), at, size)
    by_piece = st.tuples(st.just("put"), at, st.sampled_from(_PIECES))
    by_byte = st.tuples(st.just("byte"), at, st.integers(0, 255))
    return st.lists(st.one_of(*[by_size] * 6, *[by_piece] * 2, by_byte), min_size=1, max_size=most)


def broken(valid: bytes, steps: list[Damage]) -> bytes:
    """Return bytes with the damages done: bits flipped, a piece put in, out or twice, an end cut off."""
    data = bytearray(valid)
    for how, place, what in steps:
        at = min(place, max(0, len(data) - 1))
        if isinstance(what, bytes):
            data[at:at] = what
        elif how == "out":
            del data[at : at + what]
        elif how == "cut":
            del data[at:]
        elif how == "twice":
            data[at:at] = data[at : at + what]
        elif how == "zero":
            data[at : at + what] = bytes(what)
        elif data:
            data[at] = data[at] ^ (1 << what % 8) if how == "flip" else what
    return bytes(data)


def damaged(valid: bytes, most: int = 4) -> st.SearchStrategy[bytes]:
    """Return a strategy of bytes like `valid`, with up to `most` damages."""
    return damages(len(valid), most).map(lambda steps: broken(valid, steps))


def encoded(text: str) -> st.SearchStrategy[bytes]:
    """Return a strategy of a text's bytes, mostly as UTF-8, else as somebody's editor saves them."""
    names = ("utf-8",) * 9 + ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252")
    return st.sampled_from(names).map(lambda name: text.encode(name, "surrogatepass" if "utf" in name else "replace"))


def files(valid: Any, write: Callable[[Any], str], rate: float = 0.7) -> st.SearchStrategy[bytes]:
    """Return a strategy of files: `valid` data mutated and then written, or written and then damaged."""
    whole = valid if isinstance(valid, tuple) else (valid,)
    by_data = mutated(valid).flatmap(lambda data: encoded(write(data)))
    by_bytes = st.sampled_from(whole).flatmap(lambda data: damaged(write(data).encode("utf-8", "surrogatepass")))
    weight = round(10 * rate)
    return st.one_of(*[by_data] * weight, *[by_bytes] * (10 - weight))


def json_text(data: Any) -> str:
    """Return data as JSON; NaN and halves of surrogate pairs are written as they are."""
    return json.dumps(data, default=str)


def refusal(action: Callable[[], object]) -> str:
    """Return "" where an action works, its message where it is refused; any other end is an error.

    Raises AssertionError for a message that is too long or acts on a terminal, and what the action raises.
    """
    try:
        action()
    except MetierError as problem:
        if isinstance(problem, InternalError):
            raise problem.__cause__ or problem from None
        return sound(str(problem))
    return ""


def sound(message: str) -> str:
    """Return a message that can be shown; raises AssertionError for one that is empty, too long, or acts."""
    assert message.strip(), "an empty message"
    assert len(message) <= LONGEST_MESSAGE, f"a message of {len(message):,} characters: {message[:300]!r}"
    assert not (match := _ACTING.search(message)), f"the message acts by {match!r}"
    return message
