from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from optimizer.errors import LedgerError
from optimizer.evaluate.statistics import difference
from optimizer.ledger.answers import put_scores
from optimizer.ledger.ledger import Ledger
from optimizer.report.compare import compare

from .made import answers, candidates, examples, make_run


def with_test(folder: Path, right: int, metric: str = "choice@1", start: int = 0) -> Path:
    """Write a run whose winner gave the first `right` of its test examples the right label."""
    make_run(folder)
    rows = examples("test")[start:]
    with closing(Ledger(folder / "ledger.db")) as ledger:
        ledger.write("DELETE FROM scores WHERE split = 'test' AND candidate = ?", (candidates()[1].id,)).result(5)
        put_scores(
            ledger, candidates()[1].id, "test", start, [r.id for r in rows], metric, answers(rows, right)
        ).result(5)
    return folder


def test_one_run_is_compared_with_its_seed(made_run: Path) -> None:
    found = compare([made_run])
    seed, winner = found.sides
    assert found.examples == 12
    assert (seed.name, seed.score, seed.gain) == (f"{made_run} seed", 0.5, None)
    assert (seed.prompt, winner.prompt) == ("turns, no demos", "block, static 2")
    assert winner.score == pytest.approx(11 / 12)
    assert winner.gain == pytest.approx(5 / 12)
    ones = [1.0] * 11 + [0.0]
    # Its last digits hang on the order of the examples.
    assert winner.gain_ci95 == pytest.approx(difference(ones, [1.0] * 6 + [0.0] * 6), abs=1e-9)


def test_several_runs_are_measured_by_the_first_winner(tmp_path: Path) -> None:
    runs = [with_test(tmp_path / name, right) for name, right in (("a", 6), ("b", 12), ("c", 6))]
    first, second, third = compare(runs).sides
    assert (first.score, second.score, third.score) == (0.5, 1.0, 0.5)
    assert first.gain is None
    assert second.gain_ci95 is not None
    assert second.gain_ci95[0] > 0
    assert third.gain == 0.0


def test_only_common_examples_count(tmp_path: Path) -> None:
    # The second run answered the last eight alone, and all of them wrongly.
    found = compare([with_test(tmp_path / "a", 12), with_test(tmp_path / "b", 0, start=4)])
    assert found.examples == 8
    assert [side.score for side in found.sides] == [1.0, 0.0]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    whole = with_test(tmp_path / "a", 12)
    with pytest.raises(LedgerError, match="different metrics"):
        compare([whole, with_test(tmp_path / "b", 12, "exact@1")])
    with pytest.raises(LedgerError, match="no test example is common"):
        compare([whole, make_run(tmp_path / "c", words="other")])
    with pytest.raises(LedgerError, match="has not come to its test"):
        compare([whole, make_run(tmp_path / "d", finished=False)])
    with pytest.raises(LedgerError, match="no run lies here"):
        compare([tmp_path / "none"])
