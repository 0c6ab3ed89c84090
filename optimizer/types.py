"""The frozen values that travel between the rooms; nothing here imports anything of ours."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

Policy = Literal["static", "nearest", "diverse"]
Order = Literal["given", "reversed"]
# How a value is read from an answer: from its words; or as the label that the model thinks the likeliest, as it says so
# (choose) or after that was set right by labelled examples (calibrated).
Readout = Literal["generate", "choose", "calibrated"]
Role = Literal["task", "prompt", "judge"]
# Names a model of a run: its role, or `task:NAME` for each further task model beside the first (see `task_key`).
ModelKey = str
# Settings of a task model that may be lists: then each value is tried.
SEARCHED = ("temperature", "max_tokens", "reasoning_effort")
Phase = Literal["search", "test"]
FailureKind = Literal[
    "rate_limit",
    "timeout",
    "transport",
    "server",
    "authentication",
    "unknown_model",
    "context_too_long",
    "content_filter",
    "malformed",
    "invalid_request",
    "truncated",
    "program",
]
# The prompt's own doing, whoever sends it and when: an answer that is lost to it is wrong, not missing.
CAUSED_BY_PROMPT: frozenset[FailureKind] = frozenset(
    {"context_too_long", "content_filter", "invalid_request", "truncated"}
)


def canonical_json(value: object) -> str:
    """Serialize to JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def digest(value: object, length: int = 16) -> str:
    """Return the first `length` hex digits of the sha256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def task_key(model: str) -> ModelKey:
    """Return the key of a task model, given its name as a candidate has it: "" is the first one."""
    return f"task:{model}" if model else "task"


def names_of(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what task models are called, given their sections of the config.

    It is the model's name, and where several have that name, behind it those of the SEARCHED settings in which they
    differ: "openai/gpt-5-mini (reasoning_effort low)".
    """
    names = []
    for one in models:
        alike = [other for other in models if other["model"] == one["model"]]
        differing = [name for name in SEARCHED if any(other.get(name) != one.get(name) for other in alike)]
        settings = ", ".join(f"{name} {'null' if one.get(name) is None else one[name]}" for name in differing)
        names.append(f"{one['model']} ({settings})" if settings else str(one["model"]))
    return names


def role_of(key: ModelKey) -> Role:
    """Return the role in which a model is asked."""
    role: Role = key.partition(":")[0]  # type: ignore[assignment]
    return role


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled example; `origin` is where it was read (file and line).

    `slices` are its values in the columns that scores are told apart by, as text.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    origin: str = ""
    slices: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def id(self) -> str:
        """16 hex digits that name this example by its content."""
        return digest([dict(self.inputs), dict(self.outputs)])

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return the inputs and outputs as plain data."""
        return {"inputs": dict(self.inputs), "outputs": dict(self.outputs)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Example:
        """Rebuild an example from `to_json`'s data. Raises KeyError or TypeError if it is not that."""
        inputs, outputs = data["inputs"], data["outputs"]
        if not isinstance(inputs, dict) or not isinstance(outputs, dict):
            raise TypeError("an example's inputs and outputs must be objects")
        return cls(inputs, outputs)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes a model's log-probabilities of labels fair: `scale` × log-probability + the label's offset, in nats.

    `labels` name the offsets. `evidence` is the probability, by the examples it was fitted on, that offsets are needed
    at all; without evidence they are next to 0. They are one model's, and mean nothing to another. `lean` is the part
    of the offsets that the model did not ask for, but the task's metric, which counts rare labels as much as frequent
    ones; () for none.
    """

    scale: float
    offsets: tuple[float, ...]
    evidence: float
    labels: tuple[str, ...] = ()
    lean: tuple[float, ...] = ()

    def leant(self, lean: Sequence[float]) -> Calibration:
        """Return it with offsets that lean to some labels as well."""
        if not any(lean):
            return self
        offsets = tuple(offset + more for offset, more in zip(self.offsets, lean, strict=True))
        return replace(self, offsets=offsets, lean=tuple(lean))

    def best(self, logprobs: Sequence[float]) -> int:
        """Return the number of the likeliest label, given the log-probability of each."""
        middle = sum(logprobs) / len(logprobs)
        pairs = zip(logprobs, self.offsets, strict=True)
        return first_greatest([self.scale * (one - middle) + offset for one, offset in pairs])

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        data = {
            "scale": self.scale,
            "offsets": list(self.offsets),
            "evidence": self.evidence,
            "labels": list(self.labels),
        }
        return data | ({"lean": list(self.lean)} if self.lean else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Rebuild a calibration from `to_json`'s data. Raises KeyError, TypeError or ValueError if it is not that."""
        labels, offsets = tuple(data["labels"]), tuple(map(float, data["offsets"]))
        scale, evidence, lean = float(data["scale"]), float(data["evidence"]), tuple(map(float, data.get("lean", ())))
        if len(labels) != len(offsets) or not all(isinstance(label, str) for label in labels):
            raise ValueError("a calibration has a label, which is text, for each of its offsets")
        if lean and len(lean) != len(offsets):
            raise ValueError("of a calibration that leans each offset has its part of that")
        if not all(map(math.isfinite, (scale, evidence, *offsets, *lean))):
            raise ValueError("a calibration's numbers must be finite")
        return cls(scale, offsets, evidence, labels, lean)


def first_greatest(values: Sequence[float]) -> int:
    """Return the index of the greatest value, of equals the first."""
    return max(range(len(values)), key=values.__getitem__)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one predictor is told: instruction, format, which demos it is shown, and how its answer is read.

    `demos` holds the chosen examples, in order, when `policy` is `static`; the
    other policies choose `count` demos for each input when the prompt is run.
    `calibration` is what a `calibrated` readout was fitted to; until then its answers are read as by `choose`. It is
    learnt by the prompt's own answers, and no part of what the prompt is: its id does not change with it.
    `model` names the model that is asked, where a run has several task models; "" is the first.
    `ensemble` are further prompts that are asked with each input. The log-probabilities of a label add up over all of
    them, and the label is chosen by the sums: the readout and the calibration are those of the whole. Where words are
    read, the answer is the one with which the others agree the most.
    """

    instruction: str
    format: str = "turns"
    policy: Policy = "static"
    count: int = 0
    order: Order = "given"
    demos: tuple[Example, ...] = ()
    readout: Readout = "generate"
    calibration: Calibration | None = None
    ensemble: tuple[Prompt, ...] = ()
    model: str = ""

    @property
    def asked(self) -> tuple[Prompt, ...]:
        """Each prompt that is asked with an input: this one, then those of its ensemble."""
        return (replace(self, ensemble=(), calibration=None), *self.ensemble) if self.ensemble else (self,)

    @property
    def retrieves(self) -> bool:
        """Whether the demos are chosen for each input."""
        return self.policy != "static" and self.count > 0

    @property
    def shown(self) -> tuple[Example, ...]:
        """The demos of a static prompt in the order in which they are shown."""
        return self.demos[::-1] if self.order == "reversed" else self.demos

    @property
    def uncalibrated(self) -> Prompt:
        """The same prompt without what its readout was fitted to."""
        return self if self.calibration is None else replace(self, calibration=None)

    def asking(self, model: str) -> Prompt:
        """Return the same prompt for another model, without a calibration: that is one model's."""
        ensemble = tuple(replace(one, model=model) for one in self.ensemble)
        return replace(self, model=model, ensemble=ensemble, calibration=None)

    def to_json(self) -> dict[str, Any]:
        """Return this prompt as plain data, demos in full; a readout only where it is not the words of the answer."""
        data = {name: getattr(self, name) for name in ("instruction", "format", "policy", "count", "order")}
        data["demos"] = [demo.to_json() for demo in self.demos]
        if self.readout != "generate":
            data["readout"] = self.readout
        if self.calibration is not None:
            data["calibration"] = self.calibration.to_json()
        if self.ensemble:
            data["ensemble"] = [prompt.to_json() for prompt in self.ensemble]
        if self.model:
            data["model"] = self.model
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Prompt:
        """Rebuild a prompt from `to_json`'s data. Raises KeyError, TypeError or ValueError if it is not that."""
        fitted = data.get("calibration")
        calibration = None if fitted is None else Calibration.from_json(fitted)
        demos = tuple(map(Example.from_json, data["demos"]))
        ensemble = tuple(map(Prompt.from_json, data.get("ensemble", ())))
        prompt = cls(**{**data, "demos": demos, "calibration": calibration, "ensemble": ensemble})
        if not isinstance(prompt.instruction, str) or not isinstance(prompt.format, str):
            raise TypeError("a prompt's instruction and format must be text")
        if not isinstance(prompt.model, str):
            raise TypeError("a prompt's model must be text")
        if prompt.policy not in get_args(Policy) or prompt.order not in get_args(Order):
            raise ValueError(f"unknown policy or order of demos: {prompt.policy!r:.40}, {prompt.order!r:.40}")
        if prompt.readout not in get_args(Readout):
            raise ValueError(f"unknown readout: {prompt.readout!r:.40}")
        if type(prompt.count) is not int or prompt.count < 0:
            raise ValueError(f"the count of demos is {prompt.count!r:.40}")
        if ensemble and any(one.ensemble or one.calibration for one in prompt.asked):
            raise ValueError("the prompts of an ensemble are no ensembles, and are calibrated together")
        if len({one.readout == "generate" for one in prompt.asked}) > 1:
            raise ValueError("the prompts of an ensemble all tell labels' log-probabilities, or none of them does")
        return prompt


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prompt for each predictor of the program, who proposed it, and the ids of those it was made from."""

    prompts: Mapping[str, Prompt]
    origin: str = "seed"
    parents: tuple[str, ...] = ()

    @property
    def retrieves(self) -> bool:
        """Whether any of its prompts chooses its demos for each input."""
        return any(prompt.retrieves for prompt in self.asked)

    @property
    def asked(self) -> tuple[Prompt, ...]:
        """Each prompt that any of its predictors is asked with: several of one predictor where it has an ensemble."""
        return tuple(prompt for whole in self.prompts.values() for prompt in whole.asked)

    @property
    def model(self) -> str:
        """The name of the task model that its prompts ask; "" is the run's first."""
        return next((prompt.model for prompt in self.prompts.values()), "")

    def asking(self, model: str) -> Candidate:
        """Return the same prompts for another task model of the run; a calibration is one model's, and goes."""
        if model == self.model:
            return self
        return replace(self, prompts={name: prompt.asking(model) for name, prompt in self.prompts.items()})

    @property
    def together(self) -> int:
        """How many prompts answer together, at most: each is a call for every input."""
        return max(len(prompt.asked) for prompt in self.prompts.values())

    @property
    def calibrates(self) -> bool:
        """Whether any of its prompts has a readout that labelled examples set right."""
        return any(prompt.readout == "calibrated" for prompt in self.prompts.values())

    @property
    def calibrated(self) -> bool:
        """Whether any of its prompts has a calibration, which is one model's."""
        return any(prompt.calibration is not None for prompt in self.prompts.values())

    @property
    def reads_labels(self) -> bool:
        """Whether the answers to any of its prompts are read otherwise than by their words."""
        return any(prompt.readout != "generate" for prompt in self.prompts.values())

    @property
    def id(self) -> str:
        """12 hex digits that name this candidate by its prompts, whoever proposed it."""
        return digest({name: prompt.uncalibrated.to_json() for name, prompt in self.prompts.items()}, 12)

    def to_json(self) -> dict[str, Any]:
        """Return the prompts as plain data, by predictor."""
        return {name: prompt.to_json() for name, prompt in self.prompts.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], origin: str = "file", parents: Sequence[str] = ()) -> Candidate:
        """Rebuild a candidate from `to_json`'s data."""
        return cls({name: Prompt.from_json(prompt) for name, prompt in data.items()}, origin, tuple(parents))


# In the place of the outputs of an answer: why there are none.
RAISED, UNREADABLE = "raised", "unreadable"
NO_ANSWER = frozenset({RAISED, UNREADABLE})


@dataclass(frozen=True, slots=True)
class Score:
    """How good one answer was: `value` in [0, 1]; a wrong or unparsable answer is a score.

    `tokens` are those of the `calls` that led to it, whoever paid for them, `usd` is their price, and `longest` the
    output tokens of the longest of them; 0 where nobody counted. `cut` tells that one of them ended at its limit, not
    by itself. `failure` is how a call failed that the prompt itself made fail: then the value is 0, and the feedback
    says why. `logprobs` are those of the labels, where the answer was to be read from them: empty where they are not
    among what the model told, None where it told nothing. `parts` are the scores of which `value` is made, by name, if
    it is made of some. `pair` is the label that was right and the one that was answered, "" where none could be read,
    if a metric looks at all answers together. `seconds` are those of the calls, one after the other, each from
    sending the request that was answered to its answer; None where that is not known of every call.
    """

    value: float
    answer: Mapping[str, Any] = field(default_factory=dict)
    feedback: str = ""
    tokens: int = 0
    calls: int = 0
    longest: int = 0
    cut: bool = False
    failure: FailureKind | None = None
    logprobs: tuple[float, ...] | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    pair: tuple[str, str] | None = None
    usd: float = 0.0
    seconds: float | None = None

    @property
    def failed(self) -> bool:
        """Whether the call failed, through the prompt's own fault."""
        return self.failure is not None


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that failed. Where infrastructure is to blame it is never a score of zero."""

    kind: FailureKind
    message: str
    attempts: int = 1

    @property
    def failed(self) -> bool:
        """Whether the call failed: it did."""
        return True

    @property
    def judged(self) -> Score | Failure:
        """What it is worth: a score of 0 where the prompt is to blame, else itself, an answer that never came."""
        if self.kind not in CAUSED_BY_PROMPT:
            return self
        return Score(0.0, {}, self.message, failure=self.kind)


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls and tokens spent; `cached_calls` were answered by the ledger, or by the cache between runs, for nothing."""

    calls: int = 0
    cached_calls: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.cached_calls + other.cached_calls,
            self.input_tokens + other.input_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.output_tokens + other.output_tokens,
            self.usd + other.usd,
        )

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens
