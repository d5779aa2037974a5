"""Lands what differs between the source and the ledger."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from loader import ledger, privacy
from loader.errors import ExitCode
from loader.export.layout import Export, ListedDay, SourceChanged, Unit
from loader.export.selection import EVERYTHING, Selection
from loader.interrupts import finishing_first
from loader.landing.day import BadBatch, BadDay, FetchedDay, land_days
from loader.landing.fetch import Fetcher, Outcome
from loader.landing.spool import open_spool
from loader.landing.storage import IN_DATABASE, Storage
from loader.landing.warehouse import create_tables, is_current, open_warehouse
from loader.plan import Plan, Window, plan_pull
from loader.timespan import now_utc


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
    storage: Storage = IN_DATABASE,
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
        storage: Where landed rows stay.
        on_planned: Called before anything is landed.
        on_landed: Called after each committed day.

    Raises:
        LoaderError: The source or the warehouse cannot be used; days landed so far are kept.
    """
    settled = _settle(warehouse, treatments or {})
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
            storage=storage,
        )


def _settle(warehouse: Path, treatments: Mapping[str, str]) -> privacy.Privacy:
    """What is dropped and hashed in a warehouse, which then has the tables and columns of today.

    None is made where there is none, and a file that is none is refused before anything is made.
    """
    if not warehouse.exists():
        return privacy.settle(warehouse, treatments)
    with open_warehouse(warehouse, read_only=True) as connection:
        settled = privacy.settled(connection, treatments)
        has_all = is_current(connection)
    if not has_all:
        with open_warehouse(warehouse) as connection:
            create_tables(connection)
    return settled


def run_plan(
    plan: Plan,
    export: Export,
    warehouse: Path,
    spool: Path,
    on_landed: Callable[[ledger.LandedDay], None] = lambda _: None,
    *,
    skip_bad_files: bool = False,
    settled: privacy.Privacy = privacy.NOTHING,
    storage: Storage = IN_DATABASE,
) -> PullResult:
    """Lands what a plan says; the next days download while one is landed.

    Each day is listed again before it is fetched. The first Ctrl-C ends the run after the days
    that are being landed, a second one at once.

    Args:
        plan: From `plan_pull`, made while the spool was held: another pull may land in between.
        export: The same source.
        warehouse: The DuckDB file, created where it is not there.
        spool: From `open_spool`.
        on_landed: Called after each committed day.
        skip_bad_files: Land a day without its bad files, and note that it is not complete.
        settled: The settings of privacy, from `privacy.settle`.
        storage: Where landed rows stay.

    Raises:
        LoaderError: The source or the warehouse cannot be used; days landed so far are kept.
    """
    started = time.monotonic()
    result = PullResult(plan)
    if plan.to_adopt:
        _adopt(plan, export, warehouse)
        storage.publish()
    landing = _Landing(
        warehouse, storage, export.identity, skip_bad_files, settled, result, on_landed
    )
    days = [planned.day for planned in plan.to_land]
    with (
        finishing_first() as is_interrupted,
        Fetcher(export, spool, days, skip_bad_files, settled) as fetcher,
    ):
        for batch in fetcher:
            landing.take(batch)
            if is_interrupted() and not fetcher.is_done:
                result.is_interrupted = True
                break
    result.seconds = time.monotonic() - started
    return result


class _Landing:
    """Lands what is fetched, and notes in `result` what became of each day."""

    def __init__(
        self,
        warehouse: Path,
        storage: Storage,
        source: str,
        skip_bad_files: bool,
        settled: privacy.Privacy,
        result: PullResult,
        on_landed: Callable[[ledger.LandedDay], None],
    ):
        self._warehouse = warehouse
        self._storage = storage
        self._source = source
        self._reasons = {planned.day: planned.reason for planned in result.plan.to_land}
        self._skip_bad_files = skip_bad_files
        self._settled = settled
        self._result = result
        self._on_landed = on_landed

    def take(self, batch: dict[ListedDay, Outcome]) -> None:
        """Lands the days of a batch together, or each by itself where one of them is bad."""
        ready: dict[ListedDay, FetchedDay] = {}
        for day, outcome in batch.items():
            match outcome:
                case FetchedDay():
                    ready[day] = outcome
                case BadDay():
                    self._quarantine(day, outcome)
                case SourceChanged():
                    self._result.rewritten.append((day, outcome))
        if len(ready) > 1:
            try:
                return self._land(ready)
            except BadBatch:  # a bad day must not take others with it
                pass
        for day, fetched in ready.items():
            self._land_alone(day, fetched)

    def _land_alone(self, day: ListedDay, fetched: FetchedDay) -> None:
        """Lands a day; files that turn out bad only when their rows are read may be left out."""
        try:
            self._land({day: fetched})
        except BadDay as bad:
            if self._skip_bad_files:
                self._land_alone(day, fetched.without(bad.bad_files))
            else:
                self._quarantine(day, bad)

    def _land(self, days: dict[ListedDay, FetchedDay]) -> None:
        together = [(fetched, self._reasons[day]) for day, fetched in days.items()]
        all_landed = land_days(
            self._warehouse, together, self._source, self._settled, self._storage
        )
        for (day, fetched), landed in zip(days.items(), all_landed, strict=True):
            self._result.landed.append(landed)
            if fetched.bad_files:
                self._result.quarantined.append((day, BadDay(fetched.bad_files)))
            if fetched.unknown_columns:
                names = self._result.unknown_columns.setdefault(landed.export_type, set())
                names.update(fetched.unknown_columns)
            self._on_landed(landed)

    def _quarantine(self, day: ListedDay, bad: BadDay) -> None:
        self._result.quarantined.append((day, bad))
        with _transaction(self._warehouse) as connection:
            # If this is all that a first pull does, the settings hold too.
            privacy.record(connection, self._settled)
            ledger.record_quarantine(connection, day.unit, bad.bad_files, now_utc())
        self._storage.publish()


def _adopt(plan: Plan, export: Export, warehouse: Path) -> None:
    with _transaction(warehouse) as connection:
        for known, listed in plan.to_adopt:
            day = export.day(*listed.unit, listed.selection)
            if day.fingerprint == listed.fingerprint:
                ledger.adopt(connection, known, day, export.identity)


@contextmanager
def _transaction(warehouse: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(warehouse) as connection:
        connection.begin()
        create_tables(connection)
        yield connection
        connection.commit()
