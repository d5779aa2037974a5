"""The command `loader`: parses options and prints; everything else is elsewhere."""

import json
import sys
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from loader import spec
from loader.command_line import DEFAULT_WAREHOUSE, Warehouse, errors, new_app
from loader.demo import write_export
from loader.errors import ExitCode, LoaderError, shown
from loader.export.layout import Export, open_export
from loader.pull import Plan, PullResult, Window, plan_pull, run_pull
from loader.status import DayState, read_status
from loader.timespan import parse_day, today_utc

app = new_app("Lands Optimizely's Enriched Events Export in a warehouse.")


class ExportType(StrEnum):
    """Types of the export, as in `type=<name>/`."""

    DECISIONS = spec.DECISIONS.export_type
    EVENTS = spec.CONVERSIONS.export_type


Source = Annotated[
    str | None,
    typer.Option(
        envvar="OPTIMIZELY_E3_SOURCE",
        help="Where the export is: s3://bucket/prefix or a folder.",
        show_default=False,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        help="First day: a date, `yesterday`, or an age such as 7d, in UTC. "
        "Default: three days before the newest landed day; everything the first time.",
        show_default=False,
    ),
]
Until = Annotated[
    str | None, typer.Option(help="Last day, likewise, inclusive.", show_default=False)
]
Types = Annotated[
    list[ExportType] | None,
    typer.Option("--type", help="Only this type; both by default.", show_default=False),
]
EndpointUrl = Annotated[
    str | None,
    typer.Option(help="Address of another S3-compatible store.", show_default=False),
]
Region = Annotated[str | None, typer.Option(help="Region of the bucket.", show_default="us-east-1")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]


@app.command()
def pull(
    source: Source = None,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    since: Since = None,
    until: Until = None,
    types: Types = None,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would land.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Land unchanged days again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Land every ready day that is new or was rewritten."""
    window = _window(since, until)
    export = _open_source(source, endpoint_url, region)
    for name in export.unknown_types:
        errors.print(f"note: type={shown(name)} is not in the specification and is not landed")
    names = _type_names(types)
    if dry_run:
        result = PullResult(plan_pull(export, warehouse, names, window, force=force))
    else:
        with _progress() as progress:
            task = progress.add_task("landing days", total=None)
            result = run_pull(
                export,
                warehouse,
                names,
                window,
                force=force,
                on_planned=lambda plan: progress.update(task, total=len(plan.to_land)),
                on_landed=lambda _: progress.advance(task),
            )
    if as_json:
        _print_json(_pull_json(result, export, dry_run))
    else:
        print(_dry_run_text(result.plan) if dry_run else _pull_line(result))
    _print_pull_problems(result)
    raise typer.Exit(result.exit_code)


@app.command()
def status(
    source: Source = None,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    since: Since = None,
    until: Until = None,
    types: Types = None,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    as_json: AsJson = False,
) -> None:
    """Say what is landed, what is missing, and what is not ready."""
    window = _window(since, until)
    export = _open_source(source, endpoint_url, region) if source else None
    days = read_status(warehouse, _type_names(types), window, export)
    if as_json:
        _print_json([vars(day) for day in days])
        return
    if not days:
        without = "" if source else "; no --source was given"
        print(f"nothing is landed in {shown(str(warehouse))}{without}")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("type", "date", "state"):
        table.add_column(heading)
    for heading in ("rows", "files", "bytes"):
        table.add_column(heading, justify="right")
    for day in days:
        counts = (day.row_count, day.file_count, day.byte_count)
        numbers = ["" if count is None else f"{count:,}" for count in counts]
        table.add_row(day.export_type, str(day.export_date), day.state, *numbers)
    Console(width=100, highlight=False).print(table)
    totals = {state: sum(day.state is state for day in days) for state in DayState}
    print(", ".join(f"{count} {state}" for state, count in totals.items() if count))


@app.command()
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
        _print_json(vars(summary))
        return
    print(
        f"{summary.events:,} events in {summary.files:,} files, "
        f"{summary.first_date} to {summary.last_date}, in {shown(str(summary.folder))}"
    )


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=errors,
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def _window(since: str | None, until: str | None) -> Window:
    today = today_utc()
    window = Window(
        parse_day(since, "--since", today) if since is not None else None,
        parse_day(until, "--until", today) if until is not None else None,
    )
    if window.since and window.until and window.since > window.until:
        raise LoaderError(
            f"--since {window.since} is after --until {window.until}: exchange them",
            ExitCode.USAGE,
        )
    return window


def _open_source(source: str | None, endpoint_url: str | None, region: str | None) -> Export:
    if not source:
        raise LoaderError(
            "no source: give --source or set OPTIMIZELY_E3_SOURCE "
            "(`loader demo` writes one to try with)",
            ExitCode.USAGE,
        )
    return open_export(source, endpoint_url=endpoint_url, region=region)


def _type_names(types: list[ExportType] | None) -> list[str]:
    return [str(export_type) for export_type in dict.fromkeys(types or ExportType)]


def _pull_line(result: PullResult) -> str:
    landed = result.landed
    return (
        f"landed {len(landed):,} days, {sum(day.file_count for day in landed):,} files, "
        f"{sum(day.row_count for day in landed):,} rows, "
        f"{sum(day.byte_count for day in landed):,} bytes in {result.seconds:.1f} s; "
        f"{len(result.plan.unchanged) + len(result.plan.to_adopt):,} days unchanged"
    )


def _dry_run_text(plan: Plan) -> str:
    lines = [
        f"would land {planned.day.export_type} of {planned.day.export_date} ({planned.reason}): "
        f"{len(planned.day.files):,} files, {planned.day.byte_count:,} bytes"
        for planned in plan.to_land
    ]
    lines.append(
        f"would land {len(plan.to_land):,} days; {len(plan.unchanged) + len(plan.to_adopt):,} "
        "days unchanged"
    )
    return "\n".join(lines)


def _print_pull_problems(result: PullResult) -> None:
    for export_type, names in result.unknown_columns.items():
        errors.print(
            f"note: {export_type} holds columns that the specification does not have, "
            f"not landed: {shown(', '.join(sorted(names)))}"
        )
    for day in result.plan.not_ready:
        errors.print(
            f"not ready: {day.export_type} of {day.export_date} has no _SUCCESS yet: "
            "run the pull again later"
        )
    for day, changed in result.rewritten:
        errors.print(f"not landed: {day.export_type} of {day.export_date}: {changed}")
    for day, bad in result.quarantined:
        for file, reason in bad.bad_files.items():
            errors.print(f"quarantined: {shown(file.key)}: {shown(reason)}")
        errors.print(
            f"not landed: {day.export_type} of {day.export_date} has "
            f"{len(bad.bad_files)} bad files: ask the vendor to write the day again"
        )


def _pull_json(result: PullResult, export: Export, dry_run: bool) -> dict[str, Any]:
    plan = result.plan
    landed = result.landed

    def units(days: list[Any]) -> list[dict[str, Any]]:
        return [{"type": day.export_type, "date": day.export_date} for day in days]

    return {
        "source": export.identity,
        "dry_run": dry_run,
        "days": len(landed),
        "files": sum(day.file_count for day in landed),
        "rows": sum(day.row_count for day in landed),
        "bytes": sum(day.byte_count for day in landed),
        "seconds": round(result.seconds, 3),
        "to_land": [
            {**unit, "reason": planned.reason}
            for planned, unit in zip(
                plan.to_land, units([planned.day for planned in plan.to_land]), strict=True
            )
        ],
        "landed": units(landed),
        "unchanged": units(plan.unchanged + [day for _, day in plan.to_adopt]),
        "not_ready": units(plan.not_ready),
        "rewritten": units([day for day, _ in result.rewritten]),
        "quarantined": [
            {"key": file.key, "reason": reason}
            for _, bad in result.quarantined
            for file, reason in bad.bad_files.items()
        ],
        "unknown_types": list(export.unknown_types),
        "unknown_columns": {name: sorted(found) for name, found in result.unknown_columns.items()},
        "exit_code": int(result.exit_code),
    }


def _print_json(data: Any) -> None:
    def plain(value: Any) -> Any:
        return value.isoformat() if isinstance(value, date | datetime) else str(value)

    print(json.dumps(data, default=plain, indent=2))
