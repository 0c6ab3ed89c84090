"""A program with prompts that DSPy's own state cannot hold: its formats, and demos retrieved for each input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dspy

from optimizer.errors import TaskError
from optimizer.models.embed import Embedder
from optimizer.prompt.demos import DemoPool
from optimizer.prompt.student import with_prompts
from optimizer.types import Candidate, Example

VERSION = 1


class TunedProgram(dspy.Module):
    """A program as PromptSearch left it; `save` writes plain JSON with the examples that demos come from.

    To have it back, give the program as your code makes it: `TunedProgram(MyProgram()).load("file.json")`
    returns nothing, as DSPy's `load` does, and changes it in place.
    """

    def __init__(
        self, student: dspy.Module, candidate: Candidate | None = None, pools: Mapping[str, DemoPool] | None = None
    ) -> None:
        super().__init__()
        self._student, self._candidate = [student], candidate  # in a list, it is no part of the module
        self._pools = dict(pools or {})
        self.program = student if candidate is None else with_prompts(student, candidate, self._pools)

    def forward(self, **inputs: Any) -> Any:
        """Answer one input."""
        return self.program(**inputs)

    async def aforward(self, **inputs: Any) -> Any:
        """Answer one input, asynchronously."""
        return await self.program.acall(**inputs)

    def dump_state(self, json_mode: bool = True) -> dict[str, Any]:
        """Return the prompts and the pools as plain JSON data."""
        if self._candidate is None:
            raise TaskError("this TunedProgram holds no prompts yet", "Load a file into it, or save its program.")
        retrieving = {name for name, p in self._candidate.prompts.items() if p.retrieves}
        pools = {
            name: [example.to_json() for example in pool.examples]
            for name, pool in self._pools.items()
            if name in retrieving
        }
        return {"metier": VERSION, "prompts": self._candidate.to_json(), "pools": pools}

    def load_state(self, state: Mapping[str, Any], *, allow_unsafe_lm_state: bool = False) -> None:
        """Take the prompts and the pools of `dump_state`; raises TaskError if they are another program's."""
        if state.get("metier") != VERSION:
            raise TaskError("not the state of a TunedProgram", "Load it into the program itself, as plain DSPy does.")
        candidate, student = Candidate.from_json(state["prompts"]), self._student[0]
        names = [name for name, _ in student.named_predictors()]
        if names != list(candidate.prompts):
            what = f"the file's predictors are {', '.join(candidate.prompts)}, the program's {', '.join(names)}"
            raise TaskError(what, "Give the program that was optimized.")
        pools = {name: list(map(Example.from_json, rows)) for name, rows in state["pools"].items()}
        embed = Embedder.local() if pools else _never
        self._candidate = candidate
        self._pools = {name: DemoPool(pools.get(name, ()), embed) for name in names}
        self.program = with_prompts(student, candidate, self._pools)


def _never(texts: Any) -> Any:
    raise TaskError("this program retrieves demos, but its file holds none", "Compile it again.")
