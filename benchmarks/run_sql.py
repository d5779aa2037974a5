"""Runs SQL on a DuckDB database: `python -m benchmarks.run_sql FILE DATABASE [MEMORY]`."""

import sys
from pathlib import Path

import duckdb

MEMORY_LIMIT = "3500MB"
THREADS = 2

if __name__ == "__main__":
    statements, database = map(Path, sys.argv[1:3])
    with duckdb.connect(
        database,
        config={
            "memory_limit": sys.argv[3] if len(sys.argv) > 3 else MEMORY_LIMIT,
            "threads": THREADS,
            "temp_directory": f"{database}.spill",
            "preserve_insertion_order": False,
        },
    ) as connection:
        connection.execute(statements.read_text(encoding="utf-8"))
        connection.execute("checkpoint")
