"""In which encoding a file of text is written, seen in one pass over its bytes: UTF-8, UTF-16, UTF-32 or cp1252."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from optimizer.errors import TaskError
from optimizer.system.files import refuse_pipe, unreadable
from optimizer.task.rows import Reading

CHUNK = 1 << 20
# Bytes without a line end: such a line is read as a whole.
LONGEST_LINE = 100_000_000
_MARKS = (  # that of UTF-16 is how that of UTF-32 begins
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")  # in cp1252
_NUL = "Save it anew as text in UTF-8: the file is damaged, or is no text."


@dataclass
class _Seen:
    """What was seen of a file: lines before the next chunk, letters beyond ASCII in UTF-8, and bytes that are none."""

    lines: int = 0
    good: int = 0
    bad: int = 0
    first: tuple[int, int] | None = None  # (line, byte) that is no UTF-8
    undefined: bool = False
    nul: int | None = None  # the line of a NUL
    unbroken: int = 0


def encoding_of(path: Path, label: str, reading: Reading, *, guess: bool = False) -> str:
    """Return the name of a file's encoding, in Python's words; a mark at its beginning tells it.

    Without a mark it is UTF-8, or, where one may `guess`, UTF-16 by its NUL bytes or cp1252 (Windows) where it is no
    UTF-8. A note tells what was assumed. Raises TaskError where it is none of these, or has too long a line.
    """
    refuse_pipe(path, TaskError)
    try:
        with path.open("rb") as file:
            name, marked = _by_beginning(file.read(4096), guess)
            try:
                seen = _look(file, name, label)
            except UnicodeDecodeError as problem:
                if marked:
                    what = f"{label}: begins as {name.upper()} does, but is not ({problem.reason})"
                    raise TaskError(what, "Save it as UTF-8.") from None
                name, seen = "utf-8", _look(file, "utf-8", label)
            return _checked(name, marked, seen, path, label, reading, guess)
    except (OSError, ValueError) as problem:
        raise unreadable(path, problem, TaskError) from None


def _by_beginning(head: bytes, guess: bool) -> tuple[str, bool]:
    """Return the encoding that a file's first bytes tell, and whether a mark does."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, True
    # Most of what people write in UTF-16 has a NUL as every second byte.
    low, high = head[1::2].count(0), head[0::2].count(0)
    if guess and max(low, high) > max(3, len(head) * 0.3) and min(low, high) == 0:
        return ("utf-16-le" if low else "utf-16-be"), False
    return "utf-8", False


def _look(file: BinaryIO, name: str, label: str) -> _Seen:
    seen = _Seen()
    file.seek(0)
    decoder = codecs.getincrementaldecoder(name)("strict")
    for chunk in iter(lambda: file.read(CHUNK), b""):
        if name.startswith("utf-8"):
            decoder = _count(chunk, decoder, seen)
        else:
            seen.nul = seen.nul or _line_of("\0", decoder.decode(chunk), seen.lines)
        ends = chunk.count(b"\n") or chunk.count(b"\r")
        seen.lines, seen.unbroken = seen.lines + ends, 0 if ends else seen.unbroken + len(chunk)
        if seen.unbroken > LONGEST_LINE:
            remedy = "Write one example a line, or save the examples as Parquet."
            raise TaskError(f"{label}:{seen.lines + 1}: a line of over {LONGEST_LINE:,} bytes", remedy)
    if name.startswith("utf-8") and decoder.getstate()[0]:
        seen.bad, seen.first = seen.bad + 1, seen.first or (seen.lines + 1, decoder.getstate()[0][0])
    elif not name.startswith("utf-8"):
        decoder.decode(b"", final=True)
    return seen


def _count(chunk: bytes, decoder: codecs.IncrementalDecoder, seen: _Seen) -> codecs.IncrementalDecoder:
    """Take a chunk of what may be UTF-8 into account, and return the decoder for the next one."""
    if seen.nul is None and b"\0" in chunk:
        seen.nul = seen.lines + chunk[: chunk.index(0)].count(b"\n") + 1
    before = decoder.getstate()[0]
    if chunk.isascii() and not before:
        return decoder
    try:
        text = decoder.decode(chunk)
        seen.good += len(chunk) - len(text)
        return decoder
    except UnicodeDecodeError as problem:
        line = seen.lines + problem.object[: problem.start].count(b"\n") + 1
        seen.first = seen.first or (line, problem.object[problem.start])
    seen.undefined = seen.undefined or _UNDEFINED.search(chunk) is not None
    lenient = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    lenient.setstate((before, 0))
    text = lenient.decode(chunk)
    seen.bad += len(re.findall("[\udc80-\udcff]", text))
    seen.good += len(re.findall("[^\x00-\x7f\udc80-\udcff]", text))
    strict = codecs.getincrementaldecoder("utf-8")("strict")
    strict.setstate((lenient.getstate()[0], 0))
    return strict


def _checked(name: str, marked: bool, seen: _Seen, path: Path, label: str, reading: Reading, guess: bool) -> str:
    if seen.nul is not None:
        reading.problems.add(f"{label}:{seen.nul}", "holds a NUL byte, which no text has", _NUL)
    if not name.startswith("utf-8"):
        assumed = "" if marked else ", by its bytes: it has no mark"
        reading.notes.append(f"{label}: read as {name.upper()}{assumed}")
        return name
    if seen.first is None:
        return "utf-8-sig"  # which UTF-8 without a mark is, too
    line, byte = seen.first
    # What is mostly UTF-8 is damaged UTF-8: as cp1252 all of its other letters would be wrong.
    if marked or not guess or seen.undefined or seen.good > seen.bad:
        what = f"{label}:{line}: not valid UTF-8 (byte 0x{byte:02x})"
        raise TaskError(what, f"Save it as UTF-8, for example: iconv -f latin1 -t utf-8 {path.name}")
    why = f"line {line} is not UTF-8. If letters look wrong, save it as UTF-8"
    reading.notes.append(f"{label}: read as cp1252, the encoding of Windows: {why}")
    return "cp1252"


def _line_of(mark: str, text: str, before: int) -> int | None:
    return before + text[: text.index(mark)].count("\n") + 1 if mark in text else None
