"""The physical types in which files hold the columns of the specification."""

import io
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loader import spec
from tests.models.histories import Row

EPOCH = datetime(1970, 1, 1)

TIMESTAMPS: dict[str, tuple[pa.DataType, dict[str, Any]]] = {
    "long milliseconds": (pa.int64(), {}),
    "TIMESTAMP_MILLIS": (pa.timestamp("ms"), {}),
    "TIMESTAMP_MILLIS of version 1": (pa.timestamp("ms"), {"version": "1.0"}),
    "TIMESTAMP_MILLIS in UTC": (pa.timestamp("ms", "UTC"), {}),
    "TIMESTAMP_MICROS": (pa.timestamp("us"), {}),
    "TIMESTAMP_MICROS in UTC": (pa.timestamp("us", "UTC"), {}),
    "nanoseconds": (pa.timestamp("ns"), {}),
    "nanoseconds in UTC": (pa.timestamp("ns", "UTC"), {}),
    "micros of New York": (pa.timestamp("us", "America/New_York"), {}),
    "INT96": (pa.timestamp("ns"), {"use_deprecated_int96_timestamps": True}),
}

_TEXT = pa.string()
_ATTRIBUTE = pa.struct([(name, _TEXT) for name in ("id", "name", "type", "value")])
_EXPERIMENT = pa.struct(
    [(name, _TEXT) for name in ("campaign_id", "experiment_id", "variation_id")]
    + [("is_holdback", pa.bool_())]
)

USUAL: dict[str, pa.DataType] = {
    spec.TEXT: _TEXT,
    spec.LONG: pa.int64(),
    spec.DOUBLE: pa.float64(),
    spec.BOOLEAN: pa.bool_(),
    spec.TIMESTAMP: pa.timestamp("ms"),
    spec.ATTRIBUTES: pa.list_(_ATTRIBUTE),
    spec.EXPERIMENTS: pa.list_(_EXPERIMENT),
    spec.TEXT_MAP: pa.map_(_TEXT, _TEXT),
}
TYPES: dict[str, tuple[dict[str, pa.DataType], dict[str, Any]]] = {
    **{name: ({spec.TIMESTAMP: kind}, options) for name, (kind, options) in TIMESTAMPS.items()},
    "large strings": ({spec.TEXT: pa.large_string()}, {}),
    "dictionaries": ({spec.TEXT: pa.dictionary(pa.int32(), _TEXT)}, {}),
    "large lists": (
        {
            spec.ATTRIBUTES: pa.large_list(_ATTRIBUTE),
            spec.EXPERIMENTS: pa.large_list(_EXPERIMENT),
        },
        {},
    ),
    "fields in another order": (
        {spec.ATTRIBUTES: pa.list_(pa.struct(list(reversed(list(_ATTRIBUTE)))))},
        {},
    ),
    "small numbers": ({spec.LONG: pa.int32(), spec.DOUBLE: pa.float32()}, {}),
    "pages of version 2": ({}, {"data_page_version": "2.0", "compression": "zstd"}),
    "no compression": ({}, {"compression": "none", "use_dictionary": False}),
    "old lists": ({}, {"use_compliant_nested_type": False}),
    "a row a group": ({}, {"row_group_size": 1}),
    "checksums": ({}, {"write_page_checksum": True}),
    "checksums of plain pages": (
        {},
        {"write_page_checksum": True, "compression": "none", "use_dictionary": False},
    ),
}
"""What differs from `USUAL` by the kind of column, and options of the writer."""


def written_as(name: str, key: str, rows: list[Row]) -> bytes:
    """The Parquet file of some rows, in one of `TYPES`; `key` says of which table."""
    differing, options = TYPES[name]
    types = USUAL | differing
    arrays: dict[str, pa.Array] = {}
    for column in spec.TABLES[key.partition("/")[0].removeprefix("type=")].columns:
        values: list[Any] = [row.get(column.name) for row in rows]
        kind = types[column.kind]
        if column.kind == spec.TEXT_MAP:
            values = [value and list(value.items()) for value in values]
        if pa.types.is_int64(kind) and column.kind == spec.TIMESTAMP:
            values = [(value - EPOCH) // timedelta(milliseconds=1) for value in values]
        if pa.types.is_dictionary(kind):
            arrays[column.name] = pa.array(values, _TEXT).dictionary_encode()
        else:
            arrays[column.name] = pa.array(values, kind)
    target = io.BytesIO()
    pq.write_table(pa.table(arrays), target, **options)
    return target.getvalue()
