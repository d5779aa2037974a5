"""The DuckDB file: opened only while it is read or written, and closed at once."""

import logging
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import duckdb

from loader import ledger, spec
from loader.errors import ExitCode, LoaderError, shown

LOCK_WAIT_SECONDS = 600.0
"""How long a database that another process holds is waited for: a `dbt build` takes minutes."""

STORAGE_VERSION = "v1.4.0"
"""Readers on DuckDB 1.x must be able to open the file."""

_SCHEMAS = {spec.RAW_SCHEMA, ledger.SCHEMA}

log = logging.getLogger(__name__)

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "storage_compatibility_version": STORAGE_VERSION,
    # Nothing is ever fetched from an extension repository.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    # Landed rows carry their file and row number; keeping their order too would only cost memory.
    "preserve_insertion_order": False,
}


@contextmanager
def open_warehouse(
    path: Path, *, read_only: bool = False, waits: bool = True
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens the warehouse, waiting for another process to let go of it.

    Args:
        path: The DuckDB file; created unless `read_only`.
        read_only: Open without the right to write.
        waits: Whether to wait for another process, or to say at once that there is one.

    Raises:
        LoaderError: In use for too long, not a DuckDB file, no disk space, or not permitted.
    """
    connection = None
    try:
        patience = LOCK_WAIT_SECONDS if waits else 0.0
        connection = _connect(path, read_only, time.monotonic() + patience)
        connection.execute("set TimeZone = 'UTC'")
        yield connection
    except duckdb.Error as error:
        if is_disk_full(error):
            raise _no_disk_space(path) from error
        if "Corrupt database file" in str(error):
            raise LoaderError(
                f"{shown(str(path))} is damaged: put a backup in its place, or pull into a new one",
                ExitCode.USAGE,
            ) from error
        if isinstance(error, duckdb.CatalogException | duckdb.BinderException):
            raise LoaderError(
                f"{shown(str(path))} has not the tables that `loader pull` makes "
                f"({shown(str(error).splitlines()[0])}): put a backup in its place, or pull into "
                "a new one",
                ExitCode.USAGE,
            ) from error
        raise
    except RuntimeError as error:
        if str(error) == "Query interrupted":  # how DuckDB tells of Ctrl-C
            raise KeyboardInterrupt from None
        raise
    finally:
        if connection is not None:
            connection.close()


def resolve_warehouse(path: Path) -> Path:
    """The warehouse as an absolute path: DuckDB reads `~` and `:memory:` in its own way.

    Raises:
        LoaderError: No file can have this path, or its folder cannot be looked into.
    """
    if path.name == ":memory:" or ":/" in str(path):
        raise LoaderError(
            f"the warehouse cannot be {shown(str(path))}: give the path of a DuckDB file",
            ExitCode.USAGE,
        )
    if path.stem.lower() in _SCHEMAS:  # the file's name is the database's in each query
        raise LoaderError(
            f"the warehouse cannot be {shown(str(path))}, for it holds a schema of that name: "
            "give another name with --warehouse",
            ExitCode.USAGE,
        )
    try:
        resolved = path.expanduser().absolute()
        str(resolved).encode()
        if "?" in str(resolved.parent):  # what follows it DuckDB takes for settings
            raise ValueError("its folder has a question mark")
        with suppress(FileNotFoundError, NotADirectoryError):
            kind = resolved.stat().st_mode  # exists() hides every error from Python 3.14 on
            if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # of a pipe DuckDB would wait
                raise ValueError("it is no file")
    except (OSError, RuntimeError, UnicodeError, ValueError) as error:
        raise LoaderError(
            f"no warehouse can be at {shown(str(path))} ({shown(_reason(error))}): "
            "give another path with --warehouse",
            ExitCode.USAGE,
        ) from error
    return resolved


def is_disk_full(error: duckdb.Error) -> bool:
    """Whether DuckDB failed for want of disk space."""
    message = str(error)
    return "No space left" in message or "could not allocate block" in message


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates the staging tables, the names' and the ledger where they are not there yet.

    Raises:
        LoaderError: The database is built from a lake: its sources are views.
    """
    if _is_built_from_a_lake(connection):
        raise LoaderError(
            "this warehouse is built from a lake: give the lake with --lake or another --warehouse",
            ExitCode.USAGE,
        )
    connection.execute(f"create schema if not exists {spec.RAW_SCHEMA}")
    for table in spec.TABLES.values():
        columns = [f'"{column.name}" {column.sql_type}' for column in table.columns]
        columns += [f"{name} {sql_type}" for name, sql_type in spec.LINEAGE_COLUMNS.items()]
        connection.execute(
            f"create table if not exists {table.qualified_name} ({', '.join(columns)})"
        )
    for name, types in spec.NAME_TABLES.items():
        columns = [f"{column} {sql_type}" for column, sql_type in types.items()]
        connection.execute(
            f"create table if not exists {spec.RAW_SCHEMA}.{name} ({', '.join(columns)})"
        )
    connection.execute(ledger.CREATE_TABLES)


@contextmanager
def tables_of_today() -> Iterator[duckdb.DuckDBPyConnection]:
    """The staging tables and the ledger as they are made today, empty and in memory."""
    with _in_memory().cursor() as connection:
        connection.execute("attach ':memory:' as today; use today")
        try:
            create_tables(connection)
            yield connection
        finally:
            connection.execute("use memory; detach today")


def is_current(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether all tables and columns are there that are made today, or nothing was ever landed."""
    if not ledger.exists(connection):
        return True
    try:
        connection.execute(_every_column())
    except (duckdb.BinderException, duckdb.CatalogException):
        return False
    return True


def _no_disk_space(path: Path) -> LoaderError:
    """The error for a full disk."""
    return LoaderError(
        f"no disk space left at {shown(str(path.parent))}; what was done so far is kept: "
        "free some space and run the command again",
        ExitCode.NO_DISK_SPACE,
    )


def _is_built_from_a_lake(connection: duckdb.DuckDBPyConnection) -> bool:
    if not ledger.has_schema(connection) or ledger.exists(connection):
        return False
    views = "select 1 from duckdb_views() where schema_name = ? limit 1"
    return bool(connection.execute(views, [ledger.SCHEMA]).fetchall())


@cache
def _in_memory() -> duckdb.DuckDBPyConnection:
    """A database without a file, the process's own: to open one takes as long as a small load."""
    return duckdb.connect(config=CONFIG)


@cache
def _every_column() -> str:
    """SQL that reads no row, and fails where a table or a column of today's is missing."""
    with tables_of_today() as connection:
        tables = connection.execute(
            """
            select schema_name, table_name, string_agg('"' || column_name || '"')
            from duckdb_columns() where database_name = current_database() group by all
            """
        ).fetchall()
    return ";".join(
        f"select {columns} from {schema}.{table} limit 0" for schema, table, columns in tables
    )


def _connect(path: Path, read_only: bool, deadline: float) -> duckdb.DuckDBPyConnection:
    is_told = False
    while True:
        try:
            if not read_only and not path.exists():
                _create(path.resolve())
            return duckdb.connect(path, read_only=read_only, config=CONFIG)
        except duckdb.Error as error:
            message = str(error)
            if not _is_in_use(message):
                if is_disk_full(error):
                    raise
                raise LoaderError(
                    f"cannot open the warehouse {shown(str(path))} "
                    f"({shown(message.splitlines()[0])}): "
                    "give a DuckDB file, or a path where one can be created, with --warehouse",
                    ExitCode.USAGE,
                ) from error
            held = f"the warehouse {shown(str(path))} is in use by {_holder(message)}"
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise LoaderError(
                    f"{held}: close it and run the command again", ExitCode.DATABASE_IN_USE
                ) from error
            if not is_told:
                log.info("%s; waiting up to %.0f seconds for it", held, remaining)
                is_told = True
            time.sleep(0.2)


def _is_in_use(message: str) -> bool:
    return ("lock" in message and "Conflicting" in message) or "Could not set lock" in message


def _holder(message: str) -> str:
    """Who holds the database, as far as DuckDB can tell."""
    found = re.search(r"PID (\d+)", message)
    process = f"process {found[1]}" if found else "another process"
    return f"{process} (dbt, a notebook?)"


def _create(path: Path) -> None:
    """Makes an empty database under another name, then gives it its own.

    A kill while DuckDB writes the headers of a new file leaves one that can never be opened again.
    """
    unfinished = unfinished_path(path)
    unfinished.unlink(missing_ok=True)
    try:
        with _in_memory().cursor() as connection:
            connection.execute(f"attach {quoted_path(unfinished)} as unfinished")
            connection.execute("detach unfinished")
    except duckdb.Error:
        _in_memory.cache_clear()  # a full disk may have ended it
        raise
    unfinished.rename(path)


def quoted_path(path: Path | str) -> str:
    """A path as a text in SQL."""
    text = str(path).replace("'", "''")
    return f"'{text}'"


def path_pattern(path: Path | str) -> str:
    """A pattern that only this path matches: DuckDB's readers take each path for a pattern."""
    return re.sub(r"[*?[]", r"[\g<0>]", str(path))


def quoted_name(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def unfinished_path(path: Path) -> Path:
    """Where a database file is made, until it is whole and gets its name."""
    return path.with_name(path.name + ".new")


def overflow_folder(path: Path) -> Path:
    """Where a DuckDB of this file puts what memory does not hold."""
    return path.with_name(path.name + ".tmp")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).splitlines()[0]
