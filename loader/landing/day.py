"""Lands one day of one type: one transaction, all of it or nothing."""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from loader import ledger, spec
from loader.errors import ExitCode, LoaderError
from loader.export.layout import ExportDay, ExportFile
from loader.landing.footers import BadFile, Footer, read_footer
from loader.landing.spool import file_id
from loader.landing.warehouse import CONFIG, create_tables, is_disk_full, open_warehouse


class BadDay(Exception):
    """A day that cannot be landed: `bad_files` gives the reason for each of its bad files."""

    def __init__(self, bad_files: dict[ExportFile, str]):
        super().__init__("; ".join(f"{file.key}: {why}" for file, why in bad_files.items()))
        self.bad_files = bad_files


@dataclass(frozen=True)
class FetchedDay:
    """A day on local disk, its footers checked and ready to be landed."""

    day: ExportDay
    paths: dict[ExportFile, Path]
    footers: dict[ExportFile, Footer]
    bad_files: dict[ExportFile, str]
    """Files that are left out, each with what is wrong with it."""

    def without(self, bad_files: dict[ExportFile, str]) -> "FetchedDay":
        """The day without these files."""
        footers = {file: found for file, found in self.footers.items() if file not in bad_files}
        return replace(self, footers=footers, bad_files=self.bad_files | bad_files)

    @property
    def unknown_columns(self) -> tuple[str, ...]:
        """Columns that the specification does not have: reported, not landed."""
        return tuple(sorted({name for f in self.footers.values() for name in f.unknown_columns}))


def check_day(
    day: ExportDay, paths: dict[ExportFile, Path], *, skip_bad_files: bool = False
) -> FetchedDay:
    """Reads every footer of a fetched day, and compares its pages with their checksums.

    Args:
        day: The day as listed.
        paths: Where each of its files is.
        skip_bad_files: Leave bad files out instead of refusing the day.

    Raises:
        BadDay: With every file that does not hold what the specification says.
    """
    table = spec.TABLES[day.export_type]
    footers: dict[ExportFile, Footer] = {}
    bad_files: dict[ExportFile, str] = {}
    for file in day.files:
        try:
            footers[file] = read_footer(paths[file], table)
        except BadFile as error:
            bad_files[file] = str(error)
    if bad_files and not skip_bad_files:
        raise BadDay(bad_files)
    return FetchedDay(day, paths, footers, bad_files)


def check_readable(fetched: FetchedDay) -> None:
    """Reads every row of a fetched day.

    Raises:
        BadDay: With every file whose rows cannot be read although its footer can.
    """
    if bad_files := _unreadable_files(fetched):
        raise BadDay(bad_files)


def land_day(warehouse: Path, fetched: FetchedDay, source: str, reason: str) -> ledger.LandedDay:
    """Replaces one day of one staging table, and the ledger's word on it, in one transaction.

    Args:
        warehouse: The DuckDB file.
        fetched: The day, from `check_day`.
        source: Identity of the store it came from.
        reason: `new`, `changed`, `widened` or `forced`.

    Raises:
        BadDay: The rows of a file cannot be read although its footer can.
        LoaderError: The warehouse is in use, or the disk is full.
    """
    started = time.monotonic()
    table = spec.TABLES[fetched.day.export_type]
    with open_warehouse(warehouse) as connection:
        connection.begin()
        try:
            create_tables(connection)
            load_id = ledger.next_load_id(connection)
            _remove_day(connection, table, fetched.day, load_id)
            _insert_rows(connection, table, fetched, load_id)
            landed = ledger.record_load(
                connection,
                load_id=load_id,
                day=fetched.day,
                source=source,
                reason=reason,
                files=[
                    ledger.LandedFile(file, file_id(file), footer.row_count)
                    for file, footer in fetched.footers.items()
                ],
                bad_files=fetched.bad_files,
                seconds=time.monotonic() - started,
                landed_at=datetime.now(UTC).replace(tzinfo=None),
            )
            connection.commit()
        except duckdb.Error as error:
            _rollback(connection)
            if is_disk_full(error):
                raise
            raise _explain(error, fetched) from error
        except BaseException:
            _rollback(connection)
            raise
        # Without it the write-ahead log of a long backfill grows beside the file.
        connection.execute("checkpoint")
    return landed


def _remove_day(
    connection: duckdb.DuckDBPyConnection, table: spec.Table, day: ExportDay, load_id: int
) -> None:
    """Deletes the day's old rows, noting whose they were: the models recompute those visitors."""
    connection.execute(
        f"""
        insert into {ledger.SCHEMA}.changed_visitors
        select distinct cast(? as bigint), visitor_id
        from {table.qualified_name} where _export_date = ?
        """,
        [load_id, day.export_date],
    )
    connection.execute(
        f"delete from {table.qualified_name} where _export_date = ?", [day.export_date]
    )


def _insert_rows(
    connection: duckdb.DuckDBPyConnection, table: spec.Table, fetched: FetchedDay, load_id: int
) -> None:
    alike: dict[tuple[str, ...], list[ExportFile]] = {}
    for file, footer in fetched.footers.items():
        alike.setdefault(footer.expressions, []).append(file)
    columns = [column.name for column in table.columns] + list(spec.LINEAGE_COLUMNS)
    for expressions, files in alike.items():
        inserted = connection.execute(
            f"""
            insert into {table.qualified_name} ({", ".join(f'"{name}"' for name in columns)})
            select {", ".join(expressions)},
                cast($1 as date), cast(parse_filename(filename, true) as bigint),
                file_row_number, cast($2 as bigint)
            from read_parquet(
                $3, filename = true, file_row_number = true, hive_partitioning = false
            )
            """,
            [fetched.day.export_date, load_id, [str(fetched.paths[file]) for file in files]],
        ).fetchone()
        expected = sum(fetched.footers[file].row_count for file in files)
        if inserted is None or inserted[0] != expected:
            raise BadDay(
                dict.fromkeys(files, f"rows read differ from the {expected} in the footers")
            )


def _explain(error: duckdb.Error, fetched: FetchedDay) -> Exception:
    """What a failed transaction means: too little memory, or files that cannot be read."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return LoaderError(
            f"not enough memory to land {fetched.day.export_type} of {fetched.day.export_date}: "
            "close other programs and run the pull again",
            ExitCode.TRANSIENT,
        )
    bad_files = _unreadable_files(fetched)
    return BadDay(bad_files) if bad_files else error


def _unreadable_files(fetched: FetchedDay) -> dict[ExportFile, str]:
    """Files whose rows cannot be read, each with the reason.

    Each file is read by a database of its own: after some damaged files (`FATAL Error`) DuckDB's
    database reads nothing any more, and every file behind would seem bad.
    """
    bad_files = {}
    for file, footer in fetched.footers.items():
        try:
            with duckdb.connect(config=CONFIG) as connection:
                connection.execute(
                    f"""
                    select max(hash(columns(*))) from (
                        select {", ".join(footer.expressions)}
                        from read_parquet($1, hive_partitioning = false)
                    )
                    """,
                    [str(fetched.paths[file])],
                ).fetchall()
        except duckdb.Error as reason:
            bad_files[file] = str(reason).splitlines()[0]
    return bad_files


def _rollback(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.rollback()
    except duckdb.Error:
        # The failed statement ended the transaction already; nothing of it is kept either way.
        return
