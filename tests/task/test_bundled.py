"""The bundled tasks: how many examples they have, that none is there twice, and that their makers make them."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from docs.workshop import parse
from support.jobs import ROOT

from optimizer.job.judge_input import read_scored
from optimizer.task.load import load_task
from optimizer.task.metrics.judge import JudgeMetric
from optimizer.task.task import Task
from optimizer.task.tuning import tuning_task
from optimizer.types import Example

BUNDLED = ROOT / "tasks"
# The least number of examples in all splits together.
LEAST = {
    "invoice_fields": 216,
    "message_kind": 336,
    "policy_answers": 58,
    "review_tone": 520,
    "reviews_skewed": 280,
    "sql_write": 79,
    "summarize_fr": 64,
    "support_intent": 910,
    "tickets_fr": 315,
    "word_rules": 360,
}
MADE = ("invoice_fields", "reviews_skewed", "word_rules")

DESCRIBED = sorted(file.parent.name for file in BUNDLED.glob("*/README.md"))


def examples_of(task: Task) -> list[Example]:
    return [*task.train, *task.validation, *task.test]


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def make(name: str, out: Path, *options: object) -> None:
    """Run a task's make.py."""
    command = [sys.executable, str(BUNDLED / name / "make.py"), "--out", str(out), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=out.parent)
    assert done.returncode == 0, done.stderr


def test_every_bundled_task_is_counted_here() -> None:
    assert sorted(LEAST) == sorted(file.parent.name for file in BUNDLED.glob("*/task.yaml"))


@pytest.mark.parametrize("name", sorted(LEAST))
def test_a_bundled_task_has_examples_enough_in_each_split_and_none_twice(name: str) -> None:
    task = load_task(BUNDLED / name, scored=False)
    examples = examples_of(task)
    assert task.name == name
    assert task.description
    assert len(examples) >= LEAST[name]
    assert min(len(task.train), len(task.validation), len(task.test)) >= 15
    folded = Counter(" ".join(str(value) for value in example.inputs.values()).casefold() for example in examples)
    assert folded.most_common(1)[0][1] == 1
    for label, spec in task.outputs.items():
        for split in (task.train, task.validation, task.test):
            assert not spec.choices or {example.outputs[label] for example in split} == set(spec.choices)


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_readme_of_a_task_says_how_it_was_made_and_how_to_run_it(name: str) -> None:
    text = (BUNDLED / name / "README.md").read_text(encoding="utf-8")
    for words in ("## How it was made", "## How to run it", "The licence is the project's"):
        assert words in text
    assert "score is stated yet" in text or "## What a local model scores" in text
    lines = re.findall(r"^    (metier .*)$", text.replace("\\\n", ""), re.MULTILINE)
    assert {f"metier tasks check tasks/{name}", f"metier run tasks/{name}"} <= {line.split(" --")[0] for line in lines}
    for line in lines:
        parse(line)


@pytest.mark.parametrize("name", MADE)
def test_a_task_that_is_made_says_how_and_its_maker_makes_it(name: str, tmp_path: Path) -> None:
    assert "make.py" in (BUNDLED / name / "README.md").read_text(encoding="utf-8")
    make(name, tmp_path / "examples.jsonl")
    assert (tmp_path / "examples.jsonl").read_bytes() == (BUNDLED / name / "examples.jsonl").read_bytes()
    make(name, tmp_path / "other.jsonl", "--seed", 1)
    assert (tmp_path / "other.jsonl").read_bytes() != (tmp_path / "examples.jsonl").read_bytes()


def test_one_review_in_ten_is_unfavourable_in_each_split() -> None:
    task = load_task(BUNDLED / "reviews_skewed")
    counts = Counter(example.outputs["tone"] for example in examples_of(task))
    assert counts == {"positive": 252, "negative": 28}
    for split in (task.train, task.validation, task.test):
        rare = sum(example.outputs["tone"] == "negative" for example in split)
        assert rare / len(split) == pytest.approx(0.1, abs=0.01)
    reviews = {json.dumps(row) for row in rows_of(BUNDLED / "review_tone" / "examples.jsonl")}
    assert all(json.dumps(row) in reviews for row in rows_of(BUNDLED / "reviews_skewed" / "examples.jsonl"))


ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")


class Asked:
    """A question of word_rules as it is read from its text alone: what it says, and the words after the colon."""

    def __init__(self, question: str) -> None:
        self.question, (before, _, tail) = question, question.rpartition(": ")
        self.words, self.says = tail.split(", "), re.findall(r"\w+", before)
        self.word = "".join(re.findall(r"'(\w+)'", question))
        self.ordinals = [ORDINALS.index(word) for word in self.says if word in ORDINALS]
        self.number = next(map(int, re.findall(r"\d+", question)), 0)

    def reached(self, word: str) -> bool:
        return len(word) in (range(self.number + 1, 99) if "more" in self.says else range(self.number))


# The answers by another way than their maker's.
ANSWERS: dict[str, Callable[[Asked], str]] = {
    "last_letter": lambda asked: list(asked.words[asked.ordinals[0]]).pop(),
    "nth_letter": lambda asked: asked.words[asked.ordinals[1]][asked.ordinals[0]],
    "nth_word": lambda asked: asked.words[asked.ordinals[0]],
    "sort_words": lambda asked: ", ".join(sorted(asked.words, key=list)),
    "count_letter": lambda asked: str(
        len("-".join(asked.words).split(re.findall(r"letter (\w) ", asked.question)[0])) - 1
    ),
    "reverse": lambda asked: ", ".join("".join(reversed(word)) for word in asked.words),
    "first_in_alphabet": lambda asked: sorted(asked.words)[-1 if "last" in asked.says else 0],
    "longer_than": lambda asked: str(sum(map(asked.reached, asked.words))),
    "longest": lambda asked: sorted(asked.words, key=len)[0 if "shortest" in asked.says else -1],
    "initials": lambda asked: "".join(re.findall(r"\w\b" if "last" in asked.says else r"\b\w", " ".join(asked.words))),
    "count_vowels": lambda asked: str(
        len(re.sub("[aeiou]" if "consonants" in asked.says else "[^aeiou]", "", "".join(asked.words)))
    ),
    "word_after": lambda asked: asked.words[asked.words.index(asked.word) + (1 if "after" in asked.says else -1)],
}


def test_word_rules_have_thirty_questions_each_and_right_answers(tmp_path: Path) -> None:
    rows = rows_of(BUNDLED / "word_rules" / "examples.jsonl")
    assert set(Counter(row["rule"] for row in rows).values()) == {30}
    make("word_rules", tmp_path / "other.jsonl", "--seed", 3, "--size", 1205)
    others = rows_of(tmp_path / "other.jsonl")
    assert len({row["question"] for row in others}) == len(others) == 1205
    for row in (*rows, *others):
        assert row["answer"] == ANSWERS[row["rule"]](Asked(row["question"])), row


def test_each_word_rule_is_in_each_split() -> None:
    task = load_task(BUNDLED / "word_rules")
    for split in (task.train, task.validation, task.test):
        assert {example.slices["rule"] for example in split} == set(ANSWERS)


def dump(database: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as shop:
        return list(shop.iterdump())


def rounded(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(round(value, 6) if isinstance(value, float) else value for value in row) for row in rows]


def test_the_shop_is_small_and_made_by_its_maker(tmp_path: Path) -> None:
    shop = BUNDLED / "sql_write" / "shop.sqlite"
    make("sql_write", tmp_path / "shop.sqlite")
    # Not byte by byte: the file says which version of SQLite wrote it.
    assert dump(tmp_path / "shop.sqlite") == dump(shop)
    make("sql_write", tmp_path / "shop.sqlite", "--seed", 1)
    assert dump(tmp_path / "shop.sqlite") != dump(shop)
    assert shop.stat().st_size < 200_000


def test_each_question_has_a_query_of_its_own_with_rows_that_do_not_hang_on_the_order_of_a_scan() -> None:
    rows = rows_of(BUNDLED / "sql_write" / "questions.jsonl")
    assert Counter(row["difficulty"] for row in rows) == {"easy": 26, "medium": 27, "hard": 26}
    assert len({row["query"].casefold() for row in rows}) == len(rows)
    with closing(sqlite3.connect(f"file:{BUNDLED / 'sql_write' / 'shop.sqlite'}?mode=ro", uri=True)) as shop:
        for row in rows:
            results = []
            for reverse in ("OFF", "ON"):
                shop.execute(f"PRAGMA reverse_unordered_selects={reverse}")
                results.append(rounded(shop.execute(row["query"]).fetchall()))
            one, other = results
            assert one, row["question"]
            assert any(value is not None for value in one[0]), row["question"]
            assert one == other if "ORDER BY" in row["query"] else Counter(one) == Counter(other), row["question"]


def test_the_shops_orders_make_sense() -> None:
    with closing(sqlite3.connect(f"file:{BUNDLED / 'sql_write' / 'shop.sqlite'}?mode=ro", uri=True)) as shop:
        for wrong in (
            "SELECT 1 FROM orders WHERE shipped < ordered",
            "SELECT 1 FROM orders WHERE (shipped IS NOT NULL) <> (status IN ('shipped', 'returned'))",
            "SELECT 1 FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.ordered < c.joined",
            "SELECT 1 FROM items i JOIN products p ON p.id = i.product_id WHERE i.price > p.price",
            "SELECT 1 FROM items WHERE product_id NOT IN (SELECT id FROM products)",
            "SELECT 1 FROM orders o LEFT JOIN items i ON i.order_id = o.id WHERE i.order_id IS NULL",
        ):
            assert not shop.execute(wrong).fetchall(), wrong


def test_invoices_are_in_four_languages_and_six_layouts() -> None:
    rows = rows_of(BUNDLED / "invoice_fields" / "examples.jsonl")
    counts = Counter((row["language"], row["layout"]) for row in rows)
    layouts = {"letter": 10, "receipt": 10, "mail": 10, "table": 10, "scan": 10, "odd": 4}
    assert counts == {
        (language, layout): layouts[layout] for language in ("en", "de", "fr", "it") for layout in layouts
    }
    assert {row["invoice"]["currency"] for row in rows} == {"EUR", "CHF", "GBP", "USD"}
    task = load_task(BUNDLED / "invoice_fields")
    for split in (task.train, task.validation, task.test):
        assert {example.slices["layout"] for example in split} == set(layouts)
        assert {example.slices["language"] for example in split} == {"en", "de", "fr", "it"}


def test_what_is_asked_of_an_invoice_stands_in_it(tmp_path: Path) -> None:
    make("invoice_fields", tmp_path / "other.jsonl", "--seed", 5, "--each", 20)
    others = rows_of(tmp_path / "other.jsonl")
    assert len({row["text"] for row in others}) == len(others) == 416
    for row in (*rows_of(BUNDLED / "invoice_fields" / "examples.jsonl"), *others):
        text, wanted = row["text"], row["invoice"]
        assert wanted["number"] in text
        assert wanted["seller"].casefold() in text.casefold()
        assert str(date.fromisoformat(wanted["date"]).day) in text
        digits = re.sub(r"(?<=\d)[.,' ](?=\d)", "", text)
        for amount in ("total", "vat"):
            assert not wanted[amount] or str(round(abs(wanted[amount]) * 100)) in digits, row
        assert abs(wanted["vat"]) < abs(wanted["total"]) / 4


def test_an_invoice_is_scored_field_by_field_to_the_cent() -> None:
    task = load_task(BUNDLED / "invoice_fields")
    example = task.test[0]
    wanted = example.outputs["invoice"]
    assert task.metric(example, {"invoice": json.dumps(wanted)})[0] == 1.0
    score, remark = task.metric(example, {"invoice": json.dumps({**wanted, "total": wanted["total"] + 0.02})})
    assert score == pytest.approx(5 / 7)
    assert "total" in remark
    assert task.metric(example, {"invoice": json.dumps({**wanted, "date": "tomorrow"})})[0] == pytest.approx(3 / 7)


def test_french_texts_have_a_summary_of_one_sentence_and_two_metrics() -> None:
    rows = rows_of(BUNDLED / "summarize_fr" / "examples.jsonl")
    assert Counter(row["kind"] for row in rows) == {"mail": 22, "avis": 21, "compte rendu": 21}
    for row in rows:
        assert 80 <= len(row["text"].split()) <= 150
        assert len(row["summary"].split()) <= 40
        assert re.findall(r"[.!?]", row["summary"]) == ["."]
        assert row["summary"].endswith(".")
    task, judged = load_task(BUNDLED / "summarize_fr"), load_task(BUNDLED / "summarize_fr" / "judge.yaml")
    assert [example.id for example in judged.test] == [example.id for example in task.test]
    assert (task.metric.name, judged.metric.name) == ("chrf", "judge")
    example = task.test[0]
    assert task.metric(example, dict(example.outputs))[0] == 1.0


def test_a_hundred_and_twenty_answers_are_graded_by_each_criterion() -> None:
    folder = BUNDLED / "policy_answers"
    task = load_task(folder / "judge.yaml")
    assert isinstance(task.metric, JudgeMetric)
    asked = {(example.inputs["policy"], example.inputs["question"]): example for example in examples_of(task)}
    rows = rows_of(folder / "scored.jsonl")
    assert len({row["reply"] for row in rows}) == len(rows) == 120
    assert {asked[row["policy"], row["question"]].outputs["answer"] == row["answer"] for row in rows} == {True}
    assert len({(row["policy"], row["question"]) for row in rows}) == len(asked)
    for name, criterion in task.metric.criteria.items():
        assert {row[name] for row in rows} == set(criterion.levels)
    counts = Counter(row["kind"] for row in rows)
    assert len(counts) == 11
    assert min(counts.values()) >= 6
    scored = read_scored(task, folder / "judge.yaml", str(folder / "scored.jsonl"), None, ["reply"])
    tuning = tuning_task(task, task.metric, scored)
    assert [len(split) for split in (tuning.task.train, tuning.task.validation, tuning.task.test)] == [144, 108, 108]
