"""What the names in a preset stand for; see `config/presets.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optimizer.config.presets import Preset
from optimizer.config.schema import SearchConfig
from optimizer.search.board import Board
from optimizer.search.schedule import Schedule


class Everyone:
    """The rule of methods that do not race: whoever enters sees every example."""

    def staying(self, board: Board, running: Sequence[str], seen: int, block: int) -> set[str]:
        """Return all of the `running` candidates."""
        return set(running)


def raced(schedule: Schedule, preset: Preset) -> Schedule:
    """Return a schedule with the race of a preset."""
    return replace(schedule, race=Everyone()) if preset.race == "none" else schedule


def preset_config(config: SearchConfig, preset: Preset) -> SearchConfig:
    """Return a search section as a preset changes it."""
    changes: dict[str, object] = {}
    if not preset.demos:
        changes["demos"] = config.demos.model_copy(update={"counts": (0,)})
    if preset.proposers is not None and config.proposers is None:
        changes["proposers"] = preset.proposers
    return config.model_copy(update=changes)
