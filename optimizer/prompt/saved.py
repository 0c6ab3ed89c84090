"""A prompt as a file: `best.json` out, a program that answers in."""

from __future__ import annotations

import atexit
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from optimizer.config.models import ModelConfig, Models
from optimizer.config.schema import MOST_TOGETHER, NO_MASKS, FormatName, Privacy
from optimizer.config.strict import Strict
from optimizer.config.yamlfile import read_text
from optimizer.errors import TaskError
from optimizer.models.dspy_lm import lm_endpoint
from optimizer.models.embed import Embedder
from optimizer.models.fleet import Fleet
from optimizer.models.masks import masked_model, masks_for
from optimizer.models.trust import beyond_its_own
from optimizer.prompt.injection import calm
from optimizer.prompt.template import templates
from optimizer.system.loopback import bypass_proxies
from optimizer.task.metrics.base import Metric
from optimizer.task.metrics.build import NAMES, build_metric, builtin_of, metric_name
from optimizer.task.schema import FieldSpec, check_fields
from optimizer.task.task import Task
from optimizer.task.text import parse_json
from optimizer.task.values import coerce
from optimizer.types import Candidate, Example, Order, Policy, Readout

if TYPE_CHECKING:
    import dspy

    from optimizer.prompt.program import Programs

VERSION = 1


def dump_prompt(
    task: Task,
    candidate: Candidate,
    model: ModelConfig,
    note: dict[str, Any],
    privacy: Privacy = NO_MASKS,
    sha256: str = "",
) -> str:
    """Return a candidate as JSON text, with all that it takes to run it again; no keys, no paths of data.

    `sha256` is that of the local model's file, which is kept where the candidate is calibrated for it.
    `privacy` is what was masked where it was scored, and will be where it is asked. The metric, if it is a built-in, is
    kept where several prompts answer together: by it they agree.
    """
    data = {
        "metier": VERSION,
        "task": task.name,
        **note,
        "candidate_id": candidate.id,
        "model": model.model_dump(mode="json", exclude_none=True, exclude={"price"}),
        **({"model_sha256": sha256} if sha256 and candidate.calibrated else {}),
        **({"privacy": privacy.model_dump(mode="json")} if privacy.redact else {}),
        "inputs": {name: spec.model_dump(mode="json") for name, spec in task.inputs.items()},
        "outputs": {name: spec.model_dump(mode="json") for name, spec in task.outputs.items()},
        "program": _program_json(task),
        **({"metric": metric} if candidate.together > 1 and (metric := builtin_of(task.metric)) else {}),
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


@dataclass(frozen=True)
class Doubts:
    """What a prompt's file asks for that a file alone cannot allow, in words; `source` names the file.

    The text of a prompt is data. An address, a key and code are orders: they are the caller's to give.
    """

    source: str = ""
    model: tuple[str, ...] = ()
    program: tuple[str, ...] = ()

    def refuse(self) -> TaskError:
        """Return the error that tells all of them at once."""
        what = f"{self.source}: asks for {', '.join((*self.model, *self.program))}; that is not a saved prompt's to say"
        own = " Or name a model of your own: --model NAME." if self.model else ""
        return TaskError(what, f"Read the file. If you trust it, give --trust (in Python: trust=True).{own}")


def doubts_of(source: str, model: ModelConfig, task: Task) -> Doubts:
    """Return what a file that nobody vouches for asks for, by the model and the program that it names."""
    code = () if task.program is None else (f"the code {task.program!r:.80} in {str(task.folder)!r:.160}",)
    return Doubts(source, tuple(beyond_its_own(model)), code)


class SavedPrompt:
    """A prompt with all that it takes to run it; call it with the task's inputs.

    `lm` answers in the place of the named model, `program` runs the prompt where it cannot be built from the task.
    With `doubts`, what was read is used as text alone: its model is not asked, and its code not run. What `privacy`
    names is masked where it is called; `program`, for the caller's own LM, masks nothing. `sha256` is that of the
    model's file which the prompt is calibrated for; "" where it may be any.
    """

    def __init__(
        self,
        task: Task,
        candidate: Candidate,
        model: ModelConfig,
        lm: dspy.LM | None = None,
        program: dspy.Module | None = None,
        doubts: Doubts = Doubts(),
        privacy: Privacy = NO_MASKS,
        sha256: str = "",
    ) -> None:
        self.candidate, self.named, self.doubts, self.privacy = candidate, model, doubts, privacy
        self._task, self._lm, self._program, self._sha256 = task, lm, program, sha256

    @property
    def task(self) -> Task:
        """The task, from which the program is built; raises TaskError where that is code not the file's to name."""
        if self.doubts.program:
            raise self.doubts.refuse()
        return self._task

    @property
    def model(self) -> ModelConfig:
        """The model to ask, which is the `named` one; raises TaskError where that is not the file's to say."""
        self.check_model()
        return self.named

    def check_model(self) -> None:
        """Raise TaskError where the named model is not the file's to say."""
        if self.doubts.model:
            raise self.doubts.refuse()

    def answered_by(self, model: ModelConfig, lm: dspy.LM | None = None) -> SavedPrompt:
        """Return the prompt with a model of the caller's in the place of the named one.

        Raises TaskError where the prompt is calibrated for the named one, and this is another.
        """
        if model.model != self.named.model and self.candidate.calibrated:
            what = f"this prompt reads its answers by a calibration for {self.named.model}"
            other = "Or take a trial of its run whose readout is not calibrated: metier export --trial N."
            remedy = f"Fit it anew for {model.model}: metier migrate … --to {model.model}. {other}"
            raise TaskError(f"{what}, which says nothing of {model.model}", remedy)
        return self._changed(named=model, _lm=lm, doubts=replace(self.doubts, model=()))

    def check_file(self, sha256: str) -> None:
        """Raise TaskError where the prompt is calibrated for a model's file, and another one is served; "" is none."""
        if self._sha256 and sha256 and sha256 != self._sha256:
            what = f"this prompt reads its answers by a calibration for the file of {self.named.model} with the sha256"
            what = f"{what} {self._sha256}, and the one that is served has {sha256}"
            raise TaskError(what, f"Serve that file, or optimize the prompt anew for {self.named.model} as it is now.")

    def asked_of(self, model: str, api_base: str | None) -> SavedPrompt:
        """Return the prompt for another model, which is asked with the temperature and limit of the named one."""
        changes = {"model": model, "api_base": api_base, "api_key_env": None, "price": None}
        return self.answered_by(self.named.model_copy(update=changes))

    def trusted(self) -> SavedPrompt:
        """Return the prompt as one whose file the caller trusts: its model is asked, and its code run."""
        return self._changed(doubts=Doubts())

    def run_by(self, task: Task) -> SavedPrompt:
        """Return the prompt with the program of the caller's task in the place of the one that its file names."""
        mine = self._task.changed(folder=task.folder, program=task.program)
        return self._changed(_task=mine, _program=None, doubts=replace(self.doubts, program=()))

    def masked_by(self, privacy: Privacy) -> SavedPrompt:
        """Return the prompt with the masks that the caller wants, if any, in the place of those that its file names."""
        return self._changed(privacy=privacy) if privacy.redact else self

    def _changed(self, **changes: Any) -> SavedPrompt:
        """Return the prompt with other attributes, and nothing of what was built from the old ones."""
        kept = ("_task", "candidate", "named", "_lm", "_program", "doubts", "privacy", "_sha256")
        return SavedPrompt(*({name: getattr(self, name) for name in kept} | changes).values())

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
        with dspy.context(lm=self._masked_lm):
            return self.program(**inputs)

    @cached_property
    def _masked_lm(self) -> dspy.LM:
        """What answers, started if it is local; raises ConfigError where what masks is not installed."""
        if self._lm is not None:
            bypass_proxies()
            lm, masks = self._lm, masks_for(self.privacy, lm_endpoint(self._lm, Models()))
        else:
            fleet = Fleet(Models(task=self.model)).__enter__()
            atexit.register(fleet.stop)
            endpoint = fleet.endpoints["task"]
            self.check_file(endpoint.sha256)
            lm, masks = endpoint.connect(self.model), masks_for(self.privacy, endpoint)
        return lm if masks is None else masked_model(lm, masks)


def load_prompt(path: str | Path, trust: bool = False) -> SavedPrompt:
    """Return the prompt in a best.json, ready to be called; raises TaskError if it is not one.

    Without `trust` it can be read, but its model is asked at its provider's own address with that provider's own key
    or not at all, and code that it names is not run.
    """
    return parse_prompt(read_text(Path(path), TaskError), str(path), trust)


def parse_prompt(text: str, source: str, trust: bool = False) -> SavedPrompt:
    """Return the prompt in the text of a best.json; `source` names it where TaskError says that it is not one."""
    try:
        data = parse_json(text)
        if data["metier"] != VERSION:
            raise ValueError(f"version {data['metier']!r:.40}")
        return _from_json(data, source, trust)
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration, RecursionError) as problem:
        why = "nested too deeply" if isinstance(problem, RecursionError) else " ".join(str(problem).split())
        what = f"{source}: not a prompt that metier saved ({type(problem).__name__}: {why:.200})"
        raise TaskError(what, "Give the best.json of a run.") from None


class _Text(Strict):
    """One predictor's prompt as a file may say it: these are the types of `Prompt`, which checks none of them."""

    instruction: str
    format: FormatName
    policy: Policy
    count: int = Field(ge=0)
    order: Order
    demos: tuple[dict[Literal["inputs", "outputs"], dict[str, Any]], ...]
    readout: Readout = "generate"
    calibration: dict[Literal["scale", "offsets", "evidence", "labels"], Any] | None = None
    ensemble: tuple[_Text, ...] = Field((), max_length=MOST_TOGETHER - 1)
    model: str = ""


def _from_json(data: dict[str, Any], source: str, trust: bool) -> SavedPrompt:
    from optimizer.prompt.builder import ROOT

    inputs, outputs = (
        {name: FieldSpec.model_validate(spec) for name, spec in data[side].items()} for side in ("inputs", "outputs")
    )
    check_fields(inputs, outputs)
    for prompt in data["prompts"].values():
        _Text.model_validate(prompt)
    candidate, model = Candidate.from_json(data["prompts"]), ModelConfig.model_validate(data["model"])
    program = data["program"]
    if program and "module" in program:
        what = f"these are the prompts of a {program['module']!r:.80}, which was optimized as an object"
        raise TaskError(what, "Save what compile() returned with its own save(), and load that.")
    pool = tuple(map(Example.from_json, data["pool"]))
    if not program:
        if candidate.prompts.keys() != {ROOT}:
            raise ValueError(f"prompts has {', '.join(candidate.prompts)!r:.80}, and a task without a program {ROOT!r}")
        for example in (*pool, *(demo for prompt in candidate.asked for demo in prompt.demos)):
            _check_values(inputs, example.inputs)
            _check_values(outputs, example.outputs)
    folder = Path(program["folder"]) if program else Path()
    task = Task.from_parts(
        name=str(data["task"]),
        description="",
        instruction=next(iter(candidate.prompts.values())).instruction,
        inputs=inputs,
        outputs=outputs,
        train=pool,
        validation=(),
        test=(),
        metric=_metric(data.get("metric", "exact_match"), outputs, source),
        folder=folder,
        program=str(program["function"]) if program else None,
    )
    privacy, sha256 = Privacy.model_validate(data.get("privacy", {})), data.get("model_sha256", "")
    if not isinstance(sha256, str):
        raise TypeError("a model's sha256 must be text")
    doubts = Doubts() if trust else doubts_of(source, model, task)
    return SavedPrompt(task, candidate, model, doubts=doubts, privacy=privacy, sha256=sha256)


def _metric(spec: Any, outputs: Mapping[str, FieldSpec], source: str) -> Metric:
    """Return the metric by which answers agree; raises ValueError for code, which is not the file's to name."""
    if not isinstance(spec, (str, dict)) or metric_name(spec, source) not in NAMES:
        raise ValueError(f"the metric {spec!r:.80} is none of {', '.join(NAMES)}")
    return build_metric(spec, outputs, Path(), source)


def _check_values(specs: Mapping[str, FieldSpec], values: Mapping[str, Any]) -> None:
    """Raise ValueError where a demo has none of these fields, or one of another type, on which formats fail."""
    if specs.keys().isdisjoint(values):
        raise ValueError(f"a demo lacks {next(iter(specs))!r}")
    for name in specs.keys() & values.keys():
        plain = specs[name].model_copy(update={"choices": None, "definitions": {}})
        try:
            coerce(plain, values[name])
        except ValueError as problem:
            raise ValueError(f"a demo's {name!r} {problem}") from None


def _never_embeds(texts: Any) -> Any:
    raise TaskError("this prompt retrieves demos, but its file holds none", "Export it again with `metier run`.")
