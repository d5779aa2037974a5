"""The baseline: the same files with the same casts into the same tables, and nothing else.

`python -m benchmarks.bare_insert STATEMENTS DATABASE` runs what `write_statements` wrote: one
`insert … select` for each type and kind of file, in one connection, then a checkpoint. No listing,
no footers, no ledger, no lineage, no transaction a day. It imports only DuckDB.
"""

import json
import sys
from pathlib import Path
from typing import Any

import duckdb


def run(statements: Path, database: Path) -> int:
    """Fills a fresh database; gives the number of rows."""
    job: dict[str, Any] = json.loads(statements.read_text(encoding="utf-8"))
    with duckdb.connect(database, config=job["config"]) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for statement in job["create"]:
            connection.execute(statement)
        rows = 0
        for statement, files in job["inserts"]:
            inserted = connection.execute(statement, [files]).fetchone()
            rows += inserted[0] if inserted else 0
        connection.execute("checkpoint")
    return rows


if __name__ == "__main__":
    print(run(Path(sys.argv[1]), Path(sys.argv[2])))
