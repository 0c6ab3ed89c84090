"""Personal data in a text: which stretches of it are an address, a number, an account of somebody."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from optimizer.config.schema import PersonalData, Privacy
from optimizer.errors import ConfigError

if TYPE_CHECKING:
    from types import ModuleType

Span = tuple[int, int]
_LONGEST_KNOWN = 2000  # characters of a line that is kept with what stands in it
# No kind of data goes on after these, also where a line's end is spelled as JSON spells it.
_BREAK = re.compile(r"[\r\n]|\\[nrt]")
# Spaces and hyphens of other widths, which group numbers as well, as the plain ones.
_PLAIN = dict.fromkeys((0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " ") | {0x2010: "-", 0x2011: "-"}
_IN_EMAIL = re.compile(r"[\w.%+&'~-]")
_EMAIL = re.compile(r"\w[\w.%+&'~-]{0,63}@(?:[\w-]{1,63}\.)+\w{2,63}")
# Letters and digits, with at most two spaces or hyphens between.
_IBAN = re.compile(r"(?<![^\W_])[A-Z]{2}\d{2}(?:[ -]{0,2}[A-Z0-9]){11,30}", re.IGNORECASE)
_DIGITS = re.compile(r"(?<![\w])\d(?:[ -]{0,2}\d){11,}(?!\w)")
_GROUP = re.compile(r"\d+")
# By their first digits: Visa, Mastercard, American Express, Discover, Diners, JCB, UnionPay, Maestro.
_ISSUER = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}|"
    r"6(?:011|5\d\d|4[4-9]\d)\d{12,15}|3(?:0[0-5]|[689]\d)\d{11,13}|35\d{14}|62\d{14,17}|(?:5[06-9]|6[37])\d{11,17}"
)
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f.]{0,15}(?<![.])(?![\w:])", re.IGNORECASE)
_MANY_DIGITS = re.compile(r"(?:\d\D{0,4}){6}")


class Recognizers:
    """Finds the kinds of personal data that a config names.

    Email, IBAN, card and IP address are found by their form and their own checksum; telephone numbers by the tables
    of `phonenumbers`, Google's library in Python, which works offline.
    """

    def __init__(self, privacy: Privacy) -> None:
        """Raises ConfigError where the library for telephone numbers is missing, or a region is unknown."""
        finders: dict[PersonalData, Callable[[str], Iterator[Span]]] = {
            "email": _emails,
            "iban": _ibans,
            "credit_card": _cards,
            "ip": _addresses,
            "phone": _phones(privacy.regions) if "phone" in privacy.redact else _nothing,
        }
        # Where two kinds overlap, the first of them names the whole.
        self._finders = {kind: finder for kind, finder in finders.items() if kind in privacy.redact}
        # The lines of demos and instructions come again with every request.
        self._known = lru_cache(maxsize=16384)(self._scan)

    def __call__(self, text: str) -> list[tuple[int, int, PersonalData]]:
        """Return (start, end, kind) of what stands in a text, in order, none over another."""
        spans, start = [], 0
        for end, after in [*(match.span() for match in _BREAK.finditer(text)), (len(text), len(text))]:
            line = text[start:end]
            scan = self._known if len(line) <= _LONGEST_KNOWN else self._scan
            spans += [(start + first, start + last, kind) for first, last, kind in scan(line)]
            start = after
        return spans

    def _scan(self, line: str) -> tuple[tuple[int, int, PersonalData], ...]:
        # A number beside another may be recognized only once the other is masked. So look again, with what was
        # recognized overwritten, which keeps the others where they are: `<<<>` ends as a placeholder does, and is as
        # little a part of a number.
        spans, rest = [], line.translate(_PLAIN)
        while more := self._pass(rest):
            spans += more
            for start, end, _ in more:
                rest = f"{rest[:start]}{'<' * (end - start - 1)}>{rest[end:]}"
        return tuple(sorted(spans))

    def _pass(self, line: str) -> list[tuple[int, int, PersonalData]]:
        rank = {kind: number for number, kind in enumerate(self._finders)}
        seen = [(*span, kind) for kind, finder in self._finders.items() for span in finder(line)]
        merged: list[tuple[int, int, PersonalData]] = []
        for start, end, kind in sorted(seen):
            if merged and start < merged[-1][1]:
                first, last, other = merged[-1]
                merged[-1] = (first, max(last, end), min(other, kind, key=rank.__getitem__))
            else:
                merged.append((start, end, kind))
        return merged


def _nothing(line: str) -> Iterator[Span]:
    return iter(())


def _emails(line: str) -> Iterator[Span]:
    before = 0
    for match in _EMAIL.finditer(line) if "@" in line else ():
        start = position = match.start()
        while position > before and _IN_EMAIL.match(line, position - 1):  # it may be longer than the pattern looks
            position -= 1
            start = start if line[position] in ".%+&'~-" else position
        before = match.end()
        yield start, before


def _ibans(line: str) -> Iterator[Span]:
    """Yield the longest beginning of each candidate whose check digits are right (ISO 13616: modulo 97 is 1)."""
    position = 0
    while (match := _IBAN.search(line, position)) is not None:
        start, longest = match.span()
        ends = (end for end in range(longest, start + 14, -1) if not line[end : end + 1].isalnum())
        end = next((end for end in ends if line[end - 1].isalnum() and _mod_97(line[start:end]) == 1), None)
        if end is not None:
            yield start, end
        position = start + 1 if end is None else end


def _mod_97(iban: str) -> int:
    plain = "".join(filter(str.isalnum, iban)).upper()
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 if 15 <= len(plain) <= 34 else 0


def _cards(line: str) -> Iterator[Span]:
    """Yield groups of digits that make the number of a known issuer with a right last digit (Luhn)."""
    for run in _DIGITS.finditer(line):
        groups = [(run.start() + g.start(), run.start() + g.end()) for g in _GROUP.finditer(run.group())]
        first = 0
        while first < len(groups):
            ends = range(min(first + 5, len(groups)), first, -1)
            last = next((end for end in ends if _is_card(line, groups[first:end])), None)
            if last is not None:
                yield groups[first][0], groups[last - 1][1]
            first = last or first + 1


def _is_card(line: str, groups: list[Span]) -> bool:
    digits = "".join(line[start:end] for start, end in groups)
    if any(end - start < 3 for start, end in groups) or not digits.isascii() or _ISSUER.fullmatch(digits) is None:
        return False
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(int(digit) for digit in digits[::-2])) % 10 == 0


def _addresses(line: str) -> Iterator[Span]:
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(line):
            try:
                ipaddress.ip_address(match.group())
            except ValueError:
                continue
            if len(match.group()) > 4:  # "::" and "::1" are nobody's
                yield match.span()


def _phones(regions: tuple[str, ...]) -> Callable[[str], Iterator[Span]]:
    library = _phonenumbers()
    if unknown := [region for region in regions if region not in library.SUPPORTED_REGIONS]:
        what = f"privacy.regions: {unknown[0]!r:.40} is no country whose telephone numbers are known"
        raise ConfigError(what, "Write two letters, as in US, GB or DE.")

    def phones(line: str) -> Iterator[Span]:
        # Without a region only numbers with + and the country's code are found.
        for region in (*regions, None)[: max(1, len(regions))]:
            matcher = library.PhoneNumberMatcher(line, region, leniency=library.Leniency.VALID, max_tries=len(line))
            yield from ((match.start, match.end) for match in matcher)

    return lambda line: phones(line) if _MANY_DIGITS.search(line) else iter(())


def _phonenumbers() -> ModuleType:
    try:
        import phonenumbers
    except ImportError:
        what = "privacy.redact: phone needs the package phonenumbers, which is not installed"
        raise ConfigError(what, "Install it with: pip install 'metier[privacy]'; or leave phone out.") from None
    return phonenumbers
