"""The ledger: what is landed, written in the same transaction as the rows."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields, replace
from datetime import date, datetime

import duckdb

from loader.errors import ExitCode, LoaderError, shown
from loader.export.layout import ExportDay, ExportFile, Unit, contents_fingerprint
from loader.export.selection import Selection

SCHEMA = "optimizely_ledger"

NEW_COLUMNS = {
    "loads": {
        "rows_before": "bigint",
        "files_added": "bigint",
        "files_removed": "bigint",
        "files_replaced": "bigint",
    },
    "days": {"selection": "varchar", "is_complete": "boolean"},
    "files": {"erased_row_count": "bigint"},
}
"""Columns that a table got after its first version: an older warehouse gets them at its next load.

They are NULL in older rows; `is_complete`, once added, is true there. Read them through `current`,
for a reader cannot add them.
"""

_ADD_COLUMNS = "\n".join(
    f"alter table {SCHEMA}.{table} add column if not exists {name} {sql_type};"
    for table, columns in NEW_COLUMNS.items()
    for name, sql_type in columns.items()
)

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
create table if not exists {SCHEMA}.forgotten_visitors (
    visitor_hash varchar,
    forgotten_at timestamp,
    erased_at timestamp
);
create table if not exists {SCHEMA}.forgotten_salt (
    salt blob
);
create table if not exists {SCHEMA}.privacy (
    column_name varchar,
    treatment varchar,
    key_check varchar
);
{_ADD_COLUMNS}
"""
"""Tables of the ledger. `load_id` grows by one with every landed day, in commit order."""


@dataclass(frozen=True)
class LandedFile:
    """A file as the ledger holds it, beside its row count."""

    file: ExportFile
    file_id: int
    row_count: int
    erased_row_count: int = 0
    """Rows of forgotten visitors: in the file, not in the table, not in `row_count`."""


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
    def selection(self) -> Selection:
        """What was landed of the day."""
        return Selection.of(self.export_type, self.names)

    @property
    def unit(self) -> Unit:
        """The day's place in the ledger."""
        return (self.export_type, self.export_date)


@dataclass(frozen=True)
class Load:
    """One change of one landed day, as the ledger's table `loads` keeps it.

    `row_count`, `file_count` and `byte_count` are those of the day after it. `rows_before` and the
    counts of files are None in loads of a loader that did not note them yet.
    """

    load_id: int
    export_type: str
    export_date: date
    source: str
    reason: str
    file_count: int
    row_count: int
    byte_count: int
    seconds: float
    landed_at: datetime
    rows_before: int | None
    files_added: int | None
    files_removed: int | None
    files_replaced: int | None


def nothing_landed(name: str) -> LoaderError:
    """The error for a place, as the user calls it, that has no ledger yet."""
    return LoaderError(
        f"nothing is landed in {shown(name)}: give another one with --warehouse or --lake",
        ExitCode.USAGE,
    )


def exists(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether anything was ever landed in this warehouse."""
    return has_table(connection, "days")


def has_table(connection: duckdb.DuckDBPyConnection, table: str, schema: str = SCHEMA) -> bool:
    """Whether the ledger, or another schema, has this table: a warehouse may be older than it.

    The views of a warehouse that is built from a lake are no tables.
    """
    if not has_schema(connection, schema):
        return False
    try:
        # What fails would end the connection's transaction. Only tables have row ids; to find one
        # so takes a tenth of the time that the catalog takes to list them.
        connection.cursor().execute(f"select rowid from {schema}.{table} limit 0")
    except duckdb.Error:
        found = connection.execute(
            "select 1 from duckdb_tables() where schema_name = ? and table_name = ?",
            [schema, table],
        ).fetchall()
        return bool(found)
    return True


def has_schema(connection: duckdb.DuckDBPyConnection, schema: str = SCHEMA) -> bool:
    """Whether there is a schema of this name, that of the ledger or another one."""
    found = connection.execute(
        "select 1 from duckdb_schemas() "
        "where database_name = current_database() and schema_name = ?",
        [schema],
    ).fetchall()
    return bool(found)


def current(table: str) -> str:
    """SQL of a table of the ledger with all its columns, in an older warehouse too."""
    new = ", ".join(f"cast(null as {kind}) as {name}" for name, kind in NEW_COLUMNS[table].items())
    return f"(from {SCHEMA}.{table} union all by name select {new} where false)"


def landed_days(connection: duckdb.DuckDBPyConnection) -> dict[Unit, LandedDay]:
    """All landed days by (type, date); empty where nothing was ever landed."""
    if not exists(connection):
        return {}
    rows = connection.execute(
        f"""
        select export_type, export_date, load_id, source, fingerprint,
            file_count, row_count, byte_count, landed_at, selection, coalesce(is_complete, true)
        from {current("days")}
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


def landed_keys(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Type and key of one landed file for each experiment or event that some are of."""
    if not exists(connection):
        return []
    return connection.execute(
        f"""
        select export_type, any_value(key) from {SCHEMA}.files
        group by export_type, split_part(key, '/', 3)
        """
    ).fetchall()


def quarantined_files(connection: duckdb.DuckDBPyConnection) -> dict[Unit, set[ExportFile]]:
    """The bad files of each day that could not be landed, as they were listed."""
    files: dict[Unit, set[ExportFile]] = {}
    if exists(connection):
        for export_type, export_date, *listed in connection.execute(
            f"select export_type, export_date, key, size, etag from {SCHEMA}.quarantined_files"
        ).fetchall():
            files.setdefault((export_type, export_date), set()).add(ExportFile(*listed))
    return files


def loads(connection: duckdb.DuckDBPyConnection) -> list[Load]:
    """Every load, newest first; empty where nothing was ever landed."""
    if not exists(connection):
        return []
    names = ", ".join(field.name for field in fields(Load))
    rows = connection.execute(
        f"select {names} from {current('loads')} order by load_id desc"
    ).fetchall()
    return [Load(*row) for row in rows]


def pruned_units(connection: duckdb.DuckDBPyConnection) -> set[Unit]:
    """Days that were landed and then pruned."""
    if not exists(connection):
        return set()
    return {
        (export_type, export_date)
        for export_type, export_date in connection.execute(
            f"""
            select export_type, export_date from {SCHEMA}.loads
            group by export_type, export_date
            having arg_max(reason, load_id) = 'pruned'
            """
        ).fetchall()
    }


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
        byte_count=sum(file.file.size for file in files),
        landed_at=landed_at,
        names=day.selection.names(day.export_type),
        is_complete=not bad_files and day.selection.is_everything(day.export_type),
    )
    files_before, rows_before = _before(connection, landed.unit, source)
    now = {file.file.key: file.file for file in files}
    common = now.keys() & files_before.keys()
    _delete_day(connection, landed.unit, "days", "files")
    record_quarantine(connection, landed.unit, bad_files, landed_at)
    _insert_load(
        connection,
        Load(
            load_id=load_id,
            export_type=landed.export_type,
            export_date=landed.export_date,
            source=source,
            reason=reason,
            file_count=landed.file_count,
            row_count=landed.row_count,
            byte_count=landed.byte_count,
            seconds=seconds,
            landed_at=landed_at,
            rows_before=rows_before,
            files_added=len(now.keys() - common),
            files_removed=len(files_before.keys() - common),
            files_replaced=sum(_is_other(now[key], files_before[key]) for key in common),
        ),
    )
    _insert_day(connection, landed)
    _insert_files(connection, landed.unit, files)
    return landed


def remove_day(
    connection: duckdb.DuckDBPyConnection,
    landed: LandedDay,
    *,
    load_id: int,
    seconds: float,
    removed_at: datetime,
) -> None:
    """Notes in the open transaction that a landed day was pruned: nothing is left of it."""
    _delete_day(connection, landed.unit, "days", "files", "quarantined_files")
    _insert_load(
        connection,
        Load(
            load_id=load_id,
            export_type=landed.export_type,
            export_date=landed.export_date,
            source=landed.source,
            reason="pruned",
            file_count=0,
            row_count=0,
            byte_count=0,
            seconds=seconds,
            landed_at=removed_at,
            rows_before=landed.row_count,
            files_added=0,
            files_removed=landed.file_count,
            files_replaced=0,
        ),
    )


def take_out_rows(
    connection: duckdb.DuckDBPyConnection,
    landed: LandedDay,
    rows_of_file: Mapping[int, int],
    *,
    load_id: int,
    seconds: float,
    forgotten_at: datetime,
) -> None:
    """Notes in the open transaction that rows of forgotten visitors are no longer in the table.

    Args:
        connection: Connection with an open transaction.
        landed: The day, as it was.
        rows_of_file: Count of the rows by file id.
        load_id: From `next_load_id`, in the same transaction; the rows that stay keep theirs.
        seconds: Time it took so far.
        forgotten_at: UTC, without time zone.
    """
    row_count = landed.row_count - sum(rows_of_file.values())
    connection.execute(
        f"""
        update {SCHEMA}.files set
            row_count = row_count - rows_gone,
            erased_row_count = coalesce(erased_row_count, 0) + rows_gone
        from (
            select unnest($3::bigint[]) as gone_from, unnest($4::bigint[]) as rows_gone
        )
        where export_type = $1 and export_date = $2 and file_id = gone_from
        """,
        [*landed.unit, list(rows_of_file.keys()), list(rows_of_file.values())],
    )
    connection.execute(
        f"update {SCHEMA}.days set row_count = ? where export_type = ? and export_date = ?",
        [row_count, *landed.unit],
    )
    _insert_load(
        connection,
        Load(
            load_id=load_id,
            export_type=landed.export_type,
            export_date=landed.export_date,
            source=landed.source,
            reason="forgotten",
            file_count=landed.file_count,
            row_count=row_count,
            byte_count=landed.byte_count,
            seconds=seconds,
            landed_at=forgotten_at,
            rows_before=landed.row_count,
            files_added=0,
            files_removed=0,
            files_replaced=0,
        ),
    )


def _insert_load(connection: duckdb.DuckDBPyConnection, load: Load) -> None:
    """Writes one row of `loads`."""
    names = [field.name for field in fields(Load)]
    connection.execute(
        f"""
        insert into {SCHEMA}.loads ({", ".join(names)})
        values ({", ".join("?" for _ in names)})
        """,
        list(astuple(load)),
    )


def adopt(
    connection: duckdb.DuckDBPyConnection, landed: LandedDay, day: ExportDay, source: str
) -> None:
    """Notes that a landed day's files now stand, the same, in another store.

    From then on the new store's ETags are compared, so a later rewrite there is seen.
    """
    known = {
        key: counts
        for key, *counts in connection.execute(
            f"""
            select key, file_id, row_count, coalesce(erased_row_count, 0) from {SCHEMA}.files
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


def _before(
    connection: duckdb.DuckDBPyConnection, unit: Unit, source: str
) -> tuple[dict[str, ExportFile], int]:
    """A day's files by key and its row count so far; no ETags where they are another store's."""
    rows = connection.execute(
        f"""
        select files.key, files.size, case when days.source = ? then files.etag end
        from {SCHEMA}.files
        inner join {SCHEMA}.days using (export_type, export_date)
        where export_type = ? and export_date = ?
        """,
        [source, *unit],
    ).fetchall()
    count = connection.execute(
        f"""
        select coalesce(sum(row_count), 0) from {SCHEMA}.days
        where export_type = ? and export_date = ?
        """,
        list(unit),
    ).fetchone()
    assert count is not None
    return {key: ExportFile(key, size, etag) for key, size, etag in rows}, int(count[0])


def _is_other(file: ExportFile, before: ExportFile) -> bool:
    """Whether a file of the same key holds something else, as far as can be said."""
    return file.size != before.size or (before.etag is not None and file.etag != before.etag)


def _delete_day(connection: duckdb.DuckDBPyConnection, unit: Unit, *tables: str) -> None:
    for table in tables:
        connection.execute(
            f"delete from {SCHEMA}.{table} where export_type = ? and export_date = ?", list(unit)
        )


def _insert_day(connection: duckdb.DuckDBPyConnection, landed: LandedDay) -> None:
    connection.execute(
        f"""
        insert into {SCHEMA}.days (
            export_type, export_date, load_id, source, fingerprint,
            file_count, row_count, byte_count, landed_at, selection, is_complete
        )
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
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
        insert into {SCHEMA}.files (
            file_id, export_type, export_date, key, size, etag, row_count, erased_row_count
        )
        select unnest($1::bigint[]), $2, $3, unnest($4::varchar[]), unnest($5::bigint[]),
            unnest($6::varchar[]), unnest($7::bigint[]), unnest($8::bigint[])
        """,
        [
            [file.file_id for file in files],
            *unit,
            [file.file.key for file in files],
            [file.file.size for file in files],
            [file.file.etag for file in files],
            [file.row_count for file in files],
            [file.erased_row_count for file in files],
        ],
    )
