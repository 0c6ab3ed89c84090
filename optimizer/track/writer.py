"""The requests that write one MLflow run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from optimizer.track.content import Entry, Point
from optimizer.types import canonical_json

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

PAGE = 100  # a run found is kept as a few words, but a page of them as MLflow sends it, which is kilobytes each
# The most that MLflow takes in one request, together.
MOST_PARAMS, MOST_POINTS = 100, 900
T = TypeVar("T")


@dataclass(slots=True)
class Known:
    """What we know of a run that lies in MLflow: not all of it, for there may be thousands."""

    run_id: str
    key: str
    mark: str
    status: str
    candidate: str | None
    params: frozenset[str]


class Writer:
    """One experiment of MLflow; every method raises what MLflow raises."""

    def __init__(self, client: MlflowClient, experiment: str) -> None:
        self.client, self.experiment = client, experiment

    def runs(self, tag: str, value: str, key: str, mark: str) -> list[Known]:
        """Return the runs with this tag that are not deleted, the oldest first; `key` and `mark` name their tags."""
        token: str | None = ""
        known: list[tuple[int, Known]] = []
        while token is not None:
            query = f"tags.`{tag}` = '{value}'"
            page = self.client.search_runs([self.experiment], query, max_results=PAGE, page_token=token or None)
            known += [(run.info.start_time, _known(run, key, mark)) for run in page]
            token = page.token or None
        return [run for _, run in sorted(known, key=lambda pair: (pair[0], pair[1].run_id))]

    def create(self, entry: Entry, tags: Mapping[str, str]) -> Known:
        """Create a run with these tags and nothing else."""
        run = self.client.create_run(self.experiment, start_time=entry.started, tags=dict(tags), run_name=entry.name)
        return _known(run)

    def fill(self, known: Known, entry: Entry) -> None:
        """Write all of an entry but its tags into a run; what is there already stays once."""
        # A parameter cannot be changed, so one that is there is left.
        new = {name: value for name, value in entry.params.items() if name not in known.params}
        self.points(known.run_id, entry.points, new)
        self.files(known.run_id, entry.files)
        self.data(known.run_id, entry.data)
        known.params, known.status = known.params | entry.params.keys(), entry.status
        if entry.ended is None:
            self.client.update_run(known.run_id, entry.status)
        else:
            self.client.set_terminated(known.run_id, entry.status, end_time=entry.ended)

    def points(self, run_id: str, points: Sequence[Point], params: Mapping[str, str] | None = None) -> None:
        """Write values of metrics, and new parameters."""
        from mlflow.entities import Metric, Param

        metrics = [Metric(point.name, point.value, point.at, point.step) for point in points]
        texts = [Param(name, value) for name, value in (params or {}).items()]
        batches = zip_longest(_chunks(metrics, MOST_POINTS), _chunks(texts, MOST_PARAMS), fillvalue=())
        for some_metrics, some_params in batches:
            self.client.log_batch(run_id, metrics=some_metrics, params=some_params)

    def files(self, run_id: str, files: Mapping[str, str]) -> None:
        """Write artifacts by name."""
        for name, text in files.items():
            self.client.log_text(run_id, text, name)

    def tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def data(self, run_id: str, splits: Sequence[Mapping[str, Any]]) -> None:
        """Write which datasets a run has used."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = []
        for split in splits:
            source = canonical_json({"task": split["name"], "split": split["split"]})
            profile = canonical_json({"num_rows": split["examples"]})
            dataset = Dataset(split["name"], split["digest"], "metier", source, profile=profile)
            inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", split["split"])]))
        if inputs:
            self.client.log_inputs(run_id, inputs)


def _known(run: Run, key: str = "", mark: str = "") -> Known:
    tags, params = run.data.tags, frozenset(run.data.params)
    return Known(
        run.info.run_id, tags.get(key, ""), tags.get(mark, ""), run.info.status, tags.get("candidate_id"), params
    )


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
