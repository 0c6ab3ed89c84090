"""What the names in a preset stand for; see `config/presets.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from optimizer.config.presets import Preset
from optimizer.config.schema import Search as Config
from optimizer.search.board import Board
from optimizer.search.race import BettingRace, Race


class Everyone:
    """The rule of methods that do not race: whoever enters sees every example."""

    def staying(self, board: Board, running: Sequence[str], seen: int, block: int) -> set[str]:
        """Return all of the `running` candidates."""
        return set(running)


RACES: dict[str, Callable[[], Race]] = {"betting": BettingRace, "none": Everyone}


def preset_config(config: Config, preset: Preset) -> Config:
    """Return a search section as a preset changes it."""
    if preset.demos:
        return config
    return config.model_copy(update={"demos": config.demos.model_copy(update={"counts": (0,)})})
