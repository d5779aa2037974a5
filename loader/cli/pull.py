"""`loader pull`."""

from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

import typer

from loader import privacy
from loader.cli.options import (
    Events,
    Experiments,
    Lake,
    Since,
    Source,
    Types,
    Until,
    selection,
    type_names,
    window,
    with_source,
)
from loader.cli.output import AsJson, print_json, print_notes, progress
from loader.command_line import DEFAULT_WAREHOUSE, Warehouse, errors
from loader.errors import ExitCode, LoaderError, shown
from loader.export.layout import Export
from loader.export.selection import FOLDER_PREFIXES
from loader.place import open_place
from loader.plan import Plan, plan_pull
from loader.pull import PullResult, run_pull
from loader.timespan import parse_duration, today_utc
from loader.waiting import wait_and_pull


class OnBadFile(StrEnum):
    """What a bad file does to its day."""

    QUARANTINE = "quarantine"
    SKIP = "skip"


@with_source
def pull(
    source: Source,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    lake: Lake = None,
    since: Since = None,
    until: Until = None,
    types: Types = None,
    experiments: Experiments = None,
    events: Events = None,
    wait: Annotated[
        str | None,
        typer.Option(
            help="Wait this long, such as 6h, for days that are not ready; "
            "by default for all to yesterday's.",
            show_default=False,
        ),
    ] = None,
    on_bad_file: Annotated[
        OnBadFile, typer.Option(help="Leave the whole day out, or land the rest of it.")
    ] = OnBadFile.QUARANTINE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would land.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Land unchanged days again.")] = False,
    drop_column: Annotated[
        list[str] | None,
        typer.Option(help="Never store this column, e.g. user_ip; remembered.", show_default=False),
    ] = None,
    hash_column: Annotated[
        list[str] | None,
        typer.Option(
            help="Store only a hash of this column, e.g. visitor_id, keyed with "
            "OPTIMIZELY_E3_HASH_KEY; remembered.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Land every ready day that is new or was rewritten."""
    if dry_run and wait is not None:
        raise LoaderError("--dry-run does not wait: leave out --wait", ExitCode.USAGE)
    asked = window(since, until)
    chosen = selection(experiments, events)
    wait_seconds = None if wait is None else parse_duration(wait, "--wait")
    if wait_seconds is not None and asked.until is None:
        asked = replace(asked, until=today_utc() - timedelta(days=1))
    treatments = privacy.asked_for(drop_column or [], hash_column or [])
    names = type_names(types)

    @cache  # an export that could not be opened is not kept: --wait tries again
    def open_export() -> Export:
        export = source.open()
        for name in export.unknown_types:
            errors.print(f"note: type={shown(name)} is not in the specification and is not landed")
        return export

    if dry_run:
        export = open_export()
        with open_place(warehouse, lake, writes=False) as place:
            privacy.settle(place.database, treatments)
            plan = plan_pull(export, place.database, names, asked, selection=chosen, force=force)
        result = PullResult(plan)
    else:
        with progress() as bar:
            task = bar.add_task("landing days", total=None)

            def pull_once() -> PullResult:
                export = open_export()
                with open_place(warehouse, lake, writes=True) as place:
                    result = run_pull(
                        export,
                        place.database,
                        names,
                        asked,
                        selection=chosen,
                        force=force,
                        skip_bad_files=on_bad_file is OnBadFile.SKIP,
                        treatments=treatments,
                        storage=place.storage,
                        on_planned=lambda plan: bar.reset(task, total=len(plan.to_land)),
                        on_landed=lambda _: bar.advance(task),
                    )
                    print_notes(place.storage)
                    return result

            result = pull_once() if wait_seconds is None else wait_and_pull(pull_once, wait_seconds)
    if as_json:
        print_json(_as_json(result, open_export(), dry_run))
    else:
        print(_dry_run_text(result.plan) if dry_run else _line(result))
    _print_problems(result)
    raise typer.Exit(result.exit_code)


def _line(result: PullResult) -> str:
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
        f"{planned.day.file_count:,} files, {planned.day.byte_count:,} bytes"
        for planned in plan.to_land
    ]
    lines.append(
        f"would land {len(plan.to_land):,} days; {len(plan.unchanged) + len(plan.to_adopt):,} "
        "days unchanged"
    )
    return "\n".join(lines)


def _print_problems(result: PullResult) -> None:
    for export_type, names in result.unknown_columns.items():
        errors.print(
            f"note: {export_type} holds columns that the specification does not have, "
            f"not landed: {shown(', '.join(sorted(names)))}"
        )
    for export_type, name in result.plan.unknown_names:
        folder = f"{FOLDER_PREFIXES[export_type]}{name}"
        errors.print(
            f"note: no day that was looked at has {shown(folder)}, and none was ever landed: "
            "`loader paths` shows what there is"
        )
    for day in result.plan.expired:
        errors.print(
            f"note: {day.export_type} of {day.export_date} has lost files at the source, which "
            "keeps them for a year: what is landed stays"
        )
    for export_type, export_date in result.awaited:
        errors.print(
            f"not ready: {export_type} of {export_date} is not at the source yet: "
            "run the pull again later"
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
        is_landed = any(landed.unit == day.unit for landed in result.landed)
        errors.print(
            f"{'landed in part' if is_landed else 'not landed'}: {day.export_type} of "
            f"{day.export_date} has {len(bad.bad_files)} bad files: "
            "ask the vendor to write the day again"
        )


def _as_json(result: PullResult, export: Export, dry_run: bool) -> dict[str, Any]:
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
        "absent": [{"type": name, "date": day} for name, day in result.awaited],
        "rewritten": units([day for day, _ in result.rewritten]),
        "quarantined": [
            {"key": file.key, "reason": reason}
            for _, bad in result.quarantined
            for file, reason in bad.bad_files.items()
        ],
        "unknown_types": list(export.unknown_types),
        "unknown_names": [{"type": name, "name": one} for name, one in plan.unknown_names],
        "unknown_columns": {name: sorted(found) for name, found in result.unknown_columns.items()},
        "exit_code": int(result.exit_code),
    }
