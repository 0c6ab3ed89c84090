"""`metier config`: what a config may say, and what one says."""

from __future__ import annotations

import json

import click


@click.group()
def config() -> None:
    """Show what a config may say, and what one says."""


@config.command()
def schema() -> None:
    """Print the JSON Schema of a run's YAML file."""
    from optimizer.config.schema import RunConfig

    click.echo(json.dumps(RunConfig.model_json_schema(), indent=2))


@config.command()
@click.argument("path", metavar="CONFIG")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key; may be repeated.")
def show(path: str, overrides: tuple[str, ...]) -> None:
    """Print CONFIG with every default filled in."""
    from optimizer.config.load import dump_config, load_config

    click.echo(dump_config(load_config(path, overrides)), nl=False)
