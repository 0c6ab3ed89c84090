from __future__ import annotations

import contextvars

from optimizer.door.limiter import Limiter, limiter_of

from .conftest import FakeEndpoint, FakeWire, MakeDoor, request


class Counted(Limiter):
    """Counts the calls that it lets through."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = 0

    async def enter(self, tokens: int) -> float:
        """Let a call through."""
        self.entered += 1
        return await super().enter(tokens)


def test_calls_take_turns_where_whoever_opens_the_door_says(make_door: MakeDoor) -> None:
    made: dict[str, Counted] = {}
    same, other = FakeEndpoint(), FakeEndpoint(FakeWire(), "fake/n", "fake/n@there", account="another")

    def calls() -> None:
        limiter_of.set(lambda account: made.setdefault(account, Counted()))
        door = make_door(same, FakeEndpoint(FakeWire(), "fake/m2", "fake/m2@here"), other)
        for number, role in enumerate(("task", "task", "prompt", "judge")):
            door.submit(role, request(str(number))).result(10)  # type: ignore[arg-type]

    contextvars.copy_context().run(calls)
    assert {account: limiter.entered for account, limiter in made.items()} == {"fake": 3, "another": 1}
    assert isinstance(limiter_of.get()("fake"), Limiter), "elsewhere each process has its own"
