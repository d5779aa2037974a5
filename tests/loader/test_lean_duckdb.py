"""A warehouse that the tests share a DuckDB for is as the loader opens it."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from loader.landing import warehouse
from loader.landing.warehouse import open_warehouse
from tests.loader import lean_duckdb

APART = ("search_path", "enable_progress_bar")
"""By the first the file is the current database; the other one depends on what Python is run by."""

NAMES = ("w", "memory", "main", "temp", "it's", 'a"b', "my-data b.c", "select", " ", "ü")


def opened(path: Path) -> dict[str, Any]:
    """What a connection says of itself."""
    with open_warehouse(path) as connection:
        settings = connection.execute("select name, value from duckdb_settings()").fetchall()
        name = "select current_database(), current_schema()"
        tags = "select tags from duckdb_databases() where database_name = current_database()"
        return {
            "settings": {name: value for name, value in settings if name not in APART},
            "name": connection.execute(name).fetchall(),
            "tags": connection.execute(tags).fetchall(),
        }


@pytest.mark.parametrize("name", NAMES)
def test_it_is_as_the_loader_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / f"{name}.duckdb"
    lean = opened(path)
    monkeypatch.setattr(warehouse, "_connect", lean_duckdb._connect)
    assert lean == opened(path)


def test_settings_of_an_opening_end_with_it(tmp_path: Path) -> None:
    with open_warehouse(tmp_path / "a.duckdb") as connection:
        connection.execute("set max_vacuum_tasks = 0")
    settings = opened(tmp_path / "b.duckdb")["settings"]
    assert settings["max_vacuum_tasks"] == "100"


def test_what_memory_did_not_hold_is_removed(tmp_path: Path) -> None:
    with open_warehouse(tmp_path / "a.duckdb") as connection:
        connection.execute("set memory_limit = '40 MB'")
        connection.execute("create temp table t as select range as i from range(9_000_000)")
        assert (tmp_path / "a.duckdb.tmp").exists()
    assert list(tmp_path.iterdir()) == [tmp_path / "a.duckdb"]
    assert opened(tmp_path / "b.duckdb")["settings"]["memory_limit"] != "38.1 MiB"


def test_one_that_answers_nothing_is_not_used_again(tmp_path: Path) -> None:
    with pytest.raises(duckdb.Error), open_warehouse(tmp_path / "a.duckdb") as connection:
        lean_duckdb._shared().close()
        lean_duckdb._shared().execute("select 1")
    del connection
    assert opened(tmp_path / "a.duckdb")["name"] == [("a", "main")]
