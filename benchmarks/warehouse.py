"""A warehouse whose states are kept, and dbt as processes that build in it."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb

from benchmarks.measure import BrokenBenchmark, Job, Measured, dbt_command
from benchmarks.pulls import pull_command

ROOT = Path(__file__).parents[1]
THREADS = 2

PROFILE = """
optimizely_e3:
  target: benchmark
  outputs:
    benchmark:
      type: duckdb
      path: '{path}'
      schema: main
      threads: {threads}
      # Not among the settings: these are set for each model, and DuckDB refuses another folder for
      # what it spills as soon as it has spilled anything.
      config_options:
        storage_compatibility_version: v1.4.0
        memory_limit: {memory}
        threads: {threads}
        temp_directory: '{path}.spill'
      settings: {{TimeZone: UTC, preserve_insertion_order: false}}
"""


class Warehouse:
    """A DuckDB file; it has one path, for views name the file that they are in."""

    def __init__(self, folder: Path, memory: str) -> None:
        self.path = folder / "warehouse.duckdb"
        self._folder = folder
        (folder / "profiles.yml").write_text(
            PROFILE.format(path=self.path, threads=THREADS, memory=memory), encoding="utf-8"
        )

    def keep(self, state: str) -> None:
        """Keeps the file as it is now."""
        shutil.copyfile(self.path, self._folder / f"{state}.kept")

    def restore(self, state: str) -> None:
        """Takes up a kept state again."""
        shutil.copyfile(self._folder / f"{state}.kept", self.path)

    def kept_bytes(self, state: str) -> int:
        """Size of a kept state."""
        return (self._folder / f"{state}.kept").stat().st_size

    def clear(self) -> None:
        """Begins with no file."""
        self.path.unlink(missing_ok=True)

    def execute(self, sql: str) -> None:
        """Changes the warehouse by hand, and leaves nothing for the next process to tidy up."""
        with duckdb.connect(self.path) as connection:
            connection.execute(sql)
            connection.execute("checkpoint")

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of a query."""
        with duckdb.connect(self.path, read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def pull(self, source: Path, *options: str) -> None:
        """Lands, without being measured."""
        self._run(pull_command(self.path, str(source), *options))

    def dbt(self, *arguments: str) -> None:
        """Runs dbt, without being measured."""
        self._run(self._command(arguments))

    def dbt_job(
        self,
        name: str,
        *arguments: str,
        prepare: Callable[[], None],
        check: Callable[[Measured], None] = lambda _: None,
    ) -> Job:
        """One command of dbt."""
        return Job(name, self._command(arguments), prepare, check)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        work = self._folder / "dbt"
        return dbt_command(*arguments, project=ROOT, profiles=self._folder, work=work)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, env=os.environ, capture_output=True, encoding="utf-8")
        if done.returncode != 0:
            raise BrokenBenchmark(f"{' '.join(command)}: {done.stdout}{done.stderr}")

    def stored_tables(self) -> dict[str, list[tuple[object, ...]]]:
        """Of each table that is built: which blocks of the file hold it."""
        with duckdb.connect(self.path, read_only=True) as connection:
            names = connection.execute(
                "select table_name from duckdb_tables() where schema_name = 'main'"
            ).fetchall()
            return {
                name: connection.execute(
                    "select row_group_id, column_path, segment_id, count, block_id, block_offset"
                    f" from pragma_storage_info('main.{name}') order by all"
                ).fetchall()
                for (name,) in names
            }
