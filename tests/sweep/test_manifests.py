"""The files for Ray's clusters in the documentation: against Ray's own schema, and what of Kubernetes is standard.

KubeRay's own schema is not shipped by any package. With METIER_KUBERAY_CRD=FILE its ray.io_rayjobs.yaml (Apache-2.0,
github.com/ray-project/kuberay, ray-operator/config/crd/bases) is held against the manifest as a whole, too.
"""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from support.jobs import ROOT

FOLDER = ROOT / "docs" / "pages" / "how-to" / "ray"
# The keys of a RayJob that the manifest uses, as KubeRay's API reference names them, and what they must hold.
GROUP = {
    "type": "object",
    "required": ["rayStartParams", "template"],
    "properties": {
        "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
        "template": {"type": "object", "required": ["spec"]},
        "groupName": {"type": "string"},
        **{name: {"type": "integer", "minimum": 0} for name in ("replicas", "minReplicas", "maxReplicas")},
    },
    "additionalProperties": False,
}
RAY_JOB = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "required": ["entrypoint", "rayClusterSpec"],
            "properties": {
                "entrypoint": {"type": "string"},
                "backoffLimit": {"type": "integer", "minimum": 0},
                "shutdownAfterJobFinishes": {"type": "boolean"},
                "ttlSecondsAfterFinished": {"type": "integer", "minimum": 0},
                "rayClusterSpec": {
                    "type": "object",
                    "required": ["headGroupSpec"],
                    "properties": {
                        "rayVersion": {"type": "string"},
                        "headGroupSpec": GROUP,
                        "workerGroupSpecs": {
                            "type": "array",
                            "items": {**GROUP, "required": ["groupName", "template"]},
                        },
                    },
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def problems(schema: Any, data: Any) -> list[str]:
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(data)]


def test_the_cluster_file_fits_rays_schema() -> None:
    package = find_spec("ray")  # not imported: it costs two seconds
    if package is None or package.origin is None:
        pytest.skip("Ray is not installed")
    schema = json.loads((Path(package.origin).parent / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))
    data = read("cluster.yaml")
    assert problems(schema, data) == []
    assert problems(schema, {**data, "max_worker": 2}), "the schema refuses what it does not know"
    assert data["max_workers"] == len(data["provider"]["worker_ips"])


def test_the_job_fits_the_keys_of_kuberay() -> None:
    job = read("rayjob.yaml")
    assert problems(RAY_JOB, job) == []
    assert problems(RAY_JOB, {**job, "spec": {**job["spec"], "backofLimit": 1}})
    head, *workers = [
        job["spec"]["rayClusterSpec"]["headGroupSpec"],
        *job["spec"]["rayClusterSpec"]["workerGroupSpecs"],
    ]
    assert head["rayStartParams"]["num-cpus"] == "0", "the head plays no cells"
    assert all(group["minReplicas"] <= group["replicas"] <= group["maxReplicas"] for group in workers)


def test_the_jobs_pods_fit_kubernetes_schema() -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed").validate
    cluster = read("rayjob.yaml")["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}
        validate(pod, "1.37", strict=True)
        pod["spec"]["containers"][0]["imag"] = "x"
        with pytest.raises(Exception, match="imag"):
            validate(pod, "1.37", strict=True)


@pytest.mark.skipif("METIER_KUBERAY_CRD" not in os.environ, reason="METIER_KUBERAY_CRD names no schema of KubeRay's")
def test_the_job_fits_kuberays_own_schema() -> None:
    definition = yaml.load(Path(os.environ["METIER_KUBERAY_CRD"]).read_text(encoding="utf-8"), yaml.CSafeLoader)
    (schema,) = [one["schema"]["openAPIV3Schema"] for one in definition["spec"]["versions"] if one["name"] == "v1"]
    _close(schema["properties"]["spec"])
    job = read("rayjob.yaml")
    assert problems(schema, job) == []
    assert problems(schema, {**job, "spec": {**job["spec"], "backofLimit": 1}})


def _close(schema: Any) -> None:
    """Let a schema of Kubernetes' refuse unknown keys, as its server does, and take numbers where both are allowed."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        if schema.get("x-kubernetes-int-or-string"):
            schema.pop("type", None)
    for child in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        _close(child)
