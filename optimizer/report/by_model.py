"""The report's section on several task models: what the search saw of each."""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.ledger.trials import Trial, best_trial
from optimizer.report.blocks import Section, Table, Text
from optimizer.report.clean import cell
from optimizer.report.gather import Facts
from optimizer.report.words import interval, number
from optimizer.types import Usage, names_of

HEAD = (
    "model",
    "trials",
    "saw the whole race",
    "best score",
    "95 % interval",
    "examples",
    "tokens a call",
    "$ per 1,000 calls",
)


def models_section(facts: Facts) -> list[Section]:
    """Return what the search saw of each task model, the best first; nothing where there is one model."""
    names = _names(facts)
    if len(names) < 2:
        return []
    by_model = {name: [trial for trial in facts.trials if trial.candidate.model == name] for name in names}
    rows = sorted(((_best(trials), name) for name, trials in by_model.items()), key=lambda row: -row[0][0])
    explanation = Text(
        "Each model's best trial, of those that saw every validation example if there are such, with the interval of "
        "its score. The best of many looks better than it is, so a small lead here decides nothing; the test does. "
        "Dollars are those of all paid calls of the model's trials."
    )
    table = [_row(names[name], by_model[name], best) for (_, best), name in rows]
    return [Section("By model", [explanation, Table("The task models, the best first", HEAD, table)])]


def _names(facts: Facts) -> dict[str, str]:
    """Return the task models' names by those that candidates have: "" is the first one."""
    models = facts.identity.get("config", {}).get("models", {})
    first, *others = names_of([models.get("task") or {"model": ""}, *models.get("also", ())])
    return {"": first, **dict(zip(others, others, strict=True))}


def _best(trials: Sequence[Trial]) -> tuple[float, Trial | None]:
    best = best_trial([trial for trial in trials if trial.state == "complete"] or trials)
    return (-1.0 if best is None or best.score is None else best.score), best


def _row(name: str, trials: Sequence[Trial], best: Trial | None) -> tuple[str, ...]:
    complete = sum(trial.state == "complete" for trial in trials)
    spent = sum((trial.spent for trial in trials), Usage())
    dollars = f"{1000 * spent.usd / spent.calls:.2f}" if spent.calls else "–"
    figures = ("–", "–", "–", "–")
    if best is not None:
        score = interval(best.low, best.high, form=".2f")
        figures = (number(best.score), score, str(best.seen), number(best.tokens, 0))
    return cell(name), str(len(trials)), str(complete), *figures, dollars
