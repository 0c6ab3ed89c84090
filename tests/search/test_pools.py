from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimizer.config.schema import Demos, SearchConfig
from optimizer.errors import BudgetSpent
from optimizer.prompt.program import ROOT, Programs
from optimizer.propose.base import Proposal, Subject
from optimizer.propose.registry import WRITING
from optimizer.search.pools import make_space
from optimizer.search.space import Pool, Space
from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.types import Candidate, Example, Prompt

OUTPUTS = {"intent": FieldSpec(choices=("bill", "card"))}


class FakeGrounded:
    """Writes `count` instructions, or runs out of budget."""

    budget = True
    asked: list[int] = []  # noqa: RUF012

    def __init__(self, lm: Any) -> None:
        pass

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        self.asked.append(count)
        if not self.budget:
            raise BudgetSpent("calls")
        return [Proposal(f"written in way {n}", "grounded") for n in range(count)]


class Silent(FakeGrounded):
    """Has nothing to say."""

    async def propose(self, subject: Subject, count: int) -> list[Proposal]:
        return []


@pytest.fixture
def grounded(monkeypatch: pytest.MonkeyPatch) -> type[FakeGrounded]:
    class Fresh(FakeGrounded):
        asked: list[int] = []  # noqa: RUF012

    monkeypatch.setitem(WRITING, "grounded", Fresh)
    monkeypatch.setitem(WRITING, "induce", Silent)
    return Fresh


def make_task(folder: Path, train: int = 20) -> Task:
    return Task.from_parts(
        name="tiny",
        description="Sort the mail.",
        instruction="Classify.",
        inputs={"message": FieldSpec()},
        outputs=OUTPUTS,
        train=tuple(Example({"message": str(n)}, {"intent": "bill" if n % 2 else "card"}) for n in range(train)),
        validation=(),
        test=(),
        metric=build_metric("exact_match", OUTPUTS, folder),
        folder=folder,
    )


def space_of(task: Task, config: SearchConfig, writer: Any = None, seed: int = 0) -> tuple[Space, Pool]:
    programs = Programs(task, task.train, lambda texts: np.ones((len(texts), 1), np.float32))
    made = asyncio.run(make_space(programs, config, seed, writer))
    assert list(made.pools) == [ROOT]
    return made, made.pools[ROOT]


def test_the_seed_comes_first_and_templates_fill_the_pool(tmp_path: Path) -> None:
    made, pool = space_of(make_task(tmp_path), SearchConfig(instructions=4, formats=("turns",)))
    assert pool.instructions[0] == Proposal("Classify.", "seed")
    assert [p.origin for p in pool.instructions] == ["seed", "templates", "templates", "templates"]
    assert made.formats == ("turns",)


def test_a_pool_of_one_is_the_seed(tmp_path: Path) -> None:
    _, pool = space_of(make_task(tmp_path), SearchConfig(instructions=1))
    assert pool.instructions == (Proposal("Classify.", "seed"),)


def test_demo_sets_are_as_long_as_the_largest_count(tmp_path: Path) -> None:
    _, pool = space_of(make_task(tmp_path), SearchConfig(demos=Demos(counts=(0, 3, 6), sets=5)))
    assert [len(drawn) for drawn in pool.sets] == [6] * 5
    assert pool.retrievable == 20


def test_without_examples_there_are_no_demos(tmp_path: Path) -> None:
    made, pool = space_of(make_task(tmp_path, train=0), SearchConfig())
    assert pool.sets == ((),)
    assert made.counts(pool) == [0]


def test_the_seed_decides_the_sets(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    assert space_of(task, SearchConfig(), seed=1)[1] == space_of(task, SearchConfig(), seed=1)[1]
    assert space_of(task, SearchConfig(), seed=1)[1].sets != space_of(task, SearchConfig(), seed=2)[1].sets


def test_a_writer_and_the_templates_share_the_pool(tmp_path: Path, grounded: type[FakeGrounded]) -> None:
    _, pool = space_of(make_task(tmp_path), SearchConfig(instructions=7), writer=object())
    assert [p.origin for p in pool.instructions] == ["seed"] + ["grounded"] * 3 + ["templates"] * 3
    assert grounded.asked == [3]


def test_a_spent_budget_leaves_what_there_is(tmp_path: Path, grounded: type[FakeGrounded]) -> None:
    grounded.budget = False
    _, pool = space_of(make_task(tmp_path), SearchConfig(instructions=7), writer=object())
    assert pool.instructions[0] == Proposal("Classify.", "seed")
    assert "grounded" not in {p.origin for p in pool.instructions}


def test_what_is_written_twice_is_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WRITING, "induce", Silent)

    class Parrot(FakeGrounded):
        async def propose(self, subject: Subject, count: int) -> list[Proposal]:
            return [Proposal(f" {subject.instruction.upper()} ", "grounded")] * count

    monkeypatch.setitem(WRITING, "grounded", Parrot)
    _, pool = space_of(make_task(tmp_path), SearchConfig(instructions=7), writer=object())
    assert [p.origin for p in pool.instructions] == ["seed"] + ["templates"] * 6


def test_who_is_not_named_writes_nothing(tmp_path: Path, grounded: type[FakeGrounded]) -> None:
    named = SearchConfig(instructions=7, proposers=("templates", "edit"))
    _, pool = space_of(make_task(tmp_path), named, writer=object())
    assert [p.origin for p in pool.instructions] == ["seed"] + ["templates"] * 6
    assert grounded.asked == []


def test_what_copies_the_data_stays_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WRITING, "induce", Silent)

    class Copier(FakeGrounded):
        async def propose(self, subject: Subject, count: int) -> list[Proposal]:
            return [Proposal("Answer as in <example>: see https://evil.example", "grounded")] * count

    monkeypatch.setitem(WRITING, "grounded", Copier)
    _, pool = space_of(make_task(tmp_path), SearchConfig(instructions=7), writer=object())
    assert "grounded" not in {p.origin for p in pool.instructions}


def test_a_prompt_to_begin_with_leads_the_instructions_and_the_demo_sets(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    config = SearchConfig(formats=("turns",), demos=Demos(counts=(0, 4)))
    programs = Programs(task, task.train, lambda texts: np.ones((len(texts), 1), np.float32))
    first = Candidate({ROOT: Prompt("Sort it well.", count=2, demos=task.train[3:5])})
    pool = asyncio.run(make_space(programs, config, 0, None, first=first)).pools[ROOT]
    assert [(one.text, one.origin) for one in pool.instructions[:2]] == [
        ("Sort it well.", "seed"),
        ("Classify.", "task"),
    ]
    assert pool.instructions[2].text.startswith("Sort it well."), "who proposes begins with it"
    assert pool.sets[0][:2] == task.train[3:5]
    assert all(len({demo.id for demo in demos}) == 4 for demos in pool.sets)
