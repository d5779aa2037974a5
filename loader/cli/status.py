"""`loader status`."""

from loader.cli.options import FirstDay, Lake, Source, Types, Until, type_names, window, with_source
from loader.cli.output import AsJson, named, new_table, number, print_json, print_table
from loader.command_line import DEFAULT_WAREHOUSE, Warehouse
from loader.errors import shown
from loader.place import open_place
from loader.status import DayState, read_status


@with_source
def status(
    source: Source,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    lake: Lake = None,
    since: FirstDay = None,
    until: Until = None,
    types: Types = None,
    as_json: AsJson = False,
) -> None:
    """Say what is landed, what is missing, and what is not ready."""
    asked = window(since, until)
    export = source.open() if source.is_given else None
    with open_place(warehouse, lake, writes=False) as place:
        days = read_status(place.database, type_names(types), asked, export)
    if as_json:
        print_json([named(day) for day in days])
        return
    if not days:
        without = "" if source.is_given else "; no --source was given"
        print(f"nothing is landed in {shown(place.name)}{without}")
        return
    table = new_table("type", "date", "state", numbers=("rows", "files", "bytes"))
    for day in days:
        counts = (day.row_count, day.file_count, day.byte_count)
        table.add_row(day.export_type, str(day.export_date), day.state, *map(number, counts))
    print_table(table)
    totals = {state: sum(day.state is state for day in days) for state in DayState}
    print(", ".join(f"{count} {state}" for state, count in totals.items() if count))
