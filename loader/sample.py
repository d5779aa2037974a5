"""One file of the export: its columns beside the specification's, and some rows as landed."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loader import spec
from loader.export.layout import Export, ExportDay, ExportFile
from loader.export.selection import Selection
from loader.landing.day import BadDay, check_day, land_days
from loader.landing.footers import can_become
from loader.landing.page_checksums import BadPage, check_pages, read_chunks
from loader.landing.spool import file_id
from loader.landing.warehouse import open_warehouse


class ColumnStatus(StrEnum):
    """What becomes of a column."""

    OK = "ok"
    MISSING = "missing"
    """In the specification, not in the file: NULL, or the file is not landed if required."""
    UNKNOWN = "unknown"
    """In the file, not in the specification: not landed."""
    BAD_TYPE = "cannot be cast"
    """It cannot become the landed type without loss: the file is not landed."""


@dataclass(frozen=True)
class SampledColumn:
    """One column of a file or of the specification; types are None where it is not in there."""

    name: str
    file_type: str | None
    landed_type: str | None
    is_required: bool
    status: ColumnStatus


@dataclass
class Sample:
    """What one file holds. Without a readable footer there are neither counts nor columns."""

    export_type: str
    export_date: date
    file: ExportFile
    row_count: int | None = None
    row_group_count: int | None = None
    compression: list[str] = field(default_factory=list)
    checked_page_count: int | None = None
    """Pages that carry a checksum, all of them right; None where they were not read to the end."""
    columns: list[SampledColumn] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None
    """Why the file cannot be landed; None where it can."""


def find_file(
    export: Export, export_type: str, selection: Selection
) -> tuple[ExportDay, ExportFile] | None:
    """The file of middle size of the newest ready day that has one; None where no day has.

    The smallest may hold no rows, the largest gigabytes. Days are listed one by one, newest first.
    """
    for export_date in reversed(export.dates(export_type)):
        day = export.day(export_type, export_date, selection)
        if day.is_ready and day.files:
            by_size = sorted(day.files, key=lambda file: (file.size, file.key))
            return day, by_size[len(by_size) // 2]
    return None


def read_sample(export: Export, day: ExportDay, file: ExportFile, row_limit: int) -> Sample:
    """Lands one file in a temporary warehouse, and says what it holds.

    Args:
        export: The source.
        day: The file's day.
        file: One of the day's files.
        row_limit: How many rows to give, from the first on.

    Raises:
        LoaderError: The file cannot be fetched; a file that cannot be landed is no error.
    """
    sample = Sample(day.export_type, day.export_date, file)
    with tempfile.TemporaryDirectory(prefix="loader-sample-") as folder:
        path = Path(folder) / f"{file_id(file)}.parquet"
        export.download(file, path)
        try:
            _describe(sample, path)
            warehouse = Path(folder) / "sample.duckdb"
            fetched = check_day(replace(day, files=(file,)), {file: path})
            land_days(warehouse, [(fetched, "new")], export.identity)
            sample.rows = _read_rows(warehouse, spec.TABLES[day.export_type], row_limit)
        except BadPage as bad:
            sample.reason = str(bad)
        except BadDay as bad:
            sample.reason = bad.bad_files[file]
    return sample


def _describe(sample: Sample, path: Path) -> None:
    """Fills in what the footer says, and compares the pages with their checksums."""
    with path.open("rb") as source:
        try:
            opened = pq.ParquetFile(source)
            metadata, schema = opened.metadata, opened.schema_arrow
        except (pa.ArrowException, OSError):
            return  # the landing says why
        sample.row_count = metadata.num_rows
        sample.row_group_count = metadata.num_row_groups
        sample.columns = list(_columns(schema, spec.TABLES[sample.export_type]))
        sample.compression = sorted({chunk.codec for chunk in read_chunks(source)})
        sample.checked_page_count = check_pages(source)


def _columns(schema: pa.Schema, table: spec.Table) -> Iterator[SampledColumn]:
    """The specification's columns in its order, then the file's others in theirs."""
    types = {column.name: column.type for column in schema}
    for column in table.columns:
        found = types.get(column.name)
        if found is None:
            status = ColumnStatus.MISSING
        else:
            status = ColumnStatus.OK if can_become(column, found) else ColumnStatus.BAD_TYPE
        yield SampledColumn(
            column.name,
            None if found is None else str(found),
            column.sql_type,
            column.is_required,
            status,
        )
    known = {column.name for column in table.columns}
    for column in schema:
        if column.name not in known:
            yield SampledColumn(column.name, str(column.type), None, False, ColumnStatus.UNKNOWN)


def _read_rows(warehouse: Path, table: spec.Table, row_limit: int) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    columns = ", ".join(f'"{name}"' for name in names)
    with open_warehouse(warehouse, read_only=True) as connection:
        rows = connection.execute(
            f"select {columns} from {table.qualified_name} order by _file_row limit ?", [row_limit]
        ).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]
