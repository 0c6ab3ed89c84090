"""From the facts of a run to its report: verdict, reasons, scores, prompt, trials, cost, and how to do it again."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from optimizer.ledger.trials import Trial, best_trial
from optimizer.report.blocks import Block, Bullets, Code, Document, Section, Table, Text
from optimizer.report.clean import cell, visible
from optimizer.report.evidence import answers_section
from optimizer.report.gather import Facts, ranked
from optimizer.report.overview import overview
from optimizer.report.prompts import prompt_title, prompts_section, trial_prompts
from optimizer.report.searched import search_section
from optimizer.report.tested import outcome_section
from optimizer.report.words import READ_AS, at_most, headline, interval, number
from optimizer.types import Usage

# More trials than these are shown the best first; the others are folded, with the columns that tell them apart.
MOST_TRIALS, SHOWN_TRIALS = 60, 40
NO_VERDICT = "No verdict yet: only the test at the end of the run can give one."


def document_of(facts: Facts) -> Document:
    """Return the report of a run, finished or not."""
    outcome = facts.result["verdict"] if facts.result else facts.state
    sections = [
        outcome_section(facts.result) if facts.result else _so_far(facts),
        prompts_section(facts),
        search_section(facts),
        answers_section(facts),
        _trials(facts),
        _cost(facts),
        _reproduce(facts),
        *([Section("Notes", [Bullets([visible(note) for note in facts.notes])])] if facts.notes else []),
    ]
    title = cell(facts.task) or "a run that has not begun"
    return Document(f"{title}: {outcome}", _lead(facts), _advice(facts), sections, overview(facts))


def _lead(facts: Facts) -> str:
    if facts.result is not None:
        return headline(facts.result)
    ended = sum(trial.state != "running" for trial in facts.trials)
    how = "is still going on" if facts.state == "running" else "was interrupted"
    return f"This run {how}: {ended}{at_most(facts.planned)} trials have ended. {_best(facts)}"


def _best(facts: Facts) -> str:
    best = best_trial(facts.trials)
    if best is None:
        return "None of them has a score yet."
    return (
        f"The best so far, trial {best.number}, scores {number(best.score)} {interval(best.low, best.high)} "
        f"on {best.seen} validation examples; it was chosen by that score, so the figure flatters it."
    )


def _advice(facts: Facts) -> str:
    if facts.result is not None:
        return str(facts.result["recommendation"])
    if facts.state == "running":
        return NO_VERDICT
    why = f" It stopped because: {cell(facts.stopped)}." if facts.stopped else ""
    return f"{NO_VERDICT}{why} Go on with `metier resume RUN_DIR`, where RUN_DIR is the folder of this report."


def _so_far(facts: Facts) -> Section:
    best = best_trial(facts.trials)
    scored = [trial for trial in facts.trials[:1] if trial.score is not None]
    scored += [best] if best is not None and best.number else []
    table = _table("Scores so far, on validation", scored)
    return Section("Scores", [Text("The test examples have not been touched."), table])


def _cost(facts: Facts) -> Section:
    spent = [(f"{phase}, {role}", usage) for phase, roles in facts.usage.items() for role, usage in roles.items()]
    spent.append(("together", sum((usage for _, usage in spent), Usage())))
    rows = [
        (what, *(f"{n:,}" for n in (u.calls, u.cached_calls, u.input_tokens, u.output_tokens)), f"{u.usd:.4f}")
        for what, u in spent
    ]
    head = ("phase and role", "calls paid", "answered from the cache", "input tokens", "output tokens", "dollars")
    blocks: list[Block | Section] = [Table("What it cost, by role", head, rows)]
    if facts.result is not None:
        blocks.append(Text(f"The run took {facts.result['seconds']:.0f} s, the test included."))
    if facts.lost:
        blocks.append(
            Text(
                f"{facts.lost} calls were in flight when the run was cut off. They were made again, and the provider "
                "may have charged for them twice.",
                warning=True,
            )
        )
    failures = [(kind, f"{count:,}", cell(message)) for kind, count, message in facts.failures]
    table = Table("Calls that failed for good", ("kind", "calls", "one of the messages"), failures, "No call failed.")
    # What went wrong is not to be folded away.
    return Section("What it cost", [*blocks, Section("Failures", [table])], folded=not (facts.lost or failures))


def _trials(facts: Facts) -> Section:
    note = Text("Validation scores: each trial is compared with others on the examples that both have seen.")
    if len(facts.trials) <= MOST_TRIALS:
        return Section("Trials", [note, _table("Every trial", facts.trials), trial_prompts(facts.trials)])
    best = ranked(facts.trials, facts.after)
    shown = [facts.trials[0], *(trial for trial in best if trial.number != 0)][:SHOWN_TRIALS]
    numbers = {trial.number for trial in shown}
    rest = [trial for trial in facts.trials if trial.number not in numbers]
    rows = [
        (str(trial.number), number(trial.score), cell(trial.reason) or "–", _state(trial), str(trial.seen))
        for trial in rest
    ]
    others = Table(f"The other {len(rest):,} trials", ("trial", "score", "why it ended", "state", "seen"), rows)
    more = Text(
        "`metier show RUN_DIR --trial N` shows any of them whole, and `metier ui RUN_DIR` sorts and compares all."
    )
    top = _table(f"The seed and the best {len(shown) - 1} of {len(facts.trials):,} trials, the best first", shown)
    rest_section = Section(others.caption, [others], folded=True, page_only=True)
    return Section("Trials", [note, top, trial_prompts(shown), more, rest_section])


def _table(caption: str, trials: Sequence[Trial]) -> Table:
    """Return a row a trial; on a phone the first three columns are what is seen without scrolling."""
    head: tuple[str, ...] = (
        *("trial", "score", "why it ended", "95 % interval", "seen", "tokens a call", "state", "from", "candidate"),
    )
    rows: list[tuple[str, ...]] = [
        (
            _name(trial),
            number(trial.score),
            cell(trial.reason) or "–",
            interval(trial.low, trial.high, form=".2f"),
            str(trial.seen),
            number(trial.tokens, 0),
            _state(trial),
            cell(trial.candidate.origin),
            trial.candidate.id,
        )
        for trial in trials
    ]
    links = [Section(prompt_title(trial), []).anchor for trial in trials]
    read = [_read_as(trial) for trial in trials]
    if len(set(read)) > 1:
        head, rows = (*head, "answers read as"), [(*row, how) for row, how in zip(rows, read, strict=True)]
    return Table(caption, head, rows, "None has begun.", links)


def _read_as(trial: Trial) -> str:
    return "; ".join(READ_AS[prompt.readout] or "their words" for prompt in trial.candidate.prompts.values())


def _name(trial: Trial) -> str:
    return f"{trial.number} (seed)" if trial.number == 0 else str(trial.number)


def _state(trial: Trial) -> str:
    return trial.state.replace("_", " ")


def _reproduce(facts: Facts) -> Section:
    identity = facts.identity
    config = yaml.safe_dump(
        {"task": facts.task_path, **identity.get("config", {})}, sort_keys=False, allow_unicode=True
    )
    packages = list(identity.get("package", {}).items())
    around = [(name, cell(value)) for name, value in identity.get("environment", {}).items()]
    task = [(name, cell(value)) for name, value in identity.get("task", {}).items() if value is not None]
    return Section(
        "How to reproduce it",
        [
            Text(
                "Save the configuration as run.yaml and run `metier run run.yaml --run-dir NEW_FOLDER`. The same seed "
                "asks the same candidates of the same task; a model that samples, or has changed, may answer otherwise."
            ),
            Text(
                f"This report is made from the ledger of run {cell(facts.run_id)}: `metier report RUN_DIR` makes it "
                "anew, where RUN_DIR is the folder it lies in."
            ),
            Code("The configuration", visible(config), "yaml"),
            *([Table("The environment", ("variable", "value"), around)] if around else []),
            Table("Packages", ("package", "version"), packages),
            Table("The task", ("what", "value"), task),
        ],
        folded=True,
    )
