"""The command `report`: parses options and prints."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loader.command_line import new_app, run
from report.results import draw_results, read_results

app = new_app("Shows what the marts say.")


@app.callback()
def report() -> None:
    """Keep `show` a command of its own: others come beside it."""


@app.command()
def show(
    warehouse: Annotated[
        Path,
        typer.Option(envvar="OPTIMIZELY_E3_WAREHOUSE", help="DuckDB file that dbt built."),
    ] = Path("warehouse.duckdb"),
    schema: Annotated[str, typer.Option(help="Schema of the marts.")] = "main",
    experiment: Annotated[
        str | None, typer.Option(help="Only this experiment.", show_default=False)
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Only metrics whose name contains this.", show_default=False),
    ] = None,
) -> None:
    """Print the experiment results as a table."""
    results = read_results(warehouse, schema, experiment, metrics or [])
    console = Console(highlight=False)
    for table in draw_results(results):
        console.print(table)
        console.print()
    if not results:
        console.print("no results: no event was attributed to a counted visitor")


def main() -> None:
    """Entry point."""
    run(app, "report")
