"""The ledger: what is landed, written in the same transaction as the rows."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime

import duckdb

from loader.export.layout import ExportDay, ExportFile, Unit, contents_fingerprint

SCHEMA = "optimizely_ledger"

CREATE_TABLES = f"""
create schema if not exists {SCHEMA};
create table if not exists {SCHEMA}.loads (
    load_id bigint,
    export_type varchar,
    export_date date,
    source varchar,
    reason varchar,
    file_count bigint,
    row_count bigint,
    byte_count bigint,
    seconds double,
    landed_at timestamp
);
create table if not exists {SCHEMA}.days (
    export_type varchar,
    export_date date,
    load_id bigint,
    source varchar,
    fingerprint varchar,
    file_count bigint,
    row_count bigint,
    byte_count bigint,
    landed_at timestamp,
    selection varchar,
    is_complete boolean
);
alter table {SCHEMA}.days add column if not exists selection varchar;
alter table {SCHEMA}.days add column if not exists is_complete boolean default true;
create table if not exists {SCHEMA}.files (
    file_id bigint,
    export_type varchar,
    export_date date,
    key varchar,
    size bigint,
    etag varchar,
    row_count bigint
);
create table if not exists {SCHEMA}.quarantined_files (
    export_type varchar,
    export_date date,
    key varchar,
    size bigint,
    etag varchar,
    reason varchar,
    quarantined_at timestamp
);
create table if not exists {SCHEMA}.changed_visitors (
    load_id bigint,
    visitor_id varchar
);
"""
"""Tables of the ledger. `load_id` grows by one with every landed day, in commit order."""


@dataclass(frozen=True)
class LandedFile:
    """A file as the ledger holds it, beside its row count."""

    file: ExportFile
    file_id: int
    row_count: int


@dataclass(frozen=True)
class LandedDay:
    """A day as the ledger holds it."""

    export_type: str
    export_date: date
    load_id: int
    source: str
    fingerprint: str
    file_count: int
    row_count: int
    byte_count: int
    landed_at: datetime
    names: frozenset[str] = frozenset()
    """Folders' names that were landed of it, as in `Selection.names`; empty: the whole day."""
    is_complete: bool = True
    """Whether every file of the whole day is landed."""

    @property
    def unit(self) -> Unit:
        """The day's place in the ledger."""
        return (self.export_type, self.export_date)


def exists(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether anything was ever landed in this warehouse."""
    found = connection.execute(
        "select count(*) from duckdb_tables() where schema_name = ? and table_name = 'days'",
        [SCHEMA],
    ).fetchone()
    return found is not None and found[0] > 0


def landed_days(connection: duckdb.DuckDBPyConnection) -> dict[Unit, LandedDay]:
    """All landed days by (type, date); empty where nothing was ever landed."""
    if not exists(connection):
        return {}
    rows = connection.execute(
        f"""
        select export_type, export_date, load_id, source, fingerprint,
            file_count, row_count, byte_count, landed_at, selection, is_complete
        from {SCHEMA}.days
        order by export_type, export_date
        """
    ).fetchall()
    days = []
    for *columns, selection, is_complete in rows:
        day = LandedDay(*columns)
        names = frozenset(json.loads(selection or "[]"))
        days.append(replace(day, names=names, is_complete=is_complete))
    return {day.unit: day for day in days}


def landed_contents(connection: duckdb.DuckDBPyConnection, unit: Unit) -> str:
    """`contents_fingerprint` of a landed day's files."""
    rows = connection.execute(
        f"select key, size from {SCHEMA}.files where export_type = ? and export_date = ?",
        list(unit),
    ).fetchall()
    return contents_fingerprint((key, size) for key, size in rows)


def landed_files(connection: duckdb.DuckDBPyConnection, unit: Unit) -> set[ExportFile]:
    """A landed day's files, as they were listed."""
    rows = connection.execute(
        f"select key, size, etag from {SCHEMA}.files where export_type = ? and export_date = ?",
        list(unit),
    ).fetchall()
    return {ExportFile(*row) for row in rows}


def quarantined_files(connection: duckdb.DuckDBPyConnection) -> dict[Unit, set[ExportFile]]:
    """The bad files of each day that could not be landed, as they were listed."""
    files: dict[Unit, set[ExportFile]] = {}
    if exists(connection):
        for export_type, export_date, *listed in connection.execute(
            f"select export_type, export_date, key, size, etag from {SCHEMA}.quarantined_files"
        ).fetchall():
            files.setdefault((export_type, export_date), set()).add(ExportFile(*listed))
    return files


def next_load_id(connection: duckdb.DuckDBPyConnection) -> int:
    """The id of the load that the open transaction is."""
    row = connection.execute(f"select coalesce(max(load_id), 0) + 1 from {SCHEMA}.loads").fetchone()
    assert row is not None
    return int(row[0])


def record_load(
    connection: duckdb.DuckDBPyConnection,
    *,
    load_id: int,
    day: ExportDay,
    source: str,
    reason: str,
    files: Iterable[LandedFile],
    bad_files: dict[ExportFile, str],
    seconds: float,
    landed_at: datetime,
) -> LandedDay:
    """Writes one landed day into the open transaction, replacing what the ledger held of it.

    Args:
        connection: Connection with an open transaction.
        load_id: From `next_load_id`, in the same transaction.
        day: The day as listed at the source.
        source: Identity of the store, within which ETags can be compared.
        reason: Why it was landed: `new`, `changed`, `widened` or `forced`.
        files: Every landed file of the day, with its row count.
        bad_files: Those left out, each with what is wrong with it.
        seconds: Time the landing took so far.
        landed_at: UTC, without time zone.
    """
    files = list(files)
    landed = LandedDay(
        export_type=day.export_type,
        export_date=day.export_date,
        load_id=load_id,
        source=source,
        fingerprint=day.fingerprint,
        file_count=len(files),
        row_count=sum(file.row_count for file in files),
        byte_count=day.byte_count,
        landed_at=landed_at,
        names=day.selection.names(day.export_type),
        is_complete=not bad_files and day.selection.is_everything(day.export_type),
    )
    _delete_day(connection, landed.unit, "days", "files")
    record_quarantine(connection, landed.unit, bad_files, landed_at)
    connection.execute(
        f"insert into {SCHEMA}.loads values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            load_id,
            *landed.unit,
            source,
            reason,
            landed.file_count,
            landed.row_count,
            landed.byte_count,
            seconds,
            landed_at,
        ],
    )
    _insert_day(connection, landed)
    _insert_files(connection, landed.unit, files)
    return landed


def adopt(
    connection: duckdb.DuckDBPyConnection, landed: LandedDay, day: ExportDay, source: str
) -> None:
    """Notes that a landed day's files now stand, the same, in another store.

    From then on the new store's ETags are compared, so a later rewrite there is seen.
    """
    known = {
        key: (file_id, row_count)
        for key, file_id, row_count in connection.execute(
            f"""
            select key, file_id, row_count from {SCHEMA}.files
            where export_type = ? and export_date = ?
            """,
            list(landed.unit),
        ).fetchall()
    }
    _delete_day(connection, landed.unit, "days", "files")
    _insert_day(connection, replace(landed, source=source, fingerprint=day.fingerprint))
    _insert_files(
        connection, landed.unit, [LandedFile(file, *known[file.key]) for file in day.files]
    )


def record_quarantine(
    connection: duckdb.DuckDBPyConnection,
    unit: Unit,
    bad_files: dict[ExportFile, str],
    quarantined_at: datetime,
) -> None:
    """Replaces what is quarantined of a day; the landed rows of the day stay as they were."""
    _delete_day(connection, unit, "quarantined_files")
    for file, reason in bad_files.items():
        connection.execute(
            f"insert into {SCHEMA}.quarantined_files values (?, ?, ?, ?, ?, ?, ?)",
            [*unit, file.key, file.size, file.etag, reason, quarantined_at],
        )


def _delete_day(connection: duckdb.DuckDBPyConnection, unit: Unit, *tables: str) -> None:
    for table in tables:
        connection.execute(
            f"delete from {SCHEMA}.{table} where export_type = ? and export_date = ?", list(unit)
        )


def _insert_day(connection: duckdb.DuckDBPyConnection, landed: LandedDay) -> None:
    connection.execute(
        f"insert into {SCHEMA}.days values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            *landed.unit,
            landed.load_id,
            landed.source,
            landed.fingerprint,
            landed.file_count,
            landed.row_count,
            landed.byte_count,
            landed.landed_at,
            json.dumps(sorted(landed.names)) if landed.names else None,
            landed.is_complete,
        ],
    )


def _insert_files(
    connection: duckdb.DuckDBPyConnection, unit: Unit, files: list[LandedFile]
) -> None:
    # One statement over lists: a thousand single inserts would cost more than landing the rows.
    connection.execute(
        f"""
        insert into {SCHEMA}.files
        select unnest($1::bigint[]), $2, $3, unnest($4::varchar[]), unnest($5::bigint[]),
            unnest($6::varchar[]), unnest($7::bigint[])
        """,
        [
            [file.file_id for file in files],
            *unit,
            [file.file.key for file in files],
            [file.file.size for file in files],
            [file.file.etag for file in files],
            [file.row_count for file in files],
        ],
    )
