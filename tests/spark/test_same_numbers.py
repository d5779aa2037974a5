"""Spark gives the numbers that DuckDB gives: every mart row for row, every test the same end.

What is built is the demo, and beside it in the same export a history that tries to make the engines
differ.
"""

import json
import os
import shutil
from collections.abc import Mapping
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
from tests.models.project import ROOT, Project, compiled_code, failures, with_status
from tests.models.sample import SAMPLE, find_sample
from tests.spark.comparison import differences
from tests.spark.session import SparkProject, with_zone

pytestmark = pytest.mark.skipif(
    "PYTEST_XDIST_WORKER" in os.environ,
    reason="all of Spark's tests take eight minutes: make test-spark; `make test` runs test_small",
)

BUILD = ("build", "--resource-type=seed", "--resource-type=model")
DECLARED = ("metrics", "metric_events", "vendor_results")
"""Seeds whose tables a test fills."""

BY_DAY = ("int_daily_summary", "int_novelty_summary")
"""Tables behind the marts that are compared as they are."""
MARTS = {path.stem: path.parent.name for path in sorted((ROOT / "models/marts").rglob("*.sql"))}
MARTS |= dict.fromkeys(BY_DAY, "metrics")
"""Each mart, and its folder."""
METRIC_MARTS = [mart for mart, folder in MARTS.items() if folder == "metrics"]

OTHERWISE: dict[str, Any] = {
    "attribution": "vendor",
    "attribution_window_hours": 72,
    "bot_events_per_minute": 3,
    "correction": "holm",
    "crossovers": "exclude",
    "cuped_days": 30,
    "decision_method": "fixed_horizon",
    "minimum_visitors": 2,
    "segments": ["plan", "device", "it's not there"],
    "visitor_counting": "web",
}
"""Other settings than the shipped ones, each of which changes the SQL."""

LANDED = {"landed_at", "landed_after_hours"}
"""Not compared: the warehouse and the lake are landed one after the other. test_small builds both
engines from one lake."""

RESULTS_PAGE = """
create or replace table vendor_results as
select
    experiment_id,
    variation_id,
    split_part(metric_name, ': ', 1) as event_key,
    'total_conversions' as measure,
    cast(value_sum + visitors % 2 as varchar) as vendor_value
from metric_summary
where metric_name like '%: total conversions'
union all
select distinct experiment_id, variation_id, null, 'visitors', cast(visitors as varchar)
from metric_summary
"""
"""What the vendor might show: half of it as it is, half of it off by one."""

BROKEN = (
    [
        {"metric_name": "a", "metric_type": "funel"},
        {"metric_name": "b", "metric_type": "sum"},
        {"metric_name": "c", "metric_type": "count", "cap_quantile": "99%"},
        {"metric_name": "d", "metric_type": "ratio", "value": "revenue"},
    ],
    [
        {"metric_name": name, "clause": clause, "match_field": "event_name", "match_value": "e"}
        for name, clause in (
            ("a", "event"),
            ("b", "event"),
            ("c", "event"),
            ("d", "numerator"),
            ("e", "event"),
        )
    ],
)
COMPLAINTS = (
    'metrics.csv: a: metric_type is "funel", must be ',
    "metrics.csv: b: value is blank, must be revenue, value or quantity in a sum",
    'metrics.csv: c: cap_quantile is "99%", must be a number between 0 and 1',
    "metric_events.csv: d: has no denominator",
    "metric_events.csv: e: is not in metrics.csv",
)


@dataclass(frozen=True)
class Engines:
    """The same project built on both engines."""

    duckdb: Project
    spark: SparkProject
    schema: str
    """Where it is on Spark."""
    results: tuple[dbtRunnerResult, dbtRunnerResult]

    def differences(self, mart: str) -> list[str]:
        """What differs between the engines in a mart."""
        tables = self.duckdb_rows(mart), self.spark.query(f"select * from {self.schema}.{mart}")
        kept = [name for name in tables[0].column_names if name not in LANDED]
        return differences(*(table.select(kept) for table in tables))

    def duckdb_rows(self, mart: str) -> pa.Table:
        """A mart's rows on DuckDB."""
        with open_warehouse(self.duckdb.warehouse, read_only=True) as connection:
            return with_zone(connection.sql(f"from main.{mart}").to_arrow_table())


def ends(result: dbtRunnerResult) -> dict[str, tuple[str, int | None]]:
    """How each node of a command ended, and with how many failures."""
    assert result.exception is None, failures(result)
    return {
        node.node.unique_id: (str(node.status), node.failures)
        for node in getattr(result.result, "results", [])
    }


@pytest.fixture(scope="module")
def landed(spark: SparkProject, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The demo, a history and the vendor's sample, landed in a warehouse and in a lake."""
    folder = tmp_path_factory.mktemp("landed")
    write_export(folder / "demo", days=6, visitors=300, events=4_000)
    state = history(11, visitors=300, loads=3).states[-1]
    export = write_state(folder / "export", state)
    (demo,) = (folder / "demo" / "v1").iterdir()
    shutil.copytree(demo, export, dirs_exist_ok=True)
    project = Project(folder)
    for source in (export, *([SAMPLE] if SAMPLE.exists() else [])):
        project.pull(source)
        spark.land(source)
    return project


@pytest.fixture(scope="module")
def shipped(spark: SparkProject, landed: Project) -> Engines:
    """Both built with what the project ships, and tested."""
    results = landed.dbt("build"), spark.dbt("build", schema="shipped")
    return Engines(landed, spark, "shipped", results)


@pytest.fixture(scope="module")
def otherwise(shipped: Engines, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    """Both built with random metrics, under other settings."""
    return build_declared(shipped, tmp_path_factory.mktemp("otherwise"), OTHERWISE)


@pytest.fixture(scope="module")
def declared(shipped: Engines, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    """Both built with the same random metrics, under the shipped settings."""
    by_day = (f"+{name}" for name in BY_DAY)
    select = "--select", "+path:models/marts/metrics", *by_day, "resource_type:seed"
    return build_declared(shipped, tmp_path_factory.mktemp("declared"), {}, *select)


def build_declared(
    built: Engines, folder: Path, settings: Mapping[str, Any], *select: str
) -> Engines:
    """Builds once more, with random metrics and a page of the vendor's results."""
    shutil.copy(built.duckdb.warehouse, folder)
    project, spark, schema = Project(folder), built.spark, folder.name
    project.declare(*declarations(Random(3), 100))
    project.execute(RESULTS_PAGE)
    for seed in DECLARED:
        spark.copy(project.warehouse, f"main.{seed}", schema)
    arguments = *BUILD, "--exclude", *DECLARED, *select, "--vars", json.dumps(settings)
    results = (
        project.dbt(*arguments, "--full-refresh"),
        spark.dbt(*arguments, schema=schema),
    )
    for result in results:
        assert result.success, failures(result)
    return Engines(project, spark, schema, results)


def test_every_node_ends_the_same(shipped: Engines) -> None:
    on_duckdb, on_spark = map(ends, shipped.results)
    assert on_spark == on_duckdb
    # The exposure is a node that does nothing.
    assert {status for status, _ in on_spark.values()} == {"no-op", "success", "pass", "warn"}
    assert on_spark["test.optimizely_e3.dialect_macros"] == ("pass", 0)


@pytest.mark.parametrize("mart", MARTS)
def test_marts_are_the_same(mart: str, shipped: Engines) -> None:
    assert shipped.differences(mart) == []


def test_the_sample_is_among_them(shipped: Engines) -> None:
    find_sample()
    rows = shipped.spark.query(
        """
        select export_type, row_count from shipped.export_days
        where export_date = date '2020-05-25' order by export_type
        """
    )
    counts = [tuple(row.values()) for row in rows.to_pylist()]
    assert counts == [("decisions", 9_001), ("events", 11_109)]


@pytest.mark.parametrize("mart", MARTS)
def test_marts_are_the_same_under_other_settings(mart: str, otherwise: Engines) -> None:
    assert otherwise.differences(mart) == []
    assert otherwise.duckdb_rows(mart).num_rows > 0


@pytest.mark.parametrize("mart", METRIC_MARTS)
def test_random_metrics_are_the_same(mart: str, declared: Engines) -> None:
    assert declared.differences(mart) == []


ASKED = {"experiment_id": "21000000001", "metric_name": "checkout", "event_name": "purchase"}
"""Vars that narrow the queries."""


@pytest.mark.parametrize("asked", [{}, ASKED], ids=["as they stand", "narrowed"])
def test_analyses_answer_the_same(asked: dict[str, str], shipped: Engines) -> None:
    command = "compile", "--select", "path:analyses", "--vars", json.dumps(asked)
    queries = [
        compiled_code(result)
        for result in (shipped.duckdb.dbt(*command), shipped.spark.dbt(*command, schema="shipped"))
    ]
    assert len(queries[0]) > 10 and queries[0].keys() == queries[1].keys()
    answered = 0
    with open_warehouse(shipped.duckdb.warehouse, read_only=True) as connection:
        for name, query in queries[0].items():
            rows = with_zone(connection.sql(query).to_arrow_table())
            assert differences(rows, shipped.spark.query(queries[1][name])) == [], name
            answered += rows.num_rows > 0
    assert answered > 8


def test_broken_declarations_stop_the_build(
    spark: SparkProject, landed: Project, tmp_path: Path
) -> None:
    project = Project(tmp_path)
    project.declare(*BROKEN)
    seeds = DECLARED[:2]
    for seed in seeds:
        spark.copy(project.warehouse, f"main.{seed}", "broken")
    result = spark.dbt(*BUILD, "--exclude", *seeds, schema="broken")
    message = failures(result)
    assert "5 mistakes in the declared metrics, and nothing is built:" in message
    assert [complaint for complaint in COMPLAINTS if complaint not in message] == []
    assert with_status(result, "error") == {"int_metric_definitions"}
    assert set(MARTS) <= with_status(result, "skipped")
