"""The command `report`: parses options and prints."""

from typing import Annotated

import typer
from rich.console import Console
from rich.measure import Measurement

from loader.command_line import DEFAULT_WAREHOUSE, Warehouse, new_app
from report.results import draw_results, read_results, read_warnings

app = new_app("Shows what the marts say.")


@app.callback()
def report() -> None:
    """Keep `show` a command of its own: others come beside it."""


@app.command()
def show(
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
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
    tables = list(draw_results(results, read_warnings(warehouse, schema)))
    # A number that is cut is a wrong number: rather a line longer than the terminal.
    console = Console(highlight=False)
    measured = Console(width=10_000)
    widths = [Measurement.get(measured, measured.options, table).maximum for table in tables]
    console.width = max(console.width, *widths, 0)
    for table in tables:
        console.print(table)
        console.print()
    if not results:
        asked = "that was asked for" if experiment or metrics else "at all"
        console.print(f"no results {asked}: no event was attributed to a counted visitor")
