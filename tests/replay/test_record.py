from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from support import jobs

from experiments.replay import record
from experiments.replay.tables import Choice
from optimizer.config.models import ModelConfig, Models
from optimizer.ledger.ledger import Ledger
from optimizer.task.load import load_task
from optimizer.testing.fake_server import FakeServer
from optimizer.testing.label_model import LabelModel

SMALL = [("turns", "static", 0, 2), ("turns", "static", 2, 2), ("block", "nearest", 2, 1)]


def test_the_design_fills_its_strata_with_distinct_choices_the_seed_first() -> None:
    chosen = record.designed(record.STRATA, 8, 4)
    assert len(chosen) == len(set(chosen)) == sum(many for *_, many in record.STRATA) == 60
    assert chosen[0] == Choice(0, "turns", "static", 0, "given", 0)
    assert Counter((c.format, c.policy, c.count) for c in chosen) == {
        (layout, policy, count): many for layout, policy, count, many in record.STRATA
    }
    assert chosen == record.designed(record.STRATA, 8, 4)


def test_the_design_spreads_instructions_orders_and_sets() -> None:
    static = [c for c in record.designed(record.STRATA, 8, 4) if c.policy == "static" and c.count]
    for levels, fair in (("instruction", 8), ("order", 2), ("set", 4)):
        found = Counter(getattr(c, levels) for c in static)
        assert len(found) == fair
        assert max(found.values()) <= 1.6 * len(static) / fair


@pytest.mark.parametrize("name", record.SOURCES)
def test_each_source_is_a_task(name: str, tmp_path: Path) -> None:
    source = record.SOURCES[name]
    values = list(source.labels) or ["cat, dog", "owl"]
    for part in ("train", "test"):
        (tmp_path / name).mkdir(exist_ok=True)
        rows = [{"input": f"{part} {n}", "output": values[n % len(values)]} for n in range(40)]
        jobs.write_lines(tmp_path / name / f"{part}.jsonl", rows)
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(source.written(name, tmp_path)), encoding="utf-8")
    task = load_task(tmp_path)
    assert (len(task.train), len(task.validation), len(task.test)) == (29, 11, 40)


def test_a_recording_is_resumed_without_paying_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.light_embeddings(monkeypatch.setattr)
    monkeypatch.setattr(record, "PASS", 3)
    task = load_task(jobs.make_task(tmp_path / "task"))
    with FakeServer(jobs.rule) as server:
        models = Models(task=ModelConfig(model="openai/fake"), api_base=server.api_base, concurrency=2)
        first = next(record.recorded(task, tmp_path, models, 6, SMALL))
        assert first.scores.shape == (5, 3)
        paid = server.count
        tables = list(record.recorded(task, tmp_path, models, 6, SMALL))
        assert server.count - paid <= 5 * 3
    assert [table.scores.shape for table in tables] == [(5, 3), (5, 6)]
    assert (tables[0].scores == first.scores).all()
    assert 0 < tables[1].scores.mean() < 1
    assert all(tokens > 0 for tokens in tables[1].tokens)
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        assert ledger.read("SELECT COUNT(*) AS n FROM calls WHERE state != 'done'")[0]["n"] == 0


def test_a_readout_keeps_what_the_model_thinks_of_each_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.light_embeddings(monkeypatch.setattr)
    task = load_task(jobs.make_task(tmp_path / "task"))
    likely = {"fruit": 0.0, "metal": 2.0, "bird": 1.0}
    with FakeServer(LabelModel(lambda messages: likely)) as server:
        models = Models(task=ModelConfig(model="openai/fake"), api_base=server.api_base)
        (table,) = record.recorded(task, tmp_path, models, 6, SMALL, readout=True)
    assert table.logprobs is not None
    assert table.logprobs.shape == (5, 6, 3)
    order = list(dict.fromkeys(column.outputs["kind"] for column in task.validation))
    assert order[int(table.logprobs[0, 0].argmax())] == "metal"
    rights = [[float(order[number] == "metal") for number in table.labels]] * 5
    assert table.scores.tolist() == rights


def test_labels_are_numbered_where_there_are_some(tmp_path: Path) -> None:
    task = load_task(jobs.make_task(tmp_path / "task"))
    labels = [str(column.outputs) for column in task.validation]
    numbers = record.numbered(task.validation, task)
    assert numbers[0] == 0
    assert len(set(numbers)) == len(set(labels)) == len(set(zip(numbers, labels, strict=True)))
    assert record.numbered(task.validation[:1], task) == ()
