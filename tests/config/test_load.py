from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from optimizer.config.load import apply_override, dump_config, load_config
from optimizer.config.schema import RunConfig
from optimizer.errors import ConfigError

key = st.text("abcdefgh_", min_size=1, max_size=6)
value = st.none() | st.booleans() | st.integers() | st.text("abc xyz", min_size=1).map(str.strip)


def written(tmp_path: Path, **data: Any) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"task": "somewhere", **data}))
    return path


def test_overrides_are_applied_in_order(tmp_path: Path) -> None:
    path = written(tmp_path, search={"trials": 5, "block": 3})
    config = load_config(path, ["search.trials=7", "seed=2", "search.trials=9", "search.formats=[turns, json]"])
    assert (config.search.trials, config.search.block, config.seed) == (9, 3, 2)
    assert config.search.formats == ("turns", "json")


def test_an_override_of_a_bare_models_part_keeps_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, models={"task": "openai/a"})
    config = load_config(path, ["models.task.temperature=0.5"])
    assert config.models.task.model == "openai/a"
    assert config.models.task.temperature == 0.5


def test_an_override_may_contain_equal_signs() -> None:
    assert apply_override({}, "models.api_base=http://x/?a=b") == {"models": {"api_base": "http://x/?a=b"}}


def test_null_switches_a_section_off(tmp_path: Path) -> None:
    assert load_config(written(tmp_path), ["tracking.mlflow=null"]).tracking.mlflow is None


@given(st.lists(key, min_size=1, max_size=4), value)
def test_an_override_sets_exactly_its_path(parts: list[str], setting: Any) -> None:
    text = yaml.safe_dump(setting, default_flow_style=True).removesuffix("\n...\n").strip()
    found: Any = apply_override({}, f"{'.'.join(parts)}={text}")
    for part in parts:
        assert list(found) == [part]
        found = found[part]
    assert found == setting


@given(st.dictionaries(key, st.integers(), max_size=4), key, st.integers())
def test_an_override_leaves_the_rest_and_the_original_alone(data: dict[str, int], name: str, setting: int) -> None:
    before = dict(data)
    assert apply_override(data, f"{name}={setting}") == {**before, name: setting}
    assert data == before


@pytest.mark.parametrize("override", ["search.trials", "=3", "a..b=1", ".a=1", "a.=1", ""])
def test_a_malformed_override_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="not of the form key=value"):
        apply_override({}, override)


def test_an_override_with_bad_yaml_is_refused() -> None:
    with pytest.raises(ConfigError, match="not valid YAML"):
        apply_override({}, "a=[1")


def test_an_override_below_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="'seed' is 3, not a section"):
        apply_override({"seed": 3}, "seed.x=1")


def test_a_wrong_override_key_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'trials'") as caught:
        load_config(written(tmp_path), ["search.trails=3"])
    assert "unknown key 'search.trails'" in caught.value.what


def test_a_task_beside_the_config_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "mine").mkdir()
    path = folder / "run.yaml"
    path.write_text("task: mine\n")
    monkeypatch.chdir(tmp_path)
    assert load_config(path).task == str(folder / "mine")
    (tmp_path / "mine").mkdir()
    assert load_config(path).task == "mine"


def test_a_task_that_is_nowhere_is_left_as_written(tmp_path: Path) -> None:
    assert load_config(written(tmp_path)).task == "somewhere"


def test_an_absent_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "absent.yaml")


def test_a_dumped_config_loads_as_itself(tmp_path: Path) -> None:
    config = RunConfig.model_validate(
        {"task": "café", "models": {"task": "openai/a"}, "budget": {"until": "07:00", "usd": 1.5}, "seed": 3}
    )
    path = tmp_path / "again.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config


def test_a_tasks_folder_or_file_is_run_with_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text("name: tiny\ninputs: {message: {}}\n")
    for path in (tmp_path, tmp_path / "task.yaml"):
        assert load_config(path) == RunConfig(task=str(path))
        assert load_config(path, ["budget.calls=50"]).budget.calls == 50


def test_a_folder_without_a_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the folder has no task\.yaml\n.*Name a run's YAML file"):
        load_config(tmp_path)


def test_an_impossible_date_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("task: tiny\n")
    with pytest.raises(ConfigError, match=r"--set budget.until=2025-02-30: .*'2025-02-30' cannot be read as timestamp"):
        load_config(tmp_path / "a.yaml", ["budget.until=2025-02-30"])


@pytest.mark.parametrize("name", ["x" * 300, "x\0y"])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(name)


def test_of_many_mistakes_five_are_shown_and_each_value_is_cut(tmp_path: Path) -> None:
    wrong = "".join(f"key{n}: 1\n" for n in range(20))
    (tmp_path / "a.yaml").write_text(f"task: tiny\nseed: '{'x' * 200_000}'\n{wrong}", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "a.yaml")
    assert caught.value.what.count("\n") == 5
    assert caught.value.what.endswith("and 16 more")
    (tmp_path / "a.yaml").write_text(f"task: tiny\nseed: '{'x' * 200_000}'\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "a.yaml")
    assert len(str(caught.value)) < 400
