"""The end of a run: the result enters the ledger, and every file is made from there."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING

from optimizer.config.schema import ModelConfig, RunConfig
from optimizer.job.study import write_study
from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import all_trials, prompt_as_sent
from optimizer.prompt.saved import dump_prompt
from optimizer.report.files import write_reports
from optimizer.report.markdown import best_md
from optimizer.report.result import Report, write_result
from optimizer.system.files import write_atomically
from optimizer.system.redact import without_credentials
from optimizer.types import Candidate

if TYPE_CHECKING:
    from optimizer.job.session import Session

PROMPT = "best"
FILES = ("best.json", "best.md", "report.md", "report.html", "result.json", "study.db")


def finish(session: Session, report: Report) -> None:
    """Write the winner's prompt and the result into the ledger: from then on the run is finished."""
    note = {"run_id": report.run_id, "verdict": report.verdict, "test_score": report.winner.test_score}
    prompt = dump_prompt(session.task, report.winner.candidate, model_of(session.config), note)
    session.ledger.put_meta(PROMPT, prompt)
    session.ledger.put_meta("result", report.to_json())
    write_files(session.ledger)


def write_files(ledger: Ledger, names: Collection[str] = FILES) -> None:
    """Write files of a finished run anew, from its ledger alone."""
    report, run_dir = read_report(ledger), ledger.path.parent
    # A run of an older version has its prompt in the file alone.
    if "best.json" in names and (prompt := ledger.meta(PROMPT)) is not None:
        write_atomically(run_dir / "best.json", prompt)
    if "best.md" in names:
        write_atomically(run_dir / "best.md", best_md(report, prompt_as_sent(ledger, report.winner.candidate.id)))
    if {"report.md", "report.html"} & set(names):
        write_reports(ledger, run_dir)
    write_result(report)
    if "study.db" in names:
        write_study(run_dir)


def set_mlflow(ledger: Ledger, mlflow: dict[str, str | None]) -> None:
    """Write where a finished run lies in MLflow into its result, and result.json."""
    result = ledger.meta("result")
    if result is not None:
        ledger.put_meta("result", {**result, "mlflow": mlflow})
        write_result(read_report(ledger))


def finished_report(ledger: Ledger) -> Report:
    """Return the report of a finished run; files that are missing, since a kill came first, are written."""
    if missing := [name for name in FILES if not (ledger.path.parent / name).is_file()]:
        write_files(ledger, missing)
    return read_report(ledger)


def read_report(ledger: Ledger) -> Report:
    """Return the report that a finished run has in its ledger."""
    seed = all_trials(ledger)[0]
    candidate = Candidate.from_json(json.loads(seed["prompts"]), seed["origin"])
    return Report.from_json(ledger.meta("result"), candidate, ledger.path.parent)


def model_of(config: RunConfig) -> ModelConfig:
    """Return the task model as a saved prompt holds it: with its address, without credentials."""
    model = config.models.by_role["task"]
    return model.model_copy(update={"api_base": without_credentials(model.api_base)})
