"""`metier run --dry`: who would be sent what, before anything is sent. No call, no folder, no file is made."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from optimizer.config.presets import LIBRARIES
from optimizer.config.schema import RunConfig
from optimizer.door.recorder import Recorder
from optimizer.export.template import openai_body
from optimizer.forecast.lengths import plan_of
from optimizer.job.folder import mlflow_uri, run_path
from optimizer.job.refusals import refuse_unfit
from optimizer.job.session import asked_model, with_writer
from optimizer.job.texts import judge_texts, mirror_texts, task_texts, writer_texts
from optimizer.job.window import load_task_of
from optimizer.models.embed import MODEL as EMBEDDER
from optimizer.models.fleet import foreseen
from optimizer.models.masks import masks_for
from optimizer.models.providers import Endpoint
from optimizer.models.store import answers_path
from optimizer.models.trust import keys_sent
from optimizer.models.wire import proxy_for
from optimizer.prompt.program import Programs
from optimizer.search.ensembles import ensemble_size
from optimizer.search.schedule import Schedule, make_schedule, refuse_few
from optimizer.system.files import is_file
from optimizer.system.loopback import is_loopback
from optimizer.system.redact import split_url, without_credentials
from optimizer.task.program import calls_each
from optimizer.task.task import Task
from optimizer.types import Candidate, ModelKey, role_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from optimizer.forecast.forecast import Plan

NOTHING, OWN_CODE = "Nothing leaves this machine", "your own code"
# Characters that are shown of a message's beginning, and of its end.
SHOWN = 300


@dataclass(frozen=True)
class Receiver:
    """Who would be sent something: `texts` are the classes of text, with how many of each in words.

    `here`: it does not leave this machine. `keys` are the names of the variables that go along; `notes` the rest.
    """

    name: str
    address: str
    here: bool
    texts: Mapping[str, str]
    keys: Sequence[str] = ()
    notes: Sequence[str] = ()

    def lines(self) -> list[str]:
        """Return it as lines for a person."""
        if not self.texts:
            return [f"{self.name}: {self.address}"]
        where = "this machine" if self.here else "LEAVES THIS MACHINE"
        details = [f"sent: {', '.join(self.texts.values())}"]
        if self.keys:
            details.append(f"with the key in {', '.join(self.keys)}")
        return [f"{self.name}: {where}, {self.address}", *(f"  {detail}" for detail in [*details, *self.notes])]


@dataclass(frozen=True)
class Dry:
    """What a run would send: to whom, and one request of the task model's, as it would be sent."""

    receivers: Sequence[Receiver]
    settings: Mapping[str, object] = field(default_factory=dict)
    messages: Sequence[Mapping[str, object]] = ()

    def text(self) -> str:
        """Return it for the screen, long messages cut."""
        leaves = [receiver for receiver in self.receivers if not receiver.here]
        names = ", ".join(receiver.name for receiver in leaves)
        exception = f", {OWN_CODE} apart" if any(one.name == OWN_CODE for one in self.receivers) else ""
        head = f"Nothing was sent. What {names} would get leaves this machine." if leaves else f"{NOTHING}{exception}."
        shown = [head, *(line for receiver in self.receivers for line in receiver.lines())]
        if not self.messages:
            return "\n".join(shown)
        settings = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        shown.append(f"One request to the task model, as it would be sent ({settings}):")
        for message in self.messages:
            turn = f"--- {message['role']}\n{_cut(str(message['content']))}"
            shown += [f"  {line}" for line in turn.splitlines()]
        return "\n".join(shown)


def _cut(text: str) -> str:
    """Return a long text without its middle: the input stands at its end."""
    if len(text) <= 2 * SHOWN:
        return text
    return f"{text[:SHOWN]}\n… ({len(text) - 2 * SHOWN:,} characters) …\n{text[-SHOWN:]}"


def dry(config: RunConfig) -> Dry:
    """Return what a run of `config` would send. The task is read, with its own code; nothing else is done.

    Raises ConfigError, TaskError, ModelError, as the run would.
    """
    return asyncio.run(_dry(config))


async def _dry(config: RunConfig) -> Dry:
    task = load_task_of(config)
    refuse_unfit(config, task)
    each = calls_each(task)
    refuse_few(config, each)
    schedule = make_schedule(task.validation, config, task.outputs, each, ensemble_size(config, task))
    # Which demos are near an input is not asked: the embedder would have to be fetched.
    programs = Programs(task, task.train, same_embedding)
    plan, candidates, _ = await plan_of(config, programs, schedule, None)
    endpoints = with_writer(foreseen(config.models))
    if not _writes(config):
        del endpoints["prompt"]
    texts = {
        "task": task_texts(config, task, schedule, len(programs.predictors)),
        "prompt": writer_texts(config, task, schedule),
        "judge": judge_texts(config, task, schedule),
    }
    calls = {
        "task": _task_calls(config, plan),
        "prompt": _writer_calls(config, plan),
        "judge": _judge_calls(config, plan),
    }
    models = [_model(key, config, one, texts[role_of(key)], calls[role_of(key)]) for key, one in endpoints.items()]
    judge = [] if "judge" in endpoints else [Receiver("judge model", "none: the metric asks none", True, {})]
    others = [*judge, _embedder(), _mlflow(config, task, schedule), _webhook(config), _shared(config), *_own_code(task)]
    settings, messages = _request(config, task, programs, candidates, schedule, endpoints["task"])
    receivers = [*sorted(models, key=lambda one: one.name, reverse=True), *others]
    return Dry(receivers, settings, messages)


def same_embedding(texts: Sequence[str]) -> NDArray[np.float32]:
    """Embed all texts alike."""
    return np.ones((len(texts), 1), dtype=np.float32)


def _writes(config: RunConfig) -> bool:
    """Tell if something is asked in the prompt model's role; of other libraries' optimizers the task model at need."""
    return config.models.prompt is not None or config.search.strategy in LIBRARIES


def _model(key: ModelKey, config: RunConfig, endpoint: Endpoint, texts: Mapping[str, str], calls: str) -> Receiver:
    named = config.models.by_key.get(key, config.models.by_key["task"])
    notes = [calls]
    if masks_for(config.privacy, endpoint) is not None:
        notes.append(f"masked: {', '.join(config.privacy.redact)}")
    proxy = proxy_for(endpoint.api_base or "https://")
    if proxy is not None and not endpoint.on_this_machine:
        notes.append(f"by way of the proxy {without_credentials(proxy)}")
    if endpoint.api_base != without_credentials(endpoint.api_base):
        notes.append("with the user and password of the address")
    address = f"{named.model}{f' at {endpoint.address}' if endpoint.address else ''}"
    return Receiver(
        f"{role_of(key)} model", address, endpoint.on_this_machine, texts, keys_sent(named, endpoint), notes
    )


def _task_calls(config: RunConfig, plan: Plan) -> str:
    searched = plan.search.within(config.budget.calls).scaled(1 - plan.judging)
    of_all = ", of all task models together" if config.models.also else ""
    return f"calls: {searched.text()} in the search, {plan.test_calls - plan.judged_calls:,} in the test{of_all}"


def _judge_calls(config: RunConfig, plan: Plan) -> str:
    searched = plan.search.within(config.budget.calls).scaled(plan.judging)
    return f"calls: {searched.text()} in the search, {plan.judged_calls:,} in the test, at most"


def _writer_calls(config: RunConfig, plan: Plan) -> str:
    later = plan.proposals.within(config.budget.calls)
    return f"calls: {plan.written} before the search, {later.text()} during it, some of them to the task model"


def _embedder() -> Receiver:
    return Receiver("embedder", EMBEDDER, True, {"training inputs": "inputs of all examples, and instructions"})


def _mlflow(config: RunConfig, task: Task, schedule: Schedule) -> Receiver:
    from optimizer.track.address import local_path, on_this_machine

    where = config.tracking.mlflow
    if where is None:
        return Receiver("MLflow", "off", True, {})
    folder = run_path(config, task)
    if where.uri is None:
        home = folder if is_file(folder / "mlflow.db") else folder.parent
        return Receiver("MLflow", f"a file in {home}", True, mirror_texts(task, schedule))
    # A file is not opened, for that would make it; another address is refused where the run would refuse it.
    uri = where.uri if local_path(where.uri) is not None else mlflow_uri(config, folder)
    return Receiver("MLflow", without_credentials(uri) or uri, on_this_machine(uri), mirror_texts(task, schedule))


def _webhook(config: RunConfig) -> Receiver:
    url = config.notify.url or os.environ.get(config.notify.url_env or "")
    if not url:
        return Receiver("webhook", "none", True, {})
    host = (parts.hostname or "" if (parts := split_url(url)) else "") or "an address that cannot be read"
    texts = {"verdict": "the verdict with its scores, the task's name, the run's folder; or why the run stopped"}
    return Receiver("webhook", host, is_loopback(url), texts)


def _shared(config: RunConfig) -> Receiver:
    if not config.cache.shared:
        return Receiver("shared cache", "off", True, {})
    path = answers_path()
    there = next(folder for folder in path.parents if folder.exists())
    elsewhere = there.stat().st_dev != os.stat(os.curdir).st_dev
    note = ("on another disk than this folder",) if elsewhere else ()
    return Receiver("shared cache", str(path), True, {"answers": "answers of all models"}, notes=note)


def _own_code(task: Task) -> list[Receiver]:
    """Name code of the user's own, of which nobody knows what it sends."""
    own = [code for code in (task.program, task.metric.name if ":" in task.metric.name else None) if code]
    return [Receiver(OWN_CODE, f"{code}; whether it sends anything is not known", True, {}) for code in own]


def _request(
    config: RunConfig,
    task: Task,
    programs: Programs,
    candidates: Sequence[Candidate],
    schedule: Schedule,
    endpoint: Endpoint,
) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Return settings and messages of a call of the candidate with most demos; none where a program makes its inputs.

    They are those of the first predictor, which is asked in the place of the whole program: nothing of it is run.
    """
    import dspy
    from dspy.utils.exceptions import LMError

    name, base = next(iter(programs.predictors.items()))
    inputs = schedule.examples[0].inputs
    if set(base.signature.input_fields) - set(inputs):
        return {}, []
    richest = max(candidates, key=lambda one: one.prompts[name].count)
    predictor = programs.prompted(name, richest)
    predictor.lm = None  # one that the program sets itself would really be called
    recorder, asked = Recorder(), asked_model(config, task, endpoint)
    with dspy.context(lm=recorder.model("task", asked), disable_history=True, trace=[]), suppress(LMError):
        predictor(**{field: inputs[field] for field in base.signature.input_fields})
    request = recorder.requests[0][1]
    masks = masks_for(config.privacy, endpoint)
    body = openai_body(asked, request if masks is None else masks.hide(request)[0])
    messages = [dict(message) for message in body.pop("messages")]
    return body, messages
