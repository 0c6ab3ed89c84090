"""`metier models`: the store of local models, and what any model can do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from optimizer.cli.arguments import JSON, MODEL_NAME
from optimizer.cli.text import echo

if TYPE_CHECKING:
    from optimizer.job.models_check import ModelChecked

NAME = click.argument("name", metavar="NAME", type=MODEL_NAME)


@click.group(short_help="List, pull, locate, serve and check models.")
def models() -> None:
    """List, pull, locate and serve local models; check what any model can do.

    \b
    Examples:
      metier models list
      metier models serve local/smollm2-135m
      metier models check openai/gpt-4.1-mini
    """


@models.command("list")
def list_models() -> None:
    """List the local models, and which of them are here.

    \b
    Example:
      metier models list
    """
    from optimizer.models.catalogue import CATALOGUE
    from optimizer.models.store import Store

    store = Store()
    width = max(map(len, CATALOGUE))
    for name, entry in CATALOGUE.items():
        here = "here" if store.location(name).exists() else "    "
        click.echo(f"{name:{width}}  {here}  {entry.size / 1e6:6,.0f} MB  {entry.licence:10}  {entry.use}")


@models.command(short_help="Fetch a local model.")
@NAME
def pull(name: str) -> None:
    """Fetch a local model: local/NAME of the list, or hf:owner/repo/file.gguf.

    \b
    Example:
      metier models pull local/qwen2.5-coder-1.5b
    """
    from optimizer.models.fleet import pull as fetch

    click.echo(fetch(name, lambda text: echo(text, err=True)))


@models.command(short_help="Print where a local model lies.")
@NAME
def path(name: str) -> None:
    """Print where a local model lies.

    \b
    Example:
      metier models path local/smollm2-135m
    """
    from optimizer.errors import ModelError
    from optimizer.models.store import Store

    file = Store().path(name)
    if file is None:
        raise ModelError(f"{name} is not here yet", f"Run `metier models pull {name}`.")
    echo(str(file), whole=True)


@models.command(short_help="Serve a local model on 127.0.0.1.")
@NAME
@click.option("--port", default=8080, show_default=True, help="The port on 127.0.0.1; 0 is a free one.")
def serve(name: str, port: int) -> None:
    """Serve a local model on 127.0.0.1 in the foreground, OpenAI- and Anthropic-compatible, until Ctrl-C.

    \b
    Example:
      metier models serve local/smollm2-135m --port 8080
    """
    from optimizer.models.catalogue import CATALOGUE
    from optimizer.models.fleet import pull as fetch
    from optimizer.models.reencode import reencoded
    from optimizer.models.server import serve_forever

    model = fetch(name, lambda text: echo(text, err=True))
    if name in CATALOGUE:
        model = reencoded(model)  # as a run does, so that both give the same answers
    serve_forever(
        model, name, port=port, ready=lambda address: click.echo(f"{name} answers at {address}/v1 (Ctrl-C ends it)")
    )


@models.command(short_help="Ask a model what it can do.")
@click.argument("name", metavar="MODEL", type=MODEL_NAME)
@click.option("--api-base", metavar="URL", help="The model's endpoint.")
@click.option("--api-key-env", metavar="NAME", help="The environment variable that holds the key.")
@JSON
def check(name: str, api_base: str | None, api_key_env: str | None, as_json: bool) -> None:
    """Ask a model with eight short calls what it can do, beside what its provider's documentation says.

    Log-probabilities, structured outputs, a seed, prompt caching, calls side by side, speed and price. What it refuses
    is a "no", and what the calls do not show is "unknown". Exit code 2: it does not answer at all.

    \b
    Examples:
      metier models check local/smollm2-135m
      metier models check openai/my-model --api-base http://127.0.0.1:8000/v1
    """
    from optimizer.config.models import ModelConfig
    from optimizer.job.models_check import check_model

    config = ModelConfig(model=name, api_base=api_base, api_key_env=api_key_env)
    checked = check_model(config, lambda text: echo(text, err=True))
    if as_json:
        echo(json.dumps(checked.to_json(), ensure_ascii=False, indent=2), whole=True)
    else:
        for line in _table(checked):
            echo(line, whole=True)
    click.get_current_context().exit(0 if checked.answers else 2)


def _table(checked: ModelChecked) -> Iterator[str]:
    """Yield the lines that tell a reader what a model can do, and where that is documented."""
    from optimizer.report.clean import cell

    documented = {"yes": "yes", "no": "no", "some": "some models", "unknown": "–"}
    yield f"{cell(checked.model)} ({checked.provider})"
    yield f"  {'':20}{'seen':9}documented"
    sources: dict[str, list[str]] = {}
    for one in checked.findings:
        remarks = "; ".join(filter(None, [cell(one.message), one.documented.note]))
        yield f"  {one.name:20}{one.seen:9}{documented[one.documented.can]:13}{remarks}".rstrip()
        if one.documented.source:
            sources.setdefault(one.documented.source, []).append(one.name)
    used = checked.usage
    yield f"  {'price':42}{cell(checked.price)}"
    yield f"  {'this check':42}{checked.calls} calls, {used.tokens:,} tokens, ${used.usd:.4f}"
    if sources:
        yield "Documented at:"
        yield from (f"  {url} ({', '.join(names)})" for url, names in sources.items())
