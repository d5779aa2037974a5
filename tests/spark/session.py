"""The dbt project on Spark, in this process: one session for all builds, and no server."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from dbt.cli.main import dbtRunner, dbtRunnerResult

from loader.landing.warehouse import open_warehouse
from tests.models.project import LAKE, ROOT, failures, fill_lake

JVM_OPTIONS = (
    # So many small queries: compiling them well costs more than running them.
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=256m",
    "-XX:+UseSerialGC",
)
SETTINGS = {
    "spark.master": "local[2]",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.driver.extraJavaOptions": " ".join(JVM_OPTIONS),
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",
    # dbt asks for Hive's catalog, and takes the session that is there: this one's is gone with it.
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.session.timeZone": "UTC",
}
"""What the profile cannot set, because the session stands before dbt comes."""

if "PYTEST_XDIST_WORKER" in os.environ:
    # `make test` has few rows: generating code for them costs more than it saves. That the code
    # which users run computes the same, `make test-spark` tests.
    SETTINGS |= {
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }

UTC = pa.timestamp("us", tz="UTC")
SPARK_TYPES = {
    pa.string(): "string",
    pa.binary(): "binary",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    UTC: "timestamp",
}


Session = Any
"""Spark's session; its types are there only where Spark is."""


def what_is_missing() -> str | None:
    """What Spark needs and this machine lacks, as a sentence; None where it has all."""
    if find_spec("pyspark") is None or find_spec("dbt.adapters.spark") is None:
        return "pyspark or dbt-spark is not installed: make test-spark"
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        return "there is no Java, which Spark runs on"
    return None


@dataclass(frozen=True)
class SparkProject:
    """A Spark session, and the project that builds in it."""

    session: Session
    folder: Path

    @property
    def lake(self) -> Path:
        """What the loader fills for all builds."""
        return self.folder / "lake"

    def land(self, export: Path) -> None:
        """Pulls everything that stands in a folder into the lake."""
        fill_lake(self.lake, export)

    def copy(self, warehouse: Path, table: str, schema: str) -> None:
        """Makes a table of one of a DuckDB file: Parquet, and its columns by name and type."""
        with open_warehouse(warehouse, read_only=True) as connection:
            rows = with_zone(connection.sql(f"from {table}").to_arrow_table())
        name = f"{schema}.{table.rpartition('.')[2]}"
        folder = self.folder / "copies" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        pq.write_table(rows, folder / "part.parquet")
        columns = ", ".join(f"`{field.name}` {spark_type(field.type)}" for field in rows.schema)
        for statement in (
            f"create database if not exists {schema}",
            f"drop table if exists {name}",
            f"create table {name} ({columns}) using parquet location '{folder}'",
        ):
            self.session.sql(statement)

    def dbt(self, *arguments: str, schema: str) -> dbtRunnerResult:
        """Runs one dbt command that builds in a schema."""
        manifest = _parsed_project(self.folder, schema)
        os.environ["OPTIMIZELY_E3_SPARK_SCHEMA"] = schema
        os.environ[LAKE] = str(self.lake)
        try:
            return dbtRunner(manifest=manifest).invoke([*arguments, *_flags(self.folder)])
        finally:
            del os.environ[LAKE]

    def query(self, sql: str) -> pa.Table:
        """The rows of a query."""
        rows: pa.Table = self.session.sql(sql).toArrow()
        return rows


@contextmanager
def open_session(folder: Path) -> Iterator[Session]:
    """A session whose tables are in a folder; they are gone with it."""
    from pyspark.sql import SparkSession

    builder: Any = SparkSession.builder
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    session = builder.config("spark.sql.warehouse.dir", str(folder)).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        session.stop()


def _flags(folder: Path) -> list[str]:
    folders = {
        "profiles-dir": ROOT / "tests" / "profiles",
        "project-dir": ROOT,
        "target-path": folder / "dbt",
        "log-path": folder / "dbt",
    }
    flags = [f"--{name}={path}" for name, path in folders.items()]
    return [*flags, "--target=spark", "--quiet", "--log-level-file=none", "--no-write-json"]


@cache
def _parsed_project(folder: Path, schema: str) -> Any:
    """The parsed project; each model knows its schema, and nothing asks for the lake yet."""
    os.environ["OPTIMIZELY_E3_SPARK_SCHEMA"] = schema
    result = dbtRunner().invoke(["parse", *_flags(folder)])
    assert result.success, failures(result)
    return result.result


def spark_type(arrow_type: pa.DataType) -> str:
    """How Spark spells the type of a column."""
    if pa.types.is_list(arrow_type):
        return f"array<{spark_type(arrow_type.value_type)}>"
    if pa.types.is_struct(arrow_type):
        fields = ", ".join(f"`{field.name}`: {spark_type(field.type)}" for field in arrow_type)
        return f"struct<{fields}>"
    if pa.types.is_map(arrow_type):
        return f"map<{spark_type(arrow_type.key_type)}, {spark_type(arrow_type.item_type)}>"
    return SPARK_TYPES[arrow_type]


def with_zone(rows: pa.Table) -> pa.Table:
    """The same rows with timestamps that say that they are UTC; Spark has another type for those
    that do not."""
    fields = [
        field.with_type(UTC) if pa.types.is_timestamp(field.type) else field
        for field in rows.schema
    ]
    return rows.cast(pa.schema(fields))
