"""MLflow traces of some test calls and failures, written from the ledger with the times that it holds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optimizer.ledger.ledger import Ledger
from optimizer.ledger.records import calls_of, failed_calls, scores_of
from optimizer.track.content import Examples, messages_of
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
    calls: Sequence[sqlite3.Row]
    expected: Mapping[str, Any] | None = None
    score: float | None = None
    feedback: str = ""

    @property
    def mark(self) -> str:
        """32 hex digits that name this trace: written twice it is one trace."""
        return digest([self.run_id, self.name, [call["id"] for call in self.calls]], 32)


def tested(ledger: Ledger, name: str, place: int, candidate: str, run_id: str, examples: Examples) -> Iterator[Traced]:
    """Yield the first test examples of the seed (place 0) or the winner (1): the same ones of both."""
    for row in scores_of(ledger, candidate, "test")[:TESTED]:
        known = examples.get(row["example"], {})
        calls = calls_of(ledger, "test", place, row["example"])
        if calls:
            answer = json.loads(row["answer"])
            told = (known.get("outputs"), row["value"], row["feedback"])
            yield Traced(f"{name} test", run_id, dict(known.get("inputs", {})), answer, calls, *told)


def failures(ledger: Ledger, run_of: Mapping[tuple[str, int], str], examples: Examples) -> Iterator[Traced]:
    """Yield the first calls that failed for good; `run_of` gives the MLflow run by phase and trial."""
    for call in failed_calls(ledger, FAILED):
        run_id = run_of.get((call["phase"], call["trial"]))
        if run_id is not None:
            inputs = dict(examples.get(call["example"], {}).get("inputs", {}))
            yield Traced("failed call", run_id, inputs, None, [call])


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

    begun, ended = _bounds(traced)
    tokens = {"input_tokens": 0, "output_tokens": 0}
    for call in traced.calls:
        for name in tokens:
            tokens[name] += call[name]
    tokens["total_tokens"] = sum(tokens.values())
    return TraceInfo(
        trace_id=f"tr-{traced.mark}",
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=begun // 1_000_000,
        execution_duration=(ended - begun) // 1_000_000,
        state=TraceState.ERROR if _failed(traced) else TraceState.OK,
        request_preview=_preview(traced.inputs),
        response_preview=_preview(traced.outputs),
        trace_metadata={
            "mlflow.sourceRun": traced.run_id,
            "mlflow.trace.tokenUsage": json.dumps(tokens),
            "mlflow.traceInputs": _preview(traced.inputs),
            "mlflow.traceOutputs": _preview(traced.outputs),
        },
        tags={"mlflow.traceName": traced.name},
        assessments=_assessments(traced),
    )


def _assessments(traced: Traced) -> list[Assessment]:
    from mlflow.entities import AssessmentSource, Expectation, Feedback

    source, at = AssessmentSource("CODE", "metric"), _bounds(traced)[1] // 1_000_000
    times: dict[str, Any] = {"create_time_ms": at, "last_update_time_ms": at}
    found: list[Assessment] = []
    if traced.score is not None:
        found.append(Feedback("score", traced.score, source=source, rationale=traced.feedback or None, **times))
    for name, value in (traced.expected or {}).items():
        found.append(Expectation(f"expected {name}", value, source=source, **times))
    for assessment in found:
        assessment.assessment_id = f"a-{digest([traced.mark, assessment.name], 32)}"
    return found


def _spans(traced: Traced) -> Iterator[Span]:
    """Yield the root span, and one for each call under it."""
    failed = _failed(traced)
    yield _span(traced, "root", traced.name, _bounds(traced), "CHAIN", traced.inputs, traced.outputs, failed, {})
    for call in traced.calls:
        request, response = json.loads(call["request"]), json.loads(call["response"] or "{}")
        failure = json.loads(call["failure"] or "{}")
        text = "".join(str(part.get("text", "")) for part in response.get("message", {}).get("parts", ()))
        outputs = {"role": "assistant", "content": text} if response else None
        usage = {"input_tokens": call["input_tokens"], "output_tokens": call["output_tokens"]}
        usage["total_tokens"] = sum(usage.values())
        more = {
            "mlflow.llm.model": response.get("model") or request.get("model"),
            "mlflow.chat.tokenUsage": usage,
            "mlflow.message.format": "openai",
            # Without it MLflow guesses a price, for which it imports litellm: 120 MB, and seconds at the run's end.
            "mlflow.llm.cost": {"total_cost": call["usd"]} if call["usd"] else {},
            "attempts": call["attempts"],
            "usd": call["usd"],
        }
        inputs = {"messages": messages_of(request), **request.get("config", {})}
        why = f"{failure['kind']}: {failure['message']}" if failure else ""
        yield _span(traced, call["id"], "call", _moments(call), "CHAT_MODEL", inputs, outputs, why, more)


def _span(
    traced: Traced,
    key: object,
    name: str,
    moments: tuple[int, int],
    kind: str,
    inputs: Any,
    outputs: Any,
    why: str,
    more: Mapping[str, Any],
) -> Span:
    from mlflow.entities import Span

    attributes = {
        "mlflow.traceRequestId": f"tr-{traced.mark}",
        "mlflow.spanType": kind,
        "mlflow.spanInputs": inputs,
        "mlflow.spanOutputs": outputs,
        **more,
    }
    return Span.from_dict(
        {
            "trace_id": f"tr-{traced.mark}",
            "span_id": digest([traced.mark, key], 16),
            "parent_span_id": "" if key == "root" else digest([traced.mark, "root"], 16),
            "name": name,
            "start_time_unix_nano": moments[0],
            "end_time_unix_nano": moments[1],
            "status": {"code": "ERROR" if why else "OK", "message": why},
            "attributes": {key: json.dumps(value, ensure_ascii=False) for key, value in attributes.items()},
        }
    )


def _failed(traced: Traced) -> str:
    """Return why the last call failed, "" if it did not."""
    failure = json.loads(traced.calls[-1]["failure"] or "{}")
    return f"{failure['kind']}: {failure['message']}" if failure else ""


def _bounds(traced: Traced) -> tuple[int, int]:
    moments = [_moments(call) for call in traced.calls]
    return min(first for first, _ in moments), max(last for _, last in moments)


def _moments(call: sqlite3.Row) -> tuple[int, int]:
    """Return when a call began and ended, in nanoseconds."""
    return int(call["started"] * 1e9), int(call["ended"] * 1e9)


def _preview(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:LONGEST_PREVIEW]
