"""`metier estimate`: what a run will take."""

from __future__ import annotations

import click

from optimizer.cli.arguments import CONFIG, RUN_FOLDER, SET
from optimizer.cli.text import echo


@click.command(short_help="Forecast what a run will take.")
@CONFIG
@SET
@click.option(
    "--run-dir", metavar="DIR", type=RUN_FOLDER, help="Keep the probe calls there, for a run with the same --run-dir."
)
def estimate(config: str, overrides: tuple[str, ...], run_dir: str | None) -> None:
    """Forecast calls, tokens, dollars and time of a run of CONFIG from a dozen calls.

    \b
    Examples:
      metier estimate configs/quickstart.yaml
      metier estimate run.yaml --run-dir runs/mine
    """
    from optimizer.config.load import load_config

    settings = load_config(config, overrides).model_copy(update={"run_dir": run_dir})
    from optimizer.job.estimate import estimate as forecast

    echo(forecast(settings, lambda text: echo(text, err=True)).text())
