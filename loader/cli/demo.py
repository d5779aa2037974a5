"""`loader demo`."""

from pathlib import Path
from typing import Annotated

import typer

from loader.cli.output import AsJson, print_json
from loader.demo import write_export
from loader.errors import shown


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")] = Path("demo-export"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another export.")] = 1,
    days: Annotated[int, typer.Option(min=1, help="Days, around 9 October 2023.")] = 14,
    visitors: Annotated[int, typer.Option(min=1, help="Visitors, about.")] = 3_000,
    events: Annotated[int, typer.Option(min=0, help="Decisions and conversions, about.")] = 60_000,
    as_json: AsJson = False,
) -> None:
    """Write a synthetic export in the vendor's layout."""
    summary = write_export(folder, seed=seed, days=days, visitors=visitors, events=events)
    if as_json:
        print_json(vars(summary))
        return
    print(
        f"{summary.events:,} events in {summary.files:,} files, "
        f"{summary.first_date} to {summary.last_date}, in {shown(str(summary.folder))}"
    )
