from __future__ import annotations

import json
import shutil
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import ConfigError, LedgerError
from optimizer.ledger.answers import put_scores
from optimizer.ledger.decisions import put_decision
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader, connect
from optimizer.report.audit import audit_of, write_audit
from optimizer.types import Failure

from .made import candidates, examples, make_run


@pytest.fixture
def copied(real_run: Path, tmp_path: Path) -> Path:
    """A run against the fake server, to be changed."""
    return Path(shutil.copytree(real_run, tmp_path / "run"))


def test_it_tells_data_models_versions_and_the_evidence(copied: Path, real_run: Path) -> None:
    audit = audit_of(copied)
    task = real_run.parent / "task"
    files = {one["file"]: one for one in audit["data"]["files"]}
    assert set(files) == {"task.yaml", "examples.jsonl"}
    for name, one in files.items():
        assert (one["sha256"], one["now"]) == (sha256((task / name).read_bytes()).hexdigest(), "unchanged")
    assert {name: one["examples"] for name, one in audit["data"]["splits"].items()} == {
        "train": 29,
        "validation": 14,
        "test": 29,
    }
    assert audit["data"]["licence"] == "not stated"
    address = audit["models"]["task"]["address"]
    assert audit["models"]["task"]["identity"] == f"openai/fake@{address}"
    assert address.startswith("http://127.0.0.1:")
    (answered,) = audit["answered_by"]
    assert (answered["role"], answered["model"]) == ("task", "fake")
    (attempt,) = audit["attempts"]
    assert {"metier", "python", "dspy", "optuna", "mlflow"} <= set(attempt["versions"])
    result, evidence = json.loads((copied / "result.json").read_text()), audit["evidence"]
    for name in ("verdict", "difference", "test_examples", "baselines", "notes"):
        assert evidence[name] == result[name]
    assert evidence["from_scores"]["agrees"]
    assert evidence["from_scores"]["ci95"] == pytest.approx(result["difference"]["ci95"])
    best = (copied / "best.json").read_bytes()
    assert evidence["winner_prompt"] == {"sha256": sha256(best).hexdigest(), "best.json": "unchanged"}
    assert audit["decisions"] == []
    assert audit["config"]["budget"]["calls"] == 100


def test_both_files_are_written_and_say_the_same_head(copied: Path, tmp_path: Path) -> None:
    audit, page = write_audit(copied, tmp_path)
    assert json.loads((tmp_path / "audit.json").read_text()) == audit
    assert page == tmp_path / "audit.md"
    head = audit["history"]["head"]
    assert f"| head | `{head}` |" in page.read_text()
    with closing(Reader(copied / "ledger.db")) as ledger:
        assert ledger.verify()[0].hash == head
    again = write_audit(copied, tmp_path)[0]
    assert again == audit, "an audit changes nothing"


def test_files_that_changed_since_are_told(copied: Path, real_run: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(real_run.parent / "task", tmp_path / "task"))
    with closing(Ledger(copied / "ledger.db")) as ledger:
        ledger.put_meta("sources", {**ledger.meta("sources"), "folder": str(moved)})
    (moved / "examples.jsonl").write_text("{}\n")
    (moved / "task.yaml").unlink()
    (copied / "best.json").write_text("{}")
    audit = audit_of(copied)
    assert {one["file"]: one["now"] for one in audit["data"]["files"]} == {
        "task.yaml": "not there",
        "examples.jsonl": "changed",
    }
    assert audit["evidence"]["winner_prompt"]["best.json"] == "changed"


def test_a_head_that_was_filed_is_known_again_after_more_was_written(copied: Path) -> None:
    filed = audit_of(copied)["history"]
    with closing(Ledger(copied / "ledger.db")) as ledger:
        put_decision(ledger, "promote", {"alias": "champion"})
    audit = audit_of(copied, f" {filed['head'].upper()}\n")
    assert audit["history"]["expected"] == {"hash": filed["head"], "entry": filed["entries"], "entries_since": 1}
    assert [(one["what"], one["value"]) for one in audit["decisions"]] == [("promote", {"alias": "champion"})]


def test_a_head_of_another_history_is_refused(copied: Path) -> None:
    with pytest.raises(LedgerError, match="no entry of its history has the hash 0000"):
        audit_of(copied, "0" * 64)
    for wrong in ("", "0" * 63, "g" * 64, "head"):
        with pytest.raises(ConfigError, match="is no hash of a history"):
            audit_of(copied, wrong)


def test_a_changed_score_is_refused_and_nothing_is_written(copied: Path, tmp_path: Path) -> None:
    with closing(connect((copied / "ledger.db").as_uri())) as connection:
        sql = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'scores_update'").fetchone()[0]
        connection.execute("DROP TRIGGER scores_update")
        connection.execute("UPDATE scores SET value = 1 WHERE split = 'test' AND value = 0")
        connection.execute(sql)
    with pytest.raises(LedgerError, match=r"entry \d+ of its history does not fit: row \d+ of scores changed"):
        write_audit(copied, tmp_path)
    assert not (tmp_path / "audit.json").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sources", 5),
        ("sources", {"folder": None, "files": [{"file": "a", "use": "data", "sha256": "", "size": 1}]}),
        ("sources", {"folder": None, "files": [], "hub": None}),
        ("models", {"task": "openai/x"}),
        ("attempts", [{}]),
        ("attempts", [{"started": 1e12, "user": "a", "versions": {"metier": "1", "python": "3"}}]),
        ("identity", {"task": {"train": "many examples x"}}),
        ("identity", {"task": {"train": ["a"]}}),
        ("identity", {"task": {"instruction": ["a"]}}),
        ("tracking", {}),
    ],
)
def test_a_fact_that_no_metier_wrote_is_refused_by_name(key: str, value: Any, copied: Path) -> None:
    with closing(Ledger(copied / "ledger.db")) as ledger:
        ledger.put_meta(key, value)
    with pytest.raises(LedgerError, match=r"not a usable ledger .* cannot be read"):
        write_audit(copied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE decisions SET value = '{'", "a decision cannot be read"),
        ("UPDATE decisions SET value = '5'", "a decision cannot be read"),
        ("UPDATE decisions SET time = 1e12", "row 1 in decisions holds a value of another type, or far too large"),
        ("UPDATE calls SET started = -1e12", "row 1 in calls holds a value of another type, or far too large"),
        ("UPDATE calls SET ended = NULL", "what an audit shows cannot be read"),
    ],
)
def test_a_row_that_no_metier_wrote_is_refused_by_name(change: str, message: str, copied: Path) -> None:
    with closing(Ledger(copied / "ledger.db")) as ledger:
        put_decision(ledger, "promote", {})
    with closing(connect((copied / "ledger.db").as_uri())) as connection:
        connection.execute(change)
    with pytest.raises(LedgerError, match=message):
        write_audit(copied)


def test_a_best_json_that_cannot_be_read_is_no_obstacle(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("optimizer.report.audit.sha256_of", refuse)
    audit = audit_of(copied)
    assert audit["evidence"]["winner_prompt"]["best.json"] == "cannot be read (Permission denied)"


def test_a_count_of_hits_is_in_no_seal_and_changes_nothing_in_an_audit(copied: Path) -> None:
    before = audit_of(copied)
    with closing(connect((copied / "ledger.db").as_uri())) as connection:
        connection.execute("UPDATE calls SET hits = 99")
    assert audit_of(copied) == before


def test_a_result_that_does_not_follow_from_the_scores_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path / "made")  # its interval is made up
    scores = audit_of(run)["evidence"]["from_scores"]
    assert (scores["examples"], scores["agrees"]) == (12, False)
    assert scores["mean"] == pytest.approx(5 / 12)
    assert "THE RESULT DOES NOT AGREE WITH THEM" in write_audit(run)[1].read_text()


def test_examples_that_one_side_lacks_are_counted(tmp_path: Path) -> None:
    run = make_run(tmp_path / "made")
    seed, winner, *_ = candidates()
    lost = Failure("server", "500")
    names = [one.id for one in examples("test")]
    with closing(Ledger(run / "ledger.db")) as ledger:
        for side, places in ((seed, (0, 1, 2)), (winner, (2, 3))):
            for place in places:
                put_scores(ledger, side.id, "test", place, [names[place]], "choice@1", [lost]).result(5)
    scores = audit_of(run)["evidence"]["from_scores"]
    assert [scores[name] for name in ("examples", "only_seed", "only_winner", "neither")] == [8, 1, 2, 1]


def test_a_run_without_a_verdict_has_an_audit_too(tmp_path: Path) -> None:
    audit, page = write_audit(make_run(tmp_path / "cut", finished=False))
    assert (audit["evidence"], audit["run"]["state"]) == (None, "interrupted")
    assert "It has no verdict yet." in page.read_text()


def test_foreign_text_has_no_power_over_the_page(tmp_path: Path) -> None:
    page = write_audit(make_run(tmp_path / "made", words="<img src=x> ![a](http://b) \u202e | `x`"))[1].read_text()
    instruction = page.index("Sort it. <img")  # shown as it is, inside a fence
    assert page.rindex("```text", 0, instruction) > 0
    assert "<img" not in page.replace("Sort it. <img", "").replace("openai/<img", "")
    assert "\u202e" not in page


def test_a_database_is_named_with_its_query(copied: Path) -> None:
    named = "sqlite tickets.db: SELECT message, team FROM tickets"
    with closing(Ledger(copied / "ledger.db")) as ledger:
        ledger.put_meta("sources", {"folder": ".", "files": [], "hub": None, "licence": None, "database": named})
    audit, page = write_audit(copied)
    assert audit["data"]["database"] == named
    assert f"The rows of a query of a database, `{named}`." in page.read_text()


def test_traces_are_named_with_their_experiment_and_a_digest(copied: Path) -> None:
    traces = {
        "mlflow": "http://host:5000",
        "experiment": "support",
        "filter": "tag.a = 'b'",
        "until": None,
        "since": "2026-01-01",
        "traces": 1200,
        "looked_through": 1500,
        "digest": "0123456789abcdef",
        "newest": "2026-01-05T10:00:00.000+00:00",
        "as_of": "2026-01-06T10:00:00.000+00:00",
    }
    with closing(Ledger(copied / "ledger.db")) as ledger:
        ledger.put_meta("sources", {"folder": ".", "files": [], "hub": None, "licence": None, "traces": traces})
    audit, page = write_audit(copied)
    assert audit["data"]["traces"] == traces
    text = page.read_text()
    assert "1,200 of 1,500 traces of the experiment `support` of the MLflow `http://host:5000`" in text
    assert "(filter `tag.a = 'b'`, since `2026-01-01`), as they were at 2026-01-06" in text
    assert "the digest of their ids is `0123456789abcdef`. Licence" in text
