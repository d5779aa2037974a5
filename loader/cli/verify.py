"""`loader verify`."""

import typer

from loader import ledger
from loader.cli.options import FirstDay, Lake, Source, Types, Until, type_names, window, with_source
from loader.cli.output import AsJson, named, print_json, progress
from loader.command_line import DEFAULT_WAREHOUSE, Warehouse, errors
from loader.place import open_place
from loader.verify import Verification
from loader.verify import verify as verify_warehouse


@with_source
def verify(
    source: Source,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    lake: Lake = None,
    since: FirstDay = None,
    until: Until = None,
    types: Types = None,
    as_json: AsJson = False,
) -> None:
    """Check that tables, ledger, and with a source its files and their footers agree.

    With a source every landed file of the days asked for is downloaded for its footer: --since
    bounds that.
    """
    asked = window(since, until)
    export = source.open() if source.is_given else None
    with progress() as bar, open_place(warehouse, lake, writes=False) as place:
        if export is None and not place.database.exists():
            raise ledger.nothing_landed(place.name)
        task = bar.add_task("reading footers", total=None)
        found = verify_warehouse(
            place.database,
            type_names(types),
            asked,
            export,
            storage=place.storage,
            on_file=lambda: bar.advance(task),
        )
        if found.differences and place.lake:
            place.lake.check_unchanged()
    if as_json:
        print_json(
            {
                "differences": [named(difference) for difference in found.differences],
                "notes": found.notes,
                "days": found.days,
                "rows": found.rows,
                "footers": found.footers,
                "exit_code": int(found.exit_code),
            }
        )
    else:
        for difference in found.differences:
            print(f"{difference.check}: {difference.message}")
        print(_summary(found, with_source=export is not None))
    for note in found.notes:
        errors.print(f"note: {note}")
    raise typer.Exit(found.exit_code)


def _summary(found: Verification, *, with_source: bool) -> str:
    compared = f"{found.days:,} days, {found.rows:,} rows"
    compared += f", {found.footers:,} footers" if with_source else "; no --source was given"
    count = len(found.differences)
    return f"{count:,} {'difference' if count == 1 else 'differences'} in {compared}"
