"""A sweep whose cells are played by nobody: what is planned, shared, written down, gone on with, added."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import httpx
import pytest
import yaml

from optimizer.errors import ConfigError, LedgerError
from optimizer.sweep.drive import Clock
from optimizer.sweep.ledger import CellRecord, SweepLedger, SweepReader
from optimizer.sweep.player import Order, Played
from optimizer.sweep.run import play_sweep
from sweep.made import MATRIX, FakePlayer, made_outcome, write_sweep

NAMES = ["default--seed-0", "random--seed-0", "default--seed-1", "random--seed-1"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def cells(folder: Path) -> dict[str, CellRecord]:
    with closing(SweepReader(folder)) as ledger:
        return {one.cell.name: one for one in ledger.cells()}


def change(sweep: Path, **changes: object) -> Path:
    sweep.write_text(yaml.safe_dump({**yaml.safe_load(sweep.read_text()), **changes}))
    return sweep


def failing(name: str, message: str = "no such key") -> FakePlayer:
    good = FakePlayer().answer
    return FakePlayer(lambda order: Played("failed", message) if order.name == name else good(order))


def test_every_cell_is_played_once_in_its_own_folder(tmp_path: Path) -> None:
    sweep, player, lines = write_sweep(tmp_path, "http://127.0.0.1:9"), FakePlayer(), list[str]()
    ended = play_sweep(sweep, player=player, say=lines.append)
    assert (ended.folder, ended.finished, ended.complete) == (Path("sweeps/sweep"), 4, True)
    assert player.names == NAMES
    for order in player.orders:
        assert order.config.run_dir == str(ended.folder / "cells" / order.name)
        assert order.config.task == str(tmp_path / "task")
        assert f"seed-{order.config.seed}" in order.name
        assert order.config.search.strategy in order.name
        assert order.sweep["name"] == "sweep"
    assert lines[0] == "4 cells, 2 at a time, in sweeps/sweep"
    assert lines[-1].endswith("(4 of 4)")
    again = FakePlayer()
    assert play_sweep(sweep, player=again).complete
    assert again.orders == []


def test_cells_share_cache_and_experiment_unless_the_run_says_otherwise(tmp_path: Path) -> None:
    mlflow = {"tracking": {"mlflow": {"uri": "sqlite:///x.db"}}, "notify": {"url": "https://hook"}}
    sweep, player = write_sweep(tmp_path, "http://127.0.0.1:9", run={"cache": {}, **mlflow}), FakePlayer()
    play_sweep(sweep, tmp_path / "mine", player=player)
    config = player.orders[0].config
    assert config.cache.shared
    assert config.tracking.mlflow is not None
    assert (config.tracking.mlflow.experiment, config.tracking.mlflow.uri) == ("mine", "sqlite:///x.db")
    assert config.notify.url is None
    sweep, player = write_sweep(tmp_path, "http://127.0.0.1:9"), FakePlayer()
    play_sweep(sweep, tmp_path / "other", player=player)
    assert not player.orders[0].config.cache.shared
    assert player.orders[0].config.tracking.mlflow is None


def test_the_webhook_is_told_of_the_sweep_and_its_address_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted: list[tuple[str, dict[str, object]]] = []

    def post(url: str, json: dict[str, object], timeout: float) -> httpx.Response:
        posted.append((url, json))
        return httpx.Response(200)

    monkeypatch.setattr("httpx.post", post)
    sweep = write_sweep(tmp_path, "http://127.0.0.1:9", run={"notify": {"url": "https://hook/secretpath"}})
    folder = play_sweep(sweep, player=failing(NAMES[0])).folder
    ((url, body),) = posted
    assert url == "https://hook/secretpath"
    assert body["text"] == "The sweep in sweeps/sweep has ended: 3 finished, 1 failed. See sweeps/sweep/report.html."
    assert b"secretpath" not in (folder / "sweep.db").read_bytes()
    play_sweep(folder, player=FakePlayer())
    assert len(posted) == 1, "from the folder alone nobody knows its address"
    monkeypatch.setenv("HOOK", "https://hook/of-the-environment")
    other = write_sweep(tmp_path, "http://127.0.0.1:9", run={"notify": {"url_env": "HOOK"}})
    play_sweep(other, tmp_path / "other", player=failing(NAMES[0]))
    play_sweep(tmp_path / "other", player=FakePlayer())
    play_sweep(tmp_path / "other", player=FakePlayer())
    assert [url for url, _ in posted[1:]] == ["https://hook/of-the-environment"] * 2, "not again without news"


def test_no_more_cells_than_wanted_at_a_time(tmp_path: Path) -> None:
    player = FakePlayer(seconds=0.02)
    play_sweep(write_sweep(tmp_path, "http://127.0.0.1:9", parallel=3), player=player)
    assert player.most == 3


def test_shares_are_held_and_what_is_added_gets_what_was_left(tmp_path: Path) -> None:
    sweep, player = write_sweep(tmp_path, "http://127.0.0.1:9", budget={"calls": 400, "usd": 8}), FakePlayer()
    folder = play_sweep(sweep, player=player).folder
    assert {(o.config.budget.calls, o.config.budget.usd) for o in player.orders} == {(100, 2.0)}
    more = FakePlayer()
    play_sweep(folder, additions=["seed=2", "seed=1"], player=more)
    assert more.names == ["default--seed-2", "random--seed-2"]
    assert {(o.config.budget.calls, o.config.budget.usd) for o in more.orders} == {(100, 2.0)}, (
        "no more than the others"
    )
    play_sweep(folder, additions=[f"seed={n}" for n in range(3, 8)], player=(third := FakePlayer()))
    assert len(third.orders) == 10
    assert {o.config.budget.calls for o in third.orders} == {(400 - 6 * 10) // 10}
    with pytest.raises(ConfigError, match=r"budget\.calls=2 is too small"):
        play_sweep(folder, additions=[f"seed={n}" for n in range(8, 58)], player=FakePlayer())
    assert len(cells(folder)) == 16


def test_more_of_the_budget_goes_to_cells_that_are_not_finished(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, "http://127.0.0.1:9", budget={"calls": 80})
    folder = play_sweep(sweep, player=failing(NAMES[1])).folder
    more = FakePlayer()
    play_sweep(change(sweep, budget={"calls": 230}), player=more)
    assert [(o.name, o.config.budget.calls) for o in more.orders] == [(NAMES[1], 230 - 3 * 10)]
    assert cells(folder)[NAMES[0]].share == {"calls": 20}


def test_a_failure_is_kept_and_stops_nobody_and_is_tried_again(tmp_path: Path) -> None:
    ended = play_sweep(
        write_sweep(tmp_path, "http://127.0.0.1:9"), player=failing(NAMES[0], "key sk-aaaaaaaaaaaaaaaaaaaa")
    )
    assert (ended.finished, ended.failed, ended.complete) == (3, 1, False)
    record = cells(ended.folder)[NAMES[0]]
    assert (record.state, record.message) == ("failed", "key ***")
    again = FakePlayer()
    assert play_sweep(ended.folder, player=again).complete
    assert again.names == [NAMES[0]]


def test_a_cell_that_is_killed_is_played_again_but_not_for_ever(tmp_path: Path) -> None:
    deaths = iter(range(2))
    good = FakePlayer().answer

    def dies_twice(order: Order) -> Played:
        dies = order.name == NAMES[0] and next(deaths, None) is not None
        return Played("lost", "killed") if dies else good(order)

    player = FakePlayer(dies_twice)
    assert play_sweep(write_sweep(tmp_path, "http://127.0.0.1:9"), player=player).complete
    assert player.names.count(NAMES[0]) == 3
    always = FakePlayer(lambda order: Played("lost", "killed by SIGKILL"))
    ended = play_sweep(write_sweep(tmp_path, "http://127.0.0.1:9"), Path("other"), player=always)
    assert ended.failed == 4
    assert len(always.orders) == 12
    assert cells(Path("other"))[NAMES[0]].state == "interrupted"


def test_what_a_killed_driver_left_running_comes_first(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, "http://127.0.0.1:9", parallel=1)
    folder = play_sweep(sweep, player=FakePlayer(lambda order: Played("failed", "x"))).folder
    with closing(SweepLedger(folder)) as ledger:
        ledger.begin_play(cells(folder)[NAMES[2]].id, {"calls": 5, "seconds": None})
        assert cells(folder)[NAMES[2]].state == "running"
        with pytest.raises(LedgerError, match="another process"):
            SweepLedger(folder)
    player = FakePlayer()
    play_sweep(folder, player=player)
    assert player.names == [NAMES[2], NAMES[0], NAMES[1], NAMES[3]]


def test_all_that_is_wrong_is_told_before_anything_is_played(tmp_path: Path) -> None:
    matrix = {"task": ["task", "gone"], "search.strategy": ["default", "dspy.MIPRO"], "seed": [0, 1]}
    player = FakePlayer()
    with pytest.raises(ConfigError) as caught:
        play_sweep(write_sweep(tmp_path, "http://127.0.0.1:9", matrix=matrix), player=player)
    message = str(caught.value)
    assert "6 of 8 cells cannot be played, so none is" in message
    assert "task--dspy.MIPRO--seed-0 and 3 more: 'search.strategy': no such strategy" in message
    assert "did you mean 'dspy.MIPROv2'" in message
    assert "gone--default--seed-0 and 1 more" in message
    assert message.count("\n") <= 4
    assert player.orders == []
    assert not Path("sweeps").exists()


def test_dollars_need_prices(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, "http://127.0.0.1:9", budget={"usd": 2})
    models = yaml.safe_load((tmp_path / "run.yaml").read_text())["models"]
    change(tmp_path / "run.yaml", models={**models, "task": "openai/fake"})
    with pytest.raises(ConfigError, match=r"default--seed-0 and 3 more: budget\.usd is set, but the price"):
        play_sweep(sweep, player=FakePlayer())


def test_a_share_that_is_too_small_is_told_before_anything_is_played(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"default--seed-0 and 3 more: budget\.calls=5 is too small"):
        play_sweep(write_sweep(tmp_path, "http://127.0.0.1:9", budget={"calls": 20}), player=FakePlayer())
    with pytest.raises(ConfigError, match="in the past"):
        play_sweep(write_sweep(tmp_path, budget={"until": "2020-01-01T07:00"}), player=FakePlayer())


def test_another_sweep_is_refused_in_the_same_folder(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, "http://127.0.0.1:9")
    play_sweep(sweep, player=FakePlayer())
    with pytest.raises(LedgerError, match=r"matrix has other keys: search\.strategy, seed, not seed"):
        play_sweep(change(sweep, matrix={"seed": [0]}), player=FakePlayer())
    change(sweep, matrix=MATRIX)
    write_sweep(tmp_path, "http://127.0.0.1:10")
    with pytest.raises(LedgerError, match="its base differs in models"):
        play_sweep(sweep, player=FakePlayer())
    with pytest.raises(LedgerError, match="no sweep lies here"):
        play_sweep(tmp_path, player=FakePlayer())


def test_values_are_added_by_the_file_too_and_those_that_left_it_are_not_played(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, "http://127.0.0.1:9")
    play_sweep(sweep, player=failing(NAMES[1]))
    player = FakePlayer()
    ended = play_sweep(change(sweep, matrix={"search.strategy": ["default", "tpe"], "seed": [0, 1]}), player=player)
    assert player.names == ["tpe--seed-0", "tpe--seed-1"]
    assert (ended.finished, ended.complete) == (4, True)


def test_an_addition_needs_a_key_of_the_matrix(tmp_path: Path) -> None:
    folder = play_sweep(write_sweep(tmp_path, "http://127.0.0.1:9"), player=FakePlayer()).folder
    for addition, message in (("sede=1", "did you mean 'seed'"), ("seed", "KEY=VALUE"), ("seed=[", "not valid YAML")):
        with pytest.raises(ConfigError) as caught:
            play_sweep(folder, additions=[addition], player=FakePlayer())
        assert message in str(caught.value)


def test_time_is_shared_by_the_cells_that_are_left_and_ends_the_sweep(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, "http://127.0.0.1:9", budget={"seconds": 100}, parallel=2)
    player = FakePlayer()
    folder = play_sweep(sweep, player=player).folder
    seconds = [order.config.budget.seconds for order in player.orders]
    assert seconds[0] is not None
    assert seconds[-1] is not None
    assert seconds[0] <= 50, "two waves of two cells"
    assert 50 < seconds[-1] <= 100, "the first ones took none of it"
    assert all(order.config.budget.until for order in player.orders), "no cell goes on after the sweep's end"
    with closing(SweepReader(folder)) as ledger:
        assert ledger.active_seconds() > 0


def test_cells_for_which_no_time_is_left_are_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    player = FakePlayer()
    monkeypatch.setattr(Clock, "left", lambda clock: -1.0 if player.orders else 100.0)
    sweep = write_sweep(tmp_path, "http://127.0.0.1:9", budget={"seconds": 100}, parallel=1)
    ended = play_sweep(sweep, player=player)
    assert (ended.finished, ended.not_begun, ended.failed, ended.complete) == (1, 3, 0, False)


def test_a_password_is_not_kept(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, "http://me:secretword@127.0.0.1:9/v1")
    folder = play_sweep(sweep, player=FakePlayer()).folder
    assert b"secretword" not in (folder / "sweep.db").read_bytes()
    with pytest.raises(ConfigError, match="password"):
        play_sweep(folder, player=FakePlayer())
    assert play_sweep(sweep, player=FakePlayer()).complete


def test_outcomes_are_what_the_player_said(tmp_path: Path) -> None:
    folder = play_sweep(write_sweep(tmp_path, "http://127.0.0.1:9"), player=FakePlayer()).folder
    for name, record in cells(folder).items():
        assert record.outcome == made_outcome(serial=name)
