"""The code of the logged model: MLflow runs this file, and unpickles nothing, when it loads the model."""

from __future__ import annotations

from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Served(PythonModel):
    """Answers rows of the task's inputs by the saved prompt, with the model that it was optimized for."""

    def load_context(self, context: Any) -> None:
        """Read the prompt; its model is started at the first answer.

        An address, key or code that it names is used with `load_model(…, model_config={"trust": True})`.
        """
        import optimizer

        trust = bool((context.model_config or {}).get("trust"))
        self.prompt = optimizer.load_prompt(context.artifacts["prompt"], trust=trust)

    # Without types: MLflow takes those of `predict` for a schema to check the input by.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Return the outputs of each row of a pandas.DataFrame, or of each dict in a list."""
        rows = model_input.to_dict("records") if hasattr(model_input, "to_dict") else model_input
        answers = [self.prompt(**{name: row[name] for name in self.prompt.task.inputs}) for row in rows]
        return [{name: getattr(answer, name) for name in self.prompt.task.outputs} for answer in answers]


set_model(Served())
