"""What a run's YAML file may say: one frozen model a section, every key with its default."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from optimizer.config.models import Models, is_local
from optimizer.config.presets import BASELINES, DEMOS, INSTRUCTIONS_FILE, PRESETS, STRATEGIES
from optimizer.config.strict import Positive, Strict
from optimizer.errors import did_you_mean
from optimizer.types import Order, Policy, Readout

# `own` is the adapter that DSPy is configured with.
FormatName = Literal["turns", "fields", "block", "chat", "json", "xml", "own"]
# Trials where nobody says how many: without a budget, and with one (the sampler and the mirror were measured at that).
USUAL_TRIALS, MOST_TRIALS = 40, 2_000
# How many prompts may answer together.
MOST_TOGETHER = 5
# What a call of a candidate costs.
Cost = Literal["tokens", "usd"]
Objective = Literal["score", "tokens", "usd", "latency"]
PersonalData = Literal["email", "phone", "iban", "credit_card", "ip"]
ProposerName = Literal[
    "induce",
    "grounded",
    "templates",
    "reflect",
    "history",
    "crossover",
    "shorten",
    "translate",
    "edit",
    "swap",
    "hard",
    "bootstrap",
    "diverse",
    "random",
]


class Demos(Strict):
    """The few-shot dimensions of the search."""

    policies: tuple[Policy, ...] = Field(("static", "nearest", "diverse"), min_length=1)
    counts: tuple[Annotated[int, Field(ge=0, le=64)], ...] = Field((0, 2, 4, 8, 16), min_length=1)
    orders: tuple[Order, ...] = Field(("given", "reversed"), min_length=1)
    sets: Positive = Field(4, description="static demo sets to draw")
    bootstrapped: int = Field(12, ge=0, description="examples that the seed answers, for demos that the data lack")


class Prior(Strict):
    """What is believed of a candidate before any trial, in units of the score; a few trials outweigh it.

    What is believed of prompts that answer together counts as 60 examples do, which is as long as many a race.

    The figures are a small part of what was measured on ten-intent classification with SmolLM2-135M and
    Qwen2.5-Coder-1.5B: plain turns before one block of text (with the small model 23 to 52 % against 0) and
    before DSPy's chat format (76 against 39 %), some demos before none, retrieved demos before fixed ones
    (95 against 20 to 25 %, four demos).
    """

    formats: dict[FormatName, float] = Field(
        {"turns": 0.1, "fields": 0.1, "block": -0.1}, description="of one over another"
    )
    policies: dict[Policy, float] = Field({"nearest": 0.1, "diverse": 0.1}, description="of one over another")
    demos: float = Field(0.1, description="of the first few demos over none")
    ensemble: float = Field(0.05, description="of the first prompts that answer together over one alone")

    def of(self, format_name: str, count: int, policy: str | None) -> float:
        """Return the belief in one predictor's format and demos; 0.0 for those that it does not name."""
        shown = self.demos + {**self.policies}.get(policy, 0.0) if count else 0.0  # type: ignore[call-overload]
        return float({**self.formats}.get(format_name, 0.0) + shown)  # type: ignore[call-overload]


class SearchConfig(Strict):
    """How candidates are searched."""

    strategy: str = Field("default", description=f"how candidates are found: {', '.join(STRATEGIES)}")
    options: dict[str, Any] = Field(
        {},
        description="of another library's optimizer: {auto: light}; of a baseline the number of demos: {count: 8}, or "
        "the file of its instructions, in the task's folder: {file: instructions.yaml}",
    )
    objective: tuple[Objective, ...] = Field(
        ("score",),
        description="score, or the Pareto front of score and others: tokens or usd, a call, and latency: {score, usd}, "
        "{score, latency}, {score, usd, latency}",
    )
    prefer: str = Field(
        "best",
        description="the winner: best, or 'cheapest-within MARGIN' of the best score, or 'fastest-within MARGIN'",
    )
    prior: Prior | None = Field(Prior(), description="what is believed beforehand; null: nothing")
    trials: Positive | None = Field(None, description=f"at most; null: what the budget pays, else {USUAL_TRIALS}")
    formats: tuple[FormatName, ...] = Field(("turns", "fields", "block", "chat", "json", "xml"), min_length=1)
    demos: Demos = Demos()
    readouts: tuple[Readout, ...] | None = Field(
        None,
        min_length=1,
        description="how a label is read: generate (from the words), choose (the likeliest), calibrated (the likeliest "
        "after an offset for each); null: calibrated where the model tells log-probabilities, else generate",
    )
    ensemble: int | None = Field(
        None,
        ge=1,
        le=MOST_TOGETHER,
        description="prompts that may answer together, with a call for each; null: several where calls cost neither "
        "money nor the budget's time and only the score counts, else 1",
    )
    round: Positive | None = Field(None, description="candidates of a later round; null: 16, fewer if calls are few")
    race: Literal["auto", "careful", "quick"] = Field(
        "auto", description="careful: seldom loses the best; quick: more candidates for the calls; auto: by the budget"
    )
    block: Positive | None = Field(
        None, description="examples before the race first decides; null: 10, or 5 to 10 if quick"
    )
    instructions: Positive | None = Field(
        None, description="in the first pool; null: 8, or 16 if only they are searched"
    )
    proposers: tuple[ProposerName, ...] | None = Field(
        None, description="who proposes instructions and demo sets; null: all, those without a model only late"
    )
    proposing: float = Field(0.25, ge=0, le=1, description="calls that proposals may take, for each call of trials")

    @field_validator("proposers")
    @classmethod
    def _each_once(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and len(set(names)) < len(names):
            raise ValueError("name each proposer once")
        return names

    @field_validator("objective", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        # YAML reads {score, tokens} as keys without values.
        bare = isinstance(value, dict) and not any(value.values())
        names = [value] if isinstance(value, str) else list(value) if bare or isinstance(value, (list, tuple)) else []  # type: ignore[call-overload]
        known = [one for one in get_args(Objective) if one in names]
        if len(known) < len(names) or "score" not in known or {"tokens", "usd"} <= set(known):
            raise ValueError("write score, or {score, …} with tokens or usd, with latency, or with both")
        return tuple(known)

    @field_validator("prefer")
    @classmethod
    def _readable(cls, value: str) -> str:
        if value != "best" and not re.fullmatch(r"(cheapest|fastest)-within 0(\.\d+)?", value):
            raise ValueError(
                "write best, or cheapest-within and a share of the score below 1: cheapest-within 0.02; "
                "or fastest-within"
            )
        return value

    @property
    def cost(self) -> Cost:
        """By what a candidate is cheaper than another: by tokens, unless dollars are an objective."""
        return "usd" if "usd" in self.objective else "tokens"

    @property
    def margin(self) -> float | None:
        """How much of the best score a cheaper or faster winner may lack; None: it is the best."""
        return None if self.prefer == "best" else float(self.prefer.split()[1])

    @property
    def by_latency(self) -> bool:
        """Whether latency has a say: in the search, or in which winner is preferred."""
        return "latency" in self.objective or self.prefer.startswith("fastest")

    @field_validator("strategy")
    @classmethod
    def _known(cls, strategy: str) -> str:
        if strategy not in STRATEGIES:
            raise ValueError(f"no such strategy; {did_you_mean(strategy, STRATEGIES)}")
        return strategy

    @model_validator(mode="after")
    def _options_have_a_reader(self) -> SearchConfig:
        if self.options and self.strategy in PRESETS:
            what = f"options are of other libraries' optimizers and of baselines, and the strategy is {self.strategy}"
            raise ValueError(f"{what}; leave them out")
        return self

    @model_validator(mode="after")
    def _a_baseline_has_its_own_options(self) -> SearchConfig:
        if self.strategy not in BASELINES:
            return self
        demos = self.strategy in DEMOS
        known, what = ("count", "of its demos") if demos else ("file", "of its instructions")
        if unknown := self.options.keys() - {known}:
            raise ValueError(f"options: {self.strategy} has no option '{min(unknown)}'; it has {known}, {what}")
        count, file = self.options.get("count", 1), self.options.get("file", INSTRUCTIONS_FILE)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ValueError(f"options.count is {count!r}; write how many demos are shown, at least 1")
        if not isinstance(file, str) or not file:
            raise ValueError(f"options.file is {file!r}; name a file of the task's folder: {INSTRUCTIONS_FILE}")
        if self.readouts is not None and len(self.readouts) > 1:
            raise ValueError(f"readouts: {self.strategy} does not search the readout; name one")
        return self


class BudgetConfig(Strict):
    """What a run may spend; null is no limit. `calls` and `tokens` bound the search, the others the whole job."""

    calls: Positive | None = Field(None, description="answered calls of the search")
    tokens: Positive | None = Field(None, description="input and output tokens of the search")
    usd: float | None = Field(None, gt=0, description="dollars of the whole job, the test included")
    seconds: float | None = Field(None, gt=0, description="of the whole job; a resumed run goes on with them")
    until: str | None = Field(None, description="a clock time such as '07:00', or an ISO time")

    @property
    def uncounted(self) -> bool:
        """Whether something other than calls is limited: nobody knows how many calls that pays."""
        return any(limit is not None for limit in (self.tokens, self.usd, self.seconds, self.until))

    @field_validator("until", mode="before")
    @classmethod
    def _quoted(cls, value: object) -> object:
        if isinstance(value, (int, dt.date)):  # YAML 1.1 reads an unquoted 22:30 as a number in base sixty
            raise ValueError("write the time in quotes, as in until: '07:00'")
        return value


class FinalTest(Strict):
    """What is measured on the test examples besides the seed and the winner."""

    baselines: int = Field(100, ge=0, description="test examples for prompts that need no search; 0: none")


class JudgeConfig(Strict):
    """How far a judge must agree with people, where `metier judge check` has asked it."""

    least_agreement: float | None = Field(
        None, gt=0, le=1, description="a run with a judge that agrees less is refused; null: none is"
    )
    measure: Literal["kappa", "quadratic_kappa", "tau", "accuracy"] = Field(
        "kappa", description="of agreement: Cohen's kappa, its quadratic form, Kendall's tau-b, or the share of equals"
    )


class Failures(Strict):
    """When calls fail."""

    retries: int = Field(8, ge=0, description="further attempts at a call after a passing failure")
    give_up_after: float = Field(300.0, gt=0, description="seconds of nothing but failures before the run stops")


class Cache(Strict):
    """Answers that are known. Every run keeps its own in its ledger."""

    shared: bool = Field(False, description="use and fill one file of answers that all runs of a user share")


class Privacy(Strict):
    """What personal data is masked in calls to models, and put back into their answers."""

    redact: tuple[PersonalData, ...] = Field((), description=f"what is masked: {', '.join(get_args(PersonalData))}")
    regions: tuple[str, ...] = Field(
        ("US", "GB", "DE", "FR"), description="countries whose telephone numbers are known without +49 and the like"
    )
    local: bool = Field(False, description="mask calls to models on this machine, too")
    mlflow: bool = Field(False, description="let an MLflow on another machine have the examples unmasked")

    @field_validator("redact", mode="before")
    @classmethod
    def _no_names(cls, value: object) -> object:
        if isinstance(value, (list, tuple)) and "person" in value:
            raise ValueError("person: names have no form to know them by; a model that guesses would miss some")
        return value


NO_MASKS = Privacy()


class Mlflow(Strict):
    """Where trials are mirrored."""

    uri: str | None = Field(None, description="default: a SQLite file mlflow.db beside the run")
    experiment: str = "metier"


class Tracking(Strict):
    """Mirrors of the ledger."""

    mlflow: Mlflow | None = Mlflow()


class Notify(Strict):
    """A webhook to call when the run ends; Slack's work as they are. Its address is not kept with the run."""

    url: str | None = Field(None, description="where a JSON body is posted")
    url_env: str | None = Field(None, description="the environment variable that holds the address, often a secret")

    @field_validator("url")
    @classmethod
    def _web(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("give an address that begins with http:// or https://")
        return value


class RunConfig(Strict):
    """One run, whole."""

    task: str = Field(description="a folder with task.yaml, or a YAML file")
    models: Models = Models()
    search: SearchConfig = SearchConfig()
    budget: BudgetConfig = BudgetConfig()
    test: FinalTest = FinalTest()
    judge: JudgeConfig = JudgeConfig()
    cache: Cache = Cache()
    privacy: Privacy = NO_MASKS
    failures: Failures = Failures()
    tracking: Tracking = Tracking()
    notify: Notify = Notify()
    seed: int = Field(0, ge=0, lt=2**32)
    run_dir: str | None = Field(None, description="default: runs/<timestamp>-<task>-<id>")

    @property
    def planned(self) -> int | None:
        """How many trials are wanted; None where the budget alone ends the search.

        Dollars do not end it where the models that each trial asks cost none.
        """
        asked = [self.models.task, *self.models.also, *([] if self.models.judge is None else [self.models.judge])]
        free = all(is_local(one.model) and one.price is None for one in asked)
        bounded = any(limit is not None for name, limit in self.budget if not (free and name == "usd"))
        return self.search.trials or (None if bounded else USUAL_TRIALS)

    @property
    def trials(self) -> int:
        """How many trials there are at most."""
        return self.planned or MOST_TRIALS

    def few_calls(self, calls_each: int = 1) -> tuple[str, str] | None:
        """Return (what is wrong, what to do) if the calls are too few for two prompts to see one block, else None."""
        block = self.search.block or (10 if self.search.race == "careful" else 5)  # the least of search/schedule.py
        least = 2 * block * calls_each
        if self.budget.calls is None or self.budget.calls >= least:
            return None
        each = "" if calls_each == 1 else f" with {calls_each} calls each"
        what = f"budget.calls={self.budget.calls} is too small to compare two prompts on one block of {block} examples"
        return what + each, f"give at least {least}"

    @model_validator(mode="after")
    def _calls_for_two_prompts(self) -> RunConfig:
        if (few := self.few_calls()) is not None:
            raise ValueError("; ".join(few))
        return self
