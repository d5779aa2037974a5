"""The DuckDB file and the transaction that lands a day: whatever fails in it, the old day stays."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader import ledger
from loader.errors import ExitCode, LoaderError
from loader.export.layout import open_export
from loader.landing.day import BadDay, FetchedDay, land_days
from loader.landing.fetch import Fetcher
from loader.landing.spool import open_spool, spool_folder, spool_path
from loader.landing.warehouse import create_tables, open_warehouse, path_pattern
from tests.loader.exports import (
    day,
    decision,
    decisions_of,
    everything,
    expected,
    few_days,
    pull,
    staged,
)
from tests.models.histories import write_state


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """Three days are landed."""
    pull(write_state(tmp_path / "export", few_days()), tmp_path / "w.duckdb")
    return tmp_path / "w.duckdb"


@pytest.fixture
def rewritten(tmp_path: Path, warehouse: Path) -> Iterator[FetchedDay]:
    """One of them was written again, and is fetched."""
    state = few_days() | decisions_of(day(1), decision("x", day(1)))
    export = open_export(str(write_state(tmp_path / "export", state)))
    found = export.day("decisions", day(1))
    with open_spool(warehouse) as spool, Fetcher(export, spool, [found.listed()]) as fetcher:
        for batch in fetcher:
            [fetched] = batch.values()
            assert isinstance(fetched, FetchedDay)
            yield fetched


@contextmanager
def nothing_changes(warehouse: Path) -> Iterator[None]:
    before = everything(warehouse)
    yield
    assert everything(warehouse) == before


def test_readers_of_older_versions_can_open_it(warehouse: Path) -> None:
    with duckdb.connect(warehouse, read_only=True) as connection:
        found = connection.execute(
            "select tags['storage_version'] from duckdb_databases() where not internal"
        ).fetchall()
    assert found == [("v1.4.0+",)]


def test_a_name_may_hold_a_quote(tmp_path: Path) -> None:
    with open_warehouse(tmp_path / "it's.duckdb") as connection:
        assert connection.execute("select current_database()").fetchall() == [("it's",)]


@pytest.mark.parametrize("name", ["w[1]", "w*", "w?"])
def test_a_path_is_read_as_it_is_written(tmp_path: Path, name: str) -> None:
    for number, folder in enumerate([name, "w1"]):
        (tmp_path / folder).mkdir()
        pq.write_table(pa.table({"n": [number]}), tmp_path / folder / "x.parquet")
    query = "select n from read_parquet($1)"
    assert duckdb.execute(query, [path_pattern(tmp_path / name / "x.parquet")]).fetchall() == [(0,)]


def test_landing_where_a_path_looks_like_a_pattern(tmp_path: Path) -> None:
    """Beside it a killed pull has left a file of the same key, of another export."""
    other = write_state(tmp_path / "other", decisions_of(day(0), decision("other", day(0))))
    asked = write_state(tmp_path / "asked", decisions_of(day(0), decision("asked", day(0))))
    [unit] = decisions_of(day(0))
    file = open_export(str(other)).day(*unit).files[0]
    for name in ("w1", "w2"):
        spool = spool_folder(tmp_path / name / "x.duckdb")
        spool.mkdir(parents=True)
        shutil.copy(other / file.key, spool_path(spool, unit, file))
    for name in ("w[1-2]", "w*"):
        pull(asked, tmp_path / name / "x.duckdb")
        assert staged(tmp_path / name / "x.duckdb") == expected(
            decisions_of(day(0), decision("asked", day(0)))
        )


def test_views_of_a_lake_are_no_tables(tmp_path: Path) -> None:
    """Neither in a transaction, which goes on, nor where they cannot be read."""
    with open_warehouse(tmp_path / "of_a_lake.duckdb") as connection:
        connection.execute(
            """
            create schema optimizely_ledger;
            create table gone as select 1 as load_id;
            create view optimizely_ledger.days as from gone;
            create table optimizely_ledger.loads as from gone;
            drop table gone;
            """
        )
        connection.begin()
        found = {name: ledger.has_table(connection, name) for name in ("days", "loads", "files")}
        assert found == {"days": False, "loads": True, "files": False}
        with pytest.raises(LoaderError, match="is built from a lake"):
            create_tables(connection)
        connection.rollback()


def test_a_day_is_replaced(warehouse: Path, rewritten: FetchedDay) -> None:
    [landed] = land_days(warehouse, [(rewritten, "changed")], "file:///here/")
    assert (landed.load_id, landed.row_count, landed.file_count) == (7, 1, 1)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_before_the_commit_leaves_the_old_day(
    warehouse: Path,
    rewritten: FetchedDay,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    _fail_last(monkeypatch, error("in the last statement"))
    with nothing_changes(warehouse), pytest.raises(error):
        land_days(warehouse, [(rewritten, "changed")], "file:///here/")


def test_a_full_disk_leaves_the_old_day(
    warehouse: Path, rewritten: FetchedDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_last(monkeypatch, duckdb.IOException("Could not write file: No space left on device"))
    with nothing_changes(warehouse), pytest.raises(LoaderError) as refused:
        land_days(warehouse, [(rewritten, "changed")], "file:///here/")
    assert refused.value.exit_code == ExitCode.NO_DISK_SPACE
    assert str(refused.value).endswith("free some space and run the command again")


def test_too_little_memory_leaves_the_old_day(
    warehouse: Path, rewritten: FetchedDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_last(monkeypatch, duckdb.OutOfMemoryException("failed to allocate data"))
    with nothing_changes(warehouse), pytest.raises(LoaderError) as refused:
        land_days(warehouse, [(rewritten, "changed")], "file:///here/")
    assert refused.value.exit_code == ExitCode.TRANSIENT


def test_rows_must_be_as_many_as_the_footers_say(warehouse: Path, rewritten: FetchedDay) -> None:
    footers = {
        file: replace(footer, row_count=footer.row_count + 1)
        for file, footer in rewritten.footers.items()
    }
    with nothing_changes(warehouse), pytest.raises(BadDay, match="rows read differ from the 2"):
        land_days(warehouse, [(replace(rewritten, footers=footers), "changed")], "file:///here/")


def _fail_last(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Lets the transaction fail after its last insert."""
    insert_files = ledger._insert_files

    def fail(*arguments: object) -> None:
        insert_files(*arguments)  # type: ignore[arg-type]
        raise error

    monkeypatch.setattr(ledger, "_insert_files", fail)
