from __future__ import annotations

import pytest
from pydantic import ValidationError

from optimizer.config.presets import PRESETS, STRATEGIES
from optimizer.config.schema import RunConfig, SearchConfig
from optimizer.search.presets import Everyone, preset_config, raced
from optimizer.search.schedule import make_schedule


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_can_be_configured(strategy: str) -> None:
    assert SearchConfig(strategy=strategy).strategy == strategy


def test_an_unknown_strategy_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match=r"did you mean 'dspy\.MIPROv2'"):
        SearchConfig(strategy="dspy.MIPRO")
    with pytest.raises(ValidationError, match="leave them out"):
        SearchConfig(strategy="tpe", options={"auto": "light"})


def test_a_preset_is_made_of_parts_that_there_are() -> None:
    for preset in PRESETS.values():
        assert preset.sampler in {"default", "tpe", "random"}
    assert preset_config(SearchConfig(), PRESETS["opro-like"]).demos.counts == (0,)
    assert preset_config(SearchConfig(), PRESETS["capo-like"]).proposers == ("crossover", "shorten", "templates")
    assert preset_config(SearchConfig(proposers=("edit",)), PRESETS["capo-like"]) == SearchConfig(proposers=("edit",))
    assert preset_config(SearchConfig(), PRESETS["tpe"]) == SearchConfig()


def test_without_a_race_nobody_leaves() -> None:
    schedule = make_schedule((), RunConfig(task="none"))
    assert raced(schedule, PRESETS["default"]) == schedule
    assert isinstance(raced(schedule, PRESETS["mipro-like"]).race, Everyone)
    assert Everyone().staying(None, ["a", "b"], 4, 4) == {"a", "b"}  # type: ignore[arg-type]
