"""Compares the rows of one table on two engines."""

import math
from pathlib import Path
from typing import Any

import pyarrow as pa

PRECISION = 1e-12
"""Doubles may differ by so much of themselves: sums depend on the order of their rows."""


def spark_table(folder: Path) -> str:
    """SQL of DuckDB for what Spark has written of a table; its partitions are columns as well."""
    return f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"


def differences(
    left: pa.Table, right: pa.Table, precision: float = PRECISION, absolute: float = 0.0
) -> list[str]:
    """The first few differences of two tables, as sentences; none where they hold the same rows.

    Args:
        left: One engine's rows.
        right: The other one's.
        precision: Doubles may differ by so much of themselves.
        absolute: Or by so much, whatever they are.
    """
    if left.column_names != right.column_names:
        return [f"columns are {left.column_names} and {right.column_names}"]
    if left.num_rows != right.num_rows:
        return [f"there are {left.num_rows} rows and {right.num_rows}"]
    found = []
    for one, other in zip(_in_order(left), _in_order(right), strict=True):
        columns = zip(left.column_names, one, other, strict=True)
        different = [
            f"{name} is {value} and {theirs}"
            for name, value, theirs in columns
            if not _is_same(value, theirs, precision, absolute)
        ]
        if different:
            found.append(f"{', '.join(different)} in {one}")
    return found[:3]


def _in_order(table: pa.Table) -> list[tuple[Any, ...]]:
    """Rows in an order that depends on doubles only where nothing else tells rows apart."""
    columns = [
        [_comparable(value, column.type) for value in column.to_pylist()]
        for column in table.itercolumns()
    ]
    return sorted(zip(*columns, strict=True), key=_order)


def _order(row: tuple[Any, ...]) -> tuple[str, list[float]]:
    doubles = [value for value in row if isinstance(value, float)]
    return repr([None if isinstance(value, float) else value for value in row]), doubles


def _comparable(value: Any, arrow_type: pa.DataType) -> Any:
    """The value, the same whichever engine it is from: a map has no order."""
    return sorted(value) if value is not None and pa.types.is_map(arrow_type) else value


def _is_same(one: Any, other: Any, precision: float, absolute: float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=precision, abs_tol=absolute)
    return bool(one == other)
