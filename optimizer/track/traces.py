"""MLflow traces of some test calls and failures, written from the ledger with the times that it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optimizer.ledger.answers import answers_of
from optimizer.ledger.calls import Call, calls_of, failed_calls
from optimizer.ledger.ledger import Ledger
from optimizer.track.content import UNKNOWN, Examples
from optimizer.types import digest

if TYPE_CHECKING:
    from mlflow.entities import Span, TraceInfo
    from mlflow.entities.assessment import Assessment
    from mlflow.tracking import MlflowClient

# A trace costs as much as a trial's run; the table of a run has all examples.
TESTED, FAILED = 10, 10
LONGEST_PREVIEW = 300


@dataclass(frozen=True, slots=True)
class Traced:
    """One example's calls, under the MLflow run that they belong to."""

    name: str
    run_id: str
    inputs: Any
    outputs: Any
    calls: Sequence[Call]
    expected: Mapping[str, Any] = field(default_factory=dict)
    score: float | None = None
    feedback: str = ""

    @property
    def mark(self) -> str:
        """32 hex digits that name this trace: written twice it is one trace."""
        return digest([self.run_id, self.name, [call.id for call in self.calls]], 32)

    @property
    def failed(self) -> str:
        """Why the last call failed, "" if it did not."""
        return _failed(self.calls[-1])

    @property
    def bounds(self) -> tuple[int, int]:
        """When the first call began and the last one ended, in nanoseconds."""
        moments = [_moments(call) for call in self.calls]
        return min(start for start, _ in moments), max(end for _, end in moments)


def tested(ledger: Ledger, name: str, number: int, candidate: str, run_id: str, examples: Examples) -> Iterator[Traced]:
    """Yield the first test examples of the seed (number 0) or the winner (1): the same ones of both."""
    for answer in answers_of(ledger, candidate, "test")[:TESTED]:
        asked, calls = examples.get(answer.example, UNKNOWN), calls_of(ledger, "test", number, answer.example)
        if calls:
            judged = (asked.outputs, answer.value, answer.feedback)
            yield Traced(f"{name} test", run_id, dict(asked.inputs), answer.fields, calls, *judged)


def failures(ledger: Ledger, run_of: Mapping[tuple[str, int], str], examples: Examples) -> Iterator[Traced]:
    """Yield the first calls that failed for good; `run_of` gives the MLflow run by phase and trial."""
    for call in failed_calls(ledger, FAILED):
        run_id = run_of.get((call.phase, call.trial or 0))
        if run_id is not None:
            yield Traced("failed call", run_id, dict(examples.get(call.example or "", UNKNOWN).inputs), None, [call])


def write_traces(client: MlflowClient, experiment: str, traces: Sequence[Traced]) -> None:
    """Write traces; those that are there already stay as they are. Raises what MLflow raises."""
    from mlflow.tracing.client import TracingClient

    if not traces:
        return
    tracing = TracingClient(client.tracking_uri)
    tracing.log_spans(experiment, [span for traced in traces for span in _spans(traced)])
    for traced in traces:
        tracing.start_trace(_info(traced, experiment))


def _info(traced: Traced, experiment: str) -> TraceInfo:
    from mlflow.entities import TraceInfo, TraceLocation, TraceState

    start, end = traced.bounds
    inputs, outputs = _preview(traced.inputs), _preview(traced.outputs)
    return TraceInfo(
        trace_id=f"tr-{traced.mark}",
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=start // 1_000_000,
        execution_duration=(end - start) // 1_000_000,
        state=TraceState.ERROR if traced.failed else TraceState.OK,
        request_preview=inputs,
        response_preview=outputs,
        trace_metadata={
            "mlflow.sourceRun": traced.run_id,
            "mlflow.trace.tokenUsage": json.dumps(_tokens(traced.calls)),
            "mlflow.traceInputs": inputs,
            "mlflow.traceOutputs": outputs,
        },
        tags={"mlflow.traceName": traced.name},
        assessments=_assessments(traced),
    )


def _assessments(traced: Traced) -> list[Assessment]:
    from mlflow.entities import AssessmentSource, Expectation, Feedback

    source, at = AssessmentSource("CODE", "metric"), traced.bounds[1] // 1_000_000
    times: dict[str, Any] = {"create_time_ms": at, "last_update_time_ms": at}
    found: list[Assessment] = []
    if traced.score is not None:
        found.append(Feedback("score", traced.score, source=source, rationale=traced.feedback or None, **times))
    for name, value in traced.expected.items():
        found.append(Expectation(f"expected {name}", value, source=source, **times))
    for assessment in found:
        assessment.assessment_id = f"a-{digest([traced.mark, assessment.name], 32)}"
    return found


def _spans(traced: Traced) -> Iterator[Span]:
    """Yield the root span, and one for each call under it."""
    yield _span(traced, None, traced.bounds, traced.failed, "CHAIN", traced.inputs, traced.outputs)
    for call in traced.calls:
        inputs = {"messages": call.messages, **call.request.get("config", {})}
        more = {
            "mlflow.llm.model": (call.response or {}).get("model") or call.request.get("model"),
            "mlflow.chat.tokenUsage": _tokens([call]),
            "mlflow.message.format": "openai",
            # Without it MLflow guesses a price, for which it imports litellm: 120 MB, and seconds at the run's end.
            "mlflow.llm.cost": {"total_cost": call.usd} if call.usd else {},
            "attempts": call.attempts,
            "usd": call.usd,
        }
        yield _span(traced, call.id, _moments(call), _failed(call), "CHAT_MODEL", inputs, call.reply, **more)


def _span(
    traced: Traced,
    call: int | None,
    moments: tuple[int, int],
    why: str,
    kind: str,
    inputs: Any,
    outputs: Any,
    **more: Any,
) -> Span:
    """Return the span of one call, or without one the root."""
    from mlflow.entities import Span

    attributes = {"traceRequestId": f"tr-{traced.mark}", "spanType": kind, "spanInputs": inputs, "spanOutputs": outputs}
    attributes = {f"mlflow.{name}": value for name, value in attributes.items()} | more
    root = digest([traced.mark, "root"], 16)
    return Span.from_dict(
        {
            "trace_id": f"tr-{traced.mark}",
            "span_id": root if call is None else digest([traced.mark, call], 16),
            "parent_span_id": "" if call is None else root,
            "name": traced.name if call is None else "call",
            "start_time_unix_nano": moments[0],
            "end_time_unix_nano": moments[1],
            "status": {"code": "ERROR" if why else "OK", "message": why},
            "attributes": {name: json.dumps(value, ensure_ascii=False) for name, value in attributes.items()},
        }
    )


def _tokens(calls: Sequence[Call]) -> dict[str, int]:
    sent, made = (sum(getattr(call, name) for call in calls) for name in ("input_tokens", "output_tokens"))
    return {"input_tokens": sent, "output_tokens": made, "total_tokens": sent + made}


def _failed(call: Call) -> str:
    return f"{call.failure.kind}: {call.failure.message}" if call.failure else ""


def _moments(call: Call) -> tuple[int, int]:
    """Return when a call began and ended, in nanoseconds."""
    return int(call.started * 1e9), int(call.ended * 1e9)


def _preview(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:LONGEST_PREVIEW]
