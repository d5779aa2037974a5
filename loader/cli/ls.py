"""`loader ls`."""

from loader.cli.options import (
    Events,
    Experiments,
    FirstDay,
    Lake,
    Source,
    Types,
    Until,
    selection,
    type_names,
    window,
    with_source,
)
from loader.cli.output import AsJson, new_table, number, print_json, print_table
from loader.command_line import DEFAULT_WAREHOUSE, Warehouse, errors
from loader.errors import shown
from loader.listing import compare
from loader.place import open_place
from loader.status import DayState


@with_source
def ls(
    source: Source,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    lake: Lake = None,
    since: FirstDay = None,
    until: Until = None,
    types: Types = None,
    experiments: Experiments = None,
    events: Events = None,
    as_json: AsJson = False,
) -> None:
    """List what is at the source: ready or not, landed or not.

    With --experiment or --event, files, bytes and what is landed are of those alone, and days
    that have none of their files are left out.
    """
    asked = window(since, until)
    wanted = selection(experiments, events)
    export = source.open()
    for name in export.unknown_types:
        errors.print(f"note: type={shown(name)} is not in the specification and is not listed")
    with open_place(warehouse, lake, writes=False) as place:
        listed = compare(export, place.database, type_names(types), asked, wanted)
    if as_json:
        print_json(
            [
                {
                    "type": item.day.export_type,
                    "date": item.day.export_date,
                    "is_ready": item.day.is_ready,
                    "state": item.state,
                    "files": item.day.file_count,
                    "bytes": item.day.byte_count,
                }
                for item in listed
            ]
        )
        return
    table = new_table("type", "date", "ready", "state", numbers=("files", "bytes"))
    for item in listed:
        day = item.day
        counts = (day.file_count, day.byte_count)
        ready = "yes" if day.is_ready else "no"
        table.add_row(
            day.export_type, str(day.export_date), ready, item.state, *map(number, counts)
        )
    if listed:
        print_table(table)
    totals = {state: sum(item.state is state for item in listed) for state in DayState}
    print(
        f"{len(listed):,} days, {sum(item.day.file_count for item in listed):,} files, "
        f"{sum(item.day.byte_count for item in listed):,} bytes"
        + "".join(f"; {count:,} {state}" for state, count in totals.items() if count)
    )
