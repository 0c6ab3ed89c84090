"""One prompt of a run, taken from its folder to be shown or shipped: the winner's, or any trial's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from optimizer.errors import ConfigError, LedgerError, TaskError
from optimizer.export.bias import CannotHold, cannot
from optimizer.export.targets import Export, export, holds
from optimizer.export.template import first_request, openai_body
from optimizer.job.biases import biased
from optimizer.job.finish import model_of
from optimizer.job.load import load_prompt, note_trust
from optimizer.job.resume import stored_config
from optimizer.job.window import load_task_of
from optimizer.ledger.answers import answers_of
from optimizer.ledger.calls import calls_of
from optimizer.ledger.facts import MODELS
from optimizer.ledger.reader import Reader
from optimizer.ledger.result import result_of
from optimizer.ledger.trials import Trial, all_trials
from optimizer.prompt.saved import Doubts, SavedPrompt, carried, doubts_of
from optimizer.system.files import is_file
from optimizer.task.metrics.base import Metric
from optimizer.types import Candidate, task_key


def ship(source: Path, target: str, trial: int | None, predictor: str | None = None, *, trust: bool = False) -> Export:
    """Return a run's winner, one of its trials, or a best.json, in a target's form.

    A readout as a body of OpenAI's needs the run: its model is asked (see `biased`). Raises TaskError where the target
    cannot hold the prompt, with the best trial that it can hold, or where it needs code or an address that a file
    names, and `trust` does not say that they may be used.
    """
    if is_file(source):
        saved = load_prompt(source, trust=trust)
        if target == "openai" and _has_biases(saved.candidate):
            raise cannot("a best.json has no examples by which the two could be compared: give the run's folder")
        return export(saved, target, predictor)
    saved = prompt_of(source, trial, trust)
    try:
        if target == "openai" and _has_biases(saved.candidate):
            return biased(saved, source, predictor)
        return export(saved, target, predictor)
    except CannotHold as problem:
        raise CannotHold(problem.what, f"{problem.remedy}\n  {_best_held(source, target, saved.task.metric)}") from None


def _has_biases(candidate: Candidate) -> bool:
    """Tell if a candidate may be held by a body whose biases do what its readout does."""
    return candidate.reads_labels and candidate.together == 1


def prompt_of(run_dir: Path, trial: int | None = None, trust: bool = False) -> SavedPrompt:
    """Return the winner of a finished run, or the prompt of one of its trials; its folder may be another's.

    Raises LedgerError where there is no such run or trial; a trial needs the task's folder as well.
    """
    if trial is None:
        if not is_file(run_dir / "best.json"):
            with closing(Reader(run_dir / "ledger.db")):
                remedy = f"Let it finish with `metier resume {run_dir}`, or name one of its trials with --trial."
                raise LedgerError(f"{run_dir}: the run has no winner yet", remedy)
        return load_prompt(run_dir / "best.json", trust=trust)
    return _trial_prompt(run_dir, find_trial(run_dir, trial).candidate, trust)


def find_trial(run_dir: Path, number: int) -> Trial:
    """Return a trial of a run; raises LedgerError with the numbers there are."""
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        trials = all_trials(ledger)
    found = next((trial for trial in trials if trial.number == number), None)
    if found is None:
        known = f"Its trials are 0 to {trials[-1].number}." if trials else "It has not begun a trial."
        raise LedgerError(f"{run_dir}: no trial {number}", known)
    return found


def find_winner(run_dir: Path) -> Trial:
    """Return the trial that won a finished run; raises LedgerError where there is none yet."""
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        result, trials = result_of(ledger), all_trials(ledger)
    won = result.winner.candidate if result else None
    found = [trial for trial in trials if won is not None and trial.candidate.id == won.id]
    if won is None or not found:
        raise LedgerError(f"{run_dir}: the run has no winner yet", "Name one of its trials with --trial.")
    # A trial's own calibration may be older: it ended before the candidate was tried again.
    return replace(found[0], candidate=replace(found[0].candidate, prompts=won.prompts))


def _trial_prompt(run_dir: Path, candidate: Candidate, trust: bool) -> SavedPrompt:
    """Return a trial's prompt as its run would save it, and with the same doubts: a ledger is a file, too."""
    config = stored_config(run_dir, asks=False)
    task = load_task_of(config, scored=False)
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        model = model_of(config, ledger, candidate.model).model_copy(update={"price": None})
        sha256 = (ledger.meta(MODELS) or {}).get(task_key(candidate.model), {}).get("sha256", "")
    doubts = doubts_of(str(run_dir), model, task)
    if trust:
        note_trust(run_dir, "ledger.db", doubts)
        doubts = Doubts()
    task = task.changed(train=carried(task, candidate), validation=(), test=())
    sha256 = sha256 if candidate.calibrated else ""
    return SavedPrompt(task, candidate, model, doubts=doubts, privacy=config.privacy, sha256=sha256)


def _best_held(run_dir: Path, target: str, metric: Metric) -> str:
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        trials = all_trials(ledger)
    scored = [t for t in trials if t.low is not None and holds(target, t.candidate, metric)]
    # Few examples make a high score easily, but not a high lower end.
    best = max(scored, key=lambda trial: (trial.state == "complete", trial.low, -trial.number), default=None)
    if best is None:
        return f"No prompt that {target} surely holds has a score in this run."
    left = "" if best.state == "complete" else ", and then left the race"
    return (
        f"The best prompt that it can hold is --trial {best.number}: {best.score:.3f} "
        f"[{best.low:.3f}, {best.high:.3f}] on {best.seen} validation examples{left}."
    )


def messages_for(run_dir: Path, trial: Trial, position: int, inputs: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the chat messages of a trial's first call for the validation example at a position, with these inputs.

    Nothing is sent, and none of the task's own code is run. Where it has a program of its own, or cannot be loaded,
    they are the messages that the ledger holds, or [] where the same call had been made for another trial.
    """
    try:
        saved = _trial_prompt(run_dir, trial.candidate, trust=False)
        body = openai_body(saved.named, first_request(saved.program, saved.named, inputs))
    except (TaskError, ConfigError):
        return _recorded_messages(run_dir, trial, position)
    return list(body["messages"])


def _recorded_messages(run_dir: Path, trial: Trial, position: int) -> list[dict[str, object]]:
    with closing(Reader(run_dir / "ledger.db")) as ledger:
        example = answers_of(ledger, trial.candidate.id, "validation")[position].example
        calls = calls_of(ledger, "search", trial.number, example)
    return [dict(message) for message in calls[0].messages] if calls else []
