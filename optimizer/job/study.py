"""A run as a study of Optuna's: in memory for its plots, and as the file that optuna-dashboard opens."""

from __future__ import annotations

import datetime as dt
import json
import os
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from optimizer.errors import LedgerError
from optimizer.evaluate.latency import latency_of
from optimizer.ledger.reader import Reader
from optimizer.ledger.spend import seconds_by_trial
from optimizer.ledger.trials import Trial, all_trials
from optimizer.system.files import private_file, sync

if TYPE_CHECKING:
    import optuna
    import sqlalchemy
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import FrozenTrial

FILE = "study.db"
# What a trial's parameter is where it has none: a prompt without demos has no policy.
NONE = "none"
# Another one is meant where a prompt says nothing of it: its answers are read from their words.
ABSENT = {"readout": "generate"}
# Of an instruction so much is shown; it is whole in the trial's user attributes.
LABEL = 40
_STATES = {"complete": "COMPLETE", "raced_out": "PRUNED", "failed": "FAIL", "running": "RUNNING"}


def study_of(run_dir: Path) -> optuna.Study:
    """Return a run's trials as a study in memory, for `optuna.visualization`.

    A trial's value is its mean score on the validation examples that it saw, beside the tokens a call and the median
    milliseconds of an answer where these were searched. Who left the race is pruned. What a trial has beside its
    parameters is in its user attributes.
    """
    import optuna
    from optuna.study import StudyDirection

    with closing(Reader(run_dir / "ledger.db")) as ledger:
        trials = all_trials(ledger)
        identity, run_id = ledger.meta("identity") or {}, ledger.meta("run_id")
        objective = identity.get("config", {}).get("search", {}).get("objective") or ("score",)
        seconds = seconds_by_trial(ledger) if "latency" in objective else {}
    name = f"{identity.get('task', {}).get('name', '')} {run_id}".strip()
    with _quiet():
        directions = [StudyDirection.MAXIMIZE, *[StudyDirection.MINIMIZE] * (len(objective) - 1)]
        study = optuna.create_study(study_name=name, directions=directions)
        study.set_metric_names(_names(objective))
    latencies = {number: found.p50 for number, each in seconds.items() if (found := latency_of(each)) is not None}
    study.add_trials(_frozen(trials, objective, latencies))
    return study


def write_study(run_dir: Path) -> Path:
    """Write a run's study as study.db, a file of Optuna's SQLite storage, and return its path.

    `optuna-dashboard sqlite:///RUN_DIR/study.db` shows it. The rows are written by the table: Optuna's own storage
    takes a tenth of a second a trial. Raises LedgerError where the file cannot be written.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    draft = run_dir / f".{FILE}.draft"
    try:
        _write(study_of(run_dir), draft)
        sync(draft)
        os.replace(draft, run_dir / FILE)
    except (OSError, SQLAlchemyError, StorageInternalError) as problem:
        what = f"{run_dir / FILE}: cannot be written ({shorten(str(problem), 200)})"
        raise LedgerError(what, "Free some disk space, then run it again: nothing paid is lost.") from None
    return run_dir / FILE


def _write(study: optuna.Study, path: Path) -> None:
    import optuna
    from optuna.storages import RDBStorage

    path.unlink(missing_ok=True)
    private_file(path)
    storage = RDBStorage(f"sqlite:///{path}", engine_kwargs={"creator": lambda: _unsynced(path)})
    try:
        with _quiet():
            study_id = storage.create_new_study(study.directions, study.study_name)
            loaded = optuna.load_study(study_name=study.study_name, storage=storage)
            loaded.set_metric_names(study.metric_names or [])
        _insert(storage.engine, study_id, study.trials)
    finally:
        storage.engine.dispose()


def _unsynced(path: Path) -> sqlite3.Connection:
    """Return a connection that does not wait for the disk after each table: a draft is renamed only when whole."""
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def _names(objective: Sequence[str]) -> list[str]:
    return ["score", *("milliseconds" if name == "latency" else "tokens a call" for name in objective[1:])]


@contextmanager
def _quiet() -> Iterator[None]:
    """Let Optuna make a study without a word; that values have names is experimental, and it would warn."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _frozen(trials: Sequence[Trial], objective: Sequence[str], latencies: Mapping[int, float]) -> list[FrozenTrial]:
    from optuna.trial import FrozenTrial, TrialState

    labels = _labels(trials)
    distributions = _distributions([labels[trial.number] for trial in trials])
    frozen = []
    for trial in trials:
        costs = [latencies.get(trial.number) if name == "latency" else trial.tokens for name in objective[1:]]
        values = [trial.score, *costs]
        known = [value for value in values if value is not None]
        whole = len(known) == len(values)
        state = TrialState[_STATES[trial.state]]
        if state is TrialState.COMPLETE and not whole:
            state = TrialState.FAIL
        params = {name: labels[trial.number].get(name, _absent(name)) for name in distributions}
        ended = None if trial.ended is None else dt.datetime.fromtimestamp(trial.ended)
        frozen.append(
            FrozenTrial(
                number=trial.number,
                trial_id=trial.number,
                state=state,
                value=None,
                values=known if whole and state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
                datetime_start=dt.datetime.fromtimestamp(trial.started),
                datetime_complete=ended if state.is_finished() else None,
                params=params,
                distributions=dict(distributions),
                user_attrs=_attributes(trial),
                system_attrs={},
                intermediate_values={},
            )
        )
    return frozen


def _labels(trials: Sequence[Trial]) -> dict[int, dict[str, str | int]]:
    """Return each trial's parameters as they are shown: an instruction by its number and its beginning."""
    numbers: dict[str, dict[str, int]] = {}
    labels: dict[int, dict[str, str | int]] = {}
    for trial in trials:
        labels[trial.number] = dict(trial.params)
        for name, value in trial.params.items():
            if name.endswith(".instruction"):
                known = numbers.setdefault(name, {})
                number = known.setdefault(value, len(known))
                labels[trial.number][name] = f"{number}: {' '.join(value.split())[:LABEL]}"
    return labels


def _distributions(labels: Sequence[Mapping[str, str | int]]) -> dict[str, CategoricalDistribution]:
    from optuna.distributions import CategoricalDistribution

    found: dict[str, CategoricalDistribution] = {}
    for name in dict.fromkeys(name for one in labels for name in one):
        values = dict.fromkeys(one.get(name, _absent(name)) for one in labels)
        found[name] = CategoricalDistribution(sorted(values, key=lambda value: (isinstance(value, str), value)))
    return found


def _absent(name: str) -> str:
    """Return what a parameter is where a trial has none."""
    return ABSENT.get(name.rpartition(".")[2], NONE)


def _attributes(trial: Trial) -> dict[str, object]:
    same = ("reason", "low", "high", "seen", "failures", "calls", "tokens")
    instructions = {name: value for name, value in trial.params.items() if name.endswith(".instruction")}
    return {
        "candidate": trial.candidate.id,
        "origin": trial.candidate.origin,
        "estimate": trial.value,
        **{name: getattr(trial, name) for name in same},
        **instructions,
    }


def _insert(engine: sqlalchemy.Engine, study_id: int, trials: Sequence[FrozenTrial]) -> None:
    """Write trials into Optuna's tables, all rows of a table together."""
    from optuna.distributions import distribution_to_json
    from sqlalchemy import MetaData

    rows: dict[str, list[dict[str, object]]] = {
        name: [] for name in ("trials", "trial_params", "trial_values", "trial_user_attributes")
    }
    described = {name: distribution_to_json(one) for name, one in (trials[0].distributions if trials else {}).items()}
    for trial in trials:
        key = trial.number + 1
        rows["trials"].append(
            {
                "trial_id": key,
                "number": trial.number,
                "study_id": study_id,
                "state": trial.state.name,
                "datetime_start": trial.datetime_start,
                "datetime_complete": trial.datetime_complete,
            }
        )
        for name, value in trial.params.items():
            index = trial.distributions[name].to_internal_repr(value)
            of = {"trial_id": key, "param_name": name, "param_value": index, "distribution_json": described[name]}
            rows["trial_params"].append(of)
        for place, value in enumerate(trial.values or ()):
            rows["trial_values"].append({"trial_id": key, "objective": place, "value": value, "value_type": "FINITE"})
        for name, value in trial.user_attrs.items():
            rows["trial_user_attributes"].append({"trial_id": key, "key": name, "value_json": json.dumps(value)})
    tables = MetaData()
    tables.reflect(engine, only=list(rows))
    with engine.begin() as connection:
        for name, of_table in rows.items():
            if of_table:
                connection.execute(tables.tables[name].insert(), of_table)
