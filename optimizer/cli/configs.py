"""`metier config`: what a config may say, and what one says."""

from __future__ import annotations

import json

import click

from optimizer.cli.arguments import CONFIG, SET
from optimizer.cli.text import echo


@click.group(short_help="Show what a config may say, and what one says.")
def config() -> None:
    """Show what a config may say, and what one says.

    \b
    Examples:
      metier config schema
      metier config show run.yaml --set search.trials=20
    """


@config.command()
def schema() -> None:
    """Print the JSON Schema of a run's YAML file.

    \b
    Example:
      metier config schema > metier.schema.json
    """
    from optimizer.config.schema import RunConfig

    click.echo(json.dumps(RunConfig.model_json_schema(), indent=2))


@config.command(short_help="Print a config with every default filled in.")
@CONFIG
@SET
def show(config: str, overrides: tuple[str, ...]) -> None:
    """Print CONFIG with every default filled in.

    \b
    Example:
      metier config show configs/quickstart.yaml
    """
    from optimizer.config.load import dump_config, load_config

    echo(dump_config(load_config(config, overrides)).rstrip(), whole=True)
