"""What a run's calls will be like, from the lengths of its prompts: nothing is asked, nothing is paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from statistics import mean
from typing import Any

import dspy
from dspy.utils.exceptions import LMError

from optimizer.config.models import is_local
from optimizer.config.presets import BASELINES, INSTRUCTIONS, PRESETS
from optimizer.config.schema import RunConfig
from optimizer.door.recorder import Recorder
from optimizer.evaluate.evaluator import call_program
from optimizer.forecast.forecast import Forecast, Plan, Range, Sample
from optimizer.forecast.judged import ASSUMED as JUDGED
from optimizer.forecast.judged import judge_sample, judging_share, with_judge
from optimizer.forecast.requests import sample_of, sample_of_size
from optimizer.forecast.ways import both_ways
from optimizer.models.prices import Price, average
from optimizer.prompt.builder import ProgramBuilder
from optimizer.propose.writer import MOST_TOKENS, writing_model
from optimizer.search.acquisition import MARKERS
from optimizer.search.baselines import baseline_runs
from optimizer.search.pools import make_space
from optimizer.search.presets import raced
from optimizer.search.sampler import Sampler
from optimizer.search.schedule import Schedule
from optimizer.search.simulate import answers
from optimizer.task.metrics.base import calls_of
from optimizer.task.metrics.consistency import times_of, to_paraphrase
from optimizer.teleprompt.methods import CALLS
from optimizer.types import Candidate, Example, ModelKey, task_key

CANDIDATES, EXAMPLES = 12, 3
# Tokens of a field that no example shows: a rationale, say.
UNSEEN_FIELD = 400
# Bytes of what the prompt model is told to paraphrase a text.
PARAPHRASE_FRAME = 700
ASSUMED = "a token is about four bytes of a prompt, and an answer about half as long as the longest in the data"


async def forecast_by_length(
    config: RunConfig,
    programs: ProgramBuilder,
    schedule: Schedule,
    prices: Mapping[ModelKey, Price],
) -> Forecast:
    """Return what a run of this schedule will take in calls, tokens and dollars."""
    plan, candidates, assumed = await plan_of(config, programs, schedule, prices.get("prompt"))
    price = task_price(config, prices)
    samples = await _by_length(config, programs, candidates, schedule.examples, price)
    judge = judge_sample(programs.task.metric, schedule.examples[:EXAMPLES], price_in_role(config, prices, "judge"))
    samples = [with_judge(sample, judge, plan.judging) for sample in samples]
    if config.models.also:
        assumed.append(f"each of the {1 + len(config.models.also)} task models is asked as often as the others")
    return both_ways(config, schedule, plan, samples, price, 1, [*assumed, ASSUMED])


async def plan_of(
    config: RunConfig,
    programs: ProgramBuilder,
    schedule: Schedule,
    price: Price | None,
) -> tuple[Plan, list[Candidate], list[str]]:
    """Return a run's calls, candidates such as it tries (the seed first), and what was assumed.

    `price` is the prompt model's.
    """
    recorder, writer = Recorder(), None
    times = times_of(programs.task.metric)
    predictors = len(programs.predictors) * times
    if config.models.prompt is not None:
        writer = recorder.model("prompt", writing_model(config.models))
    judging = calls_of(programs.task.metric)
    search, proposals, assumed = await _search_of(config, schedule, predictors + judging, len(programs.task.validation))
    space = await make_space(programs, config.search, config.seed, writer)
    written = [sample_of([request], price, MOST_TOKENS) for _, request in recorder.requests]
    seen = chain(schedule.examples, () if programs.task.folds else programs.task.test)
    if texts := to_paraphrase(programs.task.metric, seen):
        written += [_paraphrase(text, price) for text in texts]
        assumed.append(f"{len(texts)} inputs are paraphrased by the prompt model before the search")
    tested, baselines = len(programs.task.test), (predictors + judging) * baseline_runs(programs, config)
    plan = Plan(
        search,
        (predictors + judging) * tested,
        written[0] if written else None,
        len(written),
        baselines,
        proposals,
        schedule.together,
        judging_share(programs.task.metric, predictors),
    )
    sampler = Sampler(space, "random", config.seed, CANDIDATES - 1)
    candidates = [programs.seed(config.search.formats[0])]
    for _ in range(CANDIDATES - 1):
        candidates.append(sampler.ask([one.id for one in candidates]).candidate)
    several = f", of up to {plan.together} prompts that answer together" if plan.together > 1 else ""
    assumed.append(
        f"the test takes {plan.test_calls - baselines} calls for the seed and the winner{several}, and {baselines} "
        "for simple baselines"
    )
    if times > 1:
        assumed.append(f"each example is asked {times} times, as the metric consistency wants it")
    if judging:
        assumed.append(JUDGED.format(calls=judging))
    return plan, candidates, assumed


def _paraphrase(text: str, price: Price | None) -> Sample:
    return sample_of_size(PARAPHRASE_FRAME + len(text.encode()), price, len(text))


def task_price(config: RunConfig, prices: Mapping[ModelKey, Price]) -> Price | None:
    """Return the price of a task model, of several their average; None where one of them is not known."""
    known = [price_in_role(config, prices, task_key(name)) for name in config.models.task_models]
    return None if None in known else average([price for price in known if price is not None])


def price_in_role(config: RunConfig, prices: Mapping[ModelKey, Price], key: ModelKey) -> Price | None:
    """Return the price of a model, None where it is not known; one on this machine costs nothing."""
    model = config.models.by_key.get(key)
    return prices.get(key, Price() if model is not None and is_local(model.model) else None)


async def _search_of(
    config: RunConfig, schedule: Schedule, each: int, validation: int
) -> tuple[Range, Range, list[str]]:
    """Return the calls of trials, those of proposals between rounds, and what was assumed."""
    strategy = config.search.strategy
    if strategy == INSTRUCTIONS:
        told = f"{strategy} races the prompts of its file over {validation} validation examples, while there are calls"
        calls = config.budget.calls or CALLS
        return Range(0, calls, calls), Range(0, 0, 0), [told]
    if strategy in BASELINES:
        scored = (schedule.block + validation) * each
        calls = min(scored, config.budget.calls or scored)
        told = f"{strategy} is scored on {validation} validation examples, and the seed on {schedule.block}"
        return Range(calls, calls, calls), Range(0, 0, 0), [told]
    if strategy not in PRESETS:
        calls = config.budget.calls or CALLS
        limit = f"{strategy} is set up to take {calls} calls at most, and ends when it is done"
        return Range(0, calls, calls), Range(0, 0, 0), [limit]
    runs = await answers(config.trials, raced(schedule, PRESETS[strategy]))
    search = Range(runs[0], sum(runs) / len(runs), runs[-1]).scaled(each)
    assumed = [
        f"{config.trials:,} trials race over {len(schedule.examples)} validation examples, as in {len(runs)} "
        "simulated searches with candidates that are right on 20 to 90 of 100; better ones stay longer"
    ]
    if config.planned is None:
        assumed.append("nobody limits the trials: the search goes on until the budget is spent or the space used up")
    share = config.search.proposing
    most = search.high * share
    if share:
        assumed.append(f"proposals between rounds take {most:,.0f} calls at most: {share:g} for each of the trials'")
    return search, Range(0, 0.0 if config.models.prompt is None else search.mid * share / 2, most), assumed


async def _by_length(
    config: RunConfig,
    programs: ProgramBuilder,
    candidates: Sequence[Candidate],
    examples: Sequence[Example],
    price: Price | None,
) -> list[Sample]:
    """Return what a call of each candidate takes, judged by its prompts for the first few examples."""
    samples, longest = [], _longest_outputs(programs.task.train)
    for candidate in candidates:
        recorder = Recorder()
        lm = recorder.model("task", config.models.task)
        program = programs.build(candidate)
        for example in examples[:EXAMPLES]:
            await _render(program, lm, example.inputs)
        formats = {name: prompt.format for name, prompt in candidate.prompts.items()}
        answers = [_answer(predictor, formats[name], longest) for name, predictor in programs.predictors.items()]
        samples.append(sample_of([request for _, request in recorder.requests], price, mean(answers)))
    return samples


def _answer(predictor: dspy.Predict, format_name: str, longest: Mapping[str, int]) -> float:
    """Return the tokens of a predictor's longest answer, if it says no more than the data do."""
    return sum(longest.get(field, UNSEEN_FIELD) for field in predictor.signature.output_fields) + MARKERS[format_name]


def _longest_outputs(examples: Sequence[Example]) -> dict[str, int]:
    """Return the tokens of each output at most: two characters a token, by the longest one."""
    longest: dict[str, int] = {}
    for example in examples:
        for name, value in example.outputs.items():
            longest[name] = max(longest.get(name, 0), len(str(value)) // 2 + 2)
    return longest


async def _render(program: dspy.Module, lm: dspy.LM, inputs: Mapping[str, Any]) -> None:
    with dspy.context(lm=lm, disable_history=True, trace=[]):
        try:
            await call_program(program, inputs)
        except LMError:
            return  # no call is answered; what was asked is recorded
