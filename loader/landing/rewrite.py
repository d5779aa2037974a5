"""Writes the database file anew: what was deleted in it stays in the file until then."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb

from loader.errors import ExitCode, LoaderError, shown
from loader.landing.durable import sync
from loader.landing.warehouse import (
    STORAGE_VERSION,
    is_disk_full,
    overflow_folder,
    quoted_name,
    quoted_path,
    unfinished_path,
)

_CATALOG = {
    "schemas": "schema_name, comment",
    "tables": "schema_name, table_name, sql, comment",
    "columns": "schema_name, table_name, column_name, data_type, is_nullable, comment",
    "views": "schema_name, view_name, sql, comment",
    "constraints": "schema_name, table_name, constraint_text",
    "indexes": "schema_name, table_name, index_name, sql",
    "sequences": "schema_name, sequence_name",
    "functions": "schema_name, function_name, macro_definition",
    "types": "schema_name, type_name, logical_type",
}
"""What must be the same in the copy, by function `duckdb_…()`."""

_COPY = "rewritten"


def check_space(warehouse: Path) -> None:
    """Refuses a rewrite for which there is no room: the old and the new file stand side by side.

    Raises:
        LoaderError: No disk space.
    """
    file = warehouse.resolve()
    needed = sum(path.stat().st_size for path in (file, _log_of(file)) if path.exists())
    free = shutil.disk_usage(file.parent).free
    if free < needed:
        raise LoaderError(
            f"the database is written anew, which takes {needed:,} bytes at "
            f"{shown(str(file.parent))}, where {free:,} are free: free some space and try again",
            ExitCode.NO_DISK_SPACE,
        )


def rewrite(
    connection: duckdb.DuckDBPyConnection, warehouse: Path, finish: Callable[[str], None]
) -> None:
    """Replaces the database file by a copy of what it holds; a kill leaves the one or the other.

    Args:
        connection: The warehouse, open to write, with no open transaction. It stays locked, by
            this connection, until the new file has its place; the connection is of no use then.
        warehouse: The same warehouse's file.
        finish: Called with the name of the copy, once it is the same, to change something in it.

    Raises:
        LoaderError: No disk space, or the copy is not the same; the old file stays.
    """
    file = warehouse.resolve()
    unfinished = unfinished_path(file)
    remove_unfinished(file)
    connection.execute("force checkpoint")
    row = connection.execute("select current_database()").fetchone()
    assert row is not None
    name = row[0]
    copy = _COPY if name != _COPY else f"{_COPY}_2"
    try:
        connection.execute(
            f"attach {quoted_path(unfinished)} as {copy} (storage_version '{STORAGE_VERSION}')"
        )
        connection.execute(f"copy from database {quoted_name(name)} to {copy}")
        if differing := _differences(connection, name, copy):
            raise _cannot_copy(f"{differing} would not be the same")
        finish(copy)
        connection.execute(f"detach {copy}")
    except duckdb.Error as error:
        remove_unfinished(file)
        if is_disk_full(error):
            raise LoaderError(
                f"no disk space left at {shown(str(file.parent))} to write the database anew: "
                "free some space and run the command again",
                ExitCode.NO_DISK_SPACE,
            ) from error
        raise _cannot_copy(str(error).splitlines()[0]) from error
    except BaseException:
        remove_unfinished(file)
        raise
    # The log of the old file would be taken for the new one's.
    if _log_of(file).exists() or _log_of(unfinished).exists():
        raise RuntimeError("a write-ahead log is left after a checkpoint")
    shutil.copymode(file, unfinished)
    owner = file.stat()
    with suppress(PermissionError):  # only root may give a file away
        os.chown(unfinished, owner.st_uid, owner.st_gid)
    sync(unfinished)
    unfinished.rename(file)
    sync(file.parent)


def remove_unfinished(warehouse: Path) -> None:
    """Removes what a killed rewrite left."""
    unfinished = unfinished_path(warehouse.resolve())
    for path in (unfinished, _log_of(unfinished)):
        path.unlink(missing_ok=True)


def remove_overflow(warehouse: Path) -> None:
    """Removes what a killed process left where DuckDB puts what memory does not hold.

    Only for who has the warehouse open to write, and has not asked it anything yet.
    """
    for file in {warehouse, warehouse.resolve()}:
        shutil.rmtree(overflow_folder(file), ignore_errors=True)


def _differences(connection: duckdb.DuckDBPyConnection, name: str, copy: str) -> str:
    """Names what is not the same in both; empty where all is."""
    differing = [
        kind
        for kind, columns in _CATALOG.items()
        if _catalog(connection, kind, columns, name) != _catalog(connection, kind, columns, copy)
    ]
    tables = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = ?", [name]
    ).fetchall()
    for schema, table in tables:
        place = f"{quoted_name(schema)}.{quoted_name(table)}"
        contents = [
            connection.execute(
                f"select count(*), sum(hash(whole)) from {quoted_name(database)}.{place} as whole"
            ).fetchall()
            for database in (name, copy)
        ]
        if contents[0] != contents[1]:
            differing.append(f"{schema}.{table}")
    return ", ".join(differing)


def _catalog(
    connection: duckdb.DuckDBPyConnection, kind: str, columns: str, database: str
) -> Counter[Any]:
    rows = connection.execute(
        f"select {columns} from duckdb_{kind}() where database_name = ? and not internal"
        if kind not in ("constraints", "indexes", "sequences")
        else f"select {columns} from duckdb_{kind}() where database_name = ?",
        [database],
    ).fetchall()
    return Counter(map(repr, rows))


def _cannot_copy(reason: str) -> LoaderError:
    return LoaderError(
        f"the rows are deleted, but the database cannot be written anew ({shown(reason)}): "
        "mend or drop that by hand and run the command again",
        ExitCode.USAGE,
    )


def _log_of(file: Path) -> Path:
    return file.with_name(file.name + ".wal")
