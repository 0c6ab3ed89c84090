"""The table of macro-F1, by examples that can be checked by hand."""

from __future__ import annotations

import pytest

from experiments.skewed.report import MACRO_F1, Pair, over_seeds, report
from optimizer.types import Score


def answers(truth: str, said: str, first: int = 0) -> dict[str, Score]:
    """Return answers from letters: p for positive, n for negative."""
    words = {"p": "positive", "n": "negative"}
    pairs = [(words[a], words[b]) for a, b in zip(truth, said, strict=True)]
    return {str(first + place): Score(float(pair[0] == pair[1]), pair=pair) for place, pair in enumerate(pairs)}


TRUTH = "pppppppn" * 5
ALWAYS = answers(TRUTH, "p" * 40)
FOUND = answers(TRUTH, TRUTH.replace("pppppppn", "nppppppn"))


def test_macro_f1_is_that_of_the_answers() -> None:
    # F1 of positive 35 / (35 + 40/2 − 35/2), of negative 0; found: 30/32.5 and 5/7.5.
    assert MACRO_F1.score([*ALWAYS.values()]) == pytest.approx(0.5 * 70 / 75)
    pair = Pair("reviews", 0, ALWAYS, FOUND)
    assert pair.gain().mean == pytest.approx(0.5 * (60 / 65 + 10 / 15) - 0.5 * 70 / 75)


def test_only_what_both_answered_is_compared() -> None:
    less = {name: one for name, one in FOUND.items() if name != "0"}
    assert len(Pair("reviews", 0, ALWAYS, less).both()[0]) == 39


def test_seeds_with_the_same_examples_are_no_more_sure_than_one() -> None:
    one, same = Pair("reviews", 0, ALWAYS, FOUND), Pair("reviews", 1, ALWAYS, FOUND)
    fresh = Pair("reviews", 1, *(answers(TRUTH, said, 40) for said in ("p" * 40, TRUTH)))
    once, twice, wider = over_seeds([one]), over_seeds([one, same]), over_seeds([one, fresh])
    assert twice.mean == pytest.approx(once.mean)
    assert twice.ci95 == pytest.approx(once.ci95)
    assert wider.ci95[1] - wider.ci95[0] < once.ci95[1] - once.ci95[0]
    assert wider.mean == pytest.approx((one.gain().mean + fresh.gain().mean) / 2)


def test_the_table_has_each_seed_and_their_mean() -> None:
    text = report([Pair("reviews", seed, ALWAYS, FOUND) for seed in (0, 1)])
    lines = text.splitlines()
    assert [line.split(" | ")[1] for line in lines[2:]] == ["0", "1", "all"]
    assert all("| 46.7 | 79.5 | +32.8 [" in line for line in lines[2:])
