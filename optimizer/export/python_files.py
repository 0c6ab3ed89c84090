"""A prompt as a Python file of its own: on the standard library alone, or as a plain DSPy program.

The templates in `files/` write them. What a prompt does when it runs is not written a second time: the functions of
ours that do it are copied, as source, into the file. All that comes from the user becomes literals.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from pprint import pformat
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from optimizer import errors
from optimizer.export.template import BETWEEN, Message, Template, never, template_of
from optimizer.models.embed import MODEL
from optimizer.prompt import demos, ensemble, formatted, readout, values
from optimizer.prompt.formats import PLAIN, plain
from optimizer.prompt.program import Programs
from optimizer.prompt.readout import Labels, read_labels
from optimizer.prompt.saved import SavedPrompt
from optimizer.system import limits
from optimizer.task import text as texts
from optimizer.task import values as coerced
from optimizer.task.metrics import agreement, amount, base, match, order, structure
from optimizer.task.metrics.base import Metric
from optimizer.task.metrics.build import builtin_of
from optimizer.task.schema import FieldSpec
from optimizer.types import Calibration, Example, Prompt, first_greatest

# These formats are written by our own adapters, the others by DSPy's.
ADAPTERS = {
    "turns": "TurnsAdapter()",
    "fields": "FieldsAdapter()",
    "block": "BlockAdapter()",
    "chat": "dspy.ChatAdapter(use_json_adapter_fallback=False)",
    "json": "dspy.JSONAdapter()",
    "xml": "dspy.XMLAdapter(use_json_adapter_fallback=False)",
    "own": "dspy.settings.adapter or dspy.ChatAdapter()",
}
# The source of what finds labels in words; of what reads any value from an answer's words; of the formats that do.
NAMING_SOURCE = (
    *(texts.fold, match.named_labels, match._LabelTable, match._label_table, match._label_at, match._words),
)
VALUES_SOURCE = (
    *NAMING_SOURCE,
    *(texts.parse_json, limits.check_depth, limits._items, texts._no_constant, texts._finite),
    *(texts._distinct, texts._encodable, values.render, values.label_of),
    *(values.read, values._read_bool, values._read_number, values._read_list, values._read_json),
)
ADAPTERS_SOURCE = (
    *(plain.Unreadable, plain.PlainAdapter, plain.TurnsAdapter, plain.FieldsAdapter, plain.BlockAdapter),
    *(plain.headed, plain.opening, plain.system_text),
)
# The source of what reads a label from log-probabilities.
READOUT_SOURCE = (
    *(readout.label_logprobs, readout._Tree, readout._alternatives, readout._joined, readout._ends),
    first_greatest,
)
# The source of what joins the answers of several prompts in a DSPy program; of how far any two answers agree; and of
# the built-in metrics by which they do.
ENSEMBLE_SOURCE = (
    *(readout.Labels, readout.labels_of, readout.choose),
    *(formatted.FormattedPredict, formatted.NoLabel, formatted.PromptedPredict, formatted.as_demo),
    *(ensemble.Ensemble, ensemble.summed, ensemble._logprobs),
)
AGREEMENT_SOURCE = (
    *(errors.did_you_mean, limits.shorten, texts.equal, texts._close, match.exact_match, match.same),
    *(coerced.coerce, coerced._UnknownLabelError, coerced._label, *coerced._READERS.values(), coerced._kind),
    *(base.BuiltIn, base.FieldMetric, base._expected, base._difference, agreement.agreement, agreement.most_agreed),
)
METRICS_SOURCE: Mapping[str, Sequence[Any]] = {
    "exact_match": (),
    "choice": (match.choice,),
    "contains": (match.contains, match._occurs),
    "numeric": (
        *(amount.numeric, amount.last_number, amount.measured, amount._is_near, amount._in_units),
        *(amount._unit_after, amount._unit_before, amount._word_after),
    ),
    "set_f1": (amount.set_f1, amount._folded_items),
    "list_order": (
        *(order.list_order, order.folded_list, order.kendall_tau, order._inversions),
        *(order._matched, order._too_early),
    ),
    "json_fields": (structure.json_fields, structure._leaves),
}


def messages_file(template: Template) -> str:
    """Return a Python file whose `messages(…)` are this prompt's, without metier or DSPy."""
    prompt = template.prompt
    return _file("messages", [prompt], labels=template.labels, template=template, prompt=prompt, pool=template.pool)


def program_messages_file(templates: Mapping[str, Template]) -> str:
    """Return a Python file whose `messages(predictor, …)` are a program's, without metier or DSPy."""
    prompts = {name: template.prompt for name, template in templates.items()}
    predictors = {name: _predictor(template) for name, template in templates.items()}
    pools = {name: template.pool for name, template in templates.items()}
    return _file("program_messages", list(prompts.values()), predictors=predictors, **_retrieved(prompts, pools))


def dspy_file(saved: SavedPrompt) -> str:
    """Return a Python file whose `program` is this prompt as a DSPy module, without metier."""
    ((name, prompt),) = saved.candidate.prompts.items()
    predictor = Programs(saved.task, (), never).predictors[name]
    labels, settings = read_labels(predictor.signature, prompt), _settings(saved)
    settings |= {} if labels is None else labels.asked
    shown = {"prompt": prompt, "fields": _specs(saved), "settings": settings, "pool": saved.task.train}
    return _file("dspy", [prompt], dspy=True, labels=labels, **shown)


def dspy_ensemble_file(saved: SavedPrompt) -> str:
    """Return a Python file whose `program` is a DSPy module that asks several prompts and joins their answers."""
    ((name, whole),) = saved.candidate.prompts.items()
    programs = Programs(saved.task, saved.task.train, never)
    labels, settings = read_labels(programs.predictors[name].signature, whole), _settings(saved)
    if labels is not None:
        most = settings.get("max_tokens", labels.most_tokens)
        settings |= {**labels.asked, "max_tokens": min(most, labels.most_tokens)}
    members = [
        {
            **{part: getattr(prompt, part) for part in ("instruction", "format", "policy", "count", "readout")},
            # What is fixed is written in the order in which it is shown.
            "order": prompt.order if prompt.retrieves else "given",
            "demos": [] if prompt.retrieves else _pairs(prompt.shown),
        }
        for prompt in whole.asked
    ]
    fitted = whole.calibration if whole.readout == "calibrated" else None
    shown = {"members": members, "settings": settings, "fitted": fitted, "pool": programs.pool_of(name)}
    return _file("dspy_ensemble", whole.asked, dspy=True, labels=labels, **shown, **_joining(saved))


def ensemble_file(saved: SavedPrompt) -> str:
    """Return a Python file whose `requests(…)` are those of several prompts, and whose `answer(…)` joins the replies.

    It needs neither metier nor DSPy. All of their formats must be among the plain ones, whose answers it can read.
    """
    ((name, whole),) = saved.candidate.prompts.items()
    templates = [template_of(saved, name, number) for number in range(len(whole.asked))]
    retrieving = [template for template in templates if template.prompt.retrieves]
    shown = {template.prompt.format: list(map(_parts, template.demos)) for template in retrieving}
    members = [
        {
            "request": dict(template.body),
            "joined": template.joined,
            "head": _parts(template.head),
            "tail": _parts(template.tail),
            **(
                {"format": template.prompt.format, "choosing": _choosing(template.prompt)}
                if template.prompt.retrieves
                else {"choosing": None, "demos": list(map(_parts, template.demos))}
            ),
        }
        for template in templates
    ]
    pool = retrieving[0].pool if retrieving else ()
    parts: dict[str, Any] = {"prompt": whole, "members": members, "shown": shown, "pool": pool}
    return _file("ensemble_messages", whole.asked, labels=templates[0].labels, **parts, **_joining(saved))


def carries(metric: Metric) -> bool:
    """Tell if a file can hold the metric by which answers agree: a metric of the user's stands for equal answers."""
    built = builtin_of(metric)
    if built is None:
        return True
    # With options json_fields takes other libraries, or other metrics.
    return built["name"] in METRICS_SOURCE and not (built["name"] == "json_fields" and len(built) > 1)


def _joining(saved: SavedPrompt) -> dict[str, Any]:
    """Return what tells how the answers of several prompts are joined."""
    metric = _metric(saved.task.metric)
    source = (*AGREEMENT_SOURCE, *METRICS_SOURCE[metric["name"]])
    return {"ensemble": True, "fields": _specs(saved), "metric": metric, "agreement_source": source}


def _metric(metric: Metric) -> dict[str, Any]:
    """Return the metric by which answers agree: its function and options by name; of a user's own, exact_match."""
    options = builtin_of(metric) or {"name": "exact_match"}
    name = options.pop("name")
    is_mean = isinstance(metric, base.FieldMetric) and metric.partial
    return {"name": name, "options": options, "partial": is_mean}


def _specs(saved: SavedPrompt) -> dict[str, Any]:
    """Return the task's fields as plain data."""
    return {
        side: {field: spec.model_dump(mode="json") for field, spec in specs.items()}
        for side, specs in (("inputs", saved.task.inputs), ("outputs", saved.task.outputs))
    }


def dspy_program_file(saved: SavedPrompt) -> str:
    """Return a Python file whose `tuned(program)` puts the prompts into the user's program, without metier."""
    programs, prompts = Programs(saved.task, saved.task.train, never), saved.candidate.prompts
    written = {
        name: {
            "instruction": prompt.instruction,
            "format": prompt.format,
            "settings": _settings(saved),
            "demos": [_fields(demo) for demo in prompt.shown],
        }
        for name, prompt in prompts.items()
    }
    pools = {name: programs.pool_of(name) for name in prompts}
    return _file("dspy_program", list(prompts.values()), dspy=True, written=written, **_retrieved(prompts, pools))


def _settings(saved: SavedPrompt) -> dict[str, Any]:
    """Return what the model was asked with when the prompt was scored, besides its temperature."""
    asked = {"max_tokens": saved.named.max_tokens, "stop": list(saved.named.stop)}
    return {name: value for name, value in asked.items() if value}


def _file(name: str, prompts: Sequence[Prompt], dspy: bool = False, labels: Labels | None = None, **shown: Any) -> str:
    """Return what the template `name` makes of some prompts; with `labels` it reads them from log-probabilities."""
    formats, retrieves = {prompt.format for prompt in prompts}, any(prompt.retrieves for prompt in prompts)
    libraries = [*(["dspy"] if dspy else []), *(["numpy and sentence-transformers"] if retrieves else [])]
    shown |= {"formats": formats, "plain": formats & PLAIN, "dspy": dspy, "retrieves": retrieves}
    shown = {"ensemble": False, **shown}
    shown |= {"labels": labels, "values_of_labels": [] if labels is None else labels.values}
    return _environment().get_template(f"{name}.py.j2").render(needs=", ".join(libraries), **shown)


@cache
def _environment() -> Environment:
    # What is rendered is Python: whatever comes from the user goes through the filter `literal`.
    made = Environment(  # noqa: S701
        loader=FileSystemLoader(Path(__file__).parent / "files"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"literal": _literal, "source": _source, "parts": _parts, "fields": _fields}
    made.filters |= {"pairs": _pairs, "choosing": _choosing}
    made.globals |= {"values": values, "limits": limits, "demos": demos, "between": BETWEEN, "adapters": ADAPTERS}
    made.globals |= {"adapters_source": ADAPTERS_SOURCE, "plain_formats": PLAIN, "embedder": MODEL}
    made.globals |= {"values_source": VALUES_SOURCE, "naming_source": NAMING_SOURCE}
    made.globals |= {"readout_source": READOUT_SOURCE, "readout": readout}
    made.globals |= {"ensemble_source": ENSEMBLE_SOURCE, "summed": ensemble.summed, "first_greatest": first_greatest}
    made.globals |= {"errors": errors, "coerced": coerced, "width": base.WIDTH}
    made.globals |= {"amount_pattern": amount._AMOUNT.pattern, "by_fold": vars(FieldSpec)["by_fold"].func}
    made.globals |= {"calibration_best": Calibration.best, "sections": plain.PlainAdapter.sections}
    return made


def _literal(value: Any) -> str:
    return pformat(value, width=110, sort_dicts=False)


def _source(thing: Any) -> str:
    return inspect.getsource(thing).rstrip("\n")


def _parts(messages: Sequence[Message]) -> list[Any]:
    """Return messages as plain data."""
    return [
        (message.role, [piece if isinstance(piece, str) else {"slot": piece.name} for piece in message.pieces])
        for message in messages
    ]


def _fields(example: Example) -> dict[str, Any]:
    return {**example.inputs, **example.outputs}


def _pairs(pool: Sequence[Example]) -> list[Any]:
    """Return examples as pairs of inputs and outputs."""
    return [(dict(example.inputs), dict(example.outputs)) for example in pool]


def _choosing(prompt: Prompt) -> dict[str, Any]:
    """Return what decides which demos a prompt shows."""
    return {"policy": prompt.policy, "count": prompt.count, "order": prompt.order}


def _predictor(template: Template) -> dict[str, Any]:
    return {
        "inputs": list(template.inputs),
        "outputs": list(template.outputs),
        "request": dict(template.body),
        "plain": template.prompt.format in PLAIN,
        "joined": template.joined,
        "head": _parts(template.head),
        "demos": [_parts(demo) for demo in template.demos],
        "tail": _parts(template.tail),
    }


def _retrieved(prompts: Mapping[str, Prompt], pools: Mapping[str, Sequence[Example]]) -> dict[str, Any]:
    """Return the examples that each retrieving prompt chooses from, and how it chooses."""
    names = [name for name, prompt in prompts.items() if prompt.retrieves]
    return {
        "examples": {name: _pairs(pools[name]) for name in names},
        "choices": {name: _choosing(prompts[name]) for name in names},
    }
