"""The requests that write one MLflow run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer.track.content import Data, Entry, Point
from optimizer.types import canonical_json

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

PAGE = 100  # a run found is kept as a few words, but a page of them as MLflow sends it, which is kilobytes each
# The most that MLflow takes in one request.
MOST_PARAMS, MOST_POINTS, MOST_AT_ONCE = 100, 900, 1000


@dataclass(slots=True)
class Known:
    """What we know of a run that lies in MLflow: not all of it, for there may be thousands."""

    run_id: str
    status: str
    candidate: str | None
    params: frozenset[str]

    @classmethod
    def of(cls, run: Run) -> Known:
        """Return what is worth keeping of a run."""
        names = frozenset(run.data.params)
        return cls(run.info.run_id, run.info.status, run.data.tags.get("candidate_id"), names)


@dataclass(frozen=True, slots=True)
class Found:
    """A run that was found, with those of its tags that were asked for."""

    known: Known
    tags: Mapping[str, str]


class Writer:
    """One experiment of MLflow; every method raises what MLflow raises."""

    def __init__(self, client: MlflowClient, experiment: str) -> None:
        self.client, self.experiment = client, experiment

    def runs(self, tag: str, value: str, keep: Sequence[str] = ()) -> list[Found]:
        """Return the runs with this tag that are not deleted, the oldest first, with the tags to `keep`."""
        found: list[tuple[int, str, Found]] = []
        token = None
        while True:
            query = f"tags.`{tag}` = '{value}'"
            page = self.client.search_runs([self.experiment], query, max_results=PAGE, page_token=token)
            for run in page:
                tags = {name: run.data.tags[name] for name in keep if name in run.data.tags}
                found.append((run.info.start_time, run.info.run_id, Found(Known.of(run), tags)))
            token = page.token
            if not token:
                return [one for *_, one in sorted(found, key=lambda each: each[:2])]

    def create(self, entry: Entry, tags: Mapping[str, str]) -> Known:
        """Create a run with these tags and nothing else."""
        run = self.client.create_run(self.experiment, start_time=entry.started, tags=dict(tags), run_name=entry.name)
        return Known.of(run)

    def fill(self, known: Known, entry: Entry) -> None:
        """Write all of an entry but its tags into a run; what is there already stays once."""
        from mlflow.entities import Metric, Param

        # A parameter cannot be changed, so one that is there is left.
        params = [Param(key, value) for key, value in entry.params.items() if key not in known.params]
        points = [Metric(point.name, point.value, point.at, point.step) for point in entry.points]
        for start in range(0, max(len(params), 1), MOST_PARAMS):
            first = points[: MOST_AT_ONCE - MOST_PARAMS] if start == 0 else ()
            self.client.log_batch(known.run_id, metrics=first, params=params[start : start + MOST_PARAMS])
        self.points(known.run_id, entry.points[MOST_AT_ONCE - MOST_PARAMS :])
        self.files(known.run_id, entry.files)
        self.data(known.run_id, entry.data)
        known.params = known.params | entry.params.keys()
        known.status = entry.status
        if entry.ended is None:
            self.client.update_run(known.run_id, entry.status)
        else:
            self.client.set_terminated(known.run_id, entry.status, end_time=entry.ended)

    def points(self, run_id: str, points: Sequence[Point]) -> None:
        """Write values of metrics."""
        from mlflow.entities import Metric

        metrics = [Metric(point.name, point.value, point.at, point.step) for point in points]
        for start in range(0, len(metrics), MOST_POINTS):
            self.client.log_batch(run_id, metrics=metrics[start : start + MOST_POINTS])

    def files(self, run_id: str, files: Mapping[str, str]) -> None:
        """Write artifacts by name."""
        for name, text in files.items():
            self.client.log_text(run_id, text, name)

    def tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def data(self, run_id: str, data: Sequence[Data]) -> None:
        """Write which datasets a run has used."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = []
        for split in data:
            source, profile = canonical_json({"task": split.name, "split": split.split}), {"num_rows": split.examples}
            dataset = Dataset(split.name, split.digest, "metier", source, profile=canonical_json(profile))
            inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", split.split)]))
        if inputs:
            self.client.log_inputs(run_id, inputs)
