from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from report.made import make_run
from support.bench import Bench, wait_for
from support.disks import read_only

from optimizer.cli.main import cli
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.reader import connect


def audit(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, ["audit", *map(str, arguments)], prog_name="metier")
    return done.exit_code, done.stdout, done.stderr


def test_it_prints_the_head_and_where_the_page_lies(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    code, out, _ = audit(run)
    whole, head, page = out.splitlines()
    data = json.loads((run / "audit.json").read_text())
    assert (code, whole, page) == (0, f"whole: {data['history']['entries']:,} entries", str(run / "audit.md"))
    assert head == f"head: {data['history']['head']}"
    code, out, _ = audit(run, "--json")
    assert (code, json.loads(out)) == (0, data)


def test_a_filed_head_is_compared(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    head = json.loads(audit(run, "--json")[1])["history"]["head"]
    with closing(Ledger(run / "ledger.db")) as ledger:
        ledger.put_meta("more", 1)
    code, out, _ = audit(run, "--expect", head)
    assert code == 0
    assert "; added since: 1" in out
    code, out, err = audit(run, "--expect", "f" * 64)
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: {run}: no entry of its history has the hash ffff")


def test_a_changed_ledger_ends_with_its_exit_code(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with closing(connect((run / "ledger.db").as_uri())) as connection:
        connection.execute("DELETE FROM history WHERE id = 7")
    code, out, err = audit(run)
    assert (code, out) == (2, "")
    assert "not a usable ledger (entry 7 of its history is missing)" in err
    assert not (run / "audit.md").exists()


@pytest.mark.parametrize("place", ["none", "file"])
def test_where_no_run_lies(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = audit(tmp_path / place)
    assert code == 2
    assert "no run lies here" in err


def test_a_run_on_a_read_only_disk_is_audited_into_another_folder(tmp_path: Path) -> None:
    run, out = make_run(tmp_path / "run"), tmp_path / "filed"
    out.mkdir()
    (run / "ledger.db.lock").unlink(missing_ok=True)
    with read_only(run):
        code, _, err = audit(run)
        assert code == 2
        assert "cannot be written" in err
        assert audit(run, "--out", out)[0] == 0
    assert sorted(file.name for file in out.iterdir()) == ["audit.json", "audit.md"]


def test_the_folder_to_write_into_is_made(tmp_path: Path) -> None:
    run, out = make_run(tmp_path / "run"), tmp_path / "filed" / "2026"
    assert audit(run, "--out", out)[0] == 0
    assert (out.stat().st_mode & 0o777, out.parent.stat().st_mode & 0o777) == (0o700, 0o700)
    code, _, err = audit(run, "--out", out / "audit.md")
    assert code == 2
    assert err.startswith(f"Error: {out / 'audit.md'}: no folder can be made there")


@pytest.mark.slow
def test_a_run_at_work_is_audited_as_it_is_at_one_moment(bench: Bench) -> None:
    bench.server.delay = 0.02
    pid, out, entries = bench.start("out"), bench.folder / "out", [0]
    wait_for(lambda: bench.server.count > 5)
    while bench.server.count < 60:
        code, told, err = audit(out, "--json")
        assert code == 0, err
        entries.append(json.loads(told)["history"]["entries"])
    assert bench.forks.wait(pid) == 0, bench.log("out")
    assert entries == sorted(entries)
    assert len(set(entries)) > 2
    code, told, _ = audit(out, "--json")
    assert json.loads(told)["run"]["state"] == "finished"
    assert json.loads(told)["history"]["entries"] > entries[-1]
