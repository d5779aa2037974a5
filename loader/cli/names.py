"""`loader names`."""

from dataclasses import asdict
from typing import Annotated

import typer

from loader.cli.options import Lake
from loader.cli.output import AsJson, print_json
from loader.command_line import DEFAULT_WAREHOUSE, Warehouse, errors
from loader.errors import shown
from loader.names import fetch_by_ids, fetch_of_projects, read_landed_ids, store_names
from loader.place import open_place

SHOWN_IDS = 10


def names(
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    lake: Lake = None,
    project_ids: Annotated[
        list[str] | None,
        typer.Option(
            "--project-id",
            metavar="<number>",
            envvar="OPTIMIZELY_PROJECT_ID",
            help="Every experiment of this project; without one, those in the landed data.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be stored.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch the names of experiments and variations; needs OPTIMIZELY_API_TOKEN."""
    with open_place(warehouse, lake, writes=not dry_run) as place:
        if project_ids:
            fetched = fetch_of_projects(project_ids)
        else:
            fetched = fetch_by_ids(read_landed_ids(place.database, place.storage))
        if not dry_run:
            store_names(place.database, fetched)
            place.storage.publish()
    if as_json:
        print_json(
            {
                "experiments": [asdict(each) for each in fetched.experiments.values()],
                "not_found": fetched.not_found,
                "skipped": fetched.skipped,
                "dry_run": dry_run,
            }
        )
    else:
        print(
            f"{'would store' if dry_run else 'stored'} the names of "
            f"{len(fetched.experiments):,} experiments and {fetched.variation_count:,} variations"
        )
    if fetched.not_found:
        some = ", ".join(map(shown, fetched.not_found[:SHOWN_IDS]))
        more = len(fetched.not_found) - SHOWN_IDS
        errors.print(
            f"note: the API does not know {len(fetched.not_found):,} experiments of the data: "
            f"{some}{f' and {more:,} more' if more > 0 else ''}"
        )
    for reason in fetched.skipped:
        errors.print(f"note: skipped {reason}")
