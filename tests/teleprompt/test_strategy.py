"""Every strategy that a config can name, on support_intent and the fake provider: whole, killed and resumed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bench import Bench, wait_for
from support.jobs import write_config

from optimizer.config.presets import DSPY, LIBRARIES, PRESETS
from optimizer.ledger.answers import answers_of
from optimizer.ledger.calls import answered_keys
from optimizer.ledger.spend import usage_by_role
from optimizer.ledger.trials import all_trials, trial_figures
from optimizer.testing.fake_server import FakeServer, Messages, text_of
from optimizer.testing.forks import Forks
from teleprompt.made import BUDGET, answer, settings, small_task

pytestmark = pytest.mark.timeout(280)
KILLED_AFTER = 15
# promptolution takes seconds to import: tests/teleprompt/test_promptolution_package.py plays its optimizers.
KILLED = [*PRESETS, *(name for name in LIBRARIES if not name.startswith("promptolution")), "baseline.nearest"]
IN_FLIGHT = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("strategies")
    small_task(made / "task")
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer(answer) as running:
        yield running


def bench_of(strategy: str, folder: Path, server: FakeServer, forks: Forks, **changes: Any) -> Bench:
    config = write_config(folder / f"{strategy}.yaml", settings(strategy, folder / "task", server.api_base, **changes))
    return Bench(folder, config, server, forks)


def check_run(bench: Bench, name: str, strategy: str) -> None:
    """Check what holds of every strategy's finished run."""
    with bench.ledger(name) as ledger:
        trials = all_trials(ledger)
        spent = sum(usage.calls for usage in usage_by_role(ledger, "search").values())
        first = answers_of(ledger, trials[0].candidate_id, "validation")
    assert spent <= BUDGET
    assert trials[0].candidate.origin == "seed"
    assert len(first) == trials[0].seen > 0
    # SIMBA learns from rollouts that differ; those of this provider do not, so it may return what it was given.
    assert len({row.candidate_id for row in trials}) == len(trials) >= (1 if strategy.endswith("SIMBA") else 2)
    assert [row.number for row in trials] == list(range(len(trials)))
    assert all(row.ended is not None and row.state != "running" for row in trials)
    found = bench.result(name)
    assert found["winner"]["candidate_id"] in {row.candidate_id for row in trials}
    assert found["verdict"] in {"improved", "inconclusive", "worse"}
    if strategy in LIBRARIES:
        assert {row.candidate.origin for row in trials[1:]} <= {strategy.partition(".")[0]}


def check_kill(strategy: str, folder: Path, server: FakeServer, forks: Forks) -> None:
    """Kill a run, resume it: what was committed is not paid again, the budget holds, every candidate is a trial."""
    bench = bench_of(strategy, folder, server, forks)
    asked, server.delay = server.answered, 0.02
    pid = bench.start(strategy)
    wait_for(lambda: server.answered - asked >= KILLED_AFTER)
    os.kill(pid, signal.SIGKILL)
    assert forks.wait(pid) == -signal.SIGKILL, bench.log(strategy)
    server.delay = 0.0
    with bench.ledger(strategy) as ledger:
        committed = answered_keys(ledger)
    assert bench.run(strategy) == 0, bench.log(strategy)
    check_run(bench, strategy, strategy)
    with bench.ledger(strategy) as ledger:
        done = answered_keys(ledger)
    assert committed <= done
    # Each call that the provider answered is one that was committed, or was in flight at the kill.
    assert server.answered - asked - len(done) <= IN_FLIGHT
    assert len(committed) >= KILLED_AFTER - 1 - IN_FLIGHT


@pytest.mark.parametrize("strategy", ["dspy.MIPROv2", "gepa"])
def test_a_strategy_of_a_library_runs_from_yaml(strategy: str, folder: Path, server: FakeServer, forks: Forks) -> None:
    bench = bench_of(strategy, folder, server, forks)
    asked = server.answered
    assert bench.run(f"whole-{strategy}") == 0, bench.log(f"whole-{strategy}")
    check_run(bench, f"whole-{strategy}", strategy)
    with bench.ledger(f"whole-{strategy}") as ledger:
        assert len(answered_keys(ledger)) == server.answered - asked
    assert "refuses" not in bench.log(f"whole-{strategy}")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", KILLED)
def test_every_strategy_survives_a_kill(strategy: str, folder: Path, server: FakeServer, forks: Forks) -> None:
    check_kill(strategy, folder, server, forks)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("strategy", [*PRESETS, *(name for name in LIBRARIES if name.startswith(DSPY))])
def test_each_candidate_is_a_child_in_mlflow(strategy: str, folder: Path, server: FakeServer, forks: Forks) -> None:
    from optimizer.track.connect import connect

    uri, name = f"sqlite:///{folder / 'mlflow.db'}", f"mirrored-{strategy}"
    bench = bench_of(strategy, folder, server, forks, tracking={"mlflow": {"uri": uri}})
    assert bench.run(name) == 0, bench.log(name)
    with bench.ledger(name) as ledger:
        rows, run_id = trial_figures(ledger), ledger.meta("run_id")
    client, experiment = connect(uri, "metier")
    runs = client.search_runs([experiment], f"tags.`metier.run_id` = '{run_id}'", max_results=100)
    children = {run.data.tags["candidate_id"] for run in runs if "mlflow.parentRunId" in run.data.tags}
    assert children == {row.candidate_id for row in rows}
    assert len(children) >= (1 if strategy.endswith("SIMBA") else 2)


@pytest.mark.parametrize(
    ("strategy", "option", "meant"),
    [("dspy.MIPROv2", "autom", "auto"), ("gepa", "max_metric_call", "max_metric_calls")],
)
def test_an_option_that_it_does_not_have_is_refused(
    strategy: str, option: str, meant: str, folder: Path, server: FakeServer, forks: Forks
) -> None:
    data = settings(strategy, folder / "task", server.api_base)
    data["search"]["options"] = {option: 5}
    bench = Bench(folder, write_config(folder / f"wrong-{strategy}.yaml", data), server, forks)
    assert bench.run(f"wrong-{strategy}") == 2
    assert f"did you mean '{meant}'?" in bench.log(f"wrong-{strategy}")


@pytest.mark.parametrize("strategy", ["dspy.COPRO", "dspy.MIPROv2"])
def test_a_prompt_model_that_cannot_be_read_is_one_message(strategy: str, folder: Path, forks: Forks) -> None:
    def nonsense(messages: Messages) -> str:
        said = "\n".join(map(text_of, messages))
        return "Be exact." if "proposed_instruction" in said or "observations" in said else answer(messages)

    with FakeServer(nonsense) as server:
        bench = bench_of(strategy, folder, server, forks)
        assert bench.run(f"{strategy}-nonsense") == 2, bench.log(f"{strategy}-nonsense")
        log = bench.log(f"{strategy}-nonsense")
    assert "internal error" not in log
    assert "failed to parse the LM response" in log
    assert "Change models.prompt." in log


def test_every_optimizer_that_can_be_named_has_its_settings() -> None:
    from optimizer.teleprompt.methods import METHODS

    assert {f"{DSPY}{name}" for name in METHODS} == {name for name in LIBRARIES if name.startswith(DSPY)}
