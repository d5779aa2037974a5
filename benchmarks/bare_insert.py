"""The baseline: the same files with the same casts into the same tables, and nothing else.

`python -m benchmarks.bare_insert STATEMENTS DATABASE` runs what `benchmarks.exports` has written
beside the export: one `insert … select` for each type and kind of file, in one connection, then a
checkpoint. No listing, no footers, no ledger, no lineage. It imports only DuckDB.
"""

import json
import sys
from pathlib import Path
from typing import Any

import duckdb


def run(statements: Path, database: Path) -> None:
    """Fills a fresh database."""
    job: dict[str, Any] = json.loads(statements.read_text(encoding="utf-8"))
    with duckdb.connect(database, config=job["config"]) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for statement in job["create"]:
            connection.execute(statement)
        for statement, files in job["inserts"]:
            connection.execute(statement, [files])
        connection.execute("checkpoint")


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
