"""Warehouses that the loader's tests open share one DuckDB: to start one takes 40 ms of CPU.

The loader itself starts one each time (docs/decisions/0019): so do the processes that tests start,
and so does this one for whatever cannot be attached.
"""

from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from loader.landing import warehouse

OWN = "database of the tests"
"""The shared one's name: a warehouse may be called memory.duckdb."""

_FILES = "select database_name from duckdb_databases() where path is not null"

_connect = warehouse._connect


class Attached:
    """A connection to a file's database; to close it is to let go of the file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path):
        self._connection = connection
        self._overflow = warehouse.overflow_folder(path)
        paths = [str(path), str(path.resolve())]
        [(name,)] = connection.execute(f"{_FILES} and path in (?, ?)", paths).fetchall()
        self._name = warehouse.quoted_name(name)
        connection.execute(f"use {self._name}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def close(self) -> None:
        """What was not committed is rolled back.

        A DuckDB that cannot be used, or keeps what the loader attached, is not used again; nor is
        one that has a folder for what memory did not hold, for only its end removes it.
        """
        self._connection.close()
        try:
            others = _shared().execute(f"detach {self._name}; {_FILES}").fetchall()
            is_kept = not others and not self._overflow.exists()
        except duckdb.Error:
            is_kept = False
        if not is_kept:
            end()


def end() -> None:
    """Ends the shared one; the next opening starts another."""
    _shared().close()
    _shared.cache_clear()


def attach(path: Path, read_only: bool, deadline: float) -> Any:
    """In place of the loader's way to connect."""
    connection = _shared().cursor()
    mode = " (read_only)" if read_only else ""
    try:
        if not read_only and not path.exists():
            warehouse._create(path.resolve())
        connection.execute(
            f"""
            set temp_directory = {warehouse.quoted_path(warehouse.overflow_folder(path))};
            reset max_vacuum_tasks;
            attach {warehouse.quoted_path(path)}{mode};
            """
        )
    except duckdb.Error:
        connection.close()
        end()
        return _connect(path, read_only, deadline)
    return Attached(connection, path)


@cache
def _shared() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config=warehouse.CONFIG)
    name = warehouse.quoted_name(OWN)
    connection.execute(f"attach ':memory:' as {name}; use {name}; detach memory")
    return connection
