from __future__ import annotations

from optimizer.cli.panel import bar, sparkline


def test_a_curve_goes_from_its_lowest_to_its_highest_value() -> None:
    assert sparkline([0.2, 0.3, 0.9]) == "▁▂█"
    assert sparkline([0.5, 0.5]) == "▁▁"
    assert sparkline([]) == ""


def test_a_long_curve_keeps_its_width_and_its_end() -> None:
    told = sparkline([place / 999 for place in range(1000)], 24)
    assert (len(told), told[-1]) == (24, "█")
    assert list(told) == sorted(told)


def test_only_the_whole_fills_a_bar() -> None:
    assert [bar(share, 4) for share in (0.0, 0.5, 0.99, 1.0, 1.2)] == ["░░░░", "██░░", "███░", "████", "████"]
