"""Spark gives the numbers that DuckDB gives: every mart row for row, every test the same end.

What is built is the demo, and beside it in the same export a history that tries to make the engines
differ.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from dbt.cli.main import dbtRunnerResult

from loader.demo import write_export
from loader.landing.warehouse import open_warehouse
from tests.models.declarations import declarations
from tests.models.histories import history, write_state
from tests.models.project import ROOT, Project, failures, with_status
from tests.spark.comparison import differences
from tests.spark.session import LANDED, SparkProject, with_zone

BUILD = ("build", "--resource-type=seed", "--resource-type=model")
DECLARED = ("--exclude", "metrics", "metric_events")
"""Leaves the seeds that are in the schema already."""

MARTS = sorted(path.stem for path in (ROOT / "models" / "marts").rglob("*.sql"))

OTHERWISE: dict[str, Any] = {
    "attribution": "vendor",
    "attribution_window_hours": 5,
    "visitor_counting": "web",
    "crossovers": "exclude",
    "segments": ["plan", "device", "it's not there"],
}
"""Other settings than the shipped ones, each of which changes the SQL."""

BROKEN = {
    "metrics": [
        {"metric_name": "a", "metric_type": "funel"},
        {"metric_name": "b", "metric_type": "sum"},
        {"metric_name": "c", "metric_type": "count", "cap_quantile": "99%"},
        {"metric_name": "d", "metric_type": "ratio", "value": "revenue"},
    ],
    "metric_events": [
        {"metric_name": name, "clause": clause, "match_field": "event_name", "match_value": "e"}
        for name, clause in (
            ("a", "event"),
            ("b", "event"),
            ("c", "event"),
            ("d", "numerator"),
            ("e", "event"),
        )
    ],
}
COMPLAINTS = (
    'metrics.csv: a: metric_type is "funel", must be ',
    "metrics.csv: b: value is blank, must be revenue, value or quantity in a sum",
    'metrics.csv: c: cap_quantile is "99%", must be a number between 0 and 1',
    "metric_events.csv: d: has no denominator",
    "metric_events.csv: e: is not in metrics.csv",
)


@dataclass(frozen=True)
class Engines:
    """The same project built on both engines, in a schema of the same name."""

    duckdb: Project
    spark: SparkProject
    schema: str
    ends: tuple[dict[str, tuple[str, int | None]], ...] = ()
    """How each node of the build ended, and with how many failures: on DuckDB, and on Spark."""

    def differences(self, table: str) -> list[str]:
        """What differs between the engines in a table."""
        return differences(self.duckdb_rows(table), self.spark.query(self._select(table)))

    def duckdb_rows(self, table: str) -> pa.Table:
        """The table's rows on DuckDB."""
        with open_warehouse(self.duckdb.warehouse, read_only=True) as connection:
            return with_zone(connection.sql(self._select(table)).to_arrow_table())

    def _select(self, table: str) -> str:
        return f"select * from {self.schema}.{table}"


def ends(result: dbtRunnerResult) -> dict[str, tuple[str, int | None]]:
    assert result.exception is None, failures(result)
    return {
        node.node.unique_id: (str(node.status), node.failures)
        for node in getattr(result.result, "results", [])
    }


@pytest.fixture(scope="module")
def landed(spark: SparkProject, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One export with the demo and the history, landed by the loader and copied to Spark."""
    folder = tmp_path_factory.mktemp("landed")
    write_export(folder / "demo", days=6, visitors=300, events=4_000)
    state = history(11, visitors=60, loads=3).states[-1]
    export = write_state(folder / "export", state)
    (demo,) = (folder / "demo" / "v1").iterdir()
    shutil.copytree(demo, export, dirs_exist_ok=True)
    project = Project(folder)
    project.pull(export)
    spark.copy(project.warehouse, *LANDED)
    return project


@pytest.fixture(scope="module")
def shipped(spark: SparkProject, landed: Project) -> Engines:
    """Both built with what the project ships."""
    results = landed.dbt("build"), spark.dbt("build", schema="main")
    return Engines(landed, spark, "main", tuple(map(ends, results)))


@pytest.fixture(scope="module")
def otherwise(spark: SparkProject, shipped: Engines) -> Engines:
    """Both built under other settings, with random metrics and a page of the vendor's results."""
    project = shipped.duckdb
    project.declare(*declarations(Random(3), 40), schemas=["rebuild"])
    project.execute(
        """
        create table rebuild.vendor_results as
        select
            experiment_id,
            variation_id,
            split_part(metric_name, ': ', 1) as event_key,
            'total_conversions' as measure,
            cast(value_sum + visitors % 2 as varchar) as vendor_value
        from main.metric_summary
        where metric_name like '%: total conversions'
        union all
        select distinct experiment_id, variation_id, null, 'visitors', cast(visitors as varchar)
        from main.metric_summary
        """
    )
    spark.copy(project.warehouse, "rebuild")
    arguments = (*BUILD, *DECLARED, "vendor_results", "--vars", json.dumps(OTHERWISE))
    for result in (
        project.dbt(*arguments, target="rebuild"),
        spark.dbt(*arguments, schema="rebuild"),
    ):
        assert result.success, failures(result)
    return Engines(project, spark, "rebuild")


def test_every_node_ends_the_same(shipped: Engines) -> None:
    on_duckdb, on_spark = shipped.ends
    assert on_spark == on_duckdb
    assert {status for status, _ in on_spark.values()} == {"success", "pass", "warn"}


@pytest.mark.parametrize("mart", MARTS)
def test_marts_are_the_same(mart: str, shipped: Engines) -> None:
    assert shipped.differences(mart) == []


@pytest.mark.parametrize("mart", MARTS)
def test_marts_are_the_same_under_other_settings(mart: str, otherwise: Engines) -> None:
    assert otherwise.differences(mart) == []
    assert otherwise.duckdb_rows(mart).num_rows > 0


def test_broken_declarations_stop_the_build(
    spark: SparkProject, landed: Project, tmp_path: Path
) -> None:
    project = Project(tmp_path)
    project.declare(BROKEN["metrics"], BROKEN["metric_events"], schemas=["broken"])
    spark.copy(project.warehouse, "broken")
    result = spark.dbt(*BUILD, *DECLARED, schema="broken")
    message = failures(result)
    assert "5 mistakes in the declared metrics, and nothing is built:" in message
    assert [complaint for complaint in COMPLAINTS if complaint not in message] == []
    assert with_status(result, "error") == {"int_metric_definitions"}
    assert set(MARTS) <= with_status(result, "skipped")
