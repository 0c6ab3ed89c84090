"""The shipped proposers by the names that a configuration gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from optimizer.prompt.demos import Embed
from optimizer.propose.base import Proposer
from optimizer.propose.crossover import Crossover
from optimizer.propose.demosets import Bootstrap, Diverse, Hard, Shuffled, Swap
from optimizer.propose.edit import Edit
from optimizer.propose.grounded import Grounded
from optimizer.propose.history import History
from optimizer.propose.induce import Induce
from optimizer.propose.reflect import Reflect
from optimizer.propose.shorten import Shorten
from optimizer.propose.templates import Templates
from optimizer.propose.translate import Translate
from optimizer.propose.writer import Writer, WritingProposer

if TYPE_CHECKING:
    import dspy

WRITING: dict[str, type[WritingProposer]] = {
    kind.name: kind for kind in (Induce, Grounded, Reflect, History, Crossover, Shorten, Translate)
}
FREE: dict[str, Callable[[Embed], Proposer]] = {
    "templates": lambda embed: Templates(),
    "edit": lambda embed: Edit(),
    "random": lambda embed: Shuffled(),
    "bootstrap": lambda embed: Bootstrap(),
    "hard": lambda embed: Hard(),
    "diverse": Diverse,
    "swap": lambda embed: Swap(),
}
# Those that fill the pools before anything was tried, the first of them first.
FIRST = ("induce", "grounded", "templates")


def build_proposers(names: Iterable[str], lm: dspy.LM | None, embed: Embed) -> dict[str, Proposer]:
    """Return the named proposers in order; without a prompt model (`lm`) those that need none."""
    made: dict[str, Proposer] = {}
    for name in names:
        if name in FREE:
            made[name] = FREE[name](embed)
        elif lm is not None:
            made[name] = WRITING[name](Writer(lm))
    return made
