"""Keeps landed rows in a lake: one folder a day, and a commit after every change of the ledger."""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from hashlib import file_digest, sha256
from os import environ
from pathlib import Path

import duckdb

from loader import ledger, spec
from loader.errors import NOT_UTF8, ExitCode, LoaderError, shown
from loader.lake import commits
from loader.lake.store import FolderLake, LakeStore, StoredFile, open_lake_store
from loader.landing.spool import open_spool
from loader.landing.storage import note_visitors
from loader.landing.warehouse import create_tables, open_warehouse

KEPT = timedelta(days=1)
"""How long files stay that the newest version does not name: whoever began to read an older one
may still be at it. Erasures do not wait."""

FILE_BYTES = 512 * 1024**2
"""Where a day's file is so large, another one begins."""

ORDER = "visitor_id, timestamp, _file_id, _file_row"
DATABASE_NAME = "ledger.duckdb"


class LakeStorage:
    """A lake, and a database on this machine with its ledger: the working copy of one command."""

    def __init__(self, store: LakeStore, folder: Path, version: commits.Version):
        """`folder` is empty; the working copy, and what is on its way, is there."""
        self.store = store
        self.database = folder / DATABASE_NAME
        self.notes: list[str] = []
        self._folder = folder
        self._version = version
        commits.load(self._version, store, self.database, folder)

    def check_unchanged(self) -> None:
        """See the function of this name."""
        check_unchanged(self.store, self._version)

    def name(self, database: Path) -> str:
        """See Storage.name."""
        return self.store.address

    def rows(
        self, connection: duckdb.DuckDBPyConnection, table: spec.Table
    ) -> Iterator[tuple[date, str]]:
        """See Storage.rows. A day at a time, times as the staging table has them."""
        for export_date in self.dates(connection, table):
            with self.day_rows(connection, table, export_date) as rows:
                yield export_date, rows

    def dates(self, connection: duckdb.DuckDBPyConnection, table: spec.Table) -> list[date]:
        """Days of a table that have rows, in order."""
        found = connection.execute(
            f"""
            select export_date from {ledger.SCHEMA}.lake_days
            where table_name = ? order by export_date
            """,
            [table.name],
        ).fetchall()
        return [export_date for (export_date,) in found]

    @contextmanager
    def day_rows(
        self, connection: duckdb.DuckDBPyConnection, table: spec.Table, export_date: date
    ) -> Iterator[str]:
        """SQL of the rows of a day that has some, as the staging table has them.

        Of files that somebody deleted there are none: `verify` reports them, a landing mends them.

        Raises:
            LoaderError: A file is not as it was written.
        """
        landed = self._landed(connection, table, export_date)
        assert landed is not None
        folder, checksums = landed
        files = self.store.files(folder)
        paths = [self.store.local(file, self._folder) for file in files]
        stored = commits.parquet(paths) if paths else table.qualified_name  # which is empty
        try:
            for file, path in zip(files, paths, strict=True):
                written = checksums.get(file.name.removeprefix(folder))
                if written not in (None, _checksum(path)):
                    raise _damaged(f"{file.name} is not as it was written")
            yield f"(select {commits.with_times_exchanged(connection, stored)} from {stored})"
        finally:
            for path in paths:
                self.store.release(path)

    def remove_rows(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: spec.Table,
        export_date: date,
        load_id: int,
    ) -> None:
        """See Storage.remove_rows. The files stay for those who read them now."""
        connection.execute(commits.CREATE_TABLES)
        if self._landed(connection, table, export_date) is not None:
            with self.day_rows(connection, table, export_date) as rows:
                note_visitors(connection, rows, load_id)
                self._note_lost_rows(connection, table, export_date, rows)
            self._forget_folder(connection, table, export_date)

    def replace_rows(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: spec.Table,
        export_date: date,
        load_id: int,
        rows: str,
    ) -> None:
        """Stores other rows for a day, in the open transaction; the next `publish` shows them.

        Args:
            connection: The working database.
            table: The day's table.
            export_date: The day.
            load_id: The load that its rows are of.
            rows: SQL of the rows, as the staging table has them.
        """
        self._forget_folder(connection, table, export_date)
        row = connection.execute(f"select count(*) from {rows}").fetchone()
        assert row is not None
        if row[0] == 0:
            return
        folder = f"{table.name}/export_date={export_date}/{load_id:020d}-{secrets.token_hex(4)}/"
        out = self._folder / "day"
        columns = ", ".join(
            f'"{name}"' for name in [*(c.name for c in table.columns), *spec.LINEAGE_COLUMNS]
        )
        connection.execute("set preserve_insertion_order = true")
        commits.copy_rows(
            connection,
            f"(select {columns} from {rows} order by {ORDER})",
            out,
            f", file_size_bytes {FILE_BYTES}, filename_pattern 'part-{{i}}'",
        )
        connection.execute("set preserve_insertion_order = false")
        paths = sorted(out.iterdir())
        byte_count = sum(path.stat().st_size for path in paths)
        checksums = {path.name: _checksum(path) for path in paths}
        for path in paths:
            self.store.put(folder + path.name, path)
        out.rmdir()
        connection.execute(
            f"insert into {ledger.SCHEMA}.lake_days values (?, ?, ?, ?, ?, ?, ?)",
            [table.name, export_date, folder, len(paths), row[0], byte_count, checksums],
        )

    def publish(self) -> None:
        """See Storage.publish: what is in the staging tables becomes files, then a commit."""
        with open_warehouse(self.database) as connection:
            connection.begin()
            create_tables(connection)
            connection.execute(commits.CREATE_TABLES)
            for table in spec.TABLES.values():
                days = connection.execute(
                    f"select _export_date, max(_load_id) from {table.qualified_name} group by all"
                ).fetchall()
                for export_date, load_id in sorted(days):
                    rows = f"(from {table.qualified_name} where _export_date = '{export_date}')"
                    self.replace_rows(connection, table, export_date, load_id, rows)
                if days:
                    connection.execute(f"drop table {table.qualified_name}")
            create_tables(connection)
            self._version = commits.commit(connection, self._version, self.store, self._folder)
            connection.commit()

    def clean(self, kept: timedelta = KEPT) -> None:
        """Deletes the files that nobody needs: retired ones, and what killed commands left.

        Args:
            kept: How long ago they must have been retired, or written.
        """
        before = datetime.now(UTC) - kept
        with open_warehouse(self.database) as connection:
            current = {
                folder
                for (folder,) in connection.execute(
                    f"select folder from {ledger.SCHEMA}.lake_days"
                ).fetchall()
            }
            retired = dict(
                connection.execute(
                    f"select folder, retired_at from {ledger.SCHEMA}.{commits.RETIRED}"
                ).fetchall()
            )
            current |= {self._version.name, *self._version.folders.values()}
            gone = []
            for file in self._files():
                place = file.name if file.name in retired else _folder_name(file.name)
                if place in current or file.name in current:
                    continue
                since = retired.get(place)
                when = file.modified_at if since is None else since.replace(tzinfo=UTC)
                if when <= before:
                    gone.append(file.name)
            self.store.delete(gone)
            connection.execute(
                f"delete from {ledger.SCHEMA}.{commits.RETIRED} where retired_at <= ?",
                [before.replace(tzinfo=None)],
            )

    def _files(self) -> Iterator[StoredFile]:
        """All files of the lake; what else is in its folder is somebody else's."""
        for table in spec.TABLES.values():
            yield from self.store.files(f"{table.name}/")
        yield from self.store.files(commits.LEDGER)
        yield from self.store.files(commits.COMMITS)

    def _landed(
        self, connection: duckdb.DuckDBPyConnection, table: spec.Table, export_date: date
    ) -> tuple[str, dict[str, str]] | None:
        """A day's folder, and by name its files' checksums, if known; None where it has no rows."""
        row = connection.execute(
            f"""
            select folder, checksums from {ledger.SCHEMA}.lake_days
            where table_name = ? and export_date = ?
            """,
            [table.name, export_date],
        ).fetchone()
        return None if row is None else (row[0], row[1] or {})

    def _note_lost_rows(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: spec.Table,
        export_date: date,
        rows: str,
    ) -> None:
        """Whose rows were in a deleted file is not known, so no build can recompute those alone."""
        [(lost,)] = connection.execute(
            f"""
            select row_count - (select count(*) from {rows})
            from {ledger.SCHEMA}.lake_days where table_name = ? and export_date = ?
            """,
            [table.name, export_date],
        ).fetchall()
        note = (
            f"{lost:,} {table.name} of {export_date} had been deleted from the lake: "
            "run `dbt build --full-refresh` where DuckDB builds from it"
        )
        if lost and note not in self.notes:  # a day that failed with others is landed once more
            self.notes.append(note)

    def _forget_folder(
        self, connection: duckdb.DuckDBPyConnection, table: spec.Table, export_date: date
    ) -> None:
        """The next version does not name a day's files any more."""
        landed = self._landed(connection, table, export_date)
        if landed is not None:
            connection.execute(
                f"""
                delete from {ledger.SCHEMA}.lake_days where table_name = ? and export_date = ?
                """,
                [table.name, export_date],
            )
            commits.retire(connection, [landed[0]])


@contextmanager
def open_lake(url: str) -> Iterator[LakeStorage]:
    """A lake to write to; no other command on this machine writes to it meanwhile.

    Raises:
        LoaderError: Another command writes to it, or it cannot be used.
    """
    store = open_lake_store(url)
    spool = open_spool(_working_place(store), f"the lake {shown(store.address)}")
    with spool as folder, _damage_told():
        storage = LakeStorage(store, folder, commits.newest_version(store))
        yield storage
        if storage.database.exists():
            storage.clean()


@contextmanager
def read_lake(url: str) -> Iterator[LakeStorage]:
    """A lake as it is now, to read only.

    Raises:
        LoaderError: It cannot be used, or `loader forget` removed what was being read.
    """
    store = open_lake_store(url)
    version = commits.newest_version(store)
    with tempfile.TemporaryDirectory() as folder:
        try:
            with _damage_told():
                yield LakeStorage(store, Path(folder), version)
        except LoaderError as error:
            if error.exit_code == ExitCode.BAD_INPUT:
                check_unchanged(store, version)
            raise


def check_unchanged(store: LakeStore, version: commits.Version) -> None:
    """Ends a reading that found something amiss if the lake was changed meanwhile.

    Raises:
        LoaderError: It was: files of older versions may be gone.
    """
    if commits.newest_version(store).number != version.number:
        raise LoaderError(
            f"the lake {shown(store.address)} was changed while it was read: run the command again",
            ExitCode.TRANSIENT,
        )


@contextmanager
def _damage_told() -> Iterator[None]:
    """An error of reading a damaged file, or one that is gone, becomes one of ours."""
    try:
        yield
    except duckdb.Error as error:
        # The last is of footers; what its reader finds amiss after one is of no kind at all.
        kinds = (duckdb.Error, duckdb.IOException, duckdb.InvalidInputException)
        if type(error) not in kinds or NOT_UTF8 in str(error):
            raise
        raise _damaged(str(error).splitlines()[0]) from error


def _damaged(reason: str) -> LoaderError:
    return LoaderError(
        f"the lake cannot be read ({shown(reason)}): put its file back "
        "from a backup; a file of decisions or conversions may also be removed, and its day "
        "landed again with `loader pull --force`",
        ExitCode.BAD_INPUT,
    )


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _working_place(store: LakeStore) -> Path:
    """In a lake that is a folder, so that files are moved, not copied; else in the user's cache."""
    if isinstance(store, FolderLake):
        return store.folder / "_work"
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    name = sha256(store.address.encode()).hexdigest()[:16]
    return Path(cache).expanduser() / "optimizely-e3" / f"lake-{name}"


def _folder_name(name: str) -> str:
    return name.rpartition("/")[0] + "/"
