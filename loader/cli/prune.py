"""`loader prune`."""

from typing import Annotated

import typer

from loader.cli.options import Lake
from loader.cli.output import AsJson, print_json, print_notes, progress
from loader.command_line import DEFAULT_WAREHOUSE, Warehouse
from loader.place import open_place
from loader.prune import first_kept_day
from loader.prune import prune as prune_days
from loader.timespan import today_utc


def prune(
    keep: Annotated[
        str, typer.Option(help="What stays: the days of an age such as 400d, or from a date on.")
    ],
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    lake: Lake = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete landed days that are older than what is to be kept."""
    first_kept = first_kept_day(keep, today_utc())
    with progress() as bar, open_place(warehouse, lake, writes=not dry_run) as place:
        task = bar.add_task("pruning days", total=None)
        result = prune_days(
            place.database,
            first_kept,
            dry_run=dry_run,
            storage=place.storage,
            on_pruned=lambda _: bar.advance(task),
        )
        print_notes(place.storage)
    rows = sum(day.row_count for day in result.days)
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "first_kept": first_kept,
                "days": [{"type": day.export_type, "date": day.export_date} for day in result.days],
                "rows": rows,
                "seconds": round(result.seconds, 3),
            }
        )
        return
    if dry_run:
        for day in result.days:
            print(
                f"would delete {day.export_type} of {day.export_date}: "
                f"{day.file_count:,} files, {day.row_count:,} rows"
            )
    print(
        f"{'would delete' if dry_run else 'deleted'} {len(result.days):,} days before "
        f"{first_kept}, {rows:,} rows"
    )
