"""Sections of a sweep's report that compare: scores, differences, ranks, and which keys mattered."""

from __future__ import annotations

import itertools
from statistics import fmean

import numpy as np

from optimizer.report.blocks import Block, Figure, Section, Table, Text
from optimizer.report.clean import cell
from optimizer.report.figures import intervals, rank_diagram
from optimizer.report.words import interval, number
from optimizer.sweep.results import Estimate, Results, outcome, value_text
from optimizer.sweep.statistics import (
    Effect,
    Factor,
    critical_difference,
    factor_effects,
    friedman,
    level_groups,
)

# So many methods are compared pair by pair; of more each is compared with the first.
PAIRED, MOST_DRAWN = 5, 24
UNTUNED = "untuned prompt"
PER_EXAMPLES = "over test examples, given the seeds that were played"


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.0f} %"


def overall_score(results: Results, method: str) -> float:
    """Return a method's mean score: each task counts the same."""
    return fmean(results.score(results.of(task, method)).mean for task in results.tasks if results.of(task, method))


def scores_section(results: Results, shares: dict[str, float]) -> Section:
    """Return the scores of each method in each task, and the probability that it is the best."""
    rows = []
    for method in results.methods:
        row = [method, *(_estimate(results, task, method) for task in results.tasks)]
        if len(results.tasks) > 1:
            row.append(f"{overall_score(results, method):.3f}" if method in results.everywhere else "–")
        if shares:
            row.append(f"{percent(shares[method])}" if method in shares else "–")
        rows.append(row)
    seeds = [results.score(results.of(task), "seed") for task in results.tasks]
    untuned = [UNTUNED, *map(_text, seeds)]
    untuned += [f"{fmean(one.mean for one in seeds):.3f}"] if len(seeds) > 1 else []
    rows.append([*untuned, *(["–"] if shares else [])])
    head = ["method", *results.tasks, *(["mean of tasks"] if len(results.tasks) > 1 else [])]
    head += ["best with probability"] if shares else []
    blocks: list[Block] = [
        Text(f"Scores of the winning prompts on test examples, the mean over seeds; 95 % intervals {PER_EXAMPLES}."),
        Table("Test score by task and method", head, rows),
    ]
    if shares:
        blocks.append(
            Text(
                "The probability of being best is the share of 2,000 draws, with replacement, of test examples and "
                "seeds, the same for all methods, in which a method's mean over the tasks leads."
            )
        )
    return Section("Scores", [*blocks, Section("By task", _drawn(results), columns=True)])


def _drawn(results: Results) -> list[Block]:
    drawn: list[Block] = []
    for index, task in enumerate(results.tasks[:4]):
        methods = [method for method in results.methods if results.of(task, method)][:MOST_DRAWN]
        sides = [(_short(method), results.score(results.of(task, method))) for method in methods]
        sides.append(("untuned", results.score(results.of(task), "seed")))
        lines = [(name, one.mean, *one.ci95) for name, one in sides]
        table = Table(f"The same in figures, {task}", ("method", "score"), [(name, _text(one)) for name, one in sides])
        title, description = f"Scores in {task}", f"Each with its 95 % interval {PER_EXAMPLES}."
        drawn.append(Figure(title, description, intervals(lines, title, description, f"scores{index}"), table))
    return drawn


def differences_section(results: Results) -> Section:
    """Return how far methods are ahead of each other on the same test examples."""
    methods = results.methods
    if len(methods) < 2:
        return Section("Differences", [Text("One method: there is nothing to compare.")])
    pairs = (
        list(itertools.combinations(methods, 2)) if len(methods) <= PAIRED else [(methods[0], m) for m in methods[1:]]
    )
    rows = []
    for one, other in pairs:
        for task in results.tasks:
            if results.of(task, one) and results.of(task, other):
                gain = results.difference(task, other, one)
                if gain is not None:
                    rows.append([f"{other} − {one}", task, _signed(gain), f"{gain.examples}", _word(gain)])
    text = (
        f"Paired differences on the same test examples, over the seeds that both have; 95 % intervals {PER_EXAMPLES}. "
        f"Each holds for itself: of many, one in twenty is chance."
    )
    head = ("methods", "task", "difference", "examples", "")
    return Section("Differences", [Text(text), Table("Paired differences", head, rows, "No two methods share a task.")])


def ranks_section(results: Results) -> Section:
    """Return the mean ranks over tasks, with a critical-difference diagram."""
    methods, tasks = results.everywhere, results.tasks
    if len(methods) < 2 or len(tasks) < 2:
        why = "Ranks are compared over tasks: two methods in two tasks at least are needed."
        return Section("Ranks", [Text(why)])
    table = np.array([[results.score(results.of(task, method)).mean for method in methods] for task in tasks])
    test, least = friedman(table), critical_difference(len(methods), len(tasks))
    ranks = list(zip(methods, test.ranks, strict=True))
    level = level_groups(test.ranks, least)
    ordered = sorted(ranks, key=lambda pair: pair[1])
    rows = [(method, f"{rank:.2f}") for method, rank in ordered]
    title = "Mean ranks over tasks"
    description = (
        f"1 is the best; a bar joins methods that are not told apart. Two mean ranks are, at 5 % for all pairs "
        f"together, if they differ by {least:.2f} (Nemenyi's test)"
    )
    drawn = [(_short(method), rank) for method, rank in ordered[:MOST_DRAWN]]
    figure = Figure(
        title,
        description,
        rank_diagram(drawn, level, least, title, description),
        Table("The same in figures", ("method", "mean rank"), rows),
    )
    left_out = [method for method in results.methods if method not in methods]
    text = (
        f"Seeds are averaged first, so that the {len(tasks)} tasks are the blocks. Friedman's test of equal ranks: "
        f"χ² = {test.chi2:.2f}, p = {test.p:.3f}; by Iman and Davenport's F p = {test.p_f:.3f}."
    )
    few = "With so few tasks hardly any difference in rank can be told from chance." if len(tasks) < 5 else ""
    out = f"Not played in every task, and left out: {', '.join(left_out)}." if left_out else ""
    return Section("Ranks", [Text(" ".join(filter(None, (text, few, out)))), figure])


def factors_section(results: Results) -> Section:
    """Return how much each key of the matrix mattered, and what each of its values adds."""
    title = "Which keys mattered"
    keys = [key for key in results.varying if len({value_text(c.cell.values[key]) for c in results.finished}) > 1]
    if not keys:
        return Section(title, [Text("The finished cells differ in no key.")])
    scores = [float(outcome(one)["winner"]["score"]) for one in results.finished]
    values = {key: [value_text(one.cell.values[key]) for one in results.finished] for key in keys}
    try:
        factors = factor_effects(scores, values)
    except ValueError as problem:
        return Section(title, [Text(f"That cannot be told: {problem}.")])
    rows = [(cell(one.key), f"{percent(one.share)}", _share(one), number(one.p)) for one in factors]
    effects = [_effect_row(one.key, effect) for one in factors for effect in one.effects]
    text = (
        "A key's share is its partial η²: of the variance of cells' test scores that the other keys do not explain. "
        "Effects are least squares with all keys added up, against the mean of a key's values; how keys work together "
        "counts as noise, and the cells of one task as independent."
    )
    return Section(
        title,
        [
            Text(text),
            Table("Share of each key", ("key", "share", "95 % interval", "p"), rows),
            Table("Effect of each value on the test score", ("value", "effect", "95 % interval", "cells"), effects),
        ],
    )


def _effect_row(key: str, effect: Effect) -> tuple[str, str, str, str]:
    figures = f"{_flat(effect.mean):+.3f}", _signed_interval(effect.ci95), str(effect.cells)
    return (cell(f"{key} = {effect.value}"), *figures)


def _estimate(results: Results, task: str, method: str) -> str:
    cells = results.of(task, method)
    return _text(results.score(cells)) if cells else "–"


def _text(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f} {interval(*estimate.ci95, form='.2f')}"


def _signed(estimate: Estimate) -> str:
    return f"{estimate.mean:+.3f} {interval(*estimate.ci95, form='+.3f')}"


def _signed_interval(pair: tuple[float, float] | None) -> str:
    return "–" if pair is None else interval(*map(_flat, pair), form="+.3f")


def _flat(value: float) -> float:
    """Return a value without the sign of a zero."""
    return round(value, 9) + 0.0


def _share(factor: Factor) -> str:
    return "–" if factor.ci95 is None else f"[{percent(factor.ci95[0])}, {percent(factor.ci95[1])}]"


def _word(estimate: Estimate) -> str:
    low, high = estimate.ci95
    return "better" if low > 0 else "worse" if high < 0 else "not told apart"


def _short(method: str) -> str:
    return method if len(method) <= 32 else f"{method[:31]}…"
