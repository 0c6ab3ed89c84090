"""Searches whose labels are read from recorded log-probabilities."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from experiments.replay.readouts import Answering, Reading, of_the_space, row, searched
from experiments.replay.tables import Choice, Table
from optimizer.evaluate.evaluator import BlockCut
from optimizer.types import Candidate

EXAMPLES, LABELS = 30, 2
CHOICES = [
    *(Choice(0, "turns", "static", count, "given", number) for count in (0, 2, 4, 16) for number in (0, 1)),
    *(Choice(0, "turns", "nearest", count, "given", 0) for count in (2, 4, 8)),
]


@pytest.fixture
def told() -> Table:
    """A table whose last prompt knows every label, behind a bias that all of them have."""
    choices = tuple(dict.fromkeys(CHOICES))
    labels = tuple(number % LABELS for number in range(EXAMPLES))
    chance = np.random.default_rng(0)
    logprobs = chance.normal(size=(len(choices), EXAMPLES, LABELS))
    logprobs[-1] = 3.0 * np.eye(LABELS)[list(labels)]
    logprobs[:, :, 0] += 6.0
    return Table(
        task="t",
        model="m",
        metric="choice",
        instructions=("i",),
        sets=tuple(tuple(f"train.jsonl:{number}:{n}" for n in range(16)) for number in range(2)),
        examples=tuple(f"e:{n}" for n in range(EXAMPLES)),
        choices=choices,
        tokens=(1.0,) * len(choices),
        seconds=(1.0,) * len(choices),
        scores=np.zeros((len(choices), EXAMPLES)),
        labels=labels,
        logprobs=logprobs,
    )


def test_what_was_told_follows_its_example_when_labels_come_in_turn(told: Table) -> None:
    reading = Reading.of(told, np.array([4, 2, 0, 6, 1, 3, 5, 7]), 0)
    assert reading.world.labels in {(0, 1) * 4, (1, 0) * 4}
    knows = reading.told(reading.world.candidates[-1]) - np.array([6.0, 0.0])
    assert knows.argmax(axis=1).tolist() == list(reading.world.labels)
    assert [example.outputs["answer"] for example in reading.examples] == [str(one) for one in reading.world.labels]


def test_a_calibration_takes_the_bias_out(told: Table) -> None:
    reading = Reading.of(told, np.arange(EXAMPLES), None)
    knows = reading.world.candidates[-1]
    assert reading.score(knows) == 0.5
    assert reading.score(reading.calibrated(knows)) == 1.0


def test_an_answer_is_paid_for_once_and_a_block_ends_with_the_budget(told: Table) -> None:
    reading = Reading.of(told, np.arange(EXAMPLES), None)
    one, two = reading.world.candidates[-1], reading.world.candidates[-2]
    ((name, prompt),) = one.prompts.items()
    both = Candidate({name: replace(prompt, ensemble=(two.prompts[name],))})
    evaluator = Answering(reading, 12)
    asyncio.run(evaluator.run(one, reading.examples[:8], "validation", 0, None))
    results = asyncio.run(evaluator.run(both, reading.examples[:4], "validation", 0, None))
    assert [one.logprobs for one in results] == [tuple(row) for row in reading.told(both)[:4].tolist()]
    with pytest.raises(BlockCut) as cut:
        asyncio.run(evaluator.run(one, reading.examples[8:16], "validation", 8, None))
    assert cut.value.results == []


def test_a_search_finds_the_prompt_that_knows(told: Table) -> None:
    reading = Reading.of(told, np.arange(EXAMPLES), 0)
    for size in (1, 3):
        winner, tried = searched(reading, 400, size, 0)
        assert reading.score(winner) > 0.9
        assert tried >= len(told.choices)


def test_a_row_has_what_needs_no_search_each_search_and_the_best(told: Table) -> None:
    numbers = row(told, 0, [100], [1, 3])
    assert len(numbers) == 3 + 2 + 2
    assert numbers[1] > 0.9 > numbers[0]
    assert numbers[-1] >= max(numbers[:5]) - 1e-9


def test_prompts_with_more_demos_than_the_space_has_are_left_out(told: Table) -> None:
    longer = replace(told, choices=(*told.choices[:-1], Choice(0, "turns", "static", 32, "given", 0)))
    kept = of_the_space(longer)
    assert kept.choices == told.choices[:-1]
    assert kept.logprobs is not None
    assert len(kept.logprobs) == len(kept.scores) == len(kept.tokens) == len(kept.choices)
