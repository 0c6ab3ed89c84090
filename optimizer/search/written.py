"""`search.strategy: baseline.instructions`: the best of the prompts that somebody wrote, by a race and no search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from optimizer.config.presets import INSTRUCTIONS, INSTRUCTIONS_FILE
from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError
from optimizer.evaluate.evaluator import Evaluator
from optimizer.ledger.ledger import Ledger
from optimizer.prompt.builder import ProgramBuilder
from optimizer.search.board import Board
from optimizer.search.proposals import Grows, NoProposals
from optimizer.search.rounds import Round
from optimizer.search.sampler import Asked
from optimizer.search.schedule import Schedule
from optimizer.search.trials import TrialLog
from optimizer.task.instruction_list import read_instructions
from optimizer.task.task import Task
from optimizer.types import Candidate, Readout

SOURCE = "search.options: file"
# In the ledger: the ids of the candidates.
WRITTEN = "written"


def refuse_unwritten(config: RunConfig, task: Task) -> None:
    """Raise TaskError where the strategy wants a file of instructions that is not there or cannot be read."""
    if config.search.strategy == INSTRUCTIONS:
        read_instructions(task.folder, _file(config), SOURCE)


def written_candidates(programs: ProgramBuilder, config: RunConfig, readout: Readout) -> list[Candidate]:
    """Return the seed with each instruction of the file that `search.options` names, in its order.

    Raises ConfigError for a program of several calls, TaskError where the file cannot be read.
    """
    seed = programs.seed(config.search.formats[0])
    if len(seed.prompts) > 1:
        what = f"search.strategy: {INSTRUCTIONS} replaces one instruction, and the program has {len(seed.prompts)}"
        raise ConfigError(what, "Choose another strategy.")
    ((name, prompt),) = seed.prompts.items()
    texts = read_instructions(programs.task.folder, _file(config), SOURCE)
    return [Candidate({name: replace(prompt, instruction=text, readout=readout)}, "written") for text in texts]


def refuse_changed(ledger: Ledger, written: Sequence[Candidate]) -> None:
    """Raise ConfigError where a resumed run would race other prompts than before."""
    ids = [one.id for one in written]
    known = ledger.meta(WRITTEN)
    if known is None:
        ledger.put_meta(WRITTEN, ids)
    elif known != ids:
        what = f"{INSTRUCTIONS}: its file has other instructions than when this run began"
        raise ConfigError(what, "Begin another run with them.")


def _file(config: RunConfig) -> str:
    return str(config.search.options.get("file", INSTRUCTIONS_FILE))


@dataclass
class WrittenSearch:
    """Has the methods of `search.loop.Search` that a run needs: one round, in which the seed races, too."""

    candidates: Sequence[Candidate]
    evaluator: Evaluator
    log: TrialLog
    schedule: Schedule
    board: Board = field(default_factory=Board)
    proposals: Grows = field(default_factory=NoProposals)

    async def run(self, seed: Candidate, trials: int) -> str | None:
        """Race the seed and all candidates, whatever the number of trials; return the winner's id."""
        others = [one for one in self.candidates if one.id != seed.id]
        entrants = {number: Asked(one) for number, one in enumerate([seed, *others])}
        for number, asked in entrants.items():
            self.board.enter(asked.candidate)
            self.log.begin(number, asked)
        await Round(self.evaluator, self.log, self.schedule, self.board).play(entrants)
        reference = self.board.winner()
        for number, asked in entrants.items():
            self.log.finish(number, asked, self.board, reference)
        return reference
