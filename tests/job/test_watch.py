from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest

from optimizer.errors import LedgerError
from optimizer.job.check import EXIT, Finding
from optimizer.job.watch import Sign, Watched, _forget, _missing, watching
from optimizer.types import Failure, Score


def made(*outcomes: Finding) -> Watched:
    signs = [Sign(f"s{n}", one, f"figures <& {n}") for n, one in enumerate(outcomes)]
    return Watched("tickets", "runs/mine", "openai/fake", 3, 40, signs)


@pytest.mark.parametrize(
    ("outcomes", "code", "word"),
    [
        (("holds", "holds"), 0, "no change seen"),
        (("holds", "fell"), 1, "changed"),
        (("unclear",), 2, "cannot be told"),
    ],
)
def test_the_worst_sign_decides(outcomes: tuple[Finding, ...], code: int, word: str) -> None:
    watched = made(*outcomes)
    assert EXIT[watched.outcome] == code
    assert watched.headline == f"{word}: openai/fake in check 3 of runs/mine (tickets)"
    assert watched.to_json()["outcome"] == watched.outcome


def test_junit_has_a_case_for_each_sign() -> None:
    suite = Tree.fromstring(made("holds", "fell", "unclear").to_junit())
    assert suite.get("name") == "metier watch tickets"
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["error"]]


def test_a_check_tells_nothing_where_a_fifth_of_the_answers_is_missing_or_every_call_is_refused() -> None:
    right, lost, refused = Score(1.0), Failure("server", "503"), Score(0.0, feedback="no", failure="invalid_request")
    assert _missing([right] * 8 + [lost] * 2) is None
    assert _missing([right] * 7 + [lost] * 3) == "3 of 10 answers never came: 503"
    assert _missing([refused] * 4) == "4 of 4 answers never came: no"
    assert _missing([refused] * 3 + [right]) is None


def test_what_a_kill_left_of_a_counted_check_is_removed(tmp_path: Path) -> None:
    for name in ("check-1-4", "check-1-5", "state.json"):
        (tmp_path / name).mkdir()
    _forget(tmp_path, "check-1-5")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["check-1-5", "state.json"]


def test_one_call_of_a_watch_at_a_time(tmp_path: Path) -> None:
    with watching(tmp_path / "w"):
        with pytest.raises(LedgerError, match="another call"), watching(tmp_path / "w"):
            pass
        with watching(tmp_path / "other"):
            pass
    with watching(tmp_path / "w"):
        pass
