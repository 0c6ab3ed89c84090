from __future__ import annotations

import asyncio

from optimizer.search.race import BettingRace
from optimizer.search.schedule import Schedule
from optimizer.search.simulate import answers
from optimizer.types import Example

EXAMPLES = [Example({"n": n}, {"answer": "yes"}) for n in range(30)]


def simulated(trials: int) -> list[int]:
    return asyncio.run(answers(trials, Schedule(EXAMPLES, BettingRace(), 10, 4, 4)))


def test_the_race_answers_more_than_one_block_each_and_less_than_all_of_it() -> None:
    found = simulated(12)
    assert found == sorted(found)
    assert 12 * 10 <= found[0] < found[-1] < 12 * 30


def test_one_trial_is_raced_out_by_nobody() -> None:
    assert set(simulated(1)) == {30}


def test_the_same_question_has_the_same_answer() -> None:
    assert simulated(8) == simulated(8)
