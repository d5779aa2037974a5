"""How the commands print: data to standard output, progress to standard error."""

import json
import sys
from datetime import date, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from loader.command_line import errors
from loader.landing.storage import Storage

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]

TABLE_WIDTH = 100

_JSON_NAMES = {
    "export_type": "type",
    "export_date": "date",
    "file_count": "files",
    "row_count": "rows",
    "byte_count": "bytes",
}


def print_json(data: Any) -> None:
    """Prints data as JSON: dates as ISO text, whatever else JSON has not as its own text."""

    def plain(value: Any) -> Any:
        return value.isoformat() if isinstance(value, date | datetime) else str(value)

    print(json.dumps(data, default=plain, indent=2))


def named(record: object) -> dict[str, Any]:
    """The fields of a record by the names that every command's JSON has for them."""
    return {_JSON_NAMES.get(name, name): value for name, value in vars(record).items()}


def print_notes(storage: Storage) -> None:
    """Prints what was found on the way, to standard error."""
    for note in storage.notes:
        errors.print(f"note: {note}")


def new_table(*headings: str, numbers: tuple[str, ...] = ()) -> Table:
    """A table with these columns, then those of numbers, which stand to the right."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def print_table(table: Table) -> None:
    """Prints a table, as wide on every terminal."""
    Console(width=TABLE_WIDTH, highlight=False).print(table)


def number(count: int | None) -> str:
    """A count with its thousands set apart; nothing where there is none."""
    return "" if count is None else f"{count:,}"


def progress() -> Progress:
    """A bar on standard error; only on a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=errors,
        disable=not sys.stderr.isatty(),
        transient=True,
    )
