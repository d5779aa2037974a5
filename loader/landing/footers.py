"""Reads Parquet footers and compares them with the specification before anything is written."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from loader import spec
from loader.landing.page_checksums import BadPage, check_pages

READER_COLUMNS = {"filename", "file_row_number"}
"""Columns that DuckDB's reader adds: it refuses a file that has one of its own."""


class BadFile(Exception):
    """A file that cannot be landed without losing something; the message says why."""


@dataclass(frozen=True)
class Footer:
    """What a file's footer says: rows, and how to read each landed column.

    `expressions` is one SQL expression for each column of the specification, in its order.
    """

    row_count: int
    expressions: tuple[str, ...]
    schema: str
    """All columns with their Parquet types. Of several files DuckDB takes the types of the first
    and casts the others' values to them: only files of one schema may be read by one statement."""
    unknown_columns: tuple[str, ...]


def read_footer(path: Path, table: spec.Table) -> Footer:
    """Reads one file's footer, checks it against `table`, and its pages against their checksums.

    Raises:
        BadFile: The file is no Parquet, is damaged, lacks a required column, or holds one in a type
            that cannot become the specification's without loss.
    """
    with path.open("rb") as source:  # a spool that cannot be read is no bad file
        try:
            file = pq.ParquetFile(source)
            row_count = file.metadata.num_rows
            schema = file.schema_arrow
            parquet_schema = str(file.schema).partition("\n")[2]  # the first line is of Python
            check_pages(source)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise BadFile(f"not a readable Parquet file ({_first_line(error)})") from error
        except BadPage as error:
            raise BadFile(str(error)) from error
    types = {field.name: field.type for field in schema}
    # DuckDB does not see letter case: of two such columns it would read the wrong one.
    if len({name.lower() for name in types}) != len(schema):
        raise BadFile("two columns have one name")
    if taken := [name for name in types if name.lower() in READER_COLUMNS]:
        raise BadFile(f"a column has a name that the reader needs: {', '.join(taken)}")
    missing = [c.name for c in table.columns if c.is_required and c.name not in types]
    if missing:
        raise BadFile(f"required columns are missing: {', '.join(missing)}")
    known = {column.name for column in table.columns}
    return Footer(
        row_count=row_count,
        expressions=tuple(_expression(column, types.get(column.name)) for column in table.columns),
        schema=parquet_schema,
        unknown_columns=tuple(name for name in types if name not in known),
    )


def _expression(column: spec.Column, found: pa.DataType | None) -> str:
    """SQL that reads `column` from a file that holds it as `found`, in the landed type."""
    name = f'"{column.name}"'
    if found is None or pa.types.is_null(found):
        return f"cast(null as {column.sql_type}) as {name}"
    if not can_become(column, found):
        raise BadFile(f"column {column.name} is {found}, which cannot become {column.kind}")
    if column.kind == spec.TIMESTAMP:
        # DuckDB reads some of these as TIMESTAMP, some as TIMESTAMPTZ and some as BIGINT; going
        # through the epoch keeps the session's time zone out of it.
        if pa.types.is_integer(found):
            return f"epoch_ms({name}) as {name}"
        if found.tz is not None:
            return f"make_timestamp(epoch_us(cast({name} as timestamptz))) as {name}"
    return f"cast({name} as {column.sql_type}) as {name}"


def can_become(column: spec.Column, found: pa.DataType) -> bool:
    """Whether a file's column of the type `found` can be landed as `column` without loss."""
    return bool(pa.types.is_null(found)) or _is_accepted(column.kind, found)


def _is_accepted(kind: str, found: pa.DataType) -> bool:
    match kind:
        case spec.TEXT:
            return _is_text(found)
        case spec.LONG:
            return bool(pa.types.is_integer(found) and not pa.types.is_uint64(found))
        case spec.DOUBLE:
            return bool(pa.types.is_floating(found)) or _is_small_integer(found)
        case spec.BOOLEAN:
            return bool(pa.types.is_boolean(found))
        case spec.TIMESTAMP:
            return bool(pa.types.is_timestamp(found) or pa.types.is_int64(found))
        case spec.TEXT_MAP:
            return (
                bool(pa.types.is_map(found))
                and _is_text(found.key_type)
                and _is_text(found.item_type)
            )
        case _:
            return _is_list_of(found, spec.ELEMENT_FIELDS[kind])


def _is_text(found: pa.DataType) -> bool:
    if pa.types.is_dictionary(found):
        found = found.value_type
    accepted = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
    return any(is_type(found) for is_type in accepted)


def _is_small_integer(found: pa.DataType) -> bool:
    return bool(pa.types.is_integer(found)) and found.bit_width <= 32


def _is_list_of(found: pa.DataType, fields: tuple[str, ...]) -> bool:
    """Whether `found` is a list of structs that hold every one of `fields`."""
    if not (pa.types.is_list(found) or pa.types.is_large_list(found)):
        return False
    element = found.value_type
    if pa.types.is_null(element):
        return True
    if not pa.types.is_struct(element):
        return False
    types = {field.name: field.type for field in element}
    lowered = [field.name.lower() for field in element]
    return all(
        name in types
        and lowered.count(name) == 1  # of two DuckDB would read the first, whatever its case
        and (
            pa.types.is_boolean(types[name]) or pa.types.is_null(types[name])
            if name == "is_holdback"
            else _is_text(types[name])
        )
        for name in fields
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
