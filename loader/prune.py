"""Deletes the landed days that are older than what is to be kept."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from loader import ledger, spec
from loader.errors import ExitCode, LoaderError
from loader.landing.spool import open_spool
from loader.landing.storage import IN_DATABASE, Storage
from loader.landing.warehouse import create_tables, open_warehouse
from loader.plan import known_days
from loader.timespan import now_utc, parse_day


@dataclass(frozen=True)
class PruneResult:
    """What was deleted, or would be: days as they were, oldest first."""

    days: list[ledger.LandedDay]
    seconds: float


def first_kept_day(text: str, today: date) -> date:
    """The first day that --keep keeps: an age counts from today, and is at least one day.

    Raises:
        LoaderError: `text` is no day, or one that would keep nothing.
    """
    first = parse_day(text, "--keep", today)
    if first >= today:
        raise LoaderError(
            f"--keep {text} would keep nothing: give an age of at least 1d, or a past date",
            ExitCode.USAGE,
        )
    return first


def prune(
    warehouse: Path,
    first_kept: date,
    *,
    dry_run: bool = False,
    storage: Storage = IN_DATABASE,
    on_pruned: Callable[[ledger.LandedDay], None] = lambda _: None,
) -> PruneResult:
    """Deletes every landed day before a date, each in one transaction with the ledger.

    The visitors of deleted rows are noted, so the next build recomputes them. A kill leaves each
    day whole or gone.

    Args:
        warehouse: The DuckDB file; it need not exist.
        first_kept: The first date that stays.
        dry_run: Only say what would be deleted.
        storage: Where landed rows stay.
        on_pruned: Called after each committed day.

    Raises:
        LoaderError: The database or the spool is in use, or the disk is full.
    """
    started = time.monotonic()
    if dry_run or not _old_days(warehouse, first_kept):
        return PruneResult(_old_days(warehouse, first_kept), 0.0)
    with open_spool(warehouse):
        days = _old_days(warehouse, first_kept)
        with open_warehouse(warehouse) as connection:
            for day in days:
                begun = time.monotonic()
                connection.begin()
                create_tables(connection)
                load_id = ledger.next_load_id(connection)
                table = spec.TABLES[day.export_type]
                storage.remove_rows(connection, table, day.export_date, load_id)
                ledger.remove_day(
                    connection,
                    day,
                    load_id=load_id,
                    seconds=time.monotonic() - begun,
                    removed_at=now_utc(),
                )
                connection.commit()
                on_pruned(day)
            connection.execute("checkpoint")
        storage.publish()
    return PruneResult(days, time.monotonic() - started)


def _old_days(warehouse: Path, first_kept: date) -> list[ledger.LandedDay]:
    """Landed days before a date, oldest first."""
    days = [day for day in known_days(warehouse).landed.values() if day.export_date < first_kept]
    return sorted(days, key=lambda day: (day.export_date, day.export_type))
