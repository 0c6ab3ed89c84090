"""`metier models`: the store of local models."""

from __future__ import annotations

import click

from optimizer.cli.arguments import MODEL_NAME
from optimizer.cli.text import echo

NAME = click.argument("name", metavar="NAME", type=MODEL_NAME)


@click.group(short_help="List, pull, locate and serve local models.")
def models() -> None:
    """List, pull, locate and serve local models.

    \b
    Examples:
      metier models list
      metier models serve local/smollm2-135m
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
