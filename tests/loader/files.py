"""Files, good ones and bad ones; those of Parquet hold two conversions."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MILLISECONDS = 1709013599123


def columns(**changes: pa.Array | None) -> dict[str, pa.Array]:
    """The required columns of a conversion's two rows, and `changes`; None leaves one out."""
    times = pa.array([MILLISECONDS, MILLISECONDS])
    every = {
        "uuid": pa.array(["a", "b"]),
        "timestamp": times,
        "process_timestamp": times,
        "visitor_id": pa.array(["v", "w"]),
        "entity_id": pa.array(["1", "1"]),
        "event_name": pa.array(["e", "e"]),
        "revenue": pa.array([1, 2]),
        "value": pa.array([0.5, None]),
    }
    return {name: array for name, array in (every | changes).items() if array is not None}


def parquet(arrays: dict[str, pa.Array], **options: Any) -> bytes:
    """A file of these columns."""
    return table_bytes(pa.table(arrays), **options)


def table_bytes(table: pa.Table, **options: Any) -> bytes:
    """A table as a file."""
    target = io.BytesIO()
    pq.write_table(table, target, **options)
    return target.getvalue()


def spoil_pages(content: bytes) -> bytes:
    """A file whose footer can be read and whose rows cannot."""
    spoilt = bytearray(content)
    spoilt[4:60] = bytes(56)
    return bytes(spoilt)


def inverted(content: bytes, begin: int, end: int) -> bytes:
    """The content, each bit of the bytes from `begin` to before `end` another one."""
    return content[:begin] + bytes(byte ^ 0xFF for byte in content[begin:end]) + content[end:]


def damage(warehouse: Path) -> None:
    """Spoils a warehouse but for its headers and first block: with these DuckDB opens it."""
    content = warehouse.read_bytes()
    warehouse.write_bytes(inverted(content, 3 * 4096 + 256 * 1024, len(content)))
