"""Versions of a lake: each a commit file that names the folder of each of the ledger's tables."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

from loader import ledger, spec
from loader.errors import ExitCode, LoaderError, shown
from loader.lake.store import LakeStore
from loader.landing.warehouse import (
    create_tables,
    open_warehouse,
    path_pattern,
    quoted_path,
    tables_of_today,
)

COMMITS = "commits/"
LEDGER = "ledger/"
RETIRED = "retired_folders"
FORMAT = 1
"""Of the lake's layout; a loader refuses one that is newer than it knows."""

CREATE_TABLES = f"""
create table if not exists {ledger.SCHEMA}.lake_days (
    table_name varchar,
    export_date date,
    folder varchar,
    file_count bigint,
    row_count bigint,
    byte_count bigint,
    checksums map(varchar, varchar)
);
create table if not exists {ledger.SCHEMA}.{RETIRED} (
    folder varchar,
    retired_at timestamp
);
"""
"""What the ledger of a lake has beside a warehouse's.

`lake_days`: one row per landed day that has rows, the folder of its files, and by name their
SHA-256 in hex, NULL where an older loader wrote them. `retired_folders`: what older versions name
and the newest does not, to be deleted when nobody reads those any more.
"""


@dataclass(frozen=True)
class Version:
    """One version of a lake."""

    number: int
    folders: dict[str, str]
    """By table of the ledger or of names, its folder with a final slash."""
    hashes: dict[str, str]
    """By table, a hash of its rows: a table that did not change keeps its folder."""

    @property
    def name(self) -> str:
        """Name of the commit's file."""
        return f"{COMMITS}{self.number:020d}.json"


NO_VERSION = Version(0, {}, {})


def newest_version(store: LakeStore) -> Version:
    """The version that readers see; number 0 where nothing was ever committed.

    Raises:
        LoaderError: The lake was written by a newer loader, or holds something else.
    """
    commits = [file.name for file in store.files(COMMITS) if file.name.endswith(".json")]
    if not commits:
        return NO_VERSION
    name = max(commits)
    try:
        rows = [json.loads(line) for line in store.read(name).splitlines()]
        formats = {row["format"] for row in rows}
        version = Version(
            max(row["version"] for row in rows),
            {row["table_name"]: row["folder"] for row in rows},
            {row["table_name"]: row["rows_hash"] for row in rows},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LoaderError(
            f"{shown(store.address + name)} is no commit of a lake: give another --lake, or "
            "delete that file if nobody needs it",
            ExitCode.BAD_INPUT,
        ) from error
    if formats != {FORMAT}:
        raise LoaderError(
            f"{shown(store.address)} was written by a newer loader: update this one",
            ExitCode.USAGE,
        )
    return version


def load(version: Version, store: LakeStore, database: Path, folder: Path) -> None:
    """Makes a database with the ledger of a version, and staging tables without rows.

    Args:
        version: The version; of number 0 none is made, as for a warehouse that is new.
        store: The lake.
        database: The DuckDB file, which is not there yet.
        folder: Where files may be fetched to.
    """
    if version.number == 0:
        return
    with open_warehouse(database) as connection:
        create_tables(connection)
        connection.execute(CREATE_TABLES)
        for table, place in version.folders.items():
            rows = parquet(store.local(file, folder) for file in store.files(place))
            connection.execute(
                f"insert into {_qualified(table)} by name "
                f"select {with_times_exchanged(connection, rows)} from {rows}"
            )


def commit(
    connection: duckdb.DuckDBPyConnection, before: Version, store: LakeStore, folder: Path
) -> Version:
    """Makes what the database's ledger says the lake's newest version.

    Args:
        connection: The working database; what is retired by this is noted in it.
        before: The version that the database began with.
        store: The lake. The files of every day that the ledger names are there.
        folder: Where files may be made before they are stored.

    Returns:
        The new version, or `before` where nothing changed.

    Raises:
        LoaderError: Another process committed since.
    """
    tables = [table for table in _tables() if table != RETIRED]
    hashes = {table: _hash_of(connection, table) for table in tables}
    changed = [table for table in tables if hashes[table] != before.hashes.get(table)]
    if not changed:
        return before
    changed.append(RETIRED)
    if before.number:
        retire(
            connection, [before.name, *(before.folders[t] for t in changed if t in before.folders)]
        )
    hashes[RETIRED] = _hash_of(connection, RETIRED)
    number = before.number + 1
    folders = dict(before.folders)
    for table in changed:
        folders[table] = f"{LEDGER}{table}/{number:020d}-{secrets.token_hex(4)}/"
        path = folder / f"{table}.parquet"
        copy_rows(connection, _qualified(table), path)
        store.put(f"{folders[table]}{path.name}", path)
    version = Version(number, folders, hashes)
    lines = [
        {
            "format": FORMAT,
            "version": number,
            "table_name": table,
            "folder": folders[table],
            "rows_hash": hashes[table],
        }
        for table in sorted(folders)
    ]
    content = "".join(json.dumps(line) + "\n" for line in lines)
    if not store.create(version.name, content.encode()):
        raise LoaderError(
            f"another process wrote to the lake {shown(store.address)}: run the command again",
            ExitCode.DATABASE_IN_USE,
        )
    return version


def retire(connection: duckdb.DuckDBPyConnection, folders: list[str]) -> None:
    """Notes that the next version does not name these any more."""
    connection.execute(
        f"""
        insert into {ledger.SCHEMA}.{RETIRED}
        select unnest($1::varchar[]), cast(now() at time zone 'UTC' as timestamp)
        """,
        [folders],
    )


def copy_rows(
    connection: duckdb.DuckDBPyConnection, rows: str, path: Path, options: str = ""
) -> None:
    """Writes rows as Parquet, their times as instants: engines differ on times without a zone.

    Args:
        connection: The working database.
        rows: A table, or a select in parentheses.
        path: The file, or the folder where `options` ask for several.
        options: More of DuckDB's options, each after a comma.
    """
    connection.execute(
        f"copy (select {with_times_exchanged(connection, rows)} from {rows}) "
        f"to {quoted_path(path)} (format parquet, compression zstd{options})"
    )


def with_times_exchanged(connection: duckdb.DuckDBPyConnection, rows: str) -> str:
    """Select list of all columns, times as UTC instants where they have no zone, or back."""
    described = connection.execute(f"describe select * from {rows}").fetchall()
    return ", ".join(
        f'timezone(\'UTC\', "{name}") as "{name}"' if kind.startswith("TIMESTAMP") else f'"{name}"'
        for name, kind, *_ in described
    )


def _qualified(table: str) -> str:
    """Schema and name in the database of a table of the ledger or of names."""
    schema = spec.RAW_SCHEMA if table in spec.NAME_TABLES else ledger.SCHEMA
    return f"{schema}.{table}"


def parquet(paths: Iterable[Path]) -> str:
    """SQL that reads Parquet files."""
    files = ", ".join(quoted_path(path_pattern(path)) for path in paths)
    return f"read_parquet([{files}], union_by_name = true, hive_partitioning = false)"


@cache
def _tables() -> tuple[str, ...]:
    """Every table that a version holds."""
    with tables_of_today() as connection:
        connection.execute(CREATE_TABLES)
        found = connection.execute(
            "select table_name from duckdb_tables() where database_name = current_database() "
            "and schema_name = ? order by all",
            [ledger.SCHEMA],
        ).fetchall()
    return (*(name for (name,) in found), *spec.NAME_TABLES)


def _hash_of(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """Two tables with the same rows, in whatever order, have the same."""
    row = connection.execute(
        f"select count(*) || '-' || coalesce(sum(hash(whole)), 0) from {_qualified(table)} as whole"
    ).fetchone()
    assert row is not None
    return str(row[0])
