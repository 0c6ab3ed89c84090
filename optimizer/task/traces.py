"""Reader of MLflow's traces: those of an experiment that people assessed become rows; it only reads."""

from __future__ import annotations

import datetime as dt
import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

from optimizer.errors import TaskError, did_you_mean
from optimizer.system.files import LARGEST, is_file
from optimizer.system.mlflow_client import make_client, mind_manners, why
from optimizer.system.redact import hide, hide_credentials, scrub, split_url
from optimizer.task.rows import Reading, Records, Row, keep
from optimizer.task.schema import LAST_RUN, MlflowSpec, milliseconds
from optimizer.task.text import no_such_file
from optimizer.task.trace_columns import (
    EXPECTATION,
    FEEDBACK,
    Assessment,
    Rule,
    ScoredRule,
    Summary,
    decoded,
    folded_name,
    part_of,
)
from optimizer.types import digest

if TYPE_CHECKING:
    from mlflow.entities import Trace, TraceInfo
    from mlflow.tracking import MlflowClient

LABEL = "mlflow"
FACTS = "traces"  # among those of a reading
ADDRESS = "MLFLOW_TRACKING_URI"  # the variable that MLflow reads itself
PAGE, BATCH = 100, 50  # traces that are asked for at once, without their spans and with them
_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")
_NAMES = ("failed call",)  # of traces that metier writes, besides "seed test" and "winner test"
_SECRET = re.compile("key|token|secret|pass|pwd|credential", re.I)  # in the name of an address's option
_METADATA = {"mlflow.trace.session": "trace_session", "mlflow.trace.user": "trace_user"}
_FORM = 'Write "sqlite:///mlflow.db" or "http://host:5000" as data.mlflow.tracking_uri'


@dataclass(frozen=True)
class Window:
    """Which traces a run may see: those after the ones of the last run, and as they were at a moment, in ISO 8601.

    `since` is for a task that says `since: last run`; without `as_of` the moment is now.
    """

    since: str | None = None
    as_of: str | None = None


def read_traces(
    spec: MlflowSpec, outputs: Mapping[str, str], folder: Path, reading: Reading, window: Window | None = None
) -> list[Row]:
    """Read the traces of an experiment that count, the oldest first; `outputs` has the column of each output.

    What was read is noted in the facts of `reading`. Raises TaskError where MLflow cannot be reached, refuses the
    filter, or has no such traces.
    """
    return _read(spec, Rule(outputs, spec.approved, spec.sources), folder, reading, window or Window())


def read_scored_traces(
    spec: MlflowSpec,
    outputs: Mapping[str, str],
    scores: Mapping[str, str],
    reference: bool,
    folder: Path,
    reading: Reading,
) -> list[Row]:
    """Read the traces whose answers people scored, the oldest first; see `ScoredRule`.

    `scores` has the column of each feedback's name. Raises TaskError as `read_traces` does.
    """
    names = {folded_name(name): column for name, column in scores.items()}
    rule = ScoredRule(outputs, spec.approved, spec.sources, names, reference)
    return _read(spec, rule, folder, reading, Window())


def _read(spec: MlflowSpec, rule: Rule, folder: Path, reading: Reading, window: Window) -> list[Row]:
    mind_manners()
    from mlflow.exceptions import MlflowException

    uri = address_of(spec, folder)
    if spec.since == LAST_RUN:
        after = "all are read, as no run of this task is known here" if window.since is None else window.since
        reading.notes.append(f"{LABEL}: {spec.experiment}: traces since the {LAST_RUN}: {after}")
        spec = spec.model_copy(update={"since": window.since})
    moment = milliseconds(window.as_of)
    moment = time.time_ns() // 1_000_000 if moment is None else moment
    try:
        return _Source(spec, uri, rule, moment).read(reading)
    except TaskError:
        raise
    except ImportError as problem:
        what = f"{LABEL}: the package '{problem.name}' that reads {described(uri)} is not installed"
        raise TaskError(what, f"Run: pip install {problem.name}.") from None
    except MlflowException as problem:
        if spec.filter is not None and problem.error_code == "INVALID_PARAMETER_VALUE":
            remedy = (
                "Correct data.mlflow.filter, as in \"tag.product = 'shop'\" (AND joins conditions; there is no OR)."
            )
            raise TaskError(f"{LABEL}: the filter {spec.filter!r} is refused ({_why(problem)})", remedy) from None
        raise _unreachable(uri, problem) from None
    except Exception as problem:  # noqa: BLE001 - the boundary to MLflow, which raises what its drivers raise
        raise _unreachable(uri, problem) from None


def address_of(spec: MlflowSpec, folder: Path) -> str:
    """Return MLflow's address: as written, or what the environment variable of that name holds.

    A path in sqlite's address starts at the task's folder, in a variable at the working directory, as MLflow reads it.
    Its password is noted, so that it is masked in whatever is written. Raises TaskError without quoting it.
    """
    text, named = spec.tracking_uri or ADDRESS, "data.mlflow.tracking_uri"
    if "://" not in text and text != "databricks":
        folder, named = Path(), f"the environment variable {text}"
        if not os.environ.get(text):
            raise TaskError(f"{LABEL}: {named} is not set", f"Set it to MLflow's address. Or: {_FORM}.")
        text = os.environ[text]
    hide_credentials(text)
    parts = split_url(text)
    for name, value in () if parts is None else parse_qsl(parts.query):
        if _SECRET.search(name):
            hide(value)
    scheme = "" if parts is None else parts.scheme.partition("+")[0]
    if scheme not in _SCHEMES and text != "databricks":
        raise TaskError(f"{LABEL}: {named} is no address of an MLflow that can be read", f"{_FORM}.")
    return _database_in(folder, text) if scheme == "sqlite" else text


def described(uri: str) -> str:
    """Return which MLflow an address names, without user, password and options."""
    parts = urlsplit(uri)
    if parts.scheme.partition("+")[0] == "sqlite":
        return f"sqlite {Path(parts.path).name}"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/") if host else uri


class _Source:
    """An experiment's traces, as they were at a moment."""

    def __init__(self, spec: MlflowSpec, uri: str, rule: Rule, moment: int) -> None:
        self._spec, self._uri, self._rule, self._moment = spec, uri, rule, moment
        self._client: MlflowClient = make_client(uri)
        self._runs: dict[str, bool] = {}  # whether a run is one of metier's
        self._seen, self._own = 0, 0
        self._said: Counter[tuple[str, str, str]] = Counter()  # assessments by kind, name and source

    def read(self, reading: Reading) -> list[Row]:
        label = f"{LABEL}: {self._spec.experiment}"
        summaries = [one for one in self._summaries(self._experiment()) if self._rule.may_count(one.assessments)]
        summaries.reverse()  # the newest came first
        if not summaries:
            raise self._nothing()
        picked = keep(Records(summaries, lambda one: Row({"summary": one}, "")), label, reading)
        rows = list(self._rows([row.values["summary"] for row in picked]))
        if not rows:
            raise self._nothing()
        others = self._seen - self._own - len(summaries)
        if others:
            reading.notes.append(f"{label}: {others:,} of {self._seen:,} traces left out: {self._rule.lacking()}")
        if self._own:
            reading.notes.append(f"{label}: {self._own:,} traces left out that metier wrote for its own runs")
        if self._seen >= self._spec.limit:
            reading.notes.append(
                f"{label}: only the newest {self._seen:,} traces were looked through (data.mlflow.limit)"
            )
        if len(rows) < len(picked):
            reading.notes.append(
                f"{label}: {len(picked) - len(rows):,} more left out: approved without an answer that can be "
                "read, or assessed in a part only"
            )
        reading.facts[FACTS] = self._facts(rows)
        return rows

    def _experiment(self) -> str:
        name = self._spec.experiment
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage != "active":
            names = [other.name for other in self._client.search_experiments(max_results=1000)]
            what = f"{LABEL}: {described(self._uri)} has no experiment '{name}'"
            if experiment is not None:
                what = f"{LABEL}: the experiment '{name}' of {described(self._uri)} was deleted"
            raise TaskError(what, f"Correct data.mlflow.experiment: {did_you_mean(name, names) or 'there is none'}")
        return str(experiment.experiment_id)

    def _filter(self) -> str:
        """Return the filter with the times. New traces cannot move those of the next page: they are too late."""
        until = milliseconds(self._spec.until)
        parts = [] if self._spec.filter is None or not self._spec.filter.strip() else [self._spec.filter.strip()]
        parts.append(f"timestamp_ms <= {self._moment if until is None else min(until, self._moment)}")
        since = milliseconds(self._spec.since)
        return " AND ".join(parts if since is None else [*parts, f"timestamp_ms > {since}"])

    def _summaries(self, experiment: str) -> Iterator[Summary]:
        """Yield the traces without their spans, the newest first, none of them twice; metier's own are left out."""
        ids, token, limit = set[str](), None, self._spec.limit
        while self._seen < limit:
            page = self._client.search_traces(
                locations=[experiment],
                filter_string=self._filter(),
                max_results=min(PAGE, limit - self._seen),
                order_by=["timestamp_ms DESC"],
                page_token=token,
                include_spans=False,
            )
            for trace in page:
                info = trace.info
                if info.trace_id in ids:
                    continue
                ids.add(info.trace_id)
                self._seen += 1
                if self._is_own(info):
                    self._own += 1
                else:
                    summary = _summary(info, self._moment)
                    self._said.update({(one.kind, one.name, one.source) for one in summary.assessments})
                    yield summary
            token = page.token
            if not token:
                return

    def _is_own(self, info: TraceInfo) -> bool:
        """Whether metier wrote a trace, for a run of its own: it would learn from its own answers."""
        name, run = (info.tags or {}).get("mlflow.traceName", ""), (info.trace_metadata or {}).get("mlflow.sourceRun")
        if run is None or not (name.endswith(" test") or name in _NAMES):
            return False
        if run not in self._runs:
            from mlflow.exceptions import MlflowException

            try:
                self._runs[run] = "metier.run_id" in self._client.get_run(run).data.tags
            except MlflowException:  # a run that was deleted for good
                self._runs[run] = True
        return self._runs[run]

    def _rows(self, summaries: Sequence[Summary]) -> Iterator[Row]:
        """Yield the rows of the traces that count when their spans are known."""
        from mlflow.tracing.client import TracingClient

        tracing, weight = TracingClient(self._uri), 0
        for first in range(0, len(summaries), BATCH):
            batch = summaries[first : first + BATCH]
            traces = {trace.info.trace_id: trace for trace in tracing.batch_get_traces([one.trace_id for one in batch])}
            for summary in batch:
                request, response, root = _texts(traces.get(summary.trace_id))
                weight += len(request or "") + len(response or "")
                if weight > LARGEST:
                    what = f"{LABEL}: the traces of '{self._spec.experiment}' have over {LARGEST:,} characters"
                    raise TaskError(what, "Let data.sample draw some: a few hundred examples are enough.")
                asked = part_of(decoded(request), self._spec.inputs)
                answered = part_of(decoded(response), self._spec.outputs)
                values = self._rule.row(summary, asked, answered, root)
                if values is not None:
                    yield Row(values, f"trace {summary.trace_id}")

    def _nothing(self) -> TaskError:
        spec = self._spec
        where = f"{LABEL}: experiment '{spec.experiment}' of {described(self._uri)}"
        if self._seen == self._own:
            only = f" but the {self._own:,} that metier wrote for its own runs" if self._own else ""
            if spec.filter is None and spec.since is None and spec.until is None:
                return TaskError(f"{where} has no traces{only}", "Log some, or correct data.mlflow.experiment.")
            bounds = {"filter": spec.filter, "since": spec.since, "until": spec.until}
            shown = ", ".join(f"{name} {value!r}" for name, value in bounds.items() if value is not None)
            return TaskError(f"{where} has no traces{only} that fit {shown}", "Correct it under data.mlflow.")
        most = [
            f"{kind} '{name}' by {source} ({count:,} traces)"
            for (kind, name, source), count in self._said.most_common(8)
        ]
        remedy = "Let people assess traces in MLflow's UI, or correct 'outputs' and data.mlflow.approved and sources."
        there = f" Its assessments: {'; '.join(most)}." if most else " It has no assessments."
        return TaskError(f"{where} has {self._seen - self._own:,} traces, all {self._rule.lacking()}", remedy + there)

    def _facts(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return what a run notes of its traces; `newest` and `as_of` are times in ISO 8601."""
        ids = [row.values["trace_id"] for row in rows]
        spec = self._spec
        return {
            "mlflow": described(self._uri),
            "experiment": spec.experiment,
            "filter": spec.filter,
            "since": spec.since,
            "until": spec.until,
            "traces": len(ids),
            "looked_through": self._seen,
            "digest": digest(sorted(ids)),
            "newest": max(row.values["trace_time"] for row in rows),
            "as_of": dt.datetime.fromtimestamp(self._moment / 1000, dt.UTC).isoformat(timespec="milliseconds"),
        }


def _summary(info: TraceInfo, moment: int) -> Summary:
    tags, metadata = info.tags or {}, info.trace_metadata or {}
    columns = {f"tags.{name}": value for name, value in tags.items() if not name.startswith("mlflow.")}
    columns |= {column: metadata[name] for name, column in _METADATA.items() if name in metadata}
    columns |= {"trace_name": tags["mlflow.traceName"]} if "mlflow.traceName" in tags else {}
    return Summary(info.trace_id, int(info.request_time or 0), columns, _assessments(info.assessments or (), moment))


def _assessments(assessments: Sequence[Any], moment: int) -> tuple[Assessment, ...]:
    """Return the assessments that held at a moment: made by then, and not yet replaced by another one."""
    made = [one for one in assessments if (one.create_time_ms or 0) <= moment]
    replaced_later = {one.overrides for one in assessments if (one.create_time_ms or 0) > moment}
    kept = []
    for one in made:
        held = one.valid is not False or one.assessment_id in replaced_later
        for kind in (EXPECTATION, FEEDBACK):
            said = getattr(one, kind, None)
            if said is not None and held and getattr(said, "error", None) is None:
                at = one.last_update_time_ms or one.create_time_ms or 0
                source = str(one.source.source_type).lower()
                kept.append(Assessment(kind, one.name, _plain(said.value), source, at, one.span_id or None))
    return tuple(kept)


def _plain(value: Any) -> Any:
    """Return a value with whole numbers whole: a server gives them as 4.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _texts(trace: Trace | None) -> tuple[str | None, str | None, str | None]:
    """Return a trace's request and response as JSON, and the id of its root span; None what it lacks."""
    if trace is None:
        return None, None, None
    root = next((span.span_id for span in trace.data.spans if span.parent_id is None), None)
    return trace.data.request, trace.data.response, root


def _database_in(folder: Path, uri: str) -> str:
    head, _, rest = uri.partition(":///")
    name, _, options = rest.partition("?")
    path = (folder / name).absolute()
    if not name or not is_file(path):
        raise no_such_file(path, f"{LABEL}: {name or 'the address names no file'}", (".db", ".sqlite", ".sqlite3"))
    try:
        # MLflow would make its tables in a file that is none of its own.
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            database.execute("SELECT 1 FROM trace_info LIMIT 1")
    except sqlite3.Error as problem:
        raise TaskError(f"{LABEL}: {name} is no database of MLflow's ({problem})", f"{_FORM}.") from None
    return f"{head}:///{path}" + (f"?{options}" if options else "")


def _unreachable(uri: str, problem: BaseException) -> TaskError:
    remedy = "Start MLflow, or correct data.mlflow.tracking_uri; its credentials come from MLflow's own variables."
    return TaskError(f"{LABEL}: {described(uri)} cannot be read ({_why(problem)})", remedy)


def _why(problem: BaseException) -> str:
    return scrub(why(problem))
