"""A prompt as a file: `best.json` out, a program that answers in."""

from __future__ import annotations

import atexit
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.config.schema import ModelConfig, Models
from optimizer.config.yamlfile import read_text
from optimizer.errors import TaskError
from optimizer.models.embed import Embedder
from optimizer.models.fleet import Fleet
from optimizer.prompt.injection import calm
from optimizer.prompt.template import templates
from optimizer.task.metrics.build import build_metric
from optimizer.task.schema import FieldSpec
from optimizer.task.task import Task
from optimizer.task.text import parse_json
from optimizer.types import Candidate, Example

if TYPE_CHECKING:
    import dspy

    from optimizer.prompt.program import Programs

VERSION = 1


def dump_prompt(task: Task, candidate: Candidate, model: ModelConfig, note: dict[str, Any]) -> str:
    """Return a candidate as JSON text, with all that it takes to run it again; no keys, no paths of data."""
    data = {
        "metier": VERSION,
        "task": task.name,
        **note,
        "candidate_id": candidate.id,
        "model": model.model_dump(mode="json", exclude_none=True, exclude={"price"}),
        "inputs": {name: spec.model_dump(mode="json") for name, spec in task.inputs.items()},
        "outputs": {name: spec.model_dump(mode="json") for name, spec in task.outputs.items()},
        "program": _program_json(task),
        "prompts": candidate.to_json(),
        "messages": templates(task, candidate),
        "pool": [example.to_json() for example in carried(task, candidate)],
    }
    return json.dumps(data, ensure_ascii=False, indent=1)


def carried(task: Task, candidate: Candidate) -> tuple[Example, ...]:
    """Return the examples that a candidate needs when it runs: those that it retrieves its demos from."""
    return tuple(calm(task.train)) if candidate.retrieves else ()


def _program_json(task: Task) -> dict[str, Any] | None:
    if task.module is not None:
        return {"module": type(task.module).__qualname__}
    return None if task.program is None else {"function": task.program, "folder": str(task.folder.resolve())}


class SavedPrompt:
    """A prompt with all that it takes to run it; call it with the task's inputs.

    `lm` answers in the place of the named model, `program` runs the prompt where it cannot be built from the task.
    """

    def __init__(
        self,
        task: Task,
        candidate: Candidate,
        model: ModelConfig,
        lm: dspy.LM | None = None,
        program: dspy.Module | None = None,
    ) -> None:
        self.task, self.candidate, self.model = task, candidate, model
        self._lm, self._program = lm, program

    @property
    def program(self) -> dspy.Module:
        """The dspy.Module that runs this prompt, under whatever LM DSPy is configured with."""
        if self._program is None:
            self._program = self.programs.build(self.candidate)
        return self._program

    @cached_property
    def programs(self) -> Programs:
        """What builds the program of this prompt, and would of any other of its task."""
        from optimizer.prompt.program import Programs

        return Programs(self.task, self.task.train, Embedder.local() if self.task.train else _never_embeds)

    def __call__(self, **inputs: Any) -> dspy.Prediction:
        """Answer one input with the model that the prompt was optimized for; it is started if it is local."""
        import dspy

        missing = [name for name in self.task.inputs if name not in inputs]
        if missing:
            raise TaskError(f"the input '{missing[0]}' is missing", f"Call it as prompt({missing[0]}=…).")
        if self._lm is None:
            fleet = Fleet(Models(task=self.model)).__enter__()
            atexit.register(fleet.stop)
            self._lm = fleet.endpoints["task"].connect(self.model)
        with dspy.context(lm=self._lm):
            return self.program(**inputs)


def load_prompt(path: str | Path) -> SavedPrompt:
    """Return the prompt in a best.json, ready to be called; raises TaskError if it is not one."""
    return parse_prompt(read_text(Path(path), TaskError), str(path))


def parse_prompt(text: str, source: str) -> SavedPrompt:
    """Return the prompt in the text of a best.json; `source` names it where TaskError says that it is not one."""
    try:
        data = parse_json(text)
        if data["metier"] != VERSION:
            raise ValueError(f"version {data['metier']}")
        return _from_json(data)
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as problem:
        what = f"{source}: not a prompt that metier saved ({type(problem).__name__}: {problem})"
        raise TaskError(what, "Give the best.json of a run.") from None


def _from_json(data: dict[str, Any]) -> SavedPrompt:
    outputs = {name: FieldSpec.model_validate(spec) for name, spec in data["outputs"].items()}
    candidate = Candidate.from_json(data["prompts"])
    program = data["program"]
    if program and "module" in program:
        what = f"these are the prompts of a {program['module']}, which was optimized as an object"
        raise TaskError(what, "Save what compile() returned with its own save(), and load that.")
    folder = Path(program["folder"]) if program else Path()
    task = Task.from_parts(
        name=data["task"],
        description="",
        instruction=next(iter(candidate.prompts.values())).instruction,
        inputs={name: FieldSpec.model_validate(spec) for name, spec in data["inputs"].items()},
        outputs=outputs,
        train=tuple(map(Example.from_json, data["pool"])),
        validation=(),
        test=(),
        metric=build_metric("exact_match", outputs, folder),
        folder=folder,
        program=program["function"] if program else None,
    )
    return SavedPrompt(task, candidate, ModelConfig.model_validate(data["model"]))


def _never_embeds(texts: Any) -> Any:
    raise TaskError("this prompt retrieves demos, but its file holds none", "Export it again with `metier run`.")
