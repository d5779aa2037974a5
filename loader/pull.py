"""Lands what differs between the source and the ledger."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from loader import ledger, privacy
from loader.errors import ExitCode, LoaderError
from loader.export.layout import Export, ListedDay, SourceChanged, Unit
from loader.export.selection import EVERYTHING, Selection
from loader.interrupts import finishing_first
from loader.landing.day import BadDay, FetchedDay, land_day
from loader.landing.fetch import Fetcher
from loader.landing.spool import open_spool
from loader.landing.warehouse import bring_up_to_date, create_tables, open_warehouse
from loader.plan import Plan, PlannedDay, Window, plan_pull

POLL_SECONDS = 60.0
"""Time between two looks at a source that is waited for."""

WAITED_OUT = {ExitCode.TRANSIENT, ExitCode.DATABASE_IN_USE}
"""Errors that may be over at the next look."""

log = logging.getLogger(__name__)


@dataclass
class PullResult:
    """What a pull did."""

    plan: Plan
    landed: list[ledger.LandedDay] = field(default_factory=list)
    quarantined: list[tuple[ListedDay, BadDay]] = field(default_factory=list)
    rewritten: list[tuple[ListedDay, SourceChanged]] = field(default_factory=list)
    unknown_columns: dict[str, set[str]] = field(default_factory=dict)
    seconds: float = 0.0
    is_interrupted: bool = False
    awaited: list[Unit] = field(default_factory=list)
    """Days that were waited for in vain."""

    @property
    def exit_code(self) -> ExitCode:
        """The gravest thing that kept a day from landing."""
        if self.is_interrupted:
            return ExitCode.INTERRUPTED
        if self.quarantined:
            return ExitCode.BAD_INPUT
        if self.rewritten:
            return ExitCode.TRANSIENT
        if self.plan.not_ready or self.awaited:
            return ExitCode.NOT_READY
        return ExitCode.DONE


def run_pull(
    export: Export,
    warehouse: Path,
    export_types: list[str],
    window: Window,
    *,
    selection: Selection = EVERYTHING,
    force: bool = False,
    skip_bad_files: bool = False,
    treatments: Mapping[str, str] | None = None,
    on_planned: Callable[[Plan], None] = lambda _: None,
    on_landed: Callable[[ledger.LandedDay], None] = lambda _: None,
) -> PullResult:
    """Plans a pull and lands what the plan says, as the only pull into the warehouse.

    Args:
        export: The source.
        warehouse: The DuckDB file, created where it is not there.
        export_types: Types to look at.
        window: Days to look at, as for `plan_pull`.
        selection: Experiments and events to look at, as for `plan_pull`.
        force: Land every ready day again, changed or not.
        skip_bad_files: Land a day without its bad files, and note that it is not complete.
        treatments: Columns to drop or hash, from `privacy.asked_for`; by default the recorded ones.
        on_planned: Called before anything is landed.
        on_landed: Called after each committed day.

    Raises:
        LoaderError: The source or the warehouse cannot be used; days landed so far are kept.
    """
    bring_up_to_date(warehouse)  # a file that is no warehouse is refused before anything is made
    settled = privacy.settle(warehouse, treatments or {})
    # The plan is made while the spool is held: no other pull can land in between.
    with open_spool(warehouse) as spool:
        plan = plan_pull(export, warehouse, export_types, window, selection=selection, force=force)
        on_planned(plan)
        return run_plan(
            plan,
            export,
            warehouse,
            spool,
            on_landed,
            skip_bad_files=skip_bad_files,
            settled=settled,
        )


def wait_and_pull(pull: Callable[[], PullResult], wait_seconds: float) -> PullResult:
    """Pulls again and again until every day to the window's last is ready, or the time is over.

    Args:
        pull: One pull; it lands what is ready.
        wait_seconds: How long to wait in all.

    Raises:
        LoaderError: Of the last pull, or one that waiting cannot mend.
    """
    deadline = time.monotonic() + wait_seconds
    so_far: list[PullResult] = []
    while True:
        remaining = deadline - time.monotonic()
        try:
            so_far.append(pull())
        except LoaderError as error:
            if error.exit_code not in WAITED_OUT or remaining <= 0:
                raise
            log.info("%s; trying again in a while", error)
        else:
            result = _together(so_far)
            result.awaited = result.plan.absent
            has_ended = not (result.awaited or result.plan.not_ready or result.rewritten)
            if has_ended or result.is_interrupted or remaining <= 0:
                return result
            log.info("waiting for %s", _told(result))
        time.sleep(min(POLL_SECONDS, max(remaining, 0.0)))


def run_plan(
    plan: Plan,
    export: Export,
    warehouse: Path,
    spool: Path,
    on_landed: Callable[[ledger.LandedDay], None] = lambda _: None,
    *,
    skip_bad_files: bool = False,
    settled: privacy.Privacy = privacy.NOTHING,
) -> PullResult:
    """Lands what a plan says; the next days download while one is landed.

    Each day is listed again before it is fetched. The first Ctrl-C ends the run after the day in
    hand, a second one at once.

    Args:
        plan: From `plan_pull`, made while the spool was held: another pull may land in between.
        export: The same source.
        warehouse: The DuckDB file, created where it is not there.
        spool: From `open_spool`.
        on_landed: Called after each committed day.
        skip_bad_files: Land a day without its bad files, and note that it is not complete.
        settled: The settings of privacy, from `privacy.settle`.

    Raises:
        LoaderError: The source or the warehouse cannot be used; days landed so far are kept.
    """
    started = time.monotonic()
    result = PullResult(plan)
    if plan.to_adopt:
        _adopt(plan, export, warehouse)
    with (
        finishing_first() as is_interrupted,
        Fetcher(export, spool, skip_bad_files, settled) as fetcher,
    ):
        for done, planned in enumerate(plan.to_land, start=1):
            try:
                fetched = fetcher.fetched([item.day for item in plan.to_land[done - 1 :]])
                landed, fetched = _land(
                    warehouse, fetched, export, planned, skip_bad_files, settled
                )
            except BadDay as bad:
                result.quarantined.append((planned.day, bad))
                _quarantine(warehouse, planned.day, bad, settled)
            except SourceChanged as changed:
                result.rewritten.append((planned.day, changed))
            else:
                result.landed.append(landed)
                if fetched.bad_files:
                    result.quarantined.append((planned.day, BadDay(fetched.bad_files)))
                if fetched.unknown_columns:
                    names = result.unknown_columns.setdefault(landed.export_type, set())
                    names.update(fetched.unknown_columns)
                on_landed(landed)
            fetcher.remove(planned.day)
            if is_interrupted() and done < len(plan.to_land):
                result.is_interrupted = True
                break
    result.seconds = time.monotonic() - started
    return result


def _land(
    warehouse: Path,
    fetched: FetchedDay,
    export: Export,
    planned: PlannedDay,
    skip_bad_files: bool,
    settled: privacy.Privacy,
) -> tuple[ledger.LandedDay, FetchedDay]:
    """Lands a day; files that turn out bad only when their rows are read may be left out."""
    while True:
        try:
            return land_day(warehouse, fetched, export.identity, planned.reason, settled), fetched
        except BadDay as bad:
            if not skip_bad_files:
                raise
            fetched = fetched.without(bad.bad_files)


def _together(results: list[PullResult]) -> PullResult:
    """Several pulls of one wait as one: all that was landed, and what still is as it was last."""
    first, last = results[0], results[-1]
    together = PullResult(
        Plan(
            to_land=[planned for result in results for planned in result.plan.to_land],
            to_adopt=first.plan.to_adopt,
            unchanged=first.plan.unchanged,
            not_ready=last.plan.not_ready,
            absent=last.plan.absent,
        ),
        quarantined=last.quarantined,
        rewritten=last.rewritten,
        is_interrupted=last.is_interrupted,
    )
    for result in results:
        together.landed += result.landed
        together.seconds += result.seconds
        for export_type, names in result.unknown_columns.items():
            together.unknown_columns.setdefault(export_type, set()).update(names)
    return together


def _told(result: PullResult) -> str:
    units: list[tuple[str, date]] = [
        *(day.unit for day in result.plan.not_ready),
        *result.awaited,
        *(day.unit for day, _ in result.rewritten),
    ]
    return ", ".join(f"{export_type} of {day}" for export_type, day in dict.fromkeys(units))


def _adopt(plan: Plan, export: Export, warehouse: Path) -> None:
    with _transaction(warehouse) as connection:
        for known, listed in plan.to_adopt:
            day = export.day(*listed.unit, listed.selection)
            if day.fingerprint == listed.fingerprint:
                ledger.adopt(connection, known, day, export.identity)


def _quarantine(warehouse: Path, day: ListedDay, bad: BadDay, settled: privacy.Privacy) -> None:
    with _transaction(warehouse) as connection:
        privacy.record(connection, settled)  # if this is all a first pull does, they hold too
        ledger.record_quarantine(
            connection, day.unit, bad.bad_files, datetime.now(UTC).replace(tzinfo=None)
        )


@contextmanager
def _transaction(warehouse: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(warehouse) as connection:
        connection.begin()
        create_tables(connection)
        yield connection
        connection.commit()
