"""Traces of a program in a real MLflow, with assessments, for tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from optimizer.track.connect import connect
from optimizer.types import digest

LABELS = ("bill", "card", "loan")
BEGUN = 1_767_225_600_000  # 2026-01-01, in ms
MINUTE = 60_000


@dataclass
class Logged:
    """A trace to be written: its number, by which its time is reckoned, and what is in it."""

    number: int
    inputs: Any
    outputs: Any
    assessments: Sequence[Any] = ()
    tags: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    name: str = "answer"

    @property
    def trace_id(self) -> str:
        return f"tr-{digest(self.number, 32)}"

    def assessment_id(self, number: int) -> str:
        """Return the id that an assessment is written with."""
        return f"a-{digest([self.trace_id, number], 32)}"

    @property
    def root(self) -> str:
        return digest([self.number, "root"], 16)


def human(kind: str, name: str, value: Any, at: int = BEGUN, source: str = "HUMAN", **more: Any) -> Any:
    """Return an assessment, a 'feedback' or an 'expectation', made `at` ms since 1970."""
    from mlflow.entities import AssessmentSource, Expectation, Feedback

    make: Any = {"feedback": Feedback, "expectation": Expectation}[kind]
    by = AssessmentSource(source, "ann@example.com")
    return make(name, value, source=by, create_time_ms=at, last_update_time_ms=at, **more)


def log(uri: str, experiment: str, traces: Sequence[Logged], begun: int = BEGUN, step: int = MINUTE) -> str:
    """Write traces, `step` ms between them; returns the experiment's id."""
    from mlflow.entities import Span, TraceInfo, TraceLocation, TraceState
    from mlflow.tracing.client import TracingClient

    client, where = connect(uri, experiment)
    tracing = TracingClient(client.tracking_uri)
    spans = []
    for one in traces:
        start = (begun + one.number * step) * 1_000_000
        attributes = {"mlflow.traceRequestId": json.dumps(one.trace_id), "mlflow.spanType": '"CHAIN"'}
        for name, value in (("mlflow.spanInputs", one.inputs), ("mlflow.spanOutputs", one.outputs)):
            if value is not None:
                attributes[name] = value if isinstance(value, str) else json.dumps(value)
        spans.append(
            Span.from_dict(
                {
                    "trace_id": one.trace_id,
                    "span_id": one.root,
                    "parent_span_id": "",
                    "name": one.name,
                    "start_time_unix_nano": start,
                    "end_time_unix_nano": start + 1_000_000,
                    "status": {"code": "OK", "message": ""},
                    "attributes": attributes,
                }
            )
        )
    tracing.log_spans(where, spans)
    for one in traces:
        info = TraceInfo(
            trace_id=one.trace_id,
            trace_location=TraceLocation.from_experiment_id(where),
            request_time=begun + one.number * step,
            execution_duration=1,
            state=TraceState.OK,
            trace_metadata=one.metadata,
            tags={"mlflow.traceName": one.name, **one.tags},
            assessments=copies(one),
        )
        tracing.start_trace(info)
    return where


def copies(one: Logged) -> list[Any]:
    """Return a trace's assessments, each with an id: several traces may share one in a test."""
    made = [copy.copy(assessment) for assessment in one.assessments]
    for number, assessment in enumerate(made):
        assessment.assessment_id = one.assessment_id(number)
    return made


def tickets(count: int, first: int = 0) -> list[Logged]:
    """Return traces of which three quarters count: half by an expectation, a quarter by approval."""
    traces = []
    for number in range(first, first + count):
        label = LABELS[number % 3]
        said = [human("feedback", "helpful", number % 5, source="LLM_JUDGE")]
        if number % 4 in (0, 1):
            said.append(human("expectation", "intent", label))
        if number % 4 == 2:
            said.append(human("feedback", "correct", True))
        if number % 4 == 3:
            said.append(human("feedback", "correct", False))
        answer = {"intent": label if number % 4 == 2 else LABELS[(number + 1) % 3]}
        tags = {"product": ("shop", "bank")[number % 2]}
        metadata = {"mlflow.trace.session": f"s{number // 2}"}
        traces.append(Logged(number, {"message": f"message {number}"}, answer, said, tags, metadata))
    return traces
