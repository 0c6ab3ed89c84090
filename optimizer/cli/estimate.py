"""`metier estimate`."""

from __future__ import annotations

import click


@click.command(short_help="Forecast what a run will take.")
@click.argument("config", metavar="CONFIG")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key; may be repeated.")
@click.option("--run-dir", metavar="DIR", help="Keep the probe calls there, for a run with the same --run-dir.")
def estimate(config: str, overrides: tuple[str, ...], run_dir: str | None) -> None:
    """Forecast calls, tokens, dollars and time of a run of CONFIG from a dozen calls."""
    from optimizer.config.load import load_config

    settings = load_config(config, overrides)
    settings = settings.model_copy(update={"run_dir": run_dir})
    from optimizer.job.estimate import estimate as forecast

    click.echo(forecast(settings, lambda text: click.echo(text, err=True)).text())
