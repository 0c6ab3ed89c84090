"""What proposers are told of a task: its words, what its metric rewards, and nothing but training examples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.prompt.demos import text_of
from optimizer.propose.base import Subject
from optimizer.propose.screen import Screen
from optimizer.task.metrics.base import Metric
from optimizer.task.metrics.build import builtin_of
from optimizer.task.metrics.composite import CompositeMetric
from optimizer.task.metrics.consistency import ConsistencyMetric
from optimizer.task.metrics.judge import JudgeMetric
from optimizer.task.metrics.worst import WorstSliceMetric
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.types import Example

REWARDS = {
    "exact_match": "an answer counts when it equals the expected one",
    "choice": "an answer counts when it names the right label, and no other",
    "contains": "an answer counts when it contains the expected one",
    "regex": "an answer counts when it matches the expected pattern",
    "numeric": "an answer counts when its last number is the expected one",
    "token_f1": "words shared with the expected answer count; what is missing and what is too much both cost",
    "rouge": "the words and sequences of words that an answer shares with the expected one count",
    "bleu": "sequences of up to four words that are in the expected answer count; too short an answer costs",
    "chrf": "sequences of letters that an answer shares with the expected one count",
    "semantic_similarity": "an answer counts as far as it means what the expected one means, in whatever words",
    "set_f1": "an answer is a list in any order; what is missing and what is too much both cost",
    "list_order": "an answer is a list in a certain order; a wrong order, what is missing and what is too much cost",
    "json_fields": "an answer is JSON; every right field counts",
    "macro_f1": "every label counts as much, however rare; each is wanted where it is right, and nowhere else",
    "balanced_accuracy": "every label counts as much, however rare; each is wanted wherever it is right",
    "auc": "what is likelier to be so should have the greater number, or be said the more surely",
    "pearson": "numbers count as far as they rise and fall with the expected ones",
    "spearman": "numbers count as far as they are in the order of the expected ones",
    "corpus_bleu": "sequences of up to four words that are in the expected answer count; too short an answer costs",
    "corpus_chrf": "sequences of letters that an answer shares with the expected one count",
    "matthews": "every label counts, however rare; always to answer the same earns nothing",
}


def reward_of(metric: Metric) -> str:
    """Return what a metric rewards, in words, with what its options ask for; "" for a metric of the user's own."""
    if isinstance(metric, CompositeMetric):
        return _composite_reward(metric)
    if isinstance(metric, WorstSliceMetric):
        return f"{reward_of(metric.inner)}; of the kinds of inputs, by {metric.options.by}, the worst counts most"
    if isinstance(metric, ConsistencyMetric):
        return f"{reward_of(metric.inner)}; the same question, put in another way, must have the same answer"
    if isinstance(metric, JudgeMetric):
        criteria = "; ".join(f"{name}: {criterion.description}" for name, criterion in metric.criteria.items())
        done = "compared with the expected one" if metric.options.pairwise else "graded"
        return f"an answer is {done} for each of these: {criteria}"
    reward, options = REWARDS.get(metric.name, ""), builtin_of(metric) or {}
    if metric.name == "regex" and options.get("pattern") is not None:
        extent = "as a whole" if options["full"] else "in some part"
        return f"an answer counts when it matches the pattern {options['pattern']} {extent}"
    if metric.name == "f_beta":
        beta, miss, wrong = options.get("beta", 1.0), "to miss it", "to answer it where it is wrong"
        costs = {beta > 1: f"{miss} costs more than {wrong}", beta < 1: f"{wrong} costs more than {miss}"}
        return f"only the label {options['label']} counts: {costs.get(True, f'{miss} costs what it costs {wrong}')}"
    if options.get("units"):
        return f"{reward}, with its unit, one of {', '.join(options['units'])}"
    if options.get("schema") is not None:
        return f"{reward}, and it must follow this JSON Schema: {json.dumps(options['schema'], ensure_ascii=False)}"
    return reward


def _composite_reward(metric: CompositeMetric) -> str:
    several = len(metric.outputs) > 1
    parts = [
        f"{', '.join(part.metric.outputs)}: {reward}" if several else reward
        for part in metric.members.values()
        if (reward := reward_of(part.metric))
    ]
    asked = [
        f"{f'{one.output} ' if one.output else ''}must be {', '.join(rules)}, or nothing counts"
        for one in metric.options.constraints
        if (rules := one.rules())
    ]
    return "; ".join([*parts, *asked])


def subject_of(
    task: Task, predictor: str, instruction: str, fields: Sequence[str], examples: Sequence[Example], screen: Screen
) -> Subject:
    """Return what a proposer may see of a predictor with these output `fields`, before anything was tried.

    Examples that ask for something are not shown, as long as there are others.
    """
    outputs = {name: spec for name, spec in task.outputs.items() if name in fields}
    shown = screen.guard.harmless(examples)
    if task.metric.name == "set_f1":
        shown = [in_order(example) for example in shown]
    fields = [f"{name}: {spec.desc}" for name, spec in {**task.inputs, **outputs}.items() if spec.desc]
    return Subject(task.description, predictor, instruction, outputs, shown, reward_of(task.metric), fields=fields)


def in_order(example: Example) -> Example:
    """Return an example whose listed outputs stand in the order of the input; unchanged if some are not in it.

    Where the metric does not look at the order, one that was left to chance only suggests that it matters.
    """
    text = text_of(example.inputs).casefold()
    return Example(
        example.inputs, {name: _ordered(value, text) for name, value in example.outputs.items()}, example.origin
    )


def _ordered(value: Any, text: str) -> Any:
    listed = value if isinstance(value, list) else [item.strip() for item in str(value).split(",")]
    positions = [text.find(str(item).casefold()) for item in listed]
    if -1 in positions:
        return value
    ordered = [item for _, item in sorted(zip(positions, listed, strict=True), key=lambda pair: pair[0])]
    return ordered if isinstance(value, list) else ", ".join(ordered)


def screen_of(task: Task, instructions: Mapping[str, str]) -> Screen:
    """Return what proposals for a task must pass; `instructions` are the seed's, by predictor."""
    specs: list[FieldSpec] = [*task.inputs.values(), *task.outputs.values()]
    labels = [text for spec in specs for text in (*(spec.choices or ()), *spec.definitions.values(), spec.desc)]
    return Screen(task.train, "\n".join(instructions.values()), [task.description, *labels])
