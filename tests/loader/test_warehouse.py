"""The DuckDB file and the transaction that lands a day: whatever fails in it, the old day stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from loader import ledger
from loader.errors import ExitCode, LoaderError
from loader.export.layout import open_export
from loader.landing.day import BadDay, FetchedDay, land_days
from loader.landing.fetch import Fetcher
from loader.landing.spool import open_spool
from loader.landing.warehouse import create_tables, open_warehouse
from tests.loader.exports import day, decision, decisions_of, everything, few_days, pull
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
