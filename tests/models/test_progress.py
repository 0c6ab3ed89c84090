from __future__ import annotations

import io

from optimizer.models.progress import Bar, silent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_a_line_every_tenth():
    stream = io.StringIO()
    with Bar("local/m", stream) as bar:
        for done in range(0, 50_000_001, 1_000_000):
            bar(done, 50_000_000)
    lines = stream.getvalue().splitlines()
    assert lines == [f"local/m: {10 * tenth} % of 50 MB" for tenth in range(11)]


def test_an_unknown_total_gets_a_line_every_100_mb():
    stream = io.StringIO()
    with Bar("hf:x", stream) as bar:
        for done in range(0, 250_000_001, 10_000_000):
            bar(done, 0)
    assert stream.getvalue().splitlines() == ["hf:x: 0 MB", "hf:x: 100 MB", "hf:x: 200 MB"]


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    with Bar("local/m", stream) as bar:
        bar(10, 100)
        bar.say("another process is pulling [local/m]")
        bar(100, 100)
    assert "local/m" in stream.getvalue()
    assert "another process is pulling [local/m]" in stream.getvalue()
    assert "100/100" in stream.getvalue()


def test_a_bar_that_was_not_needed_shows_nothing():
    stream = Terminal()
    with Bar("local/m", stream):
        silent(1, 2)
    assert stream.getvalue() == ""
