from __future__ import annotations

from pathlib import Path

from support.jobs import ROOT

from optimizer.sweep.plan import planned
from optimizer.sweep.spec import read_spec


def test_the_example_is_sound(tmp_path: Path) -> None:
    plan = planned(read_spec(ROOT / "configs" / "sweep.yaml"), tmp_path, [])
    assert len(plan.configs) == 12
    assert {config.models.task.model for config in plan.configs.values()} == {"local/smollm2-135m"}
    assert [share for _, share in plan.new] == [{"calls": 200}] * 12
