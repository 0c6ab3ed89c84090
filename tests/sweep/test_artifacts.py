"""A sweep that keeps its folder elsewhere, too: lost, and gone on with; and the same with a real S3 server, killed."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from support.bench import wait_for
from support.jobs import metier, rule

from optimizer.errors import ConfigError, LedgerError
from optimizer.ledger.reader import Reader
from optimizer.sweep import artifacts
from optimizer.sweep.artifacts import Artifacts, kept, report_kept
from optimizer.sweep.copies import Copies
from optimizer.sweep.ledger import SweepReader
from optimizer.sweep.player import Order, Played
from optimizer.sweep.run import play_sweep
from optimizer.testing.fake_server import FakeServer
from sweep.made import FakePlayer, made_outcome, write_sweep

NAMES = ["default--seed-0", "random--seed-0", "default--seed-1", "random--seed-1"]


def write_ledger(folder: Path, value: str) -> None:
    """Write what stands for a run's ledger."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as ledger:
        ledger.execute("CREATE TABLE IF NOT EXISTS answers (value TEXT)")
        ledger.execute("INSERT INTO answers VALUES (?)", (value,))


def answers(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "ledger.db")) as ledger:
        return [row[0] for row in ledger.execute("SELECT value FROM answers")]


def playing(elsewhere: Path | None = None, fails: str = "") -> FakePlayer:
    """Return a player whose cells keep their folders as real ones do, perhaps on a machine that is not the driver's."""

    def answer(order: Order) -> Played:
        folder = Path(order.config.run_dir or "")
        folder = folder if elsewhere is None else elsewhere / folder.name
        with kept(order.artifacts, folder):
            write_ledger(folder, order.name)
        if order.name == fails:
            return Played("failed", "no")
        return Played("finished", outcome=made_outcome(serial=order.name))

    return FakePlayer(answer)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return write_sweep(tmp_path, "http://127.0.0.1:9", artifacts=str(tmp_path / "store"))


def test_a_sweep_whose_folder_is_lost_goes_on(tmp_path: Path, sweep: Path) -> None:
    home = tmp_path / "out"
    assert play_sweep(sweep, home, player=playing(fails=NAMES[1])).failed == 1
    shutil.rmtree(home)
    again = playing()
    assert play_sweep(sweep, home, player=again).complete
    assert again.names == [NAMES[1]], "finished cells are not played again"
    for name in NAMES:
        assert answers(home / "cells" / name) == [name] * (1 + (name == NAMES[1])), "what was unfinished goes on"
    third = playing()
    assert play_sweep(sweep, tmp_path / "other", player=third).complete
    assert third.orders == []
    with closing(SweepReader(home)) as first, closing(SweepReader(tmp_path / "other")) as second:
        assert first.meta("id") == second.meta("id")


def test_an_older_folder_is_brought_up_to_date(tmp_path: Path, sweep: Path) -> None:
    play_sweep(sweep, tmp_path / "here", player=playing(fails=NAMES[1]))
    play_sweep(sweep, tmp_path / "there", player=playing())
    late = playing()
    assert play_sweep(tmp_path / "here", player=late).complete
    assert late.orders == []
    assert answers(tmp_path / "here" / "cells" / NAMES[1]) == [NAMES[1]] * 2


def test_cells_of_other_machines_are_brought_to_the_driver(tmp_path: Path, sweep: Path) -> None:
    play_sweep(sweep, tmp_path / "out", player=playing(tmp_path / "worker"))
    assert [answers(tmp_path / "out" / "cells" / name) for name in NAMES] == [[name] for name in NAMES]


def test_what_was_finished_before_is_copied_when_a_sweep_gets_artifacts(tmp_path: Path, sweep: Path) -> None:
    data, home = yaml.safe_load(sweep.read_text()), tmp_path / "out"
    sweep.write_text(yaml.safe_dump({**data, "artifacts": None}))
    play_sweep(sweep, home, player=playing())
    assert not (tmp_path / "store").exists()
    sweep.write_text(yaml.safe_dump(data))
    play_sweep(sweep, home, player=playing())
    shutil.rmtree(home)
    assert play_sweep(sweep, home, player=playing()).complete
    assert [answers(home / "cells" / name) for name in NAMES] == [[name] for name in NAMES]


def test_another_sweep_at_the_address_is_refused(tmp_path: Path, sweep: Path) -> None:
    play_sweep(sweep, tmp_path / "first", player=playing())
    (tmp_path / "b").mkdir()
    other = write_sweep(tmp_path / "b", "http://127.0.0.1:10", artifacts=str(tmp_path / "store"))
    with pytest.raises(LedgerError, match="its base differs in models"):
        play_sweep(other, tmp_path / "second", player=playing())
    assert not (tmp_path / "second").exists()
    plain = yaml.safe_load(sweep.read_text()) | {"artifacts": None}
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(plain))
    play_sweep(tmp_path / "plain.yaml", tmp_path / "third", player=playing())
    with pytest.raises(LedgerError, match="another sweep's artifacts lie there"):
        play_sweep(sweep, tmp_path / "third", player=playing())


def test_a_second_machine_ends_the_first_ones_sweep(tmp_path: Path, sweep: Path) -> None:
    home, good, begun = tmp_path / "out", playing().answer, list[str]()

    def taken_over(order: Order) -> Played:
        begun.append(order.name)
        if len(begun) == 2:
            other = Artifacts(str(tmp_path / "store"), tmp_path / "other")
            other.bring_sweep(lambda ledger: None)
            other.put_sweep()
        return good(order)

    change = yaml.safe_load(sweep.read_text()) | {"parallel": 1}
    sweep.write_text(yaml.safe_dump(change))
    with pytest.raises(LedgerError, match="another process has gone on with it"):
        play_sweep(sweep, home, player=FakePlayer(taken_over))
    assert len(begun) == 2


def test_a_store_out_of_reach_is_told_before_anything_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    player = playing()
    for address, message in ((f"{tmp_path}/file/x", "artifacts: "), ("moon://x", "Protocol not known")):
        with pytest.raises(ConfigError, match=message):
            play_sweep(write_sweep(tmp_path, "http://127.0.0.1:9", artifacts=address), tmp_path / "out", player=player)
    assert player.orders == []
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(ConfigError, match="fsspec is not installed"):
        Artifacts("s3://bucket/x", tmp_path)


def test_a_store_that_fails_meanwhile_costs_no_cell(
    tmp_path: Path, sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, lines, put = tmp_path / "out", list[str](), Copies.put

    def fails_once(copies: Copies, name: str, *rest: object) -> None:
        if name == "sweep" and lines[-1:] == [f"{NAMES[0]}: begins"]:
            raise OSError("the store is full")
        put(copies, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Copies, "put", fails_once)
    change = yaml.safe_load(sweep.read_text()) | {"parallel": 1}
    sweep.write_text(yaml.safe_dump(change))
    assert play_sweep(sweep, home, player=playing(), say=lines.append).complete
    assert "artifacts: the store is full" in lines


def test_a_cell_has_ended_when_its_copy_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "PAUSES", (0.0,))
    tries = []

    def fail(*_: object) -> None:
        tries.append(1)
        raise OSError("the store is full")

    monkeypatch.setattr(Copies, "put", fail)
    with (
        pytest.raises(LedgerError, match=r"cannot be copied \(the store is full\)"),
        kept(str(tmp_path / "s"), tmp_path),
    ):
        pass
    assert len(tries) == 2


def test_a_cell_is_copied_while_it_is_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "EVERY", 0.01)
    url, folder, copied = str(tmp_path / "store"), tmp_path / "cells" / "a", tmp_path / "other"

    def killed() -> None:
        with kept(url, folder):
            write_ledger(folder, "paid")
            wait_for(lambda: any((tmp_path / "store").rglob("manifest.json")))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert Copies(url).fetch("cells/a", copied, "ledger.db")
    assert answers(copied) == ["paid"]


def test_the_report_is_kept_too(tmp_path: Path, sweep: Path) -> None:
    home = play_sweep(sweep, tmp_path / "out", player=playing()).folder
    (home / "report.html").write_text("<p>new</p>")
    assert report_kept(home, ["report.html", "cells.csv"]) == ""
    (page,) = (tmp_path / "store" / "report").rglob("report.html")
    assert page.read_text() == "<p>new</p>"
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "store").write_text("")
    assert report_kept(home, ["report.html"]).startswith("the report was not copied (")


SECRET = "secret-of-the-environment"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server on this machine, with a bucket; its keys are in the environment alone."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key-of-the-environment",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem(skip_instance_cache=True).mkdir("bucket")
    yield "s3://bucket/nights/first"
    server.stop()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_sweep_that_is_killed_goes_on_from_s3(tmp_path: Path, bucket: str) -> None:
    home, store = tmp_path / "out", Copies(bucket)
    with FakeServer(rule, delay=0.02) as server:
        sweep = write_sweep(tmp_path, server.api_base, matrix={"seed": [0, 1]}, parallel=1, artifacts=bucket)
        options = {"light": True, "cwd": tmp_path, "env": {"METIER_CACHE": str(tmp_path / "cache")}}
        driver = metier("sweep", sweep, "--folder", home, **options)
        deadline = time.monotonic() + 120
        while "cells/seed-1" not in (text := _running(home)) and time.monotonic() < deadline:
            assert driver.poll() is None, text
            time.sleep(0.02)
        for process in (driver.pid, _player(home / "cells" / "seed-1")):  # as when a machine is lost
            os.kill(process, signal.SIGKILL)
        driver.communicate()
        shutil.rmtree(home)
        store.fetch("cells/seed-0", tmp_path / "seed-0", "ledger.db")
        before = _calls(tmp_path / "seed-0")
        driver = metier("sweep", sweep, "--folder", home, **options)
        out, err = driver.communicate(timeout=120)
        assert driver.returncode == 0, err
        assert "seed-0: " not in out, "a finished cell is not played again"
        assert _calls(home / "cells" / "seed-0") == before
        assert "2 cells are finished" in out
    assert sorted(path.name for path in (home / "cells").iterdir()) == ["seed-0", "seed-1"]
    assert [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []
    assert SECRET not in out + err


def _running(home: Path) -> str:
    """Return the folders of cells that have made calls, as text."""
    return " ".join(f"cells/{path.parent.name}" for path in home.glob("cells/*/ledger.db") if _calls(path.parent) >= 3)


def _calls(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "ledger.db")) as ledger:
        try:
            return int(ledger.execute("SELECT COUNT(*) FROM calls WHERE state <> 'intent'").fetchone()[0])
        except sqlite3.Error:  # it is being made
            return 0


def _player(folder: Path) -> int:
    """Return the process that plays a cell."""
    with closing(Reader(folder / "ledger.db")) as ledger:
        return int(ledger.meta("attempts")[-1]["pid"])
