"""Compares the source with the ledger, and lands what differs."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import TypeVar

import duckdb

from loader import ledger
from loader.errors import ExitCode
from loader.export.layout import Export, ExportDay, ExportFile, SourceChanged, Unit
from loader.landing.day import BadDay, FetchedDay, check_day, land_day
from loader.landing.spool import empty_spool, fetch_day, open_spool
from loader.landing.warehouse import create_tables, open_warehouse

OVERLAP = timedelta(days=3)
"""Without --since a pull starts this long before the newest landed day: days get rewritten."""

LISTINGS_AT_ONCE = 8

Landed = TypeVar("Landed")
"""What the ledger says of a day."""


@dataclass(frozen=True)
class Window:
    """The days asked for, both ends included; None means no limit."""

    since: date | None = None
    until: date | None = None

    def __contains__(self, day: date) -> bool:
        return (self.since is None or day >= self.since) and (
            self.until is None or day <= self.until
        )


@dataclass(frozen=True)
class PlannedDay:
    """A day that is to be landed, and why: `new`, `changed` or `forced`."""

    day: ExportDay
    reason: str


@dataclass
class Plan:
    """What a pull would do."""

    to_land: list[PlannedDay] = field(default_factory=list)
    to_adopt: list[tuple[ledger.LandedDay, ExportDay]] = field(default_factory=list)
    unchanged: list[ExportDay] = field(default_factory=list)
    not_ready: list[ExportDay] = field(default_factory=list)


@dataclass
class PullResult:
    """What a pull did."""

    plan: Plan
    landed: list[ledger.LandedDay] = field(default_factory=list)
    quarantined: list[tuple[ExportDay, BadDay]] = field(default_factory=list)
    rewritten: list[tuple[ExportDay, SourceChanged]] = field(default_factory=list)
    unknown_columns: dict[str, set[str]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def exit_code(self) -> ExitCode:
        """The gravest thing that kept a day from landing."""
        if self.quarantined:
            return ExitCode.BAD_INPUT
        if self.rewritten:
            return ExitCode.TRANSIENT
        if self.plan.not_ready:
            return ExitCode.NOT_READY
        return ExitCode.DONE


def read_ledger(warehouse: Path) -> dict[Unit, ledger.LandedDay]:
    """All landed days; empty where the warehouse does not exist yet."""
    return _read(warehouse, ledger.landed_days)


def read_quarantined(warehouse: Path) -> dict[Unit, set[ExportFile]]:
    """The bad files that were met, by day; empty where the warehouse does not exist yet."""
    return _read(warehouse, ledger.quarantined_files)


def run_pull(
    export: Export,
    warehouse: Path,
    export_types: list[str],
    window: Window,
    *,
    force: bool = False,
    on_planned: Callable[[Plan], None] = lambda _: None,
    on_landed: Callable[[ledger.LandedDay], None] = lambda _: None,
) -> PullResult:
    """Plans a pull and lands what the plan says, as the only pull into the warehouse.

    Args:
        export: The source.
        warehouse: The DuckDB file, created where it is not there.
        export_types: Types to look at.
        window: Days to look at, as for `plan_pull`.
        force: Land every ready day again, changed or not.
        on_planned: Called before anything is landed.
        on_landed: Called after each committed day.

    Raises:
        LoaderError: The source or the warehouse cannot be used; days landed so far are kept.
    """
    read_ledger(warehouse)  # a file that is no warehouse is refused before anything is made
    # The plan is made while the spool is held: no other pull can land in between.
    with open_spool(warehouse) as spool:
        plan = plan_pull(export, warehouse, export_types, window, force=force)
        on_planned(plan)
        return run_plan(plan, export, warehouse, spool, on_landed)


def plan_pull(
    export: Export,
    warehouse: Path,
    export_types: list[str],
    window: Window,
    *,
    force: bool = False,
) -> Plan:
    """Lists the source and compares it with the ledger; changes nothing.

    Args:
        export: The source.
        warehouse: The DuckDB file; it need not exist.
        export_types: Types to look at.
        window: Days to look at. Without `since`, from three days before each type's newest landed
            day.
        force: Land every ready day again, changed or not.
    """
    landed = read_ledger(warehouse)
    plan = Plan()
    moved: list[tuple[ledger.LandedDay, ExportDay]] = []
    for day in _list_days(export, export_types, window, landed):
        known = landed.get(day.unit)
        if not day.is_ready:
            plan.not_ready.append(day)
        elif known is None:
            plan.to_land.append(PlannedDay(day, "new"))
        elif force:
            plan.to_land.append(PlannedDay(day, "forced"))
        elif known.source == export.identity:
            if known.fingerprint == day.fingerprint:
                plan.unchanged.append(day)
            else:
                plan.to_land.append(PlannedDay(day, "changed"))
        else:
            moved.append((known, day))
    if moved:
        _plan_moved(plan, moved, warehouse)
    return plan


def run_plan(
    plan: Plan,
    export: Export,
    warehouse: Path,
    spool: Path,
    on_landed: Callable[[ledger.LandedDay], None] = lambda _: None,
) -> PullResult:
    """Lands what a plan says; the next day downloads while one is landed.

    Args:
        plan: From `plan_pull`, made while the spool was held: another pull may land in between.
        export: The same source.
        warehouse: The DuckDB file, created where it is not there.
        spool: From `open_spool`.
        on_landed: Called after each committed day.

    Raises:
        LoaderError: The source or the warehouse cannot be used; days landed so far are kept.
    """
    started = time.monotonic()
    result = PullResult(plan)
    if plan.to_adopt:
        _adopt(plan, export, warehouse)
    for planned, fetching in _fetch_ahead(export, plan.to_land, spool):
        try:
            fetched = fetching.result()
            landed = land_day(warehouse, fetched, export.identity, planned.reason)
        except BadDay as bad:
            result.quarantined.append((planned.day, bad))
            _quarantine(warehouse, planned.day, bad)
        except SourceChanged as changed:
            result.rewritten.append((planned.day, changed))
        else:
            result.landed.append(landed)
            if fetched.unknown_columns:
                names = result.unknown_columns.setdefault(landed.export_type, set())
                names.update(fetched.unknown_columns)
            on_landed(landed)
    result.seconds = time.monotonic() - started
    return result


def _read(
    warehouse: Path, read: Callable[[duckdb.DuckDBPyConnection], dict[Unit, Landed]]
) -> dict[Unit, Landed]:
    if not warehouse.exists():
        return {}
    with open_warehouse(warehouse, read_only=True) as connection:
        return read(connection)


def _plan_moved(
    plan: Plan, moved: list[tuple[ledger.LandedDay, ExportDay]], warehouse: Path
) -> None:
    """Days landed from another store: ETags cannot be compared, so key and size decide."""
    with open_warehouse(warehouse, read_only=True) as connection:
        for known, day in moved:
            if ledger.landed_contents(connection, known.unit) == day.contents:
                plan.to_adopt.append((known, day))
            else:
                plan.to_land.append(PlannedDay(day, "changed"))
    plan.to_land.sort(key=lambda planned: (planned.day.export_date, planned.day.export_type))


def _list_days(
    export: Export,
    export_types: list[str],
    window: Window,
    landed: dict[Unit, ledger.LandedDay],
) -> list[ExportDay]:
    """Every day of the window at the source, oldest first."""
    units = []
    for export_type in export_types:
        asked_for = _default_since(export_type, window, landed)
        units += [(export_type, day) for day in export.dates(export_type) if day in asked_for]
    units.sort(key=lambda unit: (unit[1], unit[0]))
    with ThreadPoolExecutor(LISTINGS_AT_ONCE) as listings:
        return list(listings.map(lambda unit: export.day(*unit), units))


def _default_since(
    export_type: str, window: Window, landed: dict[Unit, ledger.LandedDay]
) -> Window:
    """The window with its default start: some days before the newest landed one of this type."""
    dates = [landed_date for landed_type, landed_date in landed if landed_type == export_type]
    if window.since is not None or not dates:
        return window
    return Window(max(dates) - OVERLAP, window.until)


def _adopt(plan: Plan, export: Export, warehouse: Path) -> None:
    with _transaction(warehouse) as connection:
        for known, day in plan.to_adopt:
            ledger.adopt(connection, known, day, export.identity)


def _quarantine(warehouse: Path, day: ExportDay, bad: BadDay) -> None:
    with _transaction(warehouse) as connection:
        ledger.record_quarantine(
            connection, day, bad.bad_files, datetime.now(UTC).replace(tzinfo=None)
        )


@contextmanager
def _transaction(warehouse: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(warehouse) as connection:
        connection.begin()
        create_tables(connection)
        yield connection
        connection.commit()


def _fetch_ahead(
    export: Export, planned_days: list[PlannedDay], spool: Path
) -> Iterator[tuple[PlannedDay, Future[FetchedDay]]]:
    """Each day with its download, one day ahead: the spool never holds more than two."""
    is_given_up = Event()
    with ThreadPoolExecutor(1) as fetcher:

        def fetch(planned: PlannedDay) -> Future[FetchedDay]:
            return fetcher.submit(_fetch_and_check, export, planned.day, spool, is_given_up)

        try:
            upcoming = [fetch(planned) for planned in planned_days[:1]]
            for number, planned in enumerate(planned_days):
                fetching = upcoming.pop()
                # Starting the next download sooner would put a third day in the spool.
                wait([fetching])
                if isinstance(fetching.exception(), BadDay | SourceChanged | None):
                    upcoming += [fetch(following) for following in planned_days[number + 1 :][:1]]
                yield planned, fetching
                empty_spool(spool, planned.day)
        finally:
            is_given_up.set()


def _fetch_and_check(export: Export, day: ExportDay, spool: Path, is_given_up: Event) -> FetchedDay:
    paths = fetch_day(export, day, spool, is_given_up)
    if is_given_up.is_set():
        raise CancelledError
    fetched = check_day(day, paths)
    # The day may have been written again while it was downloaded.
    if export.day(day.export_type, day.export_date) != day:
        raise SourceChanged(
            f"{day.export_type} of {day.export_date} was rewritten while it was downloaded: "
            "run the pull again",
        )
    return fetched
