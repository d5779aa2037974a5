"""Lands days of one type: each whole or not at all."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from loader import ledger, privacy, spec
from loader.errors import ExitCode, LoaderError
from loader.export.layout import ExportDay, ExportFile, Unit
from loader.landing import forgotten
from loader.landing.footers import BadFile, Footer, read_footer
from loader.landing.spool import day_folder_name, file_id
from loader.landing.storage import IN_DATABASE, Storage
from loader.landing.warehouse import (
    CONFIG,
    create_tables,
    is_disk_full,
    open_warehouse,
    path_pattern,
)
from loader.timespan import now_utc


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
    def row_count(self) -> int:
        """Rows of all its files that can be landed."""
        return sum(footer.row_count for footer in self.footers.values())

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


def check_readable(fetched: FetchedDay, settled: privacy.Privacy = privacy.NOTHING) -> None:
    """Reads every row of a fetched day.

    Args:
        fetched: The day, from `check_day`.
        settled: Columns whose values no reason may quote.

    Raises:
        BadDay: With every file whose rows cannot be read although its footer can.
    """
    if bad_files := _unreadable_files(fetched, settled):
        raise BadDay(bad_files)


class BadBatch(Exception):
    """Days that cannot be landed together, for one of them is bad: land each by itself."""


def land_days(
    warehouse: Path,
    days: Sequence[tuple[FetchedDay, str]],
    source: str,
    settled: privacy.Privacy = privacy.NOTHING,
    storage: Storage = IN_DATABASE,
) -> list[ledger.LandedDay]:
    """Replaces days of the staging tables, and the ledger's word on them, in one transaction.

    Then what was committed is published.

    Args:
        warehouse: The DuckDB file.
        days: Each day from `check_day`, and why it is landed: `new`, `changed`, `widened` or
            `forced`.
        source: Identity of the store they came from.
        settled: What is dropped and hashed, from `privacy.settle`.
        storage: Where rows stay.

    Raises:
        BadDay: The rows of a file of the only day cannot be read although its footer can.
        BadBatch: So it is with one of several days; nothing is landed.
        LoaderError: The warehouse is in use, the disk is full, or the warehouse was landed with
            other settings of privacy.
    """
    with open_warehouse(warehouse) as connection:
        # Checkpoints would join row groups that are nearly full, batch after batch, for a quarter
        # of a long backfill's cost. The next process that writes does it, once.
        connection.execute("set max_vacuum_tasks = 0")
        connection.begin()
        try:
            create_tables(connection)
            privacy.record(connection, settled)
            landed = _replace_days(connection, days, source, settled, storage)
            connection.commit()
        except (duckdb.Error, BadDay) as error:
            _rollback(connection)
            if isinstance(error, duckdb.Error) and is_disk_full(error):
                raise
            if len(days) > 1:
                raise BadBatch from error
            if isinstance(error, duckdb.Error):
                raise _explain(error, days[0][0], settled) from error
            raise
        except BaseException:
            _rollback(connection)
            raise
        # Without it the write-ahead log of a long backfill grows beside the file.
        connection.execute("checkpoint")
    storage.publish()
    return landed


def _replace_days(
    connection: duckdb.DuckDBPyConnection,
    days: Sequence[tuple[FetchedDay, str]],
    source: str,
    settled: privacy.Privacy,
    storage: Storage,
) -> list[ledger.LandedDay]:
    """Replaces days in the open transaction."""
    started = time.monotonic()
    first_id = ledger.next_load_id(connection)
    load_ids = {fetched.day.unit: first_id + number for number, (fetched, _) in enumerate(days)}
    for (export_type, export_date), load_id in load_ids.items():
        storage.remove_rows(connection, spec.TABLES[export_type], export_date, load_id)
    erased: dict[int, int] = {}
    for export_type, table in spec.TABLES.items():
        of_type = [fetched for fetched, _ in days if fetched.day.export_type == export_type]
        erased |= _insert_rows(connection, table, of_type, load_ids, settled)
    seconds_a_row = (time.monotonic() - started) / max(sum(day.row_count for day, _ in days), 1)
    return [
        ledger.record_load(
            connection,
            load_id=load_ids[fetched.day.unit],
            day=fetched.day,
            source=source,
            reason=reason,
            files=[
                _landed_file(file, footer.row_count, erased)
                for file, footer in fetched.footers.items()
            ],
            bad_files=fetched.bad_files,
            seconds=seconds_a_row * fetched.row_count,
            landed_at=now_utc(),
        )
        for fetched, reason in days
    ]


def _insert_rows(
    connection: duckdb.DuckDBPyConnection,
    table: spec.Table,
    days: Sequence[FetchedDay],
    load_ids: dict[Unit, int],
    settled: privacy.Privacy,
) -> dict[int, int]:
    """Lands all rows but those of forgotten visitors, whose count it returns by file id.

    Files of one schema are read by one statement, whichever of the days they are of: a file's
    folder in the spool tells which.
    """
    alike: dict[tuple[str, tuple[str, ...]], list[tuple[FetchedDay, ExportFile]]] = {}
    for fetched in days:
        for file, footer in fetched.footers.items():
            alike.setdefault((footer.schema, footer.expressions), []).append((fetched, file))
    columns = [column.name for column in table.columns] + list(spec.LINEAGE_COLUMNS)
    all_erased: dict[int, int] = {}
    for (_, expressions), files in alike.items():
        rows = f"""(
            select {settled.select_list(table)},
                cast(parse_filename(filename, true) as bigint) as _file_id,
                file_row_number as _file_row,
                parse_path(filename)[-2] as _folder
            from (
                select {", ".join(expressions)}, filename, file_row_number
                from read_parquet(
                    $paths, filename = true, file_row_number = true, hive_partitioning = false
                )
            )
        )"""
        parameters: dict[str, object] = {
            "paths": [path_pattern(fetched.paths[file]) for fetched, file in files],
            **settled.parameters(table),
        }
        erased = forgotten.find(connection, rows, parameters)
        folders = {day_folder_name(fetched.day.unit): fetched.day.unit for fetched, _ in files}
        inserted = connection.execute(
            f"""
            insert into {table.qualified_name} ({", ".join(f'"{name}"' for name in columns)})
            select {", ".join(f'"{column.name}"' for column in table.columns)},
                map($folders::varchar[], $dates::date[])[_folder], _file_id, _file_row,
                map($folders::varchar[], $load_ids::bigint[])[_folder]
            from {rows}
            {f"where {forgotten.is_kept()}" if erased else ""}
            """,
            parameters
            | {
                "folders": list(folders),
                "dates": [export_date for _, export_date in folders.values()],
                "load_ids": [load_ids[unit] for unit in folders.values()],
            },
        ).fetchone()
        expected = sum(fetched.footers[file].row_count for fetched, file in files)
        if inserted is None or inserted[0] + sum(erased.values()) != expected:
            why = f"rows read differ from the {expected} in the footers"
            raise BadDay({file: why for _, file in files})
        all_erased |= erased
    return all_erased


def _landed_file(file: ExportFile, row_count: int, erased: dict[int, int]) -> ledger.LandedFile:
    erased_row_count = erased.get(file_id(file), 0)
    return ledger.LandedFile(file, file_id(file), row_count - erased_row_count, erased_row_count)


def _explain(error: duckdb.Error, fetched: FetchedDay, settled: privacy.Privacy) -> Exception:
    """What a failed transaction means: too little memory, or files that cannot be read."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return LoaderError(
            f"not enough memory to land {fetched.day.export_type} of {fetched.day.export_date}: "
            "close other programs and run the pull again",
            ExitCode.TRANSIENT,
        )
    bad_files = _unreadable_files(fetched, settled)
    return BadDay(bad_files) if bad_files else error


def _unreadable_files(fetched: FetchedDay, settled: privacy.Privacy) -> dict[ExportFile, str]:
    """Files whose rows cannot be read, each with the reason."""
    bad_files = {}
    columns = [column.name for column in spec.TABLES[fetched.day.export_type].columns]
    for file, footer in fetched.footers.items():
        path = fetched.paths[file]
        expressions = dict(zip(columns, footer.expressions, strict=True))
        # A reason may quote a value: of a column that is dropped or hashed only the name is told.
        treated = {name: expressions.pop(name) for name in settled.treatments.keys() & expressions}
        if reason := _why_unreadable(path, list(expressions.values())):
            bad_files[file] = str(reason).splitlines()[0]
        for name, expression in treated.items():
            is_read = settled.treatments[name] == privacy.HASH
            if is_read and _why_unreadable(path, [expression]):
                bad_files.setdefault(file, f"column {name} cannot be read")
    return bad_files


def _why_unreadable(path: Path, expressions: list[str]) -> duckdb.Error | None:
    """What DuckDB says when it reads these of a file's columns; None where all is well.

    Each time by a database of its own: after some damaged files (`FATAL Error`) DuckDB's database
    reads nothing any more, and every file behind would seem bad.
    """
    try:
        with duckdb.connect(config=CONFIG) as connection:
            connection.execute(
                f"""
                select max(hash(columns(*))) from (
                    select {", ".join(expressions)}
                    from read_parquet($1, hive_partitioning = false)
                )
                """,
                [path_pattern(path)],
            ).fetchall()
    except duckdb.Error as reason:
        return reason
    return None


def _rollback(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.rollback()
    except duckdb.Error:
        # The failed statement ended the transaction already; nothing of it is kept either way.
        return
