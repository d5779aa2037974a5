"""`loader history`."""

from typing import Annotated

import typer

from loader.cli.options import FirstDay, Lake, Types, Until, type_names, window
from loader.cli.output import AsJson, named, new_table, number, print_json, print_table
from loader.command_line import DEFAULT_WAREHOUSE, Warehouse
from loader.errors import shown
from loader.history import read_history
from loader.ledger import Load
from loader.place import open_place


def history(
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    lake: Lake = None,
    since: FirstDay = None,
    until: Until = None,
    types: Types = None,
    limit: Annotated[int, typer.Option(min=1, help="How many loads at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Say what was landed when, and why, newest first."""
    asked = window(since, until)
    with open_place(warehouse, lake, writes=False) as place:
        loads = read_history(place.database, type_names(types), asked, limit)
    if as_json:
        print_json([named(load) for load in loads])
        return
    if not loads:
        print(f"no load of these days in {shown(place.name)}")
        return
    table = new_table(
        *("load", "when (UTC)", "type", "date", "reason"),
        numbers=("rows", "before", "files", "bytes", "seconds"),
    )
    for load in loads:
        table.add_row(
            str(load.load_id),
            f"{load.landed_at:%Y-%m-%d %H:%M}",
            load.export_type,
            str(load.export_date),
            load.reason,
            number(load.row_count),
            number(load.rows_before),
            _files(load),
            number(load.byte_count),
            f"{load.seconds:.1f}",
        )
    print_table(table)
    for source in dict.fromkeys(load.source for load in loads):
        print(f"from {shown(source)}")


def _files(load: Load) -> str:
    """The count of files, and how it came from the one before: added, removed, replaced."""
    changes = {"+": load.files_added, "-": load.files_removed, "~": load.files_replaced}
    signs = [f"{sign}{count:,}" for sign, count in changes.items() if count]
    return " ".join([*signs, number(load.file_count)])
