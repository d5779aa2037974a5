"""Erases visitors from a lake: their days are written anew, and the old files deleted at once."""

import time
from datetime import timedelta

import duckdb

from loader import ledger, spec
from loader.export.layout import Unit
from loader.forget import (
    Receipt,
    asked,
    correct_ledger,
    delete,
    is_asked,
    note_erased,
    rows_by_day,
    stored,
)
from loader.lake.storage import LakeStorage
from loader.landing import forgotten
from loader.landing.warehouse import create_tables, open_warehouse
from loader.timespan import now_utc


def forget_in_lake(lake: LakeStorage, visitor_ids: list[str], *, dry_run: bool = False) -> Receipt:
    """Erases visitors, and sees to it that no later landing brings them back.

    Their rows go from every file, in one commit with their hashes and the ledger's counts; then
    what older versions have of them is deleted, and only after that they are noted as erased. After
    a kill the same call again does what is left. Whoever reads the lake meanwhile may miss a file,
    and has to begin again.

    Args:
        lake: The lake; open to write unless `dry_run`.
        visitor_ids: Ids as the export has them; a lake that hashes them needs the key.
        dry_run: Only count; nothing is changed.

    Raises:
        LoaderError: Nothing is landed, no id is given, the key is not the recorded one, or the lake
            cannot be written to.
    """
    started = time.monotonic()
    forgotten_at = now_utc()
    ids = stored(lake.database, lake.name(lake.database), visitor_ids)
    hashes: list[str] = []
    load_ids: list[int] = []
    with open_warehouse(lake.database) as connection:
        connection.begin()
        create_tables(connection)
        if not dry_run:
            hashes = forgotten.remember(connection, ids, forgotten_at)
        with asked(connection, ids):
            found = rows_by_day(connection, lake)
            rows = {table.qualified_name: 0 for table in spec.TABLES.values()}
            for (export_type, _), rows_of_file in found.items():
                rows[spec.TABLES[export_type].qualified_name] += sum(rows_of_file.values())
            if not dry_run:
                for unit in found:
                    _write_anew(connection, lake, unit)
                load_ids = correct_ledger(connection, found, forgotten_at, started)
                visitors = f"{ledger.SCHEMA}.changed_visitors"
                rows[visitors] = delete(connection, visitors)
        connection.commit()
    if not dry_run:
        lake.publish()
        lake.clean(timedelta(0))
        with open_warehouse(lake.database) as connection:
            note_erased(connection)
        lake.publish()
        lake.clean(timedelta(0))
    return Receipt(
        forgotten_at=forgotten_at,
        dry_run=dry_run,
        visitors=len(ids),
        visitor_hashes=hashes,
        rows_deleted=rows,
        load_ids=load_ids,
        database_rewritten=False,
        spool_emptied=False,
        seconds=time.monotonic() - started,
    )


def _write_anew(connection: duckdb.DuckDBPyConnection, lake: LakeStorage, unit: Unit) -> None:
    """Stores a day without the asked visitors."""
    export_type, export_date = unit
    table = spec.TABLES[export_type]
    load_id = ledger.landed_days(connection)[unit].load_id
    with lake.day_rows(connection, table, export_date) as rows:
        kept = f"(from {rows} where not coalesce({is_asked()}, false))"
        lake.replace_rows(connection, table, export_date, load_id, kept)
