"""`loader sample`."""

import json
import math
from typing import Annotated, Any

import typer
from rich.text import Text

from loader.cli.options import (
    Events,
    Experiments,
    Source,
    Types,
    selection,
    type_names,
    with_source,
)
from loader.cli.output import AsJson, new_table, print_json, print_table
from loader.command_line import errors
from loader.errors import ExitCode, LoaderError, shown
from loader.export.layout import Export
from loader.export.selection import EVERYTHING
from loader.sample import Sample, find_file, read_sample


@with_source
def sample(
    source: Source,
    types: Types = None,
    experiments: Experiments = None,
    events: Events = None,
    rows: Annotated[int, typer.Option(min=0, max=10**9, help="Rows to show of each file.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Show what a file holds, beside the specification.

    One file of each type that is asked for, of the newest ready day: its columns, whether it can
    be landed, and some rows as they would land. Only that file is fetched, and none is kept.
    """
    wanted = selection(experiments, events)
    export = source.open()
    samples = []
    names = type_names(types)
    if not types and wanted != EVERYTHING:
        names = [name for name in names if not wanted.is_everything(name)]
    for export_type in names:
        found = find_file(export, export_type, wanted)
        if found is None:
            errors.print(f"note: no ready day of {export_type} holds a file that was asked for")
        else:
            samples.append(read_sample(export, *found, rows))
    if not samples:
        raise LoaderError(
            "there is nothing to show: see with `loader ls` what is at the source",
            ExitCode.NOT_READY,
        )
    if as_json:
        print_json([_as_json(taken, export) for taken in samples])
    else:
        for taken in samples:
            _print(taken, export)
    if any(taken.reason for taken in samples):
        raise typer.Exit(ExitCode.BAD_INPUT)


def _print(taken: Sample, export: Export) -> None:
    print(shown(export.address(taken.file)))
    print(f"{taken.export_type} of {taken.export_date}, {taken.file.size:,} bytes", end="")
    if taken.row_count is not None:
        groups = "row group" if taken.row_group_count == 1 else "row groups"
        print(
            f", {taken.row_count:,} rows in {taken.row_group_count:,} {groups}, "
            f"{', '.join(taken.compression) or 'no column'}, "
            f"{taken.checked_page_count or 0:,} page checksums",
            end="",
        )
    print("\n")
    if taken.columns:
        table = new_table("column", "in the file", "landed as", "required", "status")
        for column in taken.columns:
            table.add_row(
                Text(shown(column.name)),
                Text(shown(column.file_type or "")),
                Text(column.landed_type or ""),
                "yes" if column.is_required else "",
                column.status,
            )
        print_table(table)
        print()
    for number, row in enumerate(taken.rows, start=1):
        print(f"row {number:,}")
        for name, value in row.items():
            print(f"  {name:<17} {_text(value)}".rstrip())
        print()
    print(f"cannot be landed: {shown(taken.reason)}" if taken.reason else "can be landed")


def _text(value: Any) -> str:
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    return "NULL" if value is None else shown(str(value))


def _plain(value: Any) -> Any:
    """The value; a number that JSON does not have (infinite, or none) as text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _as_json(taken: Sample, export: Export) -> dict[str, Any]:
    return {
        "address": export.address(taken.file),
        "type": taken.export_type,
        "date": taken.export_date,
        "bytes": taken.file.size,
        "etag": taken.file.etag,
        "row_count": taken.row_count,
        "row_group_count": taken.row_group_count,
        "compression": taken.compression,
        "checked_page_count": taken.checked_page_count,
        "columns": [vars(column) for column in taken.columns],
        "can_be_landed": taken.reason is None,
        "reason": taken.reason,
        "rows": [{name: _plain(value) for name, value in row.items()} for row in taken.rows],
    }
