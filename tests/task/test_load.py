from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from optimizer.errors import TaskError
from optimizer.task.load import find_task, load_task, load_task_file

from .conftest import LABELS, WriteTask, lines, records


def test_loads_a_folder_or_its_file(write_task: WriteTask) -> None:
    folder = write_task()
    task = load_task(folder)
    assert (len(task.train), len(task.validation), len(task.test)) == (8, 6, 6)
    assert (task.name, task.instruction, task.metric.name) == ("tiny", "Classify the message.", "exact_match")
    assert task.outputs["intent"].choices == LABELS
    assert task.train[0].origin.startswith("examples.jsonl:")
    assert load_task(folder / "task.yaml").fingerprint == task.fingerprint == load_task(str(folder)).fingerprint


def test_loading_imports_nothing_heavy(write_task: WriteTask) -> None:
    code = "import sys; from optimizer.task.load import load_task; load_task(sys.argv[1]); "
    code += "print([m for m in ('dspy', 'pandas', 'pyarrow', 'numpy', 'optuna', 'mlflow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, str(write_task())], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_columns_metric_options_and_program(write_task: WriteTask) -> None:
    rows = [{"text": f"t {n}", "n": n} for n in range(20)]
    folder = write_task(
        {"d.json": json.dumps(rows), "program.py": ""},
        outputs={"amount": {"type": "int"}},
        fields={"message": "text", "amount": "n"},
        data={"path": "d.json"},
        metric={"name": "numeric", "tolerance": 0.5},
        program="program.py:build",
    )
    task = load_task(folder)
    assert {example.outputs["amount"] for example in (*task.train, *task.validation, *task.test)} == set(range(20))
    assert task.program == "program.py:build"
    assert task.metric.version.startswith("1-")


def test_where_nothing_is_scored_only_a_builtin_metric_is_built(write_task: WriteTask) -> None:
    for metric, name in (("contains", "contains"), ("python: metric.py:score", "exact_match")):
        folder = write_task(metric=metric)
        (folder / "metric.py").write_text("raise SystemExit\n")
        assert load_task(folder, scored=False).metric.name == name


def test_train_and_test_files(write_task: WriteTask) -> None:
    files = {"in/train.jsonl": lines(records(14)), "in/test.jsonl": lines(records(6, 14))}
    folder = write_task(files, data={"train": "in/train.jsonl", "test": "in/test.jsonl"})
    task = load_task(folder)
    assert (len(task.train), len(task.validation), len(task.test)) == (8, 6, 6)
    assert task.test[0].origin == "in/test.jsonl:1"
    assert task.notes == ("validation: 6 examples cut from train, which keeps 8",)


def test_an_absolute_data_path(write_task: WriteTask, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.jsonl").write_text(lines(records(20)))
    assert load_task(write_task(data={"path": str(tmp_path / "elsewhere.jsonl")})).train


def test_a_hub_set_is_split_in_three(write_task: WriteTask, monkeypatch: pytest.MonkeyPatch) -> None:
    from optimizer.task import load
    from optimizer.task.rows import Row

    rows = [Row(record, f"hf:owner/name[train] row {n}") for n, record in enumerate(records(20), 1)]
    monkeypatch.setattr(load, "read_hub", lambda name, reading: rows if name == "owner/name" else [])
    assert len(load_task(write_task(data={"hf": "owner/name"})).train) == 8


def test_the_task_file_alone_needs_no_data(write_task: WriteTask) -> None:
    folder = write_task(data={"path": "none.jsonl"})
    written, where = load_task_file(folder)
    assert (written.data.path, where) == ("none.jsonl", folder)


def test_a_bare_name_is_looked_for_under_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks" / "intents").mkdir(parents=True)
    (tmp_path / "tasks" / "intents" / "task.yaml").touch()
    assert find_task("intents") == Path("tasks/intents/task.yaml")
    with pytest.raises(TaskError, match=r"intent: no such task\n.*In ./tasks: did you mean 'intents'\?"):
        find_task("intent")
    with pytest.raises(TaskError, match=r"\./intents: no such task"):
        find_task("./intents")


def test_a_folder_without_a_task_file_names_the_yaml_in_it(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"has no task\.yaml\n.*Write"):
        find_task(tmp_path)
    (tmp_path / "mine.yml").touch()
    with pytest.raises(TaskError, match=r"Name the file itself: .*mine\.yml"):
        find_task(tmp_path)


def changed(number: int, **values: Any) -> str:
    rows = records(20)
    rows[number - 1] = rows[number - 1] | values
    return lines(rows)


Case = tuple[dict[str, str | bytes], dict[str, Any], list[str]]
BAD: dict[str, Case] = {
    "label misspelt": (
        {"examples.jsonl": changed(12, intent="lone")},
        {},
        ["examples.jsonl:12: 'intent' is 'lone'", "did you mean 'loan'?"],
    ),
    "label in capitals": (
        {"examples.jsonl": changed(3, intent="Bill")},
        {},
        ["examples.jsonl:3: 'intent' is 'Bill'", "write 'bill'"],
    ),
    "input is a list": (
        {"examples.jsonl": changed(4, message=["x"])},
        {},
        ["examples.jsonl:4: 'message' is ['x']", "not text"],
    ),
    "input is null": ({"examples.jsonl": changed(5, message=None)}, {}, ["examples.jsonl:5: 'message' is empty"]),
    "broken line": (
        {"examples.jsonl": lines(records(2)) + "{oops}\n"},
        {},
        ["examples.jsonl:3: not valid JSON", "'oops}'", "Correct"],
    ),
    "not an object": ({"examples.jsonl": '"text"\n'}, {}, ["examples.jsonl:1: must be an object, not 'text'"]),
    "not UTF-8": ({"examples.jsonl": b"{}\n\xff"}, {}, ["examples.jsonl:2: not valid UTF-8", "iconv"]),
    "no examples": ({"examples.jsonl": "\n"}, {}, ["examples.jsonl: has no examples", "one example a line"]),
    "too few": ({"examples.jsonl": lines(records(4))}, {}, ["task.yaml: 4 examples give train", "at least 7"]),
    "the same input twice": (
        {"examples.jsonl": changed(9, message="Message  0")},
        {},
        ["examples.jsonl:1 and examples.jsonl:9 have the same input 'Message  0'", "Remove or change one"],
    ),
    "leak into test": (
        {"train.jsonl": lines(records(14)), "test.jsonl": lines(records(6, 13))},
        {"data": {"train": "train.jsonl", "test": "test.jsonl"}},
        ["train.jsonl:14 and test.jsonl:1 have the same input 'message 13'", "Remove or change one"],
    ),
    "missing data file": (
        {},
        {"data": {"path": "example.jsonl"}},
        ["example.jsonl: no such file", "the folder of the task's file", "did you mean 'examples.jsonl'?"],
    ),
    "wrong column": (
        {"a.csv": "text,intent\nx,bill\n"},
        {"data": {"path": "a.csv"}},
        ["a.csv: no column 'message' for the field 'message'", "fields: {message: column}"],
    ),
    "short CSV line": (
        {"a.csv": "message,intent\nx,bill\ny\n"},
        {"data": {"path": "a.csv"}},
        ["a.csv:3: has 1 cells where the header has 2: ['y']"],
    ),
    "number that is none": (
        {"examples.jsonl": lines([{"message": f"m {n}", "intent": "seven" if n == 7 else n} for n in range(1, 21)])},
        {"outputs": {"intent": {"type": "float"}}},
        ["examples.jsonl:7: 'intent' is 'seven', a str, not a finite number", "field's type or choices"],
    ),
    "metric refuses the label": (
        {"examples.jsonl": lines([{"message": f"m {n}", "intent": f"about {n}" if n else "none"} for n in range(20)])},
        {"outputs": {"intent": {}}, "metric": "numeric"},
        ["examples.jsonl:1: numeric: expected intent = 'none'", "choose another metric"],
    ),
    "an expected pattern that is none": (
        {"examples.jsonl": changed(2, intent="(a")},
        {"outputs": {"intent": {}}, "metric": "regex"},
        ["examples.jsonl:2: regex: intent: '(a' is not a pattern (missing ) at position 2)"],
    ),
    "an expected answer that breaks a constraint": (
        {"examples.jsonl": changed(2, intent="a bill")},
        {"outputs": {"intent": {}}, "metric": {"name": "composite", "constraints": {"longest": {"words": 1}}}},
        ["examples.jsonl:2: composite: the expected answer breaks: intent 2 words, at most 1 are allowed"],
    ),
    "a field that no expected answer has": (
        {"examples.jsonl": lines([{"message": f"m {n}", "intent": {"total": n}} for n in range(20)])},
        {"outputs": {"intent": {"type": "json"}}, "metric": {"name": "json_fields", "fields": {"totl": "numeric"}}},
        ["task.yaml: metric json_fields: no expected answer has the field 'totl'", "did you mean 'total'?"],
    ),
    "unknown metric": ({}, {"metric": "exactmatch"}, ["task.yaml: metric", "'exactmatch'", "mean 'exact_match'?"]),
    "unknown option": (
        {},
        {"metric": {"name": "numeric", "tolerence": 1}, "outputs": {"intent": {}}},
        ["task.yaml: metric numeric: unknown key 'tolerence'", "did you mean 'tolerance'?"],
    ),
    "missing program": (
        {"programm.py": ""},
        {"program": "program.py:build"},
        ["task.yaml: program: program.py: no such file", "did you mean 'programm.py'?"],
    ),
    "missing metric function": (
        {"metric.py": "def scores(a, b): ...\n"},
        {"metric": "python: metric.py:score"},
        ["task.yaml: metric: metric.py has no function 'score'", "did you mean 'scores'?"],
    ),
    "unknown key": ({}, {"instructions": "x"}, ["task.yaml:15: unknown key 'instructions'", "mean 'instruction'?"]),
    "missing key": ({}, {"instruction": None}, ["task.yaml: 'instruction' is missing", "Add 'instruction'"]),
    "yes and no": (
        {},
        {"outputs": {"intent": {"choices": [True, False]}}},
        ["task.yaml:6: 'outputs.intent'", "True as bool", 'quote it, for example "yes"'],
    ),
    "shares": ({}, {"split": {"train": 0.9}}, ["task.yaml:15: 'split'", "sum to 1, not 1.5"]),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_bad_input_gives_one_clear_error(write_task: WriteTask, case: Case) -> None:
    files, changes, parts = case
    with pytest.raises(TaskError) as caught:
        load_task(write_task(files, **changes))
    assert caught.value.remedy
    for part in parts:
        assert part in str(caught.value)


def test_broken_yaml_names_its_line(write_task: WriteTask) -> None:
    with pytest.raises(TaskError, match=r"task\.yaml:2: not valid YAML"):
        load_task(write_task({"task.yaml": "name: x\ninputs: a: b\n"}) / "task.yaml")


def test_a_name_that_no_file_can_have_is_no_task(write_task: WriteTask) -> None:
    for name in ("x" * 300, "x\0y"):
        with pytest.raises(TaskError, match="no such task"):
            load_task(name)
    for change in ({"data": {"path": f"{'x' * 300}.jsonl"}}, {"instruction": {"file": "x" * 300}}):
        with pytest.raises(TaskError, match="no such file"):
            load_task(write_task(**change))
