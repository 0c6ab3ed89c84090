"""The test split is read by nobody between the start of the search and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.jobs import lighten, make_task, rule, settings, write_config

import optimizer.job.run
import optimizer.job.stages
import optimizer.prompt.overlap
from optimizer.errors import MetierError
from optimizer.job.run import run_config
from optimizer.ledger.reader import Reader
from optimizer.ledger.trials import all_trials
from optimizer.search.schedule import Schedule
from optimizer.testing.fake_server import Answer, FakeServer, Messages
from optimizer.testing.label_model import LabelModel
from optimizer.types import Example


class Poisoned(Sequence[Example]):
    """A split that may be counted; while `locked`, reading an example of it ends the run, or is `found` at least."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples, self.locked, self.reads, self.found = examples, False, 0, 0

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, place: Any) -> Any:
        self.reads, self.found = self.reads + 1, self.found + self.locked
        assert not self.locked, f"the test split was read before the verdict: {place}"
        return self.examples[place]


Poisoner = Callable[[], Poisoned]


@pytest.fixture
def poisoner(monkeypatch: pytest.MonkeyPatch) -> Poisoner:
    """Poison the split of the next run from the start of its search to the call of `final_test`.

    The look for near-duplicates across the splits comes before: the search learns nothing of it. What demos are
    drawn from is put together after it, and locked.
    """
    made: list[Poisoned] = []
    load = optimizer.job.run.load_task_of
    near, verdict = optimizer.job.stages.near_duplicates, optimizer.job.stages.final_test

    def loaded(*arguments: Any, **options: Any) -> Any:
        task = load(*arguments, **options)
        made.append(Poisoned(task.test))
        return task.changed(test=made[-1])

    def locked(*arguments: Any) -> Any:
        found = near(*arguments)
        made[-1].locked = True
        return found

    async def unlocked(*arguments: Any) -> Any:
        made[-1].locked, made[-1].reads = False, 0
        return await verdict(*arguments)

    monkeypatch.setattr(optimizer.job.run, "load_task_of", loaded)
    monkeypatch.setattr(optimizer.job.stages, "near_duplicates", locked)
    monkeypatch.setattr(optimizer.job.stages, "final_test", unlocked)
    return lambda: made[-1]


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer = rule, **changes: Any) -> Any:
    lighten(monkeypatch.setattr)
    with FakeServer(answer) as server:
        # A prompt model and a price, so that the proposers and the forecast run too.
        priced = {"model": "openai/fake", "price": {"input": 1.0, "output": 2.0}}
        models = {"task": priced, "prompt": "openai/fake", "api_base": server.api_base, "concurrency": 4}
        data = settings(make_task(folder / "task"), server.api_base, run_dir=str(folder / "out"), models=models)
        return run_config(write_config(folder / "run.yaml", data | changes))


def test_a_whole_run_reads_no_test_example_before_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poisoner: Poisoner
) -> None:
    report = run(tmp_path, monkeypatch)
    assert report.verdict == "improved"
    assert poisoner().reads > 0  # the verdict itself did read it
    assert poisoner().found == 0  # nor did anybody who hides what is raised


def likely(messages: Messages) -> dict[str, float]:
    """Return how likely each label is to a model that is right by itself, but favours one label far too much."""
    right = rule(messages)
    return {label: 2.0 * (label == right) + 3.0 * (label == "bird") for label in ("fruit", "metal", "bird")}


def test_a_readout_is_fitted_without_the_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poisoner: Poisoner
) -> None:
    report = run(tmp_path, monkeypatch, LabelModel(likely))
    (prompt,) = report.winner.candidate.prompts.values()
    assert prompt.calibration is not None
    assert prompt.calibration.offsets[2] < 0 < min(prompt.calibration.offsets[:2])
    assert poisoner().found == 0


def test_a_search_that_looks_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poisoner: Poisoner) -> None:
    rounds = Schedule.rounds

    def looking(schedule: Schedule) -> Iterator[int]:
        assert poisoner()[0].inputs
        return rounds(schedule)

    monkeypatch.setattr(Schedule, "rounds", looking)
    with pytest.raises((AssertionError, MetierError), match="read before the verdict"):
        run(tmp_path, monkeypatch)


@pytest.mark.parametrize("strategy", ["gepa-like", "capo-like", "dspy.BootstrapFewShot"])
def test_other_strategies_read_none_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poisoner: Poisoner, strategy: str
) -> None:
    run(tmp_path, monkeypatch, search={"strategy": strategy, **({} if strategy.startswith("dspy") else {"trials": 6})})
    assert (poisoner().found, poisoner().locked) == (0, False)


def test_another_test_split_changes_nothing_of_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What leaks in some other way than by an example that is read, a count of labels, say, would change a trial."""
    load = optimizer.job.run.load_task_of

    def trials(turned: bool) -> list[tuple[Any, ...]]:
        def loaded(*arguments: Any, **options: Any) -> Any:
            task = load(*arguments, **options)
            others = tuple(
                Example({"text": f"a sentence of another test, {n}"}, e.outputs) for n, e in enumerate(task.test)
            )
            return task.changed(test=others) if turned else task

        monkeypatch.setattr(optimizer.job.run, "load_task_of", loaded)
        folder = tmp_path / str(turned)
        folder.mkdir()
        report = run(folder, monkeypatch)
        with closing(Reader(report.run_dir / "ledger.db")) as ledger:
            return [(row.candidate_id, row.state, row.value, row.seen) for row in all_trials(ledger)]

    assert trials(False) == trials(True)
