"""The report's first screen: the figures that matter most, and why they are what they are."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from optimizer.report.answers import changed, class_fields
from optimizer.report.blocks import Block, Bullets, KeyFigures, Text
from optimizer.report.clean import cell
from optimizer.report.gather import Facts
from optimizer.report.words import interval, settings_of
from optimizer.types import Usage


def overview(facts: Facts) -> list[Block]:
    """Return scores and cost as figures, then the reasons that the ledger knows."""
    reasons = [*_winner(facts), *_changes(facts)]
    return [
        KeyFigures("In figures", [*(_scores(facts.result) if facts.result else []), *_spent(facts)]),
        *([Bullets(reasons)] if reasons else []),
        *_seed_without_labels(facts),
    ]


def _scores(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    sides = [(name, result[name]) for name in ("seed", "winner")]
    scores = [(name, f"{side['test_score']:.3f}", interval(*side["test_ci95"])) for name, side in sides]
    gain = result["difference"]
    return [*scores, ("difference", f"{gain['mean']:+.3f}", interval(*gain["ci95"], form="+.3f"))]


def _spent(facts: Facts) -> list[tuple[str, str, str]]:
    search, test = (sum(roles.values(), Usage()) for roles in (facts.usage["search"], facts.usage["test"]))
    both = search + test
    figures = [
        ("calls", f"{both.calls:,}", f"search {search.calls:,}, test {test.calls:,}"),
        ("tokens", f"{both.tokens:,}", f"search {search.tokens:,}, test {test.tokens:,}"),
        ("dollars", f"{both.usd:.4f}", f"search {search.usd:.4f}, test {test.usd:.4f}"),
    ]
    return [*figures, ("time", f"{facts.result['seconds']:.0f} s", "in all")] if facts.result else figures


def _winner(facts: Facts) -> list[str]:
    if facts.before is None or facts.after is None:
        return []
    which = "winner" if facts.result else "best so far"
    if facts.before.id == facts.after.id:
        return [f"The {which} is the seed itself."]
    number = next((f", trial {trial.number}" for trial in facts.trials if trial.candidate.id == facts.after.id), "")
    reasons = []
    for name, prompt in facts.after.prompts.items():
        of = f" of {cell(name)}" if len(facts.after.prompts) > 1 else ""
        is_new = any(one.instruction != facts.before.prompts[name].instruction for one in prompt.asked)
        instruction = f"a new instruction, from {cell(facts.after.origin)}" if is_new else "the seed's instruction"
        reasons.append(f"The {which}{of}{number}: {instruction}. {settings_of(prompt)}")
    return reasons


def _changes(facts: Facts) -> list[str]:
    if not facts.before_answers or not facts.after_answers or facts.before == facts.after:
        return []
    fixed, broken = changed(facts.before_answers, facts.after_answers)
    return [
        f"Of the {len(facts.after_answers)} {facts.split} examples it answers {len(fixed)} better than the seed, and "
        f"{len(broken)} worse."
    ]


def _seed_without_labels(facts: Facts) -> list[Text]:
    """Return a warning where most of the seed's answers are none of the labels: to beat such a seed proves little."""
    answered = [answer for answer in facts.before_answers if answer.failure is None]
    field = next(iter(class_fields(facts.examples, list(facts.examples))), None)
    labels = {_folded(example["outputs"][field]) for example in facts.examples.values()} if field else set()
    wrong = [a for a in answered if (_folded(a.fields.get(field)) not in labels if field else "unreadable" in a.fields)]
    if 2 * len(wrong) <= len(answered):
        return []
    how = f"are none of the {len(labels)} labels of {cell(field)}" if field else "cannot be read"
    counted = f"{len(wrong)} of its {len(answered)} answers on the {facts.split} examples {how}."
    if not field or _names_any(facts, labels):
        return [Text(f"The seed scores low because {counted}", warning=True)]
    unfair = "The model could not know them, so beating this seed proves little; prompts with demos show more."
    return [Text(f"The seed's prompt does not name the choices: {counted} {unfair}", warning=True)]


def _names_any(facts: Facts, labels: Set[str]) -> bool:
    """Tell whether the seed's prompt, its input apart, names a label; so it is where it is not recorded."""
    sent = facts.before_sent
    if sent is None:
        return True
    text = "\n".join(message["content"] for messages in sent.conversations for message in messages[:-1])
    for value in facts.examples.get(sent.example, {}).get("inputs", {}).values():
        text = text.replace(str(value), "")
    return any(label in text.casefold() for label in labels)


def _folded(value: object) -> str:
    return str(value).strip().casefold()
