"""How much of the personal data in 118 short texts is recognized, and how much else."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from optimizer.config.schema import PersonalData, Privacy
from optimizer.errors import ConfigError
from optimizer.models.personal import Recognizers

MARK = re.compile(r"⟦(\w+)\|([^⟧]*)⟧")
KINDS: tuple[PersonalData, ...] = ("email", "phone", "iban", "credit_card", "ip")
LINES = (Path(__file__).parent / "personal.txt").read_text(encoding="utf-8").splitlines()
TEXTS = [line for line in LINES if not line.startswith("# ")]


def labelled(line: str) -> tuple[str, list[tuple[int, int, str]]]:
    """Return a text without its marks, and where they stood."""
    text, labels, end = "", [], 0
    for found in MARK.finditer(line):
        text += line[end : found.start()]
        labels.append((len(text), len(text) + len(found[2]), found[1]))
        text, end = text + found[2], found.end()
    return text + line[end:], labels


def measured() -> dict[str, tuple[int, int, int, int]]:
    """Return by kind: labels, those covered whole, spans, those that are over a label of their kind."""
    find = Recognizers(Privacy(redact=KINDS))
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for text, labels in map(labelled, TEXTS):
        spans = find(text)
        for start, end, kind in labels:
            counts[kind]["labels"] += 1
            counts[kind]["covered"] += all(any(s <= at < e for s, e, _ in spans) for at in range(start, end))
        for start, end, kind in spans:
            counts[kind]["spans"] += 1
            counts[kind]["right"] += any(start < e and s < end and kind == label for s, e, label in labels)
    return {kind: (c["labels"], c["covered"], c["spans"], c["right"]) for kind, c in counts.items()}


def test_what_is_recognized_of_a_labelled_set() -> None:
    """Whoever changes a recognizer sees here what it costs; the figures are in docs/pages/how-to/privacy.md."""
    assert len(TEXTS) == 118
    assert measured() == {  # labels, of them covered; spans, of them right
        "email": (20, 18, 18, 18),  # lacking: "jane (at) example (dot) org"
        "phone": (29, 27, 29, 27),  # lacking: a Spanish number, a local one; wrong: an invoice's, a serial number
        "iban": (16, 15, 15, 15),  # lacking: one with a wrong digit
        "credit_card": (17, 16, 17, 16),  # lacking: one with points; wrong: a row of figures
        "ip": (12, 12, 12, 12),
    }


def test_countries_may_be_named_and_numbers_with_a_plus_need_none() -> None:
    text = "612 345 678, +34 612 345 678"
    assert len(Recognizers(Privacy(redact=("phone",), regions=("ES",)))(text)) == 2
    assert [text[s:e] for s, e, _ in Recognizers(Privacy(redact=("phone",), regions=()))(text)] == ["+34 612 345 678"]
    with pytest.raises(ConfigError, match="'Spain' is no country"):
        Recognizers(Privacy(redact=("phone",), regions=("Spain",)))


@pytest.mark.parametrize("between", ["", " ", "-", "  ", " -", "\u00a0", "\u2009", "\u202f", "\u2011"])
def test_groups_may_have_up_to_two_spaces_or_hyphens_of_any_width_between(between: str) -> None:
    find = Recognizers(Privacy(redact=KINDS))
    for groups in (["4111"] + 3 * ["1111"], ["DE89", "3704", "0044", "0532", "0130", "00"]):
        text = between.join(groups)
        assert find(f"to {text}.") == [(3, 3 + len(text), "iban" if "DE" in text else "credit_card")]


@pytest.mark.parametrize("length", [1, 63, 64, 65, 66, 200])
@pytest.mark.parametrize("sign", ["x", "-", "."])
def test_an_address_is_recognized_from_its_beginning_however_long(length: int, sign: str) -> None:
    address = f"{('x' + sign) * length}"[: length - 1] + "x@example.org"
    (span,) = Recognizers(Privacy(redact=("email",)))(f"a@example.org,'{address}'")[1:]
    assert span == (15, 15 + len(address), "email")


def test_a_long_line_is_not_kept() -> None:
    find = Recognizers(Privacy(redact=("email",)))
    for line in ("ann@example.org", "x" * 5000):
        find(line)
    assert find._known.cache_info().currsize == 1


def test_only_the_kinds_that_are_named_are_looked_for() -> None:
    assert [kind for *_, kind in Recognizers(Privacy(redact=("ip",)))("a@example.org 192.0.2.7")] == ["ip"]


def test_what_json_spells_as_a_line_break_ends_no_number_and_begins_none() -> None:
    text = r'{"note": "call\n030 901820\nor\njo@example.org"}'
    found = Recognizers(Privacy(redact=("phone", "email")))(text)
    assert [text[start:end] for start, end, _ in found] == ["030 901820", "jo@example.org"]


@pytest.mark.parametrize("text", ["192.0.2.7-4155552671", "192.0.2.7.4155552671-", "4155552671-192.0.2.7"])
def test_what_is_recognized_only_without_its_neighbour_is_recognized_too(text: str) -> None:
    found = Recognizers(Privacy(redact=KINDS))(text)
    assert sorted((text[start:end], kind) for start, end, kind in found) == [
        ("192.0.2.7", "ip"),
        ("4155552671", "phone"),
    ]


def test_a_missing_library_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    with pytest.raises(ConfigError, match="needs the package phonenumbers") as caught:
        Recognizers(Privacy(redact=("phone",)))
    assert "pip install 'metier[privacy]'" in caught.value.remedy
    Recognizers(Privacy(redact=("email",)))  # which needs none
