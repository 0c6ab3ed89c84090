from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.errors import TaskError
from optimizer.task import encoding
from optimizer.task.encoding import encoding_of
from optimizer.task.rows import Reading

# Two letters beyond ASCII side by side may be UTF-8 as well as cp1252.
LETTERS = st.text(st.sampled_from("abc \n,;éüß–€„")).map(
    lambda text: "id;text\n" + re.sub(r"([^\0-\x7f])", r"\1 ", text)
)
NAMES = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252")


@settings(max_examples=200, deadline=None)
@given(LETTERS, st.sampled_from(NAMES), st.integers(1, 9))
def test_a_text_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str, chunk: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "a.txt"
    path.write_bytes(text.encode(name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "CHUNK", chunk)
        reading = Reading()
        assert path.read_bytes().decode(encoding_of(path, "a.txt", reading, guess=True)) == text
    assert len(reading.problems) == 0
    assert bool(reading.notes) == (name in ("utf-16", "utf-32") or (name == "cp1252" and not text.isascii()))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_text_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, guess: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "b.txt"
    path.write_bytes(content)
    reading = Reading()
    try:
        name = encoding_of(path, "b.txt", reading, guess=guess)
        reading.problems.refuse()
    except TaskError:
        return
    assert "\0" not in content.decode(name)


def test_without_a_guess_only_a_mark_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes("é".encode("cp1252"))
    with pytest.raises(TaskError, match=r"a.jsonl:1: not valid UTF-8 \(byte 0xe9\)"):
        encoding_of(path, "a.jsonl", Reading())
    path.write_bytes("é\n".encode("utf-16"))
    assert encoding_of(path, "a.jsonl", Reading()) == "utf-16"
    path.write_bytes(b"\xff\xfex")
    with pytest.raises(TaskError, match="begins as UTF-16 does, but is not"):
        encoding_of(path, "a.jsonl", Reading())
