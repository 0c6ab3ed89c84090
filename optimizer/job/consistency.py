"""What a run does so that each example can be asked several times: it refuses what tells nothing, and paraphrases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from optimizer.config.models import ModelConfig
from optimizer.config.presets import PRESETS
from optimizer.config.schema import RunConfig
from optimizer.door.door import tag_of_call
from optimizer.door.engine import language_model
from optimizer.errors import BudgetSpent, ConfigError
from optimizer.evaluate.evaluator import wait_for_all
from optimizer.job.session import Session
from optimizer.ledger.calls import CallTag
from optimizer.propose.paraphrase import paraphrase
from optimizer.task.metrics.consistency import PARAPHRASE, ConsistencyMetric, to_paraphrase
from optimizer.task.task import Task
from optimizer.types import Example, role_of

# In the ledger: texts by what they are in other words. A call that failed is not asked again when a run goes on.
PARAPHRASED = "paraphrased"
# Paraphrases may take this share of a budget in calls: the others are the search's.
MOST_CALLS = 0.25
LEAVE_OUT = "leave paraphrase out of the metric's perturb"


def refuse_consistency(config: RunConfig, task: Task) -> None:
    """Raise ConfigError where askings of an example would tell nothing or cannot be had."""
    metric = task.metric
    if not isinstance(metric, ConsistencyMetric):
        return
    if config.search.strategy not in PRESETS:
        raise ConfigError(
            f"{task.name}: its metric is consistency, and the strategy {config.search.strategy} asks each example once",
            "Leave search.strategy out, or name another metric.",
        )
    models = [model for key, model in config.models.by_key.items() if role_of(key) == "task"]
    if metric.options.repeats > 1 and any(model.temperature == 0 and not model.reasons for model in models):
        raise ConfigError(
            f"{task.name}: metric consistency: {metric.options.repeats} repeats at temperature 0, where the same "
            "question has the same answer: they would tell nothing",
            "Set models.task.temperature to what you answer people with, or leave repeats out and give perturb.",
        )
    if PARAPHRASE in metric.options.perturb and config.models.prompt is None:
        raise ConfigError(
            f"{task.name}: metric consistency: a paraphrase is written by the prompt model, and there is none",
            f"Name one, as in models: {{prompt: openai/gpt-4.1-mini}}; or {LEAVE_OUT}.",
        )


async def write_paraphrases(session: Session, examples: Iterable[Example]) -> str:
    """Have the prompt model say the inputs of examples in other words, and return what is to be said of it, or "".

    They are written before the search, so that all candidates see the same, and a test waits for nothing. A text of
    which no paraphrase came is not asked in other words. Raises ConfigError where the budget is too small for them.
    """
    metric = session.evaluator.metric
    texts, named = to_paraphrase(metric, examples), session.config.models.prompt
    if not isinstance(metric, ConsistencyMetric) or not texts or named is None:
        return ""
    if (written := session.ledger.meta(PARAPHRASED)) is None:
        written = await _written(session, named, texts)
        session.ledger.put_meta(PARAPHRASED, written)
    session.evaluator.metric = metric.saying(written)
    missing = len(texts) - len(written)
    if not missing:
        return ""
    return f"{missing} of {len(texts)} inputs are not asked in other words, for what the prompt model wrote was none"


async def _written(session: Session, named: ModelConfig, texts: Sequence[str]) -> dict[str, str]:
    """Return texts in other words, those of which any came; raises ConfigError where the budget is too small."""
    limit = session.config.budget.calls
    if limit is not None and len(texts) > MOST_CALLS * limit:
        what = f"{len(texts)} inputs are to be paraphrased, with a call each, of budget.calls={limit}"
        raise ConfigError(what, f"Give at least {round(len(texts) / MOST_CALLS)}; or {LEAVE_OUT}.")
    asked = named.model_copy(update={"temperature": 0.0})
    lm = language_model(session.door, "prompt", session.models.endpoints["prompt"], asked)
    tag_of_call.set(CallTag("prompt", "search"))
    tasks = [asyncio.ensure_future(paraphrase(lm, text)) for text in texts]
    await wait_for_all(tasks)
    if any(isinstance(task.exception(), BudgetSpent) for task in tasks):
        raise ConfigError(f"the budget is spent on {len(texts)} paraphrases", f"Give more; or {LEAVE_OUT}.")
    return {text: other for text, task in zip(texts, tasks, strict=True) if (other := task.result()) is not None}
