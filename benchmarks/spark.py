"""Measures landing and building on both engines: `python -m benchmarks.spark --help`.

Then compares every mart of the two, row for row. Needs Java, and pyspark (extra `spark`).
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyspark

from benchmarks.exports import write_demo
from benchmarks.measure import BrokenBenchmark, Job, Measured, dbt_command, measure, python
from benchmarks.tables import Row, Section, add_options, report
from tests.spark.comparison import differences, spark_table
from tests.spark.session import with_zone

ROOT = Path(__file__).parents[1]
MARTS = [path.stem for path in sorted((ROOT / "models" / "marts").rglob("*.sql"))]
NOT_STORED = {"fct_metric_observations"}
"""A view, which has no files to compare; the summaries of its rows are compared."""

PRECISION = 1e-9
ABSOLUTE_PRECISION = 1e-12
"""Doubles may differ by so much of themselves, or by so much: a difference of two means has fewer
digits than the sums of a million values that it comes from, and the smaller it is the fewer."""

ROWS_IN_PYTHON = 500_000
"""Of larger tables only hashes are compared, to the last digit: they hold no sums."""

BUILD = ("build", "--resource-type", "seed", "--resource-type", "model")
SPARK_HOME = Path(pyspark.__file__).parent


def main() -> None:
    """Runs the benchmark that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--events", default="1000000,4000000", help="sizes, with commas between")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--memory", default="6g", help="of Spark's process")
    report(parser.parse_args(), run, "spark", ("duckdb", "pyspark", "dbt-spark"))


def run(arguments: argparse.Namespace, scratch: Path) -> Iterator[Section]:
    """One size after the other, in a folder that may be filled."""
    for events in map(int, arguments.events.split(",")):
        folder = scratch / str(events)
        section, differing = _size(folder, events, arguments.days, arguments.memory)
        yield section  # what hours have measured is shown, whatever comes then
        if differing:
            raise BrokenBenchmark(f"the engines differ in {', '.join(differing)}")
        shutil.rmtree(folder)


def _size(folder: Path, events: int, days: int, memory: str) -> tuple[Section, list[str]]:
    """What each job costs, and the marts in which the engines differ."""
    sample = write_demo(folder / "export", events=events, days=days)
    lake = folder / "lake"
    warehouse = folder / "warehouse.duckdb"
    source = ("--source", sample.folder, "--since", "2000-01-01")
    pull = python("loader", "pull", *source)
    lands = measure(
        Job("landing in a warehouse", [*pull, "--warehouse", str(folder / "landed.duckdb")])
    )
    fills = measure(Job("landing in a lake", [*pull, "--lake", str(lake)]))
    environment = {
        "OPTIMIZELY_E3_LAKE": str(lake),
        "OPTIMIZELY_E3_WAREHOUSE": str(warehouse),
        "OPTIMIZELY_E3_SPARK_SCHEMA": "built",
    }
    dbt = dbt_command(
        *BUILD, project=ROOT, profiles=ROOT / "tests" / "profiles", work=folder / "dbt"
    )
    on_duckdb = measure(Job("models on DuckDB", dbt, environment=environment))
    _, _, *options = dbt  # after Python, and the script that Spark runs another one for
    build = [*_spark_submit(folder, memory), *options, "--target", "spark"]
    on_spark = measure(Job("models on Spark", build, environment=environment))
    differing = [mart for mart in MARTS if mart not in NOT_STORED and _differ(folder, mart)]
    stored = sum(path.stat().st_size for path in lake.glob("*s/*/*/*.parquet"))
    title = (
        f"{sample.rows:,} events of {days} days: {sample.bytes / sample.rows:.0f} bytes an event "
        f"in the export, {stored / sample.rows:.0f} in the lake, "
        f"{(folder / 'landed.duckdb').stat().st_size / sample.rows:.0f} in DuckDB"
    )
    jobs = {
        "`loader pull` into a warehouse": lands,
        "`loader pull --lake`": fills,
        "models on DuckDB, from the lake": on_duckdb,
        "models on Spark, from the lake": on_spark,
    }
    rows = [_row(name, measured, sample.rows) for name, measured in jobs.items()]
    return Section(title, rows), differing


def _row(name: str, measured: Measured, rows: int) -> Row:
    per_core = rows / measured.cpu_seconds
    return Row(
        job=name,
        seconds=measured.seconds,
        cpu_seconds=measured.cpu_seconds,
        peak_bytes=measured.peak_bytes,
        target=f"{per_core:,.0f} events a CPU second",
    )


def _spark_submit(folder: Path, memory: str) -> list[str]:
    """Runs dbt as Spark runs a script: its process is waited for, and so measured with it."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        "spark.sql.warehouse.dir": folder / "tables",
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={folder / 'metastore'};create=true"
        ),
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder}",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": folder / "shuffle",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "8",
    }
    options = [text for pair in settings.items() for text in ("--conf", f"{pair[0]}={pair[1]}")]
    submit = str(SPARK_HOME / "bin" / "spark-submit")
    return [
        submit,
        "--master",
        "local[2]",
        "--driver-memory",
        memory,
        *options,
        str(Path(__file__).with_name("run_dbt.py")),
    ]


def _differ(folder: Path, mart: str) -> bool:
    """Whether the engines differ in a mart; doubles of small ones may in their last digits."""
    on_spark = spark_table(folder / "tables" / "built.db" / mart)
    with duckdb.connect(folder / "warehouse.duckdb", read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        [(rows,)] = connection.execute(f"select count(*) from main.{mart}").fetchall()
        if rows > ROWS_IN_PYTHON:
            columns = connection.execute(f"describe main.{mart}").fetchall()
            ours, theirs = (
                connection.execute(_bag_of(columns, table)).fetchall()
                for table in (f"main.{mart}", on_spark)
            )
            return bool(ours != theirs)
        on_both = [
            with_zone(connection.sql(f"from {table}").to_arrow_table())
            for table in (f"main.{mart}", on_spark)
        ]
    return bool(differences(on_both[0], on_both[1], PRECISION, ABSOLUTE_PRECISION))


def _bag_of(columns: list[tuple[str, ...]], table: str) -> str:
    """Select of a number of rows and of a sum that two tables share if they hold the same rows."""
    same_types = [
        f"list_sort(map_entries({name}))"  # a map has no order
        if kind.startswith("MAP(")
        else f"cast({name} as {kind})"
        for name, kind, *_ in columns
    ]
    return f"select count(*), sum(hash({', '.join(same_types)})::hugeint) from {table}"


if __name__ == "__main__":
    main()
