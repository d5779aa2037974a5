"""The DuckDB file: opened only while it is read or written, and closed at once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from loader import ledger, spec
from loader.errors import ExitCode, LoaderError

LOCK_WAIT_SECONDS = 30.0
"""How long a database that another process holds is waited for."""

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    # Readers on DuckDB 1.x must be able to open the file.
    "storage_compatibility_version": "v1.4.0",
    # Nothing is ever fetched from an extension repository.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    # Landed rows carry their file and row number; keeping their order too would only cost memory.
    "preserve_insertion_order": False,
}


@contextmanager
def open_warehouse(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens the warehouse, waiting for another process to let go of it.

    Args:
        path: The DuckDB file; created unless `read_only`.
        read_only: Open without the right to write.

    Raises:
        LoaderError: In use for too long, not a DuckDB file, no disk space, or not permitted.
    """
    connection = _connect(path, read_only, time.monotonic() + LOCK_WAIT_SECONDS)
    try:
        connection.execute("set TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates the staging tables and the ledger where they are not there yet."""
    connection.execute(f"create schema if not exists {spec.RAW_SCHEMA}")
    for table in spec.TABLES.values():
        columns = [f'"{column.name}" {column.sql_type}' for column in table.columns]
        columns += [f"{name} {sql_type}" for name, sql_type in spec.LINEAGE_COLUMNS.items()]
        connection.execute(
            f"create table if not exists {table.qualified_name} ({', '.join(columns)})"
        )
    connection.execute(ledger.CREATE_TABLES)


def no_disk_space(path: Path) -> LoaderError:
    """The error for a full disk."""
    return LoaderError(
        f"no disk space left at {path.parent}; the days landed so far are kept: "
        "free some space and run the pull again",
        ExitCode.NO_DISK_SPACE,
    )


def _connect(path: Path, read_only: bool, deadline: float) -> duckdb.DuckDBPyConnection:
    while True:
        try:
            if not read_only and not path.exists():
                _create(path.resolve())
            return duckdb.connect(path, read_only=read_only, config=_CONFIG)
        except duckdb.Error as error:
            message = str(error)
            if ("lock" in message and "Conflicting" in message) or "Could not set lock" in message:
                if time.monotonic() > deadline:
                    raise LoaderError(
                        f"the warehouse {path} is in use by another process (dbt, a notebook?): "
                        "close it and run the command again",
                        ExitCode.DATABASE_IN_USE,
                    ) from error
                time.sleep(0.2)
                continue
            if "No space left" in message:
                raise no_disk_space(path) from error
            raise LoaderError(
                f"cannot open the warehouse {path} ({message.splitlines()[0]}): "
                "give a DuckDB file, or a path where one can be created, with --warehouse",
                ExitCode.USAGE,
            ) from error


def _create(path: Path) -> None:
    """Makes an empty database under another name, then gives it its own.

    A kill while DuckDB writes the headers of a new file leaves one that can never be opened again.
    """
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    duckdb.connect(unfinished, config=_CONFIG).close()
    unfinished.rename(path)
