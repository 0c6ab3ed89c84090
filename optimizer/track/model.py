"""The winner as a logged model of MLflow: best.json and a file of code, no pickle.

`mlflow.dspy` would pickle it either way: by default the program itself, with `use_dspy_model_save` DSPy's
`save_program`, which is cloudpickle too. And what it loads runs under whatever adapter DSPy is set to,
while the format is part of the prompt here. So the model is a pyfunc made from code.
"""

from __future__ import annotations

import io
import tempfile
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.system.versions import versions
from optimizer.track.registry import registry_name

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CODE = Path(__file__).with_name("served.py")
TYPES = {"str": "string", "int": "long", "float": "double", "bool": "boolean"}


def log_model(client: MlflowClient, best: dict[str, Any], text: str, run_id: str, experiment: str) -> None:
    """Log a prompt, the `text` of a best.json, as the output of a run, once; raises what MLflow raises."""
    import mlflow.pyfunc
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(run_id).outputs
    if outputs is not None and outputs.model_outputs:
        return
    # Named, the requirements need not be found out by loading the model, which takes half a minute.
    masks = ["phonenumbers"] if "phone" in best.get("privacy", {}).get("redact", ()) else []
    installed = versions("metier", "mlflow", "dspy", *masks)
    needed = [f"{package}=={version}" for package, version in installed.items() if version != "none"]
    # MLflow misses an example of the input, which would be run, and so paid; it filters warnings anew itself.
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        model, file = Path(folder) / "model", Path(folder) / "best.json"
        file.write_text(text, encoding="utf-8")
        mlflow.pyfunc.save_model(
            str(model),
            python_model=str(CODE),
            artifacts={"prompt": str(file)},
            pip_requirements=needed,
            signature=_signature(best),
            model_config={"trust": False},  # MLflow lets a caller change only what is named here
        )
        tags = {"verdict": str(best["verdict"]), "candidate_id": str(best["candidate_id"])}
        made = client.create_logged_model(
            experiment, registry_name(best["task"]), run_id, tags=tags, model_type="prompt"
        )
        client.log_model_artifacts(made.model_id, str(model))
    client.finalize_logged_model(made.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(made.model_id, 0)])


def _signature(best: dict[str, Any]) -> Any:
    """Return the columns that go in, where each has a type that MLflow knows, and None otherwise."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    types = {name: spec["type"] for name, spec in best["inputs"].items()}
    if set(types.values()) - set(TYPES):
        return None
    return ModelSignature(Schema([ColSpec(TYPES[kind], name) for name, kind in types.items()]))
