"""A prompt as plain chat messages with `{{input}}` where the inputs go."""

from __future__ import annotations

from optimizer.prompt.formats import adapter
from optimizer.task.metrics.match import named_labels
from optimizer.task.program import build_program
from optimizer.task.task import Task
from optimizer.types import Candidate

Messages = list[dict[str, str]]


def templates(task: Task, candidate: Candidate) -> dict[str, Messages]:
    """Return each predictor's messages: instruction and static demos as they are sent, inputs as variables.

    Of prompts that answer together each has its own. Demos that are retrieved for each input are not among them: no
    text can hold them.
    """
    import dspy

    base = build_program(task)
    predictors = (
        dict.fromkeys(candidate.prompts, base) if isinstance(base, dspy.Predict) else dict(base.named_predictors())
    )
    messages_of: dict[str, Messages] = {}
    named = (
        (name, prompt, name if len(whole.asked) == 1 else f"{name}, prompt {number}")
        for name, whole in candidate.prompts.items()
        for number, prompt in enumerate(whole.asked, 1)
    )
    for name, prompt, title in named:
        signature = predictors[name].signature.with_instructions(prompt.instruction)
        shown = prompt.shown if prompt.policy == "static" else ()
        demos = [{**demo.inputs, **demo.outputs} for demo in shown]
        variables = {field: f"{{{{{field}}}}}" for field in signature.input_fields}
        messages = adapter(prompt.format).format(signature, demos, variables)
        messages_of[title] = [{"role": str(m["role"]), "content": str(m["content"])} for m in messages]
    return messages_of


def unnamed_labels(task: Task, candidate: Candidate) -> list[str]:
    """Return the labels of the task's outputs that no message of a candidate names, as its format sends them."""
    labels = [label for spec in task.outputs.values() for label in spec.choices or ()]
    if not labels:
        return []
    text = "\n".join(message["content"] for sent in templates(task, candidate).values() for message in sent)
    return [label for label in labels if not named_labels(text, (label,))]
