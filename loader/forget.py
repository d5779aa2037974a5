"""Erases visitors: from every table, from the database file, and from every later landing."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from loader import ledger, privacy, spec
from loader.errors import ExitCode, LoaderError
from loader.export.layout import Unit
from loader.landing import forgotten
from loader.landing.rewrite import check_space, remove_overflow, remove_unfinished, rewrite
from loader.landing.spool import open_spool, spool_folder
from loader.landing.storage import IN_DATABASE, Storage
from loader.landing.warehouse import create_tables, open_warehouse
from loader.timespan import now_utc

_ASKED = "visitors_to_forget"


@dataclass(frozen=True)
class Receipt:
    """What was erased. It names no visitor: hashes only, as the ledger keeps them."""

    forgotten_at: datetime
    """UTC, without time zone."""
    dry_run: bool
    visitors: int
    visitor_hashes: list[str]
    """Salted hashes, sorted; none in a dry run."""
    rows_deleted: dict[str, int]
    """By `schema.table`, of every table that has a `visitor_id`."""
    load_ids: list[int]
    """Loads of the ledger that note the erasure: one for each day of which a row was deleted."""
    database_rewritten: bool
    spool_emptied: bool
    """Whether a killed pull had left files."""
    seconds: float


def forget(warehouse: Path, visitor_ids: list[str], *, dry_run: bool = False) -> Receipt:
    """Erases visitors, and sees to it that no later landing brings them back.

    Deletes their rows from every table with a `visitor_id`, in one transaction with their hashes
    and the ledger's counts, then writes the database file anew, for deleted rows stay in it. After
    a kill the same call again does what is left; what was done before stays done.

    Args:
        warehouse: The DuckDB file.
        visitor_ids: Ids as the export has them; a warehouse that hashes them needs the key.
        dry_run: Only count; nothing is changed.

    Raises:
        LoaderError: Nothing is landed, no id is given, the key is not the recorded one, the
            database or the spool is in use, or there is no disk space.
    """
    started = time.monotonic()
    forgotten_at = now_utc()
    stored_ids = stored(warehouse, str(warehouse), visitor_ids)
    if dry_run:
        with (
            open_warehouse(warehouse, read_only=True) as connection,
            asked(connection, stored_ids),
        ):
            rows = {table: _count(connection, table) for table in _visitor_tables(connection)}
        return Receipt(
            forgotten_at=forgotten_at,
            dry_run=True,
            visitors=len(stored_ids),
            visitor_hashes=[],
            rows_deleted=rows,
            load_ids=[],
            database_rewritten=False,
            spool_emptied=False,
            seconds=time.monotonic() - started,
        )
    check_space(warehouse)
    has_spool = spool_folder(warehouse).exists()
    with open_spool(warehouse), open_warehouse(warehouse) as connection:
        remove_overflow(warehouse)
        remove_unfinished(warehouse)
        connection.begin()
        create_tables(connection)
        hashes = forgotten.remember(connection, stored_ids, forgotten_at)
        with asked(connection, stored_ids):
            found = rows_by_day(connection, IN_DATABASE)
            load_ids = correct_ledger(connection, found, forgotten_at, started)
            rows = {table: delete(connection, table) for table in _visitor_tables(connection)}
        connection.commit()
        rewrite(connection, warehouse, lambda copy: note_erased(connection, f"{copy}."))
    return Receipt(
        forgotten_at=forgotten_at,
        dry_run=False,
        visitors=len(stored_ids),
        visitor_hashes=hashes,
        rows_deleted=rows,
        load_ids=load_ids,
        database_rewritten=True,
        spool_emptied=has_spool,
        seconds=time.monotonic() - started,
    )


def stored(warehouse: Path, name: str, visitor_ids: list[str]) -> list[str]:
    """The ids as the warehouse holds them, each once; `name` is what the user calls it.

    Raises:
        LoaderError: Nothing is landed, no id is given, or the key is not the recorded one.
    """
    if "" in visitor_ids or not visitor_ids:
        raise LoaderError(
            "no visitor is named, or an empty one: give their ids with --visitor-id or --from-file",
            ExitCode.USAGE,
        )
    if not warehouse.exists():
        raise ledger.nothing_landed(name)
    with open_warehouse(warehouse, read_only=True) as connection:
        if not ledger.exists(connection):
            raise ledger.nothing_landed(name)
        settled = privacy.settled(connection, {})
    return list(dict.fromkeys(map(settled.stored_visitor, visitor_ids)))


@contextmanager
def asked(connection: duckdb.DuckDBPyConnection, stored_ids: list[str]) -> Iterator[None]:
    """Has the ids in a table of this connection, in memory, for `is_asked`."""
    connection.execute(
        f"create temp table {_ASKED} as select unnest($1::varchar[]) as visitor_id", [stored_ids]
    )
    yield
    connection.execute(f"drop table {_ASKED}")


def _visitor_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """`schema.table`, quoted where need be, of every table that says whose its rows are."""
    return [
        name
        for (name,) in connection.execute(
            """
            select distinct
                case when regexp_full_match(schema_name, '[a-z_][a-z0-9_]*')
                    then schema_name else '"' || replace(schema_name, '"', '""') || '"' end
                || '.'
                || case when regexp_full_match(table_name, '[a-z_][a-z0-9_]*')
                    then table_name else '"' || replace(table_name, '"', '""') || '"' end as name
            from duckdb_columns()
            inner join duckdb_tables() using (database_name, schema_name, table_name)
            where database_name = current_database() and lower(column_name) = 'visitor_id'
            order by name
            """
        ).fetchall()
    ]


def is_asked() -> str:
    """SQL condition on `visitor_id`: one of those that `asked` was given; may be NULL."""
    return f"cast(visitor_id as varchar) in (select visitor_id from {_ASKED})"


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table} where {is_asked()}").fetchone()
    assert row is not None
    return int(row[0])


def delete(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Deletes the asked visitors' rows from a table, and counts them.

    Raises:
        LoaderError: Rows of another table refer to them; it says nothing of whose they are.
    """
    try:
        row = connection.execute(f"delete from {table} where {is_asked()}").fetchone()
    except duckdb.ConstraintException:
        # DuckDB's text quotes the key, and that is the visitor.
        raise LoaderError(
            f"rows of {table} are referred to by a foreign key of another table, so nothing is "
            "deleted: delete the rows there and run the command again",
            ExitCode.USAGE,
        ) from None
    assert row is not None
    return int(row[0])


def correct_ledger(
    connection: duckdb.DuckDBPyConnection,
    rows_by_day: Mapping[Unit, Mapping[int, int]],
    forgotten_at: datetime,
    started: float,
) -> list[int]:
    """Takes rows that are to be deleted out of the ledger's counts, in the open transaction.

    Args:
        connection: Connection with an open transaction.
        rows_by_day: Count of the rows by file id, of each day that has any; oldest day first.
        forgotten_at: UTC, without time zone.
        started: When the call began, by `time.monotonic()`.

    Returns:
        The loads that note it, one for each day.
    """
    load_ids = []
    landed = ledger.landed_days(connection)
    for unit, rows_of_file in rows_by_day.items():
        if (day := landed.get(unit)) is None:  # `verify` tells of rows without a day
            continue
        load_id = ledger.next_load_id(connection)
        ledger.take_out_rows(
            connection,
            day,
            rows_of_file,
            load_id=load_id,
            seconds=time.monotonic() - started,
            forgotten_at=forgotten_at,
        )
        load_ids.append(load_id)
    return load_ids


def rows_by_day(
    connection: duckdb.DuckDBPyConnection, storage: Storage
) -> dict[Unit, dict[int, int]]:
    """Count of the asked visitors' landed rows by day and file id, oldest day first."""
    found: dict[Unit, dict[int, int]] = {}
    for export_type, table in spec.TABLES.items():
        for _, rows in storage.rows(connection, table):
            for export_date, file_id, count in connection.execute(
                f"""
                select _export_date, _file_id, count(*) from {rows}
                where {is_asked()} group by all
                """
            ).fetchall():
                found.setdefault((export_type, export_date), {})[file_id] = count
    return dict(sorted(found.items(), key=lambda item: (item[0][1], item[0][0])))


def note_erased(connection: duckdb.DuckDBPyConnection, database: str = "") -> None:
    """Whoever is recorded as forgotten has no row any more: nothing is left of any of them.

    So this also completes what a killed call before left. `database` is the prefix of another than
    the connection's own.
    """
    connection.execute(
        f"""
        update {database}{ledger.SCHEMA}.forgotten_visitors set erased_at = $1
        where erased_at is null
        """,
        [now_utc()],
    )
