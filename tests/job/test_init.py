"""`metier init --yes` on files as people have them: a task that `tasks check` accepts, or one clear message."""

from __future__ import annotations

import datetime as dt
import json
import random
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from task.test_shapes import LOADS, REFUSED, table, workbook

from optimizer.config.load import load_config
from optimizer.errors import ConfigError, MetierError, TaskError
from optimizer.job.init import Proposal, propose, read_examples
from optimizer.job.init_files import folder_of, source_of
from optimizer.job.init_files import write as write_files
from optimizer.job.profile import check_task
from optimizer.task.guess import AnswerNeeded, Wishes
from optimizer.task.task import Task

WORDS = [
    *(
        "parcel",
        "invoice",
        "late",
        "broken",
        "refund",
        "address",
        "order",
        "number",
        "payment",
        "door",
        "ring",
        "delay",
    ),
    *("box", "letter", "call", "shop", "week"),
]


def text(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words)) + f" {draw.randint(1, 10**6)}"


def made(count: int, **columns: Any) -> list[dict[str, Any]]:
    """Return rows with a message of their own and what the functions of (random, number) say."""
    draw = random.Random(7)
    return [
        {"message": text(draw, 8), **{name: value(draw, number) for name, value in columns.items()}}
        for number in range(count)
    ]


def proposed(data: Path, **wishes: Any) -> Proposal:
    return propose(read_examples(source_of(str(data))), Wishes(**wishes))


def write(proposal: Proposal, folder: Path) -> list[Path]:
    return write_files(proposal.source, proposal.written, proposal.data, proposal.run, folder)


def as_written(proposal: Proposal) -> dict[str, Any]:
    return {**proposal.written, "run": proposal.run}


def initialized(data: Path, out: Path, **wishes: Any) -> Task:
    """Return the task that is written, as `tasks check` reads it; the run beside it names it."""
    proposal = proposed(data, **wishes)
    files = write(proposal, folder_of(proposal.source, str(out)))
    checked = check_task(out)
    assert checked.task is not None, checked.refusal
    assert checked.task.fingerprint == proposal.task.fingerprint
    assert files[-1] == out / "run.yaml"
    assert Path(load_config(files[-1]).task) == out / "task.yaml"
    return checked.task


def csv_of(folder: Path, rows: list[dict[str, Any]], name: str = "data.csv") -> Path:
    (folder / name).write_bytes(table(rows))
    return folder / name


SHAPES = {name: file for name, (file, _, _) in LOADS.items()}
SHAPES |= {f"refused: {name}": file for name, (file, _, _) in REFUSED.items()}
# Of these files none can be made a task without another answer from their owner.
QUESTIONS = {
    "refused: a label column of NULLs": "'intent' has no value",
    "refused: no header": "it has no header line: 'bill' is a column's name, and a value in it",
    "refused: decimal commas": "the answer 'intent' has decimal commas, as in '0,5'",
    "refused: a NUL": "holds a NUL byte",
    "refused: no table": "not valid UTF-8",
    "refused: unquoted commas": "has 3 cells where the header has 2",
    "refused: all at once": "has 3 cells where the header has 2",
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_is_a_task_or_one_clear_message(name: str, tmp_path: Path) -> None:
    file, content = SHAPES[name]
    (tmp_path / file).write_bytes(content)
    if name in QUESTIONS:
        with pytest.raises(TaskError) as caught:
            initialized(tmp_path / file, tmp_path / "out")
        assert QUESTIONS[name] in caught.value.what
        assert caught.value.remedy
    else:
        task = initialized(tmp_path / file, tmp_path / "out")
        assert [*task.inputs] == (["Message"] if name == "refused: another header" else ["message"])
        assert [*task.outputs] == (["team"] if name == "refused: another header" else ["intent"])


def test_there_are_at_least_twenty_shapes_of_which_most_are_tasks() -> None:
    assert len(SHAPES) - len(QUESTIONS) >= 30


TYPES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "labels": (lambda draw, n: ("a", "b")[n % 2], {"choices": ("a", "b")}, "choice"),
    "rare labels": (lambda draw, n: ("a", "b")[n % 12 == 0], {"choices": ("a", "b")}, "macro_f1"),
    "numbers as labels": (lambda draw, n: n % 5 + 1, {"choices": ("1", "2", "3", "4", "5")}, "choice"),
    "yes and no": (lambda draw, n: ("Yes", "no")[n % 2], {"choices": ("Yes", "no")}, "choice"),
    "true and false": (lambda draw, n: n % 2 == 0, {"type": "bool"}, "exact_match"),
    "counts": (lambda draw, n: n % 15, {"type": "int"}, "numeric"),
    "frequent answers": (
        lambda draw, n: f"name {draw.randint(1, 30)}" if n % 3 else f"other {n}",
        {"type": "str"},
        "token_f1",
    ),
    "numbers": (lambda draw, n: round(draw.uniform(1, 99), 2), {"type": "float"}, "numeric"),
    "whole numbers": (lambda draw, n: draw.randint(1, 10**6), {"type": "int"}, "numeric"),
    "short texts": (lambda draw, n: text(draw, 2), {"type": "str"}, "token_f1"),
    "long texts": (lambda draw, n: text(draw, 40), {"type": "str"}, "rouge"),
    "lists": (lambda draw, n: json.dumps(draw.sample(WORDS, 3)), {"type": "list[str]"}, "set_f1"),
    "objects": (lambda draw, n: json.dumps({"item": draw.choice(WORDS), "n": n}), {"type": "json"}, "json_fields"),
    "other letters": (lambda draw, n: "你好，世界，今天天气很好" + chr(0x4E00 + n), {"type": "str"}, "token_f1"),
}


@pytest.mark.parametrize("name", TYPES)
def test_the_answer_has_its_type_and_metric(name: str, tmp_path: Path) -> None:
    value, expected, metric = TYPES[name]
    task = initialized(csv_of(tmp_path, made(60, answer=value)), tmp_path / "out")
    spec = task.outputs["answer"]
    assert {key: getattr(spec, key) for key in expected} == expected or set(spec.choices or ()) == set(
        expected["choices"]
    )
    assert task.metric.name == metric


def test_lists_by_commas_are_lists(tmp_path: Path) -> None:
    rows = made(60, tags=lambda draw, n: ", ".join(draw.sample(WORDS, 2)))
    assert initialized(csv_of(tmp_path, rows), tmp_path / "out").outputs["tags"].type == "list[str]"


def test_ids_times_constants_and_unique_numbers_are_no_inputs(tmp_path: Path) -> None:
    start = dt.date(2024, 1, 1)
    rows = made(
        60,
        ticket_id=lambda draw, n: f"T-{n}",
        at=lambda draw, n: str(start + dt.timedelta(days=n)),
        version=lambda draw, n: "1.2",
        total=lambda draw, n: round(draw.uniform(1, 10**6), 2),
        label=lambda draw, n: ("a", "b", "c")[n % 3],
    )
    proposal = proposed(csv_of(tmp_path, rows))
    assert [*proposal.task.inputs] == ["message"]
    assert as_written(proposal)["split"]["time"] == "at"
    left = next(value for what, value, _ in proposal.reasons if what == "left out")
    assert left == "ticket_id, at, version, total"


def test_customers_stay_in_one_split(tmp_path: Path) -> None:
    rows = made(60, customer_id=lambda draw, n: f"C{n // 3}", label=lambda draw, n: ("a", "b")[n % 2])
    proposal = proposed(csv_of(tmp_path, rows))
    assert as_written(proposal)["split"]["group"] == "customer_id"
    why = next(why for what, _, why in proposal.reasons if what == "split")
    assert "customer_id repeats (3.0 rows each)" in why


def test_who_wrote_a_text_may_be_the_answer(tmp_path: Path) -> None:
    rows = made(60, author=lambda draw, n: f"Author {n % 10}")
    assert [*initialized(csv_of(tmp_path, rows), tmp_path / "out").outputs] == ["author"]


def test_a_time_that_splits_badly_is_taken_back(tmp_path: Path) -> None:
    rows = made(40, at=lambda draw, n: "2024-01-01" if n else "2024-01-02", label=lambda draw, n: "ab"[n % 2])
    proposal = proposed(csv_of(tmp_path, rows))
    assert "time" not in as_written(proposal)["split"]
    assert any(what == "split" and why.startswith("not by at: ") for what, _, why in proposal.reasons)


def test_what_the_data_need_is_repaired_and_counted(tmp_path: Path) -> None:
    rows = made(60, label=lambda draw, n: ("Yes please", "not now", "later")[n % 3])
    rows[1]["label"], rows[5]["label"], rows[7]["label"] = "NOT NOW", " later ", ""
    rows += [dict(rows[9]), {**rows[10], "label": "later" if rows[10]["label"] != "later" else "not now"}]
    proposal = proposed(csv_of(tmp_path, rows))
    assert proposal.data["repair"] == [
        *("trim", "fold_case", "drop_blank", "drop_duplicates", "drop_conflicting"),
    ]
    why = next(why for what, _, why in proposal.reasons if what == "repair")
    assert "drop_conflicting left out 2 rows" in why


def test_several_columns_that_may_be_the_answer_are_a_question(tmp_path: Path) -> None:
    rows = made(60, a=lambda draw, n: "xy"[n % 2], b=lambda draw, n: "uv"[n % 2])
    data = csv_of(tmp_path, rows)
    with pytest.raises(AnswerNeeded, match="which column is the answer\\? 'a', 'b'") as caught:
        proposed(data)
    assert caught.value.choices == ("a", "b")
    assert [*initialized(data, tmp_path / "out", answers=("b",)).outputs] == ["b"]
    both = initialized(data, tmp_path / "both", answers=("a", "b"), inputs=("message",))
    assert ([*both.outputs], both.metric.name) == (["a", "b"], "composite")
    with pytest.raises(TaskError, match=r"no column 'c'"):
        proposed(data, answers=("c",))


def test_columns_whose_names_no_field_can_have_are_mapped(tmp_path: Path) -> None:
    rows = [{"What was said?": row["message"], "class": "ab"[n % 2]} for n, row in enumerate(made(40))]
    proposal = proposed(csv_of(tmp_path, rows))
    assert as_written(proposal)["fields"] == {"What_was_said": "What was said?", "class_text": "class"}


def test_own_splits_are_kept(tmp_path: Path) -> None:
    rows = made(60, label=lambda draw, n: "ab"[n % 2])
    csv_of(tmp_path, rows[:40], "my_train.csv")
    csv_of(tmp_path, rows[40:], "my_test.csv")
    assert len(initialized(tmp_path, tmp_path / "out").test) == 20


def test_a_folder_of_texts_is_labelled_by_its_folders_or_a_table(tmp_path: Path) -> None:
    mails = tmp_path / "mails"
    for number, row in enumerate(made(40)):
        (mails / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        (mails / "ab"[number % 2] / f"{number}.txt").write_text(row["message"])
    task = initialized(mails, tmp_path / "out")
    assert ([*task.inputs], [*task.outputs]) == (["text"], ["folder"])
    csv_of(mails, [{"file": f"{n}.txt", "team": "xy"[n % 2]} for n in range(40)], "labels.csv")
    assert [*initialized(mails, tmp_path / "by_table").outputs] == ["team"]
    (mails / "labels.csv").unlink()
    with pytest.raises(TaskError, match="nothing tells the answers"):
        proposed(mails / "a")


def test_of_many_rows_a_sample_is_proposed(tmp_path: Path) -> None:
    task = initialized(csv_of(tmp_path, made(5000, label=lambda draw, n: "ab"[n % 2])), tmp_path / "out")
    assert (len(task.train), len(task.test)) == (600, 800)


def test_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    proposal = proposed(csv_of(tmp_path, made(40, label=lambda draw, n: "ab"[n % 2])))
    write(proposal, folder_of(proposal.source, None))
    assert sorted(file.name for file in (tmp_path / "data").iterdir()) == ["data.csv", "run.yaml", "task.yaml"]
    with pytest.raises(ConfigError, match=r"data/task.yaml, data/run.yaml are there already"):
        folder_of(proposal.source, None)
    (tmp_path / "data" / "task.yaml").unlink()
    (tmp_path / "data" / "run.yaml").unlink()
    (tmp_path / "data" / "data.csv").write_text("mine")
    with pytest.raises(ConfigError, match=r"data.csv is there already"):
        write(proposal, folder_of(proposal.source, None))
    assert (tmp_path / "data" / "data.csv").read_text() == "mine"
    assert not (tmp_path / "data" / "task.yaml").exists()


def test_data_in_the_folder_itself_stays_where_it_is(tmp_path: Path) -> None:
    proposal = proposed(csv_of(tmp_path, made(40, label=lambda draw, n: "ab"[n % 2])))
    assert [file.name for file in write(proposal, folder_of(proposal.source, str(tmp_path)))] == [
        "task.yaml",
        "run.yaml",
    ]
    assert yaml.safe_load((tmp_path / "task.yaml").read_text())["data"]["path"] == "data.csv"


def test_large_data_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.job.init_files.MOST_COPIED", 10)
    initialized(csv_of(tmp_path, made(40, label=lambda draw, n: "ab"[n % 2])), tmp_path / "below" / "out")
    data = yaml.safe_load((tmp_path / "below" / "out" / "task.yaml").read_text())["data"]
    assert data["path"] == "../../data.csv"


def test_a_judge_scores_texts_where_it_is_asked_for(tmp_path: Path) -> None:
    data = csv_of(tmp_path, made(40, summary=lambda draw, n: text(draw, 30)))
    assert initialized(data, tmp_path / "out", judge=True).metric.name == "judge"
    proposal = proposed(data, judge=True)
    assert as_written(proposal)["metric"]["name"] == "judge"
    assert as_written(proposal)["run"]["models"]["judge"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "has no examples"),
        ("a.csv", b"message,label\n", "has no examples"),
        ("a.csv", b"message\none\ntwo\nthree\n", "only 'message' can be an input or an answer"),
        ("a.csv", b"message,label\none,a\ntwo,b\nthree,a\nfour,b\n", "4 examples give train"),
        ("a.txt", b"message", "unknown kind of file '.txt'"),
        ("a.json", b'{"message": 1}', "must be a list of objects"),
    ],
)
def test_what_cannot_be_a_task_is_refused_by_one_message(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MetierError) as caught:
        proposed(tmp_path / name)
    assert message in caught.value.what
    assert caught.value.remedy


CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(["message", "label", "customer_id", "at", "class", "{x}", "1", "a b", "_", "", "é"])


ROWS = st.lists(
    st.tuples(
        st.dictionaries(NAMES, CELLS, max_size=4), st.text(min_size=1, max_size=30), st.sampled_from(" abB") | CELLS
    ),
    min_size=1,
    max_size=24,
)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.integers(1, 3))
def test_any_rows_are_a_task_or_one_message(rows: list[tuple[dict[str, Any], str, Any]], times: int) -> None:
    lines = [json.dumps({**noise, "message": message, "label": label}) for noise, message, label in rows * times]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_text("\n".join(lines))
        with suppress(MetierError):  # anything else is a bug
            assert initialized(path, Path(folder) / "out").train


def test_a_misspelt_file_is_asked_for(tmp_path: Path) -> None:
    csv_of(tmp_path, made(3))
    with pytest.raises(TaskError, match=r"did you mean 'data\.csv'"):
        source_of(str(tmp_path / "date.csv"))
    (tmp_path / "two").mkdir()
    with pytest.raises(TaskError, match="no file of examples"):
        source_of(str(tmp_path / "two"))
    csv_of(tmp_path / "two", made(3), "a.csv")
    (tmp_path / "two" / "b.xlsx").write_bytes(workbook(made(3)))
    with pytest.raises(TaskError, match=r"which of its files has the examples\? a.csv, b.xlsx"):
        source_of(str(tmp_path / "two"))
