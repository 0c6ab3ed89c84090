"""What a ledger's JSON and columns hold. A seal says only that a row is as it was written, not that metier wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, NotRequired

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from optimizer.ledger.checks import FARTHEST, LARGEST
from optimizer.system.limits import check_depth

Figure = Annotated[FiniteFloat, Field(ge=-LARGEST, le=LARGEST)]
Time = Annotated[FiniteFloat, Field(ge=-FARTHEST, le=FARTHEST)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Interval = Annotated[list[Figure], Field(min_length=2, max_length=2)]


class _Latency(TypedDict):
    p50_ms: Figure
    p50_ci95_ms: Interval
    p95_ms: Figure
    answers: Count


class _Side(TypedDict):
    test_score: Figure
    test_ci95: Interval
    tokens_per_call: Figure
    cut_answers: Count
    latency: NotRequired[_Latency]


class _Seed(_Side):
    prompt: NotRequired[dict[str, dict[str, Any]]]


class _Winner(_Side):
    candidate_id: str
    validation_score: Figure
    prompt: dict[str, dict[str, Any]]


class _Mean(TypedDict):
    mean: Figure
    ci95: Interval


class _Baseline(_Side):
    name: str
    examples: Count
    cut_off: bool
    winner_score: Figure
    difference: _Mean
    prompt: dict[str, dict[str, Any]]


class _Part(TypedDict):
    name: str
    examples: Count
    seed: _Mean
    winner: _Mean
    difference: _Mean


class _Statistic(TypedDict):
    kind: str
    labels: list[str]
    label: str | None
    beta: Figure


class _Usage(TypedDict):
    calls: dict[str, Count]
    cached_calls: NotRequired[Count]
    input_tokens: Count
    cached_input_tokens: NotRequired[Count]
    output_tokens: Count
    usd: Figure


class _Point(TypedDict):
    candidate_id: str
    estimate: Figure
    tokens_per_call: Figure
    seen: Count
    usd_per_call: NotRequired[Figure]
    latency: NotRequired[_Latency]


class _Result(TypedDict):
    run_id: str
    task: str
    verdict: str
    test_examples: Count
    usage: _Usage
    test_usage: _Usage
    lost_calls: Count
    trials: dict[str, Count]
    seconds: Figure
    mlflow: dict[str, str | None] | None
    seed: _Seed
    winner: _Winner
    difference: _Mean
    baselines: list[_Baseline]
    parts: list[_Part]
    slices: list[_Part]
    statistic: _Statistic | None
    pareto_front: list[_Point]
    notes: list[str]
    proposers: dict[str, dict[str, Any]]


class _Budget(TypedDict, total=False):
    calls: Figure | None
    tokens: Figure | None
    usd: Figure | None
    seconds: Figure | None
    until: str | None


class _Search(TypedDict, total=False):
    trials: Count | None
    objective: list[str]
    prefer: str


class _Config(TypedDict, total=False):
    search: _Search
    budget: _Budget
    models: dict[str, Any]


Split = Annotated[str, Field(pattern=r"^\d{1,13} examples [0-9a-f]+$")]


class _Facts(TypedDict, total=False):
    name: str
    instruction: str
    metric: str
    fields: str
    program: list[Any] | None
    train: Split
    validation: Split
    test: Split


class _Identity(TypedDict, total=False):
    config: _Config
    task: _Facts
    package: dict[str, str | None]
    environment: dict[str, str]
    seed: str


class _Shape(TypedDict):
    budget: _Budget
    trials: Count | None
    race: str
    calls_each: Count
    together: Count


class _Clock(TypedDict):
    starts: list[Figure]
    until: tuple[str, Figure] | None


class _Versions(TypedDict):
    metier: str
    python: str


class _Attempt(TypedDict):
    started: Time
    user: str
    versions: _Versions


class _Source(TypedDict):
    file: str
    use: str
    sha256: str
    size: Count


class _Traces(TypedDict):
    mlflow: str
    experiment: str
    filter: str | None
    since: str | None
    until: str | None
    traces: Count
    looked_through: Count
    digest: str
    newest: str
    as_of: str


class _Sources(TypedDict):
    folder: str | None
    files: list[_Source]
    hub: str | None
    licence: str | None
    database: NotRequired[str]
    traces: NotRequired[_Traces]


class _Model(TypedDict, total=False):
    model: str
    identity: str
    address: str
    sha256: str
    licence: str
    published: dict[str, str]


class _Stopped(TypedDict):
    at: Figure
    why: str


class _Earlier(TypedDict):
    verdict: str
    winner: str
    mean: Figure


class _Proposer(TypedDict):
    share: Figure
    asked: Count
    kept: Count
    rejected: Count
    tried: Count
    won: Count
    calls: Count


class _Proposers(TypedDict):
    proposers: dict[str, _Proposer]
    rejected: list[str]


class _Tracking(TypedDict, total=False):
    uri: str
    experiment: str
    name: str
    params: dict[str, Any]
    config: str
    block: Count | None
    started: Figure
    ended: Figure | None
    status: str


class _Sweep(TypedDict):
    id: str
    name: str


class _Labelled(TypedDict):
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class _Message(TypedDict):
    role: str
    parts: list[dict[str, Any]]


class _Request(TypedDict, total=False):
    system: str | list[Any] | None
    messages: list[_Message]


class _Response(TypedDict, total=False):
    message: _Message
    seconds: Figure


class _Failed(TypedDict):
    kind: str
    message: str


# By the key of a row in meta.
_META: Mapping[str, Any] = {
    "run_id": str,
    "planned": Count,
    "seed": dict[str, dict[str, Any]],
    "task_path": str,
    "notify": str,
    "identity": _Identity,
    "shape": _Shape,
    "clock": _Clock,
    "attempts": list[_Attempt],
    "sources": _Sources,
    "sweep": _Sweep,
    "models": dict[str, _Model],
    "stopped": _Stopped,
    "earlier_results": list[_Earlier],
    "proposers": _Proposers,
    "tracking": _Tracking,
    "examples": dict[str, _Labelled],
    "result": _Result,
    "best": str,
    "answer_limit": Annotated[int, Field(gt=0, le=LARGEST)],
    "shown": dict[str, list[tuple[dict[str, Any], dict[str, Any]]]],
}
# By table and column.
_COLUMNS: Mapping[tuple[str, str], Any] = {
    ("calls", "request"): _Request,
    ("calls", "response"): _Response,
    ("calls", "failure"): _Failed,
    ("scores", "answer"): dict[str, Any],
    ("scores", "parts"): dict[str, Figure],
    ("scores", "pair"): Annotated[list[str], Field(min_length=2, max_length=2)],
    ("trials", "prompts"): dict[str, dict[str, Any]],
    ("trials", "params"): dict[str, Any],
    ("trials", "parents"): list[str],
    ("decisions", "value"): dict[str, Any],
}


def parsed_meta(key: str, text: str) -> Any:
    """Return the value of a row in meta; raises ValueError where it is not what metier writes there."""
    return _checked(text, _META.get(key))


def parsed(table: str, column: str, text: str | None) -> Any:
    """Return the JSON of a column, None where it is null; raises ValueError where it is not what metier writes."""
    return None if text is None else _checked(text, _COLUMNS[table, column])


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def _checked(text: str, shape: Any) -> Any:
    try:
        value = json.loads(text)
        check_depth(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if value is not None and shape is not None:
        try:
            _adapter(shape).validate_json(text, strict=True)
        except ValidationError as problem:
            first = problem.errors(include_url=False, include_input=False)[0]
            path = ".".join(map(str, first["loc"]))
            raise ValueError(f"{path or 'it'}: {first['msg']}") from None
    return value
