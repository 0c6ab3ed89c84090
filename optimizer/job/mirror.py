"""A run's mirror in MLflow, from its start to however the run ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from optimizer.config.load import dump_config
from optimizer.errors import Interrupted
from optimizer.job.folder import splits_json
from optimizer.job.watcher import Watcher
from optimizer.ledger.facts import SWEEP
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.result import put_mlflow
from optimizer.models.fleet import Say
from optimizer.report.result import write_result
from optimizer.system.redact import scrub
from optimizer.track.mirror import Mirror

if TYPE_CHECKING:
    from optimizer.job.session import Session
    from optimizer.search.trials import Event


@contextmanager
def mirrored(
    session: Session, uri: str, run_id: str, block: int, watcher: Watcher
) -> Iterator[Callable[[Event], None]]:
    """Mirror a run while the context lasts, to however it ends; yields what is to be told of each event."""
    where = session.config.tracking.mlflow
    mirror = None if where is None else _started(session, uri, where.experiment, run_id, block, watcher.warn)

    def watch(event: Event) -> None:
        watcher.event(event)
        if mirror is not None and event.kind == "ended":
            mirror.nudge()

    try:
        yield watch
    except BaseException as problem:
        asked = not isinstance(problem, Exception) or isinstance(problem, Interrupted)
        if mirror is not None:
            _end(session.ledger, mirror, "KILLED" if asked else "FAILED", watcher.warn)
        raise
    if mirror is not None:
        _end(session.ledger, mirror, "FINISHED", watcher.warn)


def catch_up(ledger: Ledger, warn: Say) -> None:
    """Finish the mirror of a finished run that was killed before its mirror's end."""
    tracking = ledger.meta("tracking")
    if tracking is not None and tracking["status"] != "FINISHED":
        mirror = Mirror(ledger, ledger.path.parent, warn)
        mirror.nudge()
        _end(ledger, mirror, "FINISHED", warn)


def _started(session: Session, uri: str, experiment: str, run_id: str, block: int, warn: Say) -> Mirror:
    task, config = session.task, session.config
    identities = {f"model.{role}": scrub(endpoint.identity) for role, endpoint in session.models.endpoints.items()}
    addresses = {f"{role}_address": scrub(one.address) for role, one in session.models.endpoints.items() if one.address}
    mirror = Mirror(session.ledger, session.folder, warn)
    mirror.start(
        {
            "uri": uri,
            "experiment": experiment,
            "name": f"{task.name} {run_id}",
            "params": {
                "task": task.name,
                "task_model": ", ".join(config.models.task_names),
                "seed": config.seed,
                **addresses,
            },
            "tags": {"task_fingerprint": task.fingerprint, **identities},
            "data": splits_json(task),
            "config": scrub(dump_config(config.model_copy(update={"run_dir": None}))),
            "block": block,
            "sweep": session.ledger.meta(SWEEP),
        }
    )
    return mirror


def _end(ledger: Ledger, mirror: Mirror, status: str, warn: Say) -> None:
    run_dir = ledger.path.parent
    if problem := mirror.finish(status):
        warn(f"MLflow was not reached ({problem}); later: metier track sync {run_dir}")
    if status == "FINISHED" and mirror.parent is not None:
        report = put_mlflow(ledger, scrub(ledger.meta("tracking")["uri"]), mirror.parent)
        if report is not None:
            write_result(report)
