"""A view of a run's trials in MLflow's UI: which columns, in which order. By itself the UI shows no figure.

The UI keeps a view in a tag of the experiment, and a link names it (`viewStateShareKey`); above the table the UI then
says "You're viewing a shared view". MLflow 3.17 has no plainer link: of an address it reads the filter and the order
alone, the columns only from such a tag or from the browser's own storage, and a link with both is taken for one
without the tag.
"""

from __future__ import annotations

import json

TAG = "mlflow.sharedViewState."
# What a person looks for first comes first.
SCORES = ("rank", "score")
PARAMS = ("instruction", "format", "demos")
METRICS = ("tokens_per_call", "seen_low", "seen_high", "examples_seen", "seen_score", "latency_p50", "usd")
TAGS = ("role", "state", "reason", "proposer")


def view_tag(run_id: str) -> str:
    """Return the name of the experiment's tag that holds the view of a run of metier."""
    return f"{TAG}{_key(run_id)}"


def view_state(run_id: str, predictors: list[str], ranked: bool) -> str:
    """Return a tag's value: the trials of one run, the best score first, or by rank once they have one.

    Scores can be equal, and what saw few examples may have the highest; the rank has the winner first.
    """
    columns = [f"metrics.`{name}`" for name in SCORES]
    columns += [f"params.`{predictor}.{name}`" for predictor in predictors for name in PARAMS]
    columns += [f"metrics.`{name}`" for name in METRICS]
    columns += [f"tags.`{name}`" for name in TAGS]
    return json.dumps(
        {
            # The parent has no trial's number.
            "searchFilter": f"tags.`metier.run_id` = '{run_id}' AND tags.`metier.trial` != ''",
            "orderByKey": "metrics.`rank`" if ranked else "metrics.`score`",
            "orderByAsc": ranked,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": columns,
            "columnOrder": columns,
        }
    )


def view_address(experiment: str, run_id: str) -> str:
    """Return the view's address in the UI."""
    return f"#/experiments/{experiment}/runs?viewStateShareKey={_key(run_id)}"


def _key(run_id: str) -> str:
    return f"metier-{run_id}"
