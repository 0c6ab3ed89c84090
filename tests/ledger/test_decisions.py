from __future__ import annotations

import os
import pwd
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.disks import read_only

from optimizer.errors import LedgerError
from optimizer.ledger.decisions import (
    PROMOTE,
    TRUST,
    decisions_of,
    put_decision,
    record_decision,
    record_trust,
    refuse_unwritable,
)
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import Reader
from optimizer.ledger.schema import VERSION
from optimizer.system.redact import hide


def test_a_decision_is_kept_with_its_time_and_user(ledger: Ledger) -> None:
    before = time.time()
    put_decision(ledger, PROMOTE, {"alias": "champion", "version": 3})
    put_decision(ledger, "else", {})
    first, second = decisions_of(ledger)
    assert (first.what, first.value, second.what) == (PROMOTE, {"alias": "champion", "version": 3}, "else")
    assert before - 1 <= first.time <= second.time <= time.time() + 1
    assert first.user == pwd.getpwuid(os.getuid()).pw_name


def test_a_variable_does_not_change_who_it_was(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME"):
        monkeypatch.setenv(name, "somebody")
    put_decision(ledger, PROMOTE, {})
    assert decisions_of(ledger)[0].user == pwd.getpwuid(os.getuid()).pw_name


def test_an_account_without_a_name_is_known_by_its_number(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_123)
    put_decision(ledger, PROMOTE, {})
    assert decisions_of(ledger)[0].user == "uid 4000123"


def test_no_secret_is_kept(ledger: Ledger) -> None:
    hide("hunter2-hunter2")
    put_decision(ledger, "move", {"now": "hunter2-hunter2"})
    put_decision(ledger, "move", {"now": "http://me:unknown@host"})
    assert [one.value["now"] for one in decisions_of(ledger)] == ["***", "http://***@host"]


def test_a_trust_in_an_address_with_a_password_is_written_once_and_without_it(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.db").close()
    for _ in range(2):
        record_trust(tmp_path, "best.json", ["the address 'http://me:unknown@host'"])
    with closing(Reader(tmp_path / "ledger.db")) as reader:
        (decision,) = decisions_of(reader)
    assert decision.value["allowed"] == ["the address 'http://***@host'"]


def test_a_decision_is_written_beside_a_process_that_works_on_the_run(ledger: Ledger) -> None:
    record_decision(ledger.path.parent, PROMOTE, {"alias": "a"})
    ledger.put_meta("after", 1)
    assert [one.value for one in decisions_of(ledger)] == [{"alias": "a"}]
    assert ledger.verify()[0].entries == 3


def test_a_trust_that_is_known_is_not_written_again(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.db").close()
    for allowed in (["the address 'x'"], ["the address 'x'"], ["the address 'y'"]):
        record_trust(tmp_path, "best.json", allowed)
    with closing(Reader(tmp_path / "ledger.db")) as reader:
        found = [(one.what, one.value["allowed"]) for one in decisions_of(reader)]
    assert found == [(TRUST, ["the address 'x'"]), (TRUST, ["the address 'y'"])]


def test_where_nothing_can_be_written_trust_is_not_kept_and_other_decisions_are_refused(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.db").close()
    with read_only(tmp_path):
        record_trust(tmp_path, "best.json", ["the address 'x'"])
        with pytest.raises(LedgerError, match="nothing would tell who decided to promote"):
            refuse_unwritable(tmp_path, PROMOTE)
    with closing(Reader(tmp_path / "ledger.db")) as reader:
        assert decisions_of(reader) == []


def test_a_decision_that_no_metier_wrote_is_refused_and_keeps_nobody_from_a_prompt(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        put_decision(ledger, PROMOTE, {})
        ledger.write("UPDATE decisions SET value = '{'").result(5)
        with pytest.raises(LedgerError, match="a decision cannot be read"):
            decisions_of(ledger)
    record_trust(tmp_path, "best.json", ["the address 'x'"])


def test_no_ledger_is_made_where_none_is(tmp_path: Path) -> None:
    record_trust(tmp_path, "best.json", ["the address 'x'"])
    with pytest.raises(LedgerError, match="no run lies here"):
        record_decision(tmp_path, PROMOTE, {})
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_of_another_version_is_left_alone(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        ledger.put_meta("version", VERSION - 1)
    before = (tmp_path / "ledger.db").read_bytes()
    with pytest.raises(LedgerError, match=f"version {VERSION - 1}, this metier writes {VERSION}"):
        record_decision(tmp_path, PROMOTE, {})
    record_trust(tmp_path, "best.json", ["the address 'x'"])  # a prompt of an older run can still be trusted
    assert (tmp_path / "ledger.db").read_bytes() == before
