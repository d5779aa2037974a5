"""Write the demo's export into a folder."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loader import spec
from loader.demo import tables, world
from loader.demo.dates import Dates
from loader.demo.folders import event_folder, part_name
from loader.demo.rows import make_rows
from loader.demo.visits import make_visitors, make_visits
from loader.errors import ExitCode, LoaderError, shown

EVENTS_PER_CHUNK = 250_000
"""Memory is bounded by this and the number of workers; a chunk writes its own part files."""
DAYS_PER_CHUNK = 14
LARGEST_CHUNK = 4
"""A chunk of many days is up to so many times larger, or its files would be many and tiny."""

FEWEST_EVENTS_PER_VISITOR = 5
MOST_EVENTS_PER_VISITOR_AND_DAY = 1000
MOST_DAYS = 3650
MOST_WORKERS = 4
EVENTS_PER_KIOSK = 1500
MOST_KIOSKS = 3

NOTE = "demo.json"
"""Beside `v1`: what the export was made of, and whether it is complete."""
UNFINISHED_NOTE = f".{NOTE}"
TOTALS = {"files", "events", "bytes"}


@dataclass(frozen=True)
class DemoSummary:
    """What was written."""

    folder: Path
    first_date: date
    last_date: date
    files: int
    """Parquet files."""
    events: int
    """Rows of both types, duplicates included."""
    bytes: int


@dataclass(frozen=True)
class _Arguments:
    seed: int
    days: int
    visitors: int
    events: int


@dataclass(frozen=True)
class _Part:
    """Whole visitors and their share of the events."""

    number: int
    first_visitor: int
    visitors: int
    events: int


def write_export(
    folder: Path, *, seed: int = 1, days: int = 14, visitors: int = 3000, events: int = 60000
) -> DemoSummary:
    """Write a synthetic export; the same arguments always give the same bytes.

    Args:
        folder: An empty or new folder, or one that holds the demo of the same arguments: a
            complete one is left as it is, an interrupted one is finished.
        seed: Another seed gives another export of the same kind.
        days: Days of the export; the eras change in their middle, on 2023-10-09.
        visitors: Distinct visitors; fewer where there are not five events for each.
        events: Rows of both types together.

    Raises:
        LoaderError: The folder holds another export, or there are too many days or events.
    """
    arguments = _Arguments(seed=seed, days=days, visitors=visitors, events=events)
    _check(arguments)
    dates = Dates(days)
    note = _read_note(folder)
    if note.get("arguments") != vars(arguments) and _holds_anything(folder):
        raise LoaderError(
            f"{shown(str(folder))} already holds another export: choose an empty folder",
            ExitCode.USAGE,
        )
    if not note.get("is_complete"):
        folder.mkdir(parents=True, exist_ok=True)
        _write_note(folder, {"arguments": vars(arguments), "is_complete": False})
        totals = _write(folder, dates, arguments)
        note = {"arguments": vars(arguments), "is_complete": True, "totals": totals}
        _write_note(folder, note)
    return DemoSummary(
        folder=folder, first_date=dates.first_date, last_date=dates.last_date, **note["totals"]
    )


def _check(arguments: _Arguments) -> None:
    if not 1 <= arguments.days <= MOST_DAYS:
        raise LoaderError(
            f"a demo cannot have {arguments.days} days: choose 1 to {MOST_DAYS}", ExitCode.USAGE
        )
    most = arguments.visitors * arguments.days * MOST_EVENTS_PER_VISITOR_AND_DAY
    if arguments.events > most:
        raise LoaderError(
            f"{arguments.visitors} visitors make at most {most} events in {arguments.days} days: "
            "choose more visitors or fewer events",
            ExitCode.USAGE,
        )


def _read_note(folder: Path) -> dict[str, Any]:
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(note, dict):
        return {}
    totals = note.get("totals")
    if isinstance(totals, dict) and totals.keys() == TOTALS and (folder / "v1").exists():
        return note
    return note | {"is_complete": False}


def _holds_anything(folder: Path) -> bool:
    """Whether a folder is there and not empty; a killed demo may have left its first note."""
    return folder.is_dir() and any(path.name != UNFINISHED_NOTE for path in folder.iterdir())


def _write_note(folder: Path, note: dict[str, Any]) -> None:
    written = folder / UNFINISHED_NOTE
    written.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    written.replace(folder / NOTE)


def _write(folder: Path, dates: Dates, arguments: _Arguments) -> dict[str, int]:
    """Write all data, then the marks of ready days: an interrupted demo has no ready day."""
    root = folder / "v1" / f"account_id={world.ACCOUNT_ID}"
    job = (arguments.seed, arguments.days, arguments.visitors, arguments.events)
    parts = list(_parts(arguments))

    def write_part(part: _Part) -> list[tuple[int, int]]:
        return list(starmap(_write_table, _part_tables(root, dates, job, part)))

    with ThreadPoolExecutor(max_workers=min(MOST_WORKERS, os.cpu_count() or 1)) as workers:
        written = [file for files in workers.map(write_part, parts) for file in files]
    if parts:
        written.append(_write_empty_part(root, dates, job))
        _write_leftovers(root, dates, job)
    for day in range(dates.days):
        if day != dates.missing_day:
            for export_type in spec.TABLES:
                day_folder = _day_folder(root, export_type, dates.date_of(day))
                day_folder.mkdir(parents=True, exist_ok=True)
                (day_folder / "_SUCCESS").write_bytes(b"")
    return {
        "files": len(written),
        "events": sum(rows for rows, _ in written),
        "bytes": sum(size for _, size in written),
    }


def _parts(arguments: _Arguments) -> Iterator[_Part]:
    """Share visitors and events out to chunks of bounded size."""
    if arguments.events == 0:
        return
    visitors = min(arguments.visitors, max(1, arguments.events // FEWEST_EVENTS_PER_VISITOR))
    larger = min(max(1, arguments.days // DAYS_PER_CHUNK), LARGEST_CHUNK)
    count = min(visitors, -(-arguments.events // (EVENTS_PER_CHUNK * larger)))
    for number in range(count):
        first, end = (visitors * place // count for place in (number, number + 1))
        events_before, events = (
            arguments.events * place // count for place in (number, number + 1)
        )
        yield _Part(
            number=number,
            first_visitor=first,
            visitors=end - first,
            events=events - events_before,
        )


def _part_tables(
    root: Path, dates: Dates, job: tuple[int, ...], part: _Part
) -> Iterator[tuple[Path, pa.Table]]:
    """Draw one chunk and give its files, day by day."""
    random = np.random.default_rng(np.random.SeedSequence([*job, part.number]))
    duplicates = round(part.events * world.DUPLICATE_SHARE)
    events = part.events - duplicates
    kiosks = 0
    if part.number == 0 and dates.days > 1:
        kiosks = min(MOST_KIOSKS, events // EVENTS_PER_KIOSK, part.visitors // 2)
    visitors = make_visitors(random, part.first_visitor, part.visitors, kiosks)
    visits = make_visits(random, dates, visitors, events)
    rows = make_rows(random, dates, visitors, visits, events, duplicates)
    builder = tables.Tables(dates, tables.make_chunk(random, part.number, visitors, visits, rows))
    for day in range(dates.days):
        for export_type, name, table in builder.of_day(day):
            place = _day_folder(root, export_type, dates.date_of(day)) / name
            yield place / part_name(part.number, job, export_type, day), table


def _day_folder(root: Path, export_type: str, day: date) -> Path:
    return root / f"type={export_type}" / f"date={day.isoformat()}"


def _write_table(path: Path, table: pa.Table) -> tuple[int, int]:
    """Write one file as Spark would; gives its rows and bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    leaves = [name for name in _leaves(table.schema) if name != "uuid"]
    with path.open("wb") as target:  # opened here: pyarrow takes no path that is not UTF-8
        pq.write_table(
            table,
            target,
            version="1.0",
            compression="snappy",
            store_schema=False,
            use_dictionary=leaves,
        )
    return len(table), path.stat().st_size


def _leaves(schema: pa.Schema) -> Iterator[str]:
    """Paths of the columns Parquet stores."""
    for field in schema:
        if pa.types.is_list(field.type):
            inner = field.type.value_type
            for place in range(inner.num_fields):
                yield f"{field.name}.list.element.{inner.field(place).name}"
        elif pa.types.is_map(field.type):
            yield from (f"{field.name}.key_value.{end}" for end in ("key", "value"))
        else:
            yield field.name


def _write_empty_part(root: Path, dates: Dates, job: tuple[int, ...]) -> tuple[int, int]:
    """A file without a row, as Spark writes for an empty partition."""
    table = spec.CONVERSIONS
    day = _day_folder(root, table.export_type, dates.last_date)
    name = part_name(99_999, job, table.export_type, dates.days - 1)
    purchase = event_folder(world.EVENTS[world.PURCHASE].name)
    return _write_table(day / purchase / name, tables.empty_table(table))


def _write_leftovers(root: Path, dates: Dates, job: tuple[int, ...]) -> None:
    """Files that are not data: a checksum and an unfinished part."""
    for export_type in spec.TABLES:
        day = _day_folder(root, export_type, dates.first_date)
        day.mkdir(parents=True, exist_ok=True)
        name = part_name(0, job, export_type, 0)
        (day / f".{name}.crc").write_bytes(b"crc\x00")
        (day / f"_temporary-{name}").write_bytes(b"PAR1 unfinished")
