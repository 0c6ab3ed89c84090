"""What every race rule must do: a conformance suite, and simulated races whose best candidate is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.search.board import Board
from optimizer.search.race import Race, survivors
from optimizer.testing.scores import Scores
from optimizer.types import Candidate, Failure, Prompt, Score

BLOCK = 10
LOST = Failure("server", "down")
Rows = Sequence[Sequence[float | None]]


@dataclass(frozen=True)
class Raced:
    """A simulated race: which rows of the table saw every example, and how many examples were answered."""

    board: Board
    finalists: list[int]
    answered: int


def run_race(race: Race, scores: Scores, block: int = BLOCK, rounds: Sequence[int] | None = None) -> Raced:
    """Race a table's candidates as the search does: block after block, in rounds of the given sizes.

    `rounds` must add up to the candidates; None lets all race together. Later rounds meet on the board those
    that raced before.
    """
    field, board = entrants(len(scores.values)), Board()
    length, answered, finalists = scores.values.shape[1], 0, list[int]()
    first = 0
    for size in rounds or (len(field),):
        running = {row: field[row].id for row in range(first, first + size)}
        first += size
        for start in range(0, length, block):
            end = min(start + block, length)
            for row in running:
                board.add(field[row], [Score(value) for value in scores.values[row, start:end].tolist()])
            answered += len(running) * (end - start)
            staying, _ = survivors(race, board, running, end, block)
            if end == length:
                finalists += running
            running = {row: running[row] for row in staying}
            if not running:
                break
    return Raced(board, finalists, answered)


def entrants(count: int) -> list[Candidate]:
    """Return `count` different candidates."""
    return [Candidate({"predict": Prompt(f"candidate {number}")}) for number in range(count)]


def board_of(rows: Rows) -> tuple[Board, list[str]]:
    """Return a board on which each row's candidate has these scores, None for a Failure; and their ids."""
    board, field = Board(), entrants(len(rows))
    for candidate, row in zip(field, rows, strict=True):
        board.add(candidate, [LOST if value is None else Score(value) for value in row])
    return board, [candidate.id for candidate in field]


def check_race(make: Callable[[], Race]) -> None:
    """Raise AssertionError, naming what went wrong, unless the rule that `make` builds keeps the contract."""
    for check in CHECKS:
        check(make())


def _random_rows(seed: int, count: int, length: int, lost: float = 0.1) -> list[list[float | None]]:
    """Return scores of 0 and 1 of candidates (rows) with random skills; a share of them is `lost`: None."""
    rng = np.random.default_rng(seed)
    skill = rng.random((count, 1))
    values = (rng.random((count, length)) < skill).astype(float).astype(object)
    values[rng.random((count, length)) < lost] = None
    rows: list[list[float | None]] = values.tolist()
    return rows


def stays_within_the_running(race: Race) -> None:
    """Only candidates that were running stay."""
    for seed in range(20):
        board, ids = board_of(_random_rows(seed, 6, 40))
        running = ids[seed % 3 :]
        staying = race.staying(board, running, 40, BLOCK)
        assert staying <= set(running), f"table {seed}: {sorted(staying - set(running))} stay but were not running"


def keeps_the_leader(race: Race) -> None:
    """The leader never leaves, at no number of blocks."""
    for seed in range(20):
        rows = _random_rows(seed, 8, 80)
        for seen in range(BLOCK, 81, BLOCK):
            board, ids = board_of([row[:seen] for row in rows])
            leader = board.leader(seen)
            staying = race.staying(board, ids, seen, BLOCK)
            assert leader is None or leader in staying, f"table {seed}: the leader left after {seen} examples"


def decides_the_same_twice(race: Race) -> None:
    """The same board gives the same decision, whatever was asked before."""
    for seed in range(10):
        board, ids = board_of(_random_rows(seed, 6, 40))
        first = race.staying(board, ids, 40, BLOCK)
        race.staying(*board_of(_random_rows(seed + 100, 4, 20)), 20, BLOCK)
        assert race.staying(board, ids, 40, BLOCK) == first, f"table {seed}: decided differently the second time"


def reads_only_what_is_shared(race: Race) -> None:
    """What the incumbent answered beyond the entrants' examples changes nothing."""
    for seed in range(20):
        rows = _random_rows(seed, 5, 80, lost=0.0)
        short = [row[:20] for row in rows[1:]]
        best: list[float | None] = [1.0] * 20
        decided = []
        for rest in ([0.0] * 60, [1.0] * 60):
            board, ids = board_of([[*best, *rest], *short])
            decided.append(race.staying(board, ids[1:], 20, BLOCK))
        assert decided[0] == decided[1], f"table {seed}: scores that no entrant has decided"


def failures_neither_help_nor_hurt(race: Race) -> None:
    """Where one of two failed, the score of the other decides nothing; a failure is no wrong answer."""
    for seed in range(20):
        first, second = _random_rows(seed, 2, 40, lost=0.0)
        decided = []
        for there in (0.0, 1.0):
            board, ids = board_of([[*first[:36], *[None] * 4], [*second[:36], *[there] * 4]])
            decided.append(race.staying(board, ids, 40, BLOCK))
        assert decided[0] == decided[1], f"table {seed}: examples that one of the two failed have decided"
    board, ids = board_of([[1.0] * 32 + [None] * 8, [1.0] * 40])
    assert ids[0] in race.staying(board, ids, 40, BLOCK), (
        "a candidate with failures left though none is ahead where it answered"
    )


def equals_do_not_all_leave(race: Race) -> None:
    """Of candidates whose answers are equal one stays at least, after any block."""
    for seen in range(BLOCK, 81, BLOCK):
        board, ids = board_of([([1.0, 0.0, 0.5] * 30)[:seen]] * 4)
        assert race.staying(board, ids, seen, BLOCK), f"of four equal candidates none stays after {seen} examples"


def one_alone_stays(race: Race) -> None:
    """A candidate without a rival stays, with a short last block too; so do all where none can lead."""
    board, ids = board_of([[0.0] * 25])
    assert race.staying(board, ids, 25, BLOCK) == set(ids), "the only candidate left"
    board, ids = board_of([[None] * 10, [None] * 10])
    assert race.staying(board, ids, 10, BLOCK) == set(ids), "candidates left a race that nobody leads"


def late_entrants_meet_the_incumbent(race: Race) -> None:
    """An entrant that equals an incumbent stays, after any number of blocks, though the incumbent is not running."""
    for seen in range(BLOCK, 61, BLOCK):
        board, ids = board_of([[1.0] * 80, [0.0] * seen, [1.0] * seen])
        staying = race.staying(board, ids[1:], seen, BLOCK)
        assert ids[2] in staying, f"the entrant that equals the incumbent left after {seen} examples"


CHECKS: tuple[Callable[[Race], None], ...] = (
    stays_within_the_running,
    keeps_the_leader,
    decides_the_same_twice,
    reads_only_what_is_shared,
    failures_neither_help_nor_hurt,
    equals_do_not_all_leave,
    one_alone_stays,
    late_entrants_meet_the_incumbent,
)
