from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from optimizer.errors import TaskError
from optimizer.task.hub import read_hub
from optimizer.task.rows import Row


class FakeSplit(list[dict[str, Any]]):
    features: ClassVar = {"text": object(), "label": SimpleNamespace(int2str=["bill", "card"].__getitem__)}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    fake, errors = ModuleType("datasets"), ModuleType("datasets.exceptions")
    errors.DatasetsError = type("DatasetsError", (Exception,), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", fake)
    monkeypatch.setitem(sys.modules, "datasets.exceptions", errors)
    return fake


def test_train_is_read_and_class_labels_become_names(hub: ModuleType) -> None:
    rows = FakeSplit([{"text": "x", "label": 1}, {"text": "y", "label": -1}])
    hub.load_dataset = lambda name: {"test": FakeSplit(), "train": rows}  # type: ignore[attr-defined]
    assert read_hub("owner/name") == [
        Row({"text": "x", "label": "card"}, "hf:owner/name[train] row 1"),
        Row({"text": "y", "label": None}, "hf:owner/name[train] row 2"),
    ]


def test_an_only_split_is_read_whatever_its_name(hub: ModuleType) -> None:
    hub.load_dataset = lambda name: {"all": FakeSplit([{"text": "x"}])}  # type: ignore[attr-defined]
    assert read_hub("owner/name")[0].origin == "hf:owner/name[all] row 1"


def test_several_splits_without_train_are_refused(hub: ModuleType) -> None:
    hub.load_dataset = lambda name: {"a": FakeSplit(), "b": FakeSplit()}  # type: ignore[attr-defined]
    with pytest.raises(TaskError, match=r"no split 'train'\n.*a, b"):
        read_hub("owner/name")


def test_an_empty_set_is_refused(hub: ModuleType) -> None:
    hub.load_dataset = lambda name: {"train": FakeSplit()}  # type: ignore[attr-defined]
    with pytest.raises(TaskError, match="hf: owner/name: has no examples in 'train'"):
        read_hub("owner/name")


def test_a_set_that_cannot_be_had(hub: ModuleType) -> None:
    def fail(name: str) -> None:
        raise FileNotFoundError("no such set")

    hub.load_dataset = fail  # type: ignore[attr-defined]
    with pytest.raises(TaskError, match=r"owner/nam: cannot be loaded \(no such set\)\n.*owner/name"):
        read_hub("owner/nam")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(TaskError, match="pip install datasets"):
        read_hub("owner/name")
