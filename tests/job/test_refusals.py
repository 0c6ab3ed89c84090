"""Run, estimate, --dry and a sweep refuse the same configs, in the same words, before the first call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.jobs import make_task, settings, write_config

from optimizer.config.load import load_config
from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError
from optimizer.job.dry import dry
from optimizer.job.estimate import estimate
from optimizer.job.run import run_config
from optimizer.sweep.configs import Checks

WAYS: dict[str, Callable[[RunConfig], object]] = {
    "run": run_config,
    "estimate": lambda config: estimate(config, print),
    "dry": dry,
    "sweep": lambda config: Checks().check(config),
}
REPEATS = {"name": "consistency", "of": "choice", "repeats": 3}
CASES: list[tuple[Any, dict[str, Any], dict[str, Any], str]] = [
    ("choice", {"task": "openai/fake", "judge": "openai/other"}, {}, "judge"),
    ("choice", {"task": ["openai/fake", "openai/other"]}, {"strategy": "dspy.COPRO"}, "names several models"),
    (REPEATS, {"task": "openai/fake"}, {}, "3 repeats at temperature 0"),
    ("choice", {"task": "gemini/fake", "batch": True}, {}, "cannot be asked in batches"),
    ("choice", {"task": "openai/fake"}, {"strategy": "promptolution.CAPO"}, "promptolution, which is not installed"),
]


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize(("metric", "models", "search", "why"), CASES)
def test_each_way_to_a_run_refuses_what_does_not_fit(
    metric: Any,
    models: dict[str, Any],
    search: dict[str, Any],
    why: str,
    way: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("optimizer.teleprompt.packages.find_spec", lambda name: None)
    data = settings(make_task(tmp_path / "task", metric=metric), "http://127.0.0.1:9/v1")
    data["models"] = {"api_base": "http://127.0.0.1:9/v1", **models}
    data["search"] |= search
    config = load_config(write_config(tmp_path / "run.yaml", data))
    with pytest.raises(ConfigError, match=why):
        WAYS[way](config)
    assert not (tmp_path / "runs").exists()
