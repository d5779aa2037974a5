"""Checks that source, ledger, tables and file footers agree; changes nothing."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from itertools import repeat
from pathlib import Path

import duckdb

from loader import ledger, spec
from loader.errors import ExitCode, shown
from loader.export.layout import Export, ExportFile, SourceChanged, Unit
from loader.landing import forgotten
from loader.landing.footers import BadFile, read_footer
from loader.landing.spool import file_id, open_spool
from loader.landing.storage import IN_DATABASE, Storage
from loader.landing.warehouse import open_warehouse
from loader.plan import KnownDays, Window, known_days, plan_whole

DOWNLOADS_AT_ONCE = 8
"""As many files are on the disk at most, while their footers are read."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it should be; `message` ends with the remedy."""

    check: str
    """`tables`, `ledger`, `erasure`, `watermarks`, `source` or `footers`."""
    export_type: str | None
    export_date: date | None
    message: str


@dataclass
class Verification:
    """What was compared, and what differs."""

    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is normal, yet worth a line: days gone at the source, days not ready."""
    days: int = 0
    rows: int = 0
    footers: int = 0
    """Files whose footer was read."""

    @property
    def exit_code(self) -> ExitCode:
        """DIFFERENCE where anything differs."""
        return ExitCode.DIFFERENCE if self.differences else ExitCode.DONE


def verify(
    warehouse: Path,
    export_types: list[str],
    window: Window,
    export: Export | None,
    *,
    storage: Storage = IN_DATABASE,
    on_file: Callable[[], None] = lambda: None,
) -> Verification:
    """Compares the ledger with the tables, and with the source where one is given.

    With a source, every file of the landed days asked for is downloaded for its footer, a few at a
    time.

    Args:
        warehouse: The DuckDB file; it need not exist.
        export_types: Types to look at.
        window: Days to look at.
        export: The source, or None.
        storage: Where landed rows stay.
        on_file: Called after each footer.

    Raises:
        LoaderError: The warehouse or the source cannot be used.
    """
    found = Verification()
    known = known_days(warehouse)
    asked = {
        unit: day
        for unit, day in known.landed.items()
        if unit[0] in export_types and unit[1] in window
    }
    found.days = len(asked)
    found.rows = sum(day.row_count for day in asked.values())
    if warehouse.exists():
        with open_warehouse(warehouse, read_only=True) as connection:
            if ledger.exists(connection):
                for export_type in export_types:
                    found.differences += _check_tables(connection, storage, export_type, window)
                found.differences += _check_ledger(connection, export_types, window)
                found.differences += _check_erasures(connection, storage)
                found.differences += _check_watermarks(connection)
    if export is not None:
        _check_source(found, warehouse, known, export_types, window, export, on_file)
    return found


def _check_tables(
    connection: duckdb.DuckDBPyConnection, storage: Storage, export_type: str, window: Window
) -> Iterator[Difference]:
    """Rows of each landed file, against the ledger."""
    table = spec.TABLES[export_type]
    connection.execute(
        """
        create or replace temp table in_table (
            export_date date, file_id bigint, row_count bigint, first_load bigint, last_load bigint
        )
        """
    )
    for export_date, rows in _rows(connection, storage, table):
        if export_date is None or export_date in window:
            connection.execute(
                f"""
                insert into in_table
                select _export_date, _file_id, count(*), min(_load_id), max(_load_id)
                from {rows} group by all
                """
            )
    compared = connection.execute(
        f"""
        with
        in_ledger as (
            select export_date, file_id, any_value(key) as key, sum(row_count) as row_count
            from {ledger.SCHEMA}.files where export_type = $1 group by all
        ),
        of_days as (
            select export_date, any_value(load_id) as load_id
            from {ledger.SCHEMA}.days where export_type = $1 group by all
        )
        select export_date, key, file_id, coalesce(in_ledger.row_count, 0),
            coalesce(in_table.row_count, 0), first_load, last_load, of_days.load_id
        from in_ledger
        full outer join in_table using (export_date, file_id)
        left join of_days using (export_date)
        where coalesce(in_ledger.row_count, 0) != coalesce(in_table.row_count, 0)
            or key is null
            or of_days.load_id is null
            or first_load != of_days.load_id
            or last_load != of_days.load_id
        order by export_date, file_id
        """,
        [export_type],
    ).fetchall()
    for export_date, key, number, recorded, counted, first, last, load_id in compared:
        if export_date not in window:
            continue
        unit = (export_type, export_date)
        if load_id is None:
            message = f"{counted:,} rows of a day that the ledger does not have"
        elif key is None:
            message = f"{counted:,} rows of file {number}, which the ledger does not have"
        elif recorded != counted:
            message = f"{shown(key)}: {counted:,} rows, the ledger has {recorded:,}"
        else:
            message = (
                f"{shown(key)}: rows of loads {first} to {last}, the ledger has load {load_id}"
            )
        yield _of_day("tables", unit, message, _land_again(unit))


def _check_ledger(
    connection: duckdb.DuckDBPyConnection, export_types: list[str], window: Window
) -> Iterator[Difference]:
    """The ledger's tables, against one another."""
    rows = connection.execute(
        f"""
        with of_files as (
            select export_type, export_date, count(*) as file_count, count(distinct file_id) as ids,
                count(distinct key) as keys, sum(row_count) as row_count, sum(size) as byte_count
            from {ledger.SCHEMA}.files group by all
        ),
        of_days as (
            select export_type, export_date, count(*) as entries,
                any_value(file_count) as file_count, any_value(row_count) as row_count,
                any_value(byte_count) as byte_count,
                bool_and(load_id in (select load_id from {ledger.SCHEMA}.loads)) as has_load
            from {ledger.SCHEMA}.days group by all
        )
        select export_type, export_date, entries, has_load,
            coalesce(of_files.ids, 0) = coalesce(of_files.file_count, 0)
                and coalesce(of_files.keys, 0) = coalesce(of_files.file_count, 0),
            [of_days.file_count, of_days.row_count, of_days.byte_count],
            [coalesce(of_files.file_count, 0), coalesce(of_files.row_count, 0),
                coalesce(of_files.byte_count, 0)]
        from of_days
        full outer join of_files using (export_type, export_date)
        order by export_date, export_type
        """
    ).fetchall()
    for export_type, export_date, entries, has_load, is_unique, day, files in rows:
        if export_type not in export_types or export_date not in window:
            continue
        unit = (export_type, export_date)
        if entries is None:
            yield _of_day("ledger", unit, "files without a day", _land_again(unit))
            continue
        if entries > 1:
            yield _of_day("ledger", unit, f"{entries} entries for one day", _land_again(unit))
        if not has_load:
            yield _of_day("ledger", unit, "no load has landed it", _land_again(unit))
        if not is_unique:
            yield _of_day(
                "ledger", unit, "a file stands twice, or two have one id", _land_again(unit)
            )
        for name, said, counted in zip(("files", "rows", "bytes"), day, files, strict=True):
            if said != counted:
                message = f"the day has {said:,} {name}, its files have {counted:,}"
                yield _of_day("ledger", unit, message, _land_again(unit))


def _check_erasures(
    connection: duckdb.DuckDBPyConnection, storage: Storage
) -> Iterator[Difference]:
    """Forgotten visitors: gone from the tables and from the file."""
    if not forgotten.is_any(connection):
        return
    known = f"{ledger.SCHEMA}.forgotten_visitors"
    row = connection.execute(f"select count(*) from {known} where erased_at is null").fetchone()
    assert row is not None
    if row[0]:
        message = f"{row[0]:,} visitors are not erased from the files: a forget did not end"
        yield Difference("erasure", None, None, f"{message}: run `loader forget` again")
    for table in spec.TABLES.values():
        found: set[str] = set()
        for _, rows in _rows(connection, storage, table):
            visitors = connection.execute(
                f"""
                select visitor_id from (select distinct visitor_id from {rows})
                where {forgotten.salted_hash("visitor_id")} in (select visitor_hash from {known})
                """
            ).fetchall()
            found.update(visitor_id for (visitor_id,) in visitors)
        if found:
            message = f"{table.qualified_name} has rows of {len(found):,} forgotten visitors"
            remedy = "run `loader forget` again with their ids"
            yield Difference("erasure", table.export_type, None, f"{message}: {remedy}")


def _check_watermarks(connection: duckdb.DuckDBPyConnection) -> Iterator[Difference]:
    """No model has seen a load that was never made."""
    schemas = connection.execute(
        """
        select '"' || replace(schema_name, '"', '""') || '"' from duckdb_tables()
        where database_name = current_database() and table_name = 'build_watermarks'
        order by all
        """
    ).fetchall()
    for (schema,) in schemas:
        for model, load_id in connection.execute(
            f"""
            select model, load_id from {schema}.build_watermarks
            where load_id > (select coalesce(max(load_id), 0) from {ledger.SCHEMA}.loads)
            order by all
            """
        ).fetchall():
            message = f"{shown(model)} was built from load {load_id}, which is not in the ledger"
            yield Difference("watermarks", None, None, f"{message}: run `dbt build --full-refresh`")


def _check_source(
    found: Verification,
    warehouse: Path,
    known: KnownDays,
    export_types: list[str],
    window: Window,
    export: Export,
    on_file: Callable[[], None],
) -> None:
    """What the source lists, and each landed file's footer."""
    plan = plan_whole(export, warehouse, export_types, window)
    for planned in plan.to_land:
        unit = planned.day.unit
        if planned.reason != "new":
            message = "the source is not what was landed"
            found.differences.append(_of_day("source", unit, message, _land(unit)))
        elif unit not in known.pruned:
            message = "ready at the source, not landed"
            found.differences.append(_of_day("source", unit, message, _land(unit)))
    found.notes += [
        f"{day.export_type} of {day.export_date} is not ready at the source"
        for day in plan.not_ready
    ]
    found.notes += [
        f"{export_type} of {export_date} is landed in part"
        for (export_type, export_date), day in sorted(known.landed.items())
        if not day.is_complete and export_type in export_types and export_date in window
    ]
    found.notes += [
        f"{day.export_type} of {day.export_date} is landed whole, the source has lost files of it"
        for day in plan.expired
    ]
    same = [*plan.unchanged, *(day for _, day in plan.to_adopt)]
    there = {day.unit for day in (*same, *plan.not_ready)}
    there |= {planned.day.unit for planned in plan.to_land}
    found.notes += [
        f"{unit[0]} of {unit[1]} is landed and no longer at the source"
        for unit in sorted(known.landed.keys() - there, key=lambda unit: (unit[1], unit[0]))
        if unit[0] in export_types and unit[1] in window
    ]
    if not same:  # nothing is made beside a warehouse where nothing is landed
        return
    with open_spool(warehouse) as spool, ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as readers:
        dates = [day.export_date for day in same]
        # Read while the spool is held: no pull can land in between.
        recorded = _recorded_counts(warehouse, min(dates), max(dates))
        for day in same:
            wanted = recorded[day.unit]
            listed = export.day(*day.unit, day.selection).files
            files = [file for file in listed if file.key in wanted]
            counts = readers.map(
                _footer_rows, repeat(export), files, repeat(day.unit), repeat(spool)
            )
            for file, counted in zip(files, counts, strict=True):
                found.footers += 1
                on_file()
                if isinstance(counted, str):
                    message = f"{shown(file.key)}: {shown(counted)}"
                elif counted != wanted[file.key]:
                    message = (
                        f"{shown(file.key)}: {counted:,} rows in the footer, "
                        f"the ledger has {wanted[file.key]:,}"
                    )
                else:
                    continue
                found.differences.append(
                    _of_day("footers", day.unit, message, _land_again(day.unit))
                )


def _recorded_counts(warehouse: Path, first: date, last: date) -> dict[Unit, dict[str, int]]:
    """Rows of each landed file by day and key, as its footer had them: erased ones included."""
    counts: defaultdict[Unit, dict[str, int]] = defaultdict(dict)
    with open_warehouse(warehouse, read_only=True) as connection:
        for export_type, export_date, key, rows in connection.execute(
            f"""
            select export_type, export_date, key, row_count + coalesce(erased_row_count, 0)
            from {ledger.current("files")} where export_date between ? and ?
            """,
            [first, last],
        ).fetchall():
            counts[export_type, export_date][key] = rows
    return counts


def _footer_rows(export: Export, file: ExportFile, unit: Unit, spool: Path) -> int | str:
    """Rows that a file's footer has, or why it has none."""
    path = spool / f"{file_id(file)}.parquet"
    try:
        export.download(file, path)
        return read_footer(path, spec.TABLES[unit[0]]).row_count
    except (BadFile, SourceChanged) as error:
        return str(error)
    finally:
        path.unlink(missing_ok=True)


def _rows(
    connection: duckdb.DuckDBPyConnection, storage: Storage, table: spec.Table
) -> Iterator[tuple[date | None, str]]:
    """As `Storage.rows`; nothing where somebody dropped the table."""
    if ledger.has_table(connection, table.name, spec.RAW_SCHEMA):
        yield from storage.rows(connection, table)


def _of_day(check: str, unit: Unit, message: str, remedy: str) -> Difference:
    return Difference(check, *unit, f"{unit[0]} of {unit[1]}: {message}: {remedy}")


def _land(unit: Unit) -> str:
    return f"run `loader pull --since {unit[1]} --until {unit[1]} --type {unit[0]}`"


def _land_again(unit: Unit) -> str:
    return f"run `loader pull --since {unit[1]} --until {unit[1]} --type {unit[0]} --force`"
