"""What is at the source, beside what the ledger says of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb

from loader import ledger
from loader.export.layout import Export, ExportDay, ListedDay, Unit
from loader.export.selection import Selection
from loader.landing.warehouse import open_warehouse
from loader.plan import LISTINGS_AT_ONCE, Window, known_days
from loader.status import DayState


@dataclass(frozen=True)
class DayAtSource:
    """A day at the source, counting the files asked for, and whether those are landed."""

    day: ListedDay
    state: DayState


def list_days(
    export: Export, export_types: list[str], window: Window, selection: Selection
) -> Iterator[ExportDay]:
    """The days at the source that have something of what was asked for, by type and date.

    Args:
        export: The source.
        export_types: Types to look at.
        window: Days to look at.
        selection: Experiments and events asked for. Where it narrows a type, ready days without
            any of their files are left out: most days have nothing of one experiment.
    """
    units: list[Unit] = []
    for export_type in export_types:
        units += [(export_type, day) for day in export.dates(export_type) if day in window]
    with ThreadPoolExecutor(LISTINGS_AT_ONCE) as listings:
        for day in listings.map(lambda unit: export.day(unit[0], unit[1], selection), units):
            if day.files or not day.is_ready or selection.is_everything(day.export_type):
                yield day


def compare(
    export: Export,
    warehouse: Path,
    export_types: list[str],
    window: Window,
    selection: Selection,
) -> list[DayAtSource]:
    """Each day of `list_days` beside the ledger's word on its files.

    Args:
        export: The source.
        warehouse: The DuckDB file; it need not exist.
        export_types: Types to look at.
        window: Days to look at.
        selection: Experiments and events asked for.
    """
    landed, _, quarantined = known_days(warehouse)
    days = [
        day.listed(quarantined.get(day.unit, ()))
        for day in list_days(export, export_types, window, selection)
    ]
    if not landed:
        return [DayAtSource(day, _state_of_unlanded(day)) for day in days]
    with open_warehouse(warehouse, read_only=True) as connection:
        return [
            DayAtSource(
                day,
                _state(connection, day, landed[day.unit], export.identity)
                if day.unit in landed
                else _state_of_unlanded(day),
            )
            for day in days
        ]


def _state_of_unlanded(day: ListedDay) -> DayState:
    if not day.is_ready:
        return DayState.NOT_READY
    return DayState.QUARANTINED if day.suspects else DayState.TO_LAND


def _state(
    connection: duckdb.DuckDBPyConnection,
    day: ListedDay,
    known: ledger.LandedDay,
    source: str,
) -> DayState:
    """The state of a day of which something is landed: that of the listed files."""
    is_as_listed = known.source == source and known.fingerprint == day.fingerprint
    if is_as_listed and known.is_complete:
        return DayState.LANDED
    names = day.selection.names(day.export_type)
    if known.names and not (names and names <= known.names):
        return DayState.IN_PART
    files = ledger.landed_files(connection, day.unit)
    asked_for = [file for file in files if day.selection.includes(day.export_type, file.key)]
    landed = ExportDay(*day.unit, True, tuple(sorted(asked_for))).listed()
    # ETags of two stores cannot be compared.
    if (
        landed.fingerprint == day.fingerprint
        if known.source == source
        else landed.contents == day.contents
    ):
        return DayState.LANDED
    if is_as_listed:
        return DayState.IN_PART
    return DayState.QUARANTINED if day.suspects else DayState.CHANGED
