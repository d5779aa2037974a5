"""Reads a lake as another engine would: by its files alone, with pyarrow."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.loader.exports import Contents

TABLES = ("decisions", "conversions")


def table(lake: Path, name: str) -> list[dict[str, Any]]:
    """Rows of one table of the ledger, in the newest version; none where nothing is committed."""
    commits = sorted((lake / "commits").glob("*.json"))
    if not commits:
        return []
    folders = {
        line["table_name"]: line["folder"]
        for line in map(json.loads, commits[-1].read_text().splitlines())
    }
    return _rows(lake / folders[name])


def rows(lake: Path) -> Contents:
    """Every row of both tables, without the ids of their loads: as `exports.staged` gives them."""
    found: dict[str, Counter[str]] = {name: Counter() for name in TABLES}
    for day in table(lake, "lake_days"):
        assert day["file_count"] == len(files(lake, day))
        read = _rows(lake / day["folder"])
        assert len(read) == day["row_count"]
        assert {row["_export_date"] for row in read} == {day["export_date"]}
        for row in read:
            del row["_load_id"]
            found[day["table_name"]][repr(sorted(row.items()))] += 1
    return found


def files(lake: Path, day: dict[str, Any]) -> list[Path]:
    """The files of one row of `lake_days`."""
    return sorted((lake / day["folder"]).glob("*.parquet"))


def _rows(folder: Path) -> list[dict[str, Any]]:
    """Rows as DuckDB would give them: maps as dicts, times as UTC without a zone."""
    read = []
    for path in sorted(folder.glob("*.parquet")):
        whole = pq.read_table(path, partitioning=None)
        columns = {
            field.name: [_plain(value, field.type) for value in whole[field.name].to_pylist()]
            for field in whole.schema
        }
        read += [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]
    return read


def _plain(value: Any, kind: pa.DataType) -> Any:
    if value is not None and pa.types.is_map(kind):
        return dict(value)
    if value is not None and pa.types.is_timestamp(kind):
        assert kind.tz is not None  # Spark takes a time without a zone for local time
        return value.replace(tzinfo=None)
    return value
