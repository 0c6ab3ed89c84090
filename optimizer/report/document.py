"""From the facts of a run to its report: verdict, scores, prompt, cost, trials, and how to do it again."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from optimizer.report.blocks import Block, Bullets, Code, Difference, Document, Section, Table, Text
from optimizer.report.clean import cell, visible
from optimizer.report.evidence import answers_section
from optimizer.report.gather import Facts, Trial, best_of, ranked
from optimizer.report.searched import search_section
from optimizer.report.tested import outcome_section
from optimizer.report.words import at_most, demo_lines, difference, settings_of
from optimizer.types import Candidate, Prompt, Usage

# More trials than these are shown the best first; the others are folded, with the columns that tell them apart.
MOST_TRIALS, SHOWN_TRIALS = 60, 40
NO_VERDICT = "No verdict yet: only the test at the end of the run can give one."


def document_of(facts: Facts) -> Document:
    """Return the report of a run, finished or not."""
    outcome = facts.result["verdict"] if facts.result else facts.state
    sections = [
        _scores(facts),
        _prompts(facts),
        search_section(facts),
        answers_section(facts),
        _cost(facts),
        _trials(facts),
        _reproduce(facts),
        *([Section("Notes", [Bullets([visible(note) for note in facts.notes])])] if facts.notes else []),
    ]
    title = cell(facts.task) or "a run that has not begun"
    return Document(f"{title}: {outcome}", _lead(facts), _advice(facts), sections)


def _lead(facts: Facts) -> str:
    result = facts.result
    if result is not None:
        low, high = result["difference"]["ci95"]
        return (
            f"{result['seed']['test_score']:.3f} → {result['winner']['test_score']:.3f} on "
            f"{result['test_examples']} test examples ({result['difference']['mean']:+.3f}, 95 % interval "
            f"[{low:+.3f}, {high:+.3f}])."
        )
    ended = sum(trial.state != "running" for trial in facts.trials)
    how = "is still going on" if facts.state == "running" else "was interrupted"
    return f"This run {how}: {ended}{at_most(facts.planned)} trials have ended. {_best(facts)}"


def _best(facts: Facts) -> str:
    best = best_of(facts.trials)
    if best is None:
        return "None of them has a score yet."
    return (
        f"The best so far, trial {best.number}, scores {best.score:.3f} [{best.low:.3f}, {best.high:.3f}] "
        f"on {best.seen} validation examples; it was chosen by that score, so the figure flatters it."
    )


def _advice(facts: Facts) -> str:
    if facts.result is not None:
        return str(facts.result["recommendation"])
    if facts.state == "running":
        return NO_VERDICT
    why = f" It stopped because: {cell(facts.stopped)}." if facts.stopped else ""
    return f"{NO_VERDICT}{why} Go on with `metier resume RUN_DIR`, where RUN_DIR is the folder of this report."


def _scores(facts: Facts) -> Section:
    result = facts.result
    if result is None:
        return Section("Scores", [Text("The test examples have not been touched."), *_so_far(facts)])
    return outcome_section(result)


def _so_far(facts: Facts) -> list[Block | Section]:
    best = best_of(facts.trials)
    shown = [trial for trial in (facts.trials[:1]) if trial.score is not None]
    shown += [best] if best is not None and best.number else []
    rows = [(_named(t), _score(t), _interval(t), str(t.seen)) for t in shown]
    return [Table("Scores so far, on validation", ("trial", "score", "95 % interval", "examples seen"), rows)]


def _prompts(facts: Facts) -> Section:
    title = "The prompt, before and after"
    if facts.before is None or facts.after is None:
        return Section(title, [Text("No prompt has a score yet.")])
    if facts.before.id == facts.after.id:
        lone = [block for name in facts.after.prompts for block in _whole(facts.after, name)]
        return Section(title, [Text("The best prompt is the seed itself."), *lone])
    blocks: list[Block | Section] = []
    for name, prompt in facts.after.prompts.items():
        lines = difference(facts.before.prompts[name], prompt)
        parts = [
            Difference(f"What changed in {cell(name)}", [(sign, visible(line)) for sign, line in lines]),
            *_whole(facts.after, name),
        ]
        blocks += [Section(f"Predictor {cell(name)}", parts)] if len(facts.after.prompts) > 1 else parts
    return Section(title, blocks)


def _whole(candidate: Candidate, name: str) -> list[Block]:
    prompt: Prompt = candidate.prompts[name]
    demos = demo_lines(prompt)
    blocks: list[Block] = [
        Text(settings_of(prompt)),
        Code(f"The instruction of {cell(name)}", visible(prompt.instruction)),
    ]
    return [*blocks, Code(f"The demos of {cell(name)}", "\n".join(map(visible, demos)))] if demos else blocks


def _cost(facts: Facts) -> Section:
    rows = []
    for phase, roles in facts.usage.items():
        rows += [(f"{phase}, {role}", *_spent(usage)) for role, usage in roles.items()]
    total = sum((usage for roles in facts.usage.values() for usage in roles.values()), Usage())
    rows.append(("together", *_spent(total)))
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
    return Section("What it cost", [*blocks, Section("Failures", [table])])


def _spent(usage: Usage) -> tuple[str, ...]:
    counts = (usage.calls, usage.cached_calls, usage.input_tokens, usage.output_tokens)
    return (*(f"{count:,}" for count in counts), f"{usage.usd:.4f}")


def _trials(facts: Facts) -> Section:
    told = Text("Validation scores: each trial is compared with others on the examples that both have seen.")
    if len(facts.trials) <= MOST_TRIALS:
        return Section("Trials", [told, _table_of("Every trial", facts.trials)])
    best = ranked(facts.trials, facts.after)
    shown = [facts.trials[0], *(trial for trial in best if trial.number != 0)][:SHOWN_TRIALS]
    numbers = {trial.number for trial in shown}
    rest = [trial for trial in facts.trials if trial.number not in numbers]
    rows = [
        (str(trial.number), trial.state.replace("_", " "), _score(trial), str(trial.seen), cell(trial.reason) or "–")
        for trial in rest
    ]
    head = ("trial", "state", "score", "seen", "why it ended")
    more = Text(
        "`metier show RUN_DIR --trial N` shows any of them whole, and `metier ui RUN_DIR` sorts and compares all."
    )
    top = _table_of(f"The seed and the best {len(shown) - 1} of {len(facts.trials):,} trials, the best first", shown)
    return Section("Trials", [told, top, more, Table(f"The other {len(rest):,} trials", head, rows, folded=True)])


def _table_of(caption: str, trials: Sequence[Trial]) -> Table:
    head = ("trial", "candidate", "from", "state", "score", "95 % interval", "seen", "tokens a call", "why it ended")
    rows = [
        (
            _named(trial),
            trial.candidate.id,
            cell(trial.candidate.origin),
            trial.state.replace("_", " "),
            _score(trial),
            _interval(trial),
            str(trial.seen),
            "–" if trial.tokens is None else f"{trial.tokens:.0f}",
            cell(trial.reason) or "–",
        )
        for trial in trials
    ]
    return Table(caption, head, rows, "None has begun.")


def _named(trial: Trial) -> str:
    return f"{trial.number} (seed)" if trial.number == 0 else str(trial.number)


def _score(trial: Trial) -> str:
    return "–" if trial.score is None else f"{trial.score:.3f}"


def _interval(trial: Trial) -> str:
    known = trial.score is not None and trial.low is not None
    return f"[{trial.low:.2f}, {trial.high:.2f}]" if known else "–"


def _reproduce(facts: Facts) -> Section:
    identity = facts.identity
    config = yaml.safe_dump(
        {"task": facts.task_path, **identity.get("config", {})}, sort_keys=False, allow_unicode=True
    )
    packages = [(name, version) for name, version in identity.get("package", {}).items()]
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
            Table("Packages", ("package", "version"), packages),
            Table("The task", ("what", "value"), task),
        ],
    )
