"""What is landed: a demo's export, and its rows again in files of one size."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from loader import spec
from loader.demo import write_export
from loader.export.layout import open_export
from loader.landing.footers import read_footer
from loader.landing.warehouse import STORAGE_VERSION

EVENTS_PER_VISITOR = 15


@dataclass(frozen=True)
class Sample:
    """An export to be landed."""

    folder: Path
    """It holds `type=`."""
    files: int
    rows: int
    bytes: int
    statements: Path
    """What the bare insert runs."""


def write_demo(folder: Path, *, events: int, days: int) -> Sample:
    """Writes a demo's export of many small files; the same arguments give the same bytes."""
    write_export(folder, days=days, visitors=max(1, events // EVENTS_PER_VISITOR), events=events)
    [data] = folder.glob("v1/account_id=*")
    return _describe(data, folder / "statements.json")


def repack(source: Sample, folder: Path, *, files: int, file_bytes: int) -> Sample:
    """Writes the rows of an export again, as `files` files of about `file_bytes` bytes.

    The rows are taken once more, from the start, where the export has too few.
    """
    data = folder / "data"
    written = 0
    passes = 0
    while written < files:
        for day in sorted(source.folder.glob("type=*/date=*")):
            target = data / day.relative_to(source.folder)
            target.mkdir(parents=True, exist_ok=True)
            (target / "_SUCCESS").touch()
            for part, table in enumerate(_parts(day, file_bytes)):
                if written == files:
                    break
                into = target / f"part-{passes:05d}-{part:05d}.snappy.parquet"
                pq.write_table(table, into, compression="snappy", store_schema=False)
                written += 1
        passes += 1
    return _describe(data, folder / "statements.json")


def _parts(day: Path, file_bytes: int) -> Iterator[pa.Table]:
    paths = sorted(day.rglob("part-*.parquet"))
    tables = [pq.read_table(path, partitioning=None) for path in paths]
    if not tables:
        return
    whole = pa.concat_tables(tables, promote_options="permissive")
    rows = max(1, len(whole) * file_bytes // _written_bytes(whole))
    # A part is larger than its share of the whole: each has dictionaries of its own.
    rows = max(1, rows * file_bytes // _written_bytes(whole.slice(0, rows)))
    # A rest that is much smaller than the others would not be of their size.
    for start in range(0, max(1, len(whole) - rows // 2), rows):
        yield whole.slice(start, rows)


def _written_bytes(table: pa.Table) -> int:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="snappy", store_schema=False)
    return int(sink.getvalue().size)


def _describe(data: Path, statements: Path) -> Sample:
    export = open_export(str(data))
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    files = rows = size = 0
    for export_type, table in spec.TABLES.items():
        for date in export.dates(export_type):
            for file in export.day(export_type, date).files:
                path = data / file.key
                footer = read_footer(path, table)
                groups.setdefault((export_type, footer.expressions), []).append(str(path))
                files, rows, size = files + 1, rows + footer.row_count, size + file.size
    statements.write_text(json.dumps(_bare_job(groups)), encoding="utf-8")
    return Sample(data, files, rows, size, statements)


def _bare_job(groups: dict[tuple[str, tuple[str, ...]], list[str]]) -> dict[str, object]:
    create = [f"create schema {spec.RAW_SCHEMA}"]
    for table in spec.TABLES.values():
        columns = ", ".join(f'"{column.name}" {column.sql_type}' for column in table.columns)
        create.append(f"create table {table.qualified_name} ({columns})")
    inserts = [
        (
            f"insert into {spec.TABLES[export_type].qualified_name} "
            f"select {', '.join(expressions)} from read_parquet($1, hive_partitioning = false)",
            files,
        )
        for (export_type, expressions), files in groups.items()
    ]
    config = {
        "storage_compatibility_version": STORAGE_VERSION,
        "preserve_insertion_order": False,
    }
    return {"config": config, "create": create, "inserts": inserts}
