"""`metier models`: the store of local models."""

from __future__ import annotations

import click


@click.group()
def models() -> None:
    """List, pull, locate and serve local models."""


@models.command("list")
def list_models() -> None:
    """List the local models, and which of them are here."""
    from optimizer.models.catalogue import CATALOGUE
    from optimizer.models.store import Store

    store = Store()
    width = max(map(len, CATALOGUE))
    for name, entry in CATALOGUE.items():
        here = "here" if store.location(name).exists() else "    "
        click.echo(f"{name:{width}}  {here}  {entry.size / 1e6:6,.0f} MB  {entry.licence:10}  {entry.use}")


@models.command()
@click.argument("name")
def pull(name: str) -> None:
    """Fetch a local model: local/NAME of the list, or hf:owner/repo/file.gguf."""
    from optimizer.models.fleet import pull as fetch

    click.echo(fetch(name, lambda text: click.echo(text, err=True)))


@models.command()
@click.argument("name")
def path(name: str) -> None:
    """Print where a local model lies."""
    from optimizer.errors import ModelError
    from optimizer.models.store import Store

    found = Store().path(name)
    if found is None:
        raise ModelError(f"{name} is not here yet", f"Run `metier models pull {name}`.")
    click.echo(found)


@models.command()
@click.argument("name")
@click.option("--port", default=8080, show_default=True, help="The port on 127.0.0.1; 0 is a free one.")
def serve(name: str, port: int) -> None:
    """Serve a local model on 127.0.0.1 in the foreground, OpenAI- and Anthropic-compatible, until Ctrl-C."""
    from optimizer.models.catalogue import CATALOGUE
    from optimizer.models.fleet import pull as fetch
    from optimizer.models.reencode import reencoded
    from optimizer.models.server import serve_forever

    model = fetch(name, lambda text: click.echo(text, err=True))
    if name in CATALOGUE:
        model = reencoded(model)  # as a run does, so that both give the same answers
    serve_forever(
        model, name, port, ready=lambda address: click.echo(f"{name} answers at {address}/v1 (Ctrl-C ends it)")
    )
