"""A strategy whose package is missing is one message, before anything is asked."""

from __future__ import annotations

import pytest

from optimizer.config.presets import STRATEGIES
from optimizer.errors import ConfigError
from optimizer.teleprompt import packages
from optimizer.teleprompt.packages import refuse_missing


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as refused:
        refuse_missing("promptolution.CAPO")
    assert "needs the package promptolution" in refused.value.what
    assert "metier[peers]" in refused.value.remedy


def test_strategies_that_need_no_package_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    for strategy in STRATEGIES:
        if strategy.partition(".")[0] not in ("dspy", "gepa", "promptolution"):
            refuse_missing(strategy)
