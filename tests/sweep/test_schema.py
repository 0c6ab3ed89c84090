from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from optimizer.errors import ConfigError
from optimizer.sweep.schema import SweepConfig, load_sweep

GOOD = {"base": "run.yaml", "matrix": {"seed": [0, 1]}}


def refused(path: Path, **changes: object) -> str:
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    with pytest.raises(ConfigError) as caught:
        load_sweep(path)
    return str(caught.value)


def test_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    sweep = load_sweep(path)
    assert sweep == SweepConfig.model_validate(GOOD)
    assert (sweep.where, sweep.parallel, sweep.exclude, sweep.budget.uncounted) == ("local", None, (), False)


def test_what_is_wrong_is_told_with_its_line_and_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    message = refused(path, matirx={"seed": [0]})
    assert f"{path}:" in message
    assert "did you mean 'matrix'" in message
    assert "did you mean 'calls'" in refused(path, budget={"cals": 3})
    assert "a value twice" in refused(path, matrix={"seed": [0, 1, 0]})
    assert "a value twice" not in refused(path, matrix={"a": [1, True], "run_dir": ["x"]})
    assert "each cell has a folder of its own" in refused(path, matrix={"run_dir": ["x"]})
    assert "told once, at the end" in refused(path, matrix={"notify.url": ["x"]})
    assert "write the time in quotes" in refused(path, budget={"until": 1350})
    assert "at least 1 item" in refused(path, matrix={"seed": []})
    assert "write a row of 2 values: [a, b]" in refused(path, matrix={"task, seed": [["a", 0], ["b"]]})
    assert "names 'seed' again" in refused(path, matrix={"task, seed": [["a", 0]], "seed": [1]})
    assert "a comma too many" in refused(path, matrix={"task, ": [["a", 0]]})
    assert "each cell has a folder of its own" in refused(path, matrix={"task, run_dir": [["a", "b"]]})
    assert "'where'" in refused(path, where="moon")
