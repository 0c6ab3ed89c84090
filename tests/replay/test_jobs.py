from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.jsonl import read
from experiments.replay import jobs
from experiments.replay.jobs import Job, kept, state, tables_of
from experiments.replay.tables import Table, dump


def asked(table: Table) -> list[Job]:
    return [Job("random + uniform", table.task, "table", 4.0, seed) for seed in range(2)]


@pytest.fixture
def folder(tmp_path: Path, table: Table) -> Path:
    write(tmp_path, table)
    return tmp_path


def write(folder: Path, table: Table) -> None:
    (folder / "made.json").write_text(dump(table), encoding="utf-8")
    tables_of.cache_clear()
    state.cache_clear()


def test_after_a_kill_only_what_is_missing_is_played(
    folder: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = folder / "runs" / "out.jsonl"
    first = kept(asked(table)[:1], folder, out, 1)
    with out.open("a", encoding="utf-8") as file:
        file.write('{"method": "random + uni')
    both = kept(asked(table), folder, out, 1)
    assert both[:1] == first
    assert [line["seed"] for line in read(out)] == [0, 1]
    monkeypatch.setattr(jobs, "METHODS", {})
    assert kept(asked(table), folder, out, 1) == both


def test_what_was_played_on_another_table_is_played_anew(folder: Path, table: Table) -> None:
    out = folder / "out.jsonl"
    (first,) = kept(asked(table)[:1], folder, out, 1)
    write(folder, replace(table, scores=1 - table.scores))
    (second,) = kept(asked(table)[:1], folder, out, 1)
    assert first.job.state != second.job.state
    assert len(list(read(out))) == 2


def test_what_other_code_has_played_is_played_anew(folder: Path, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    out = folder / "out.jsonl"
    kept(asked(table)[:1], folder, out, 1)
    monkeypatch.setattr(jobs, "PRODUCT", ("config",))
    state.cache_clear()
    kept(asked(table)[:1], folder, out, 1)
    assert len(list(read(out))) == 2
