"""A small export, in one lake: every mart is the same on both engines, row for row."""

import pytest

from loader.demo import write_export
from loader.landing.warehouse import open_warehouse
from tests.models.project import LAKE, ROOT, Project, failures
from tests.spark.comparison import differences
from tests.spark.session import SparkProject, with_zone

BUILD = ("build", "--resource-type=seed", "--resource-type=model")
MARTS = [path.stem for path in sorted((ROOT / "models" / "marts").rglob("*.sql"))]


@pytest.fixture(scope="module")
def on_duckdb(spark: SparkProject, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Both engines' builds, from the same lake."""
    project = Project(tmp_path_factory.mktemp("small"))
    write_export(project.folder / "export", days=4, visitors=120, events=1_500)
    spark.land(project.folder / "export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LAKE, str(spark.lake))
        project.build()
    result = spark.dbt(*BUILD, schema="small")
    assert result.success, failures(result)
    return project


@pytest.mark.parametrize("mart", MARTS)
def test_marts_are_the_same(mart: str, on_duckdb: Project, spark: SparkProject) -> None:
    with open_warehouse(on_duckdb.warehouse, read_only=True) as connection:
        rows = with_zone(connection.sql(f"from main.{mart}").to_arrow_table())
    assert differences(rows, spark.query(f"select * from small.{mart}")) == []
    assert rows.num_rows > 0 or mart in ("duplicate_events", "results_reconciliation")


def test_sources_stand_for_the_lake(on_duckdb: Project, spark: SparkProject) -> None:
    """Each day has as many rows as the ledger says, in a partition of its own."""
    for export_type, table in (("decisions", "decisions"), ("events", "conversions")):
        counted = spark.query(
            f"""
            select _export_date, count(*) as row_count from optimizely_raw.{table}
            group by all order by all
            """
        )
        recorded = spark.query(
            f"""
            select export_date as _export_date, row_count from optimizely_ledger.days
            where export_type = '{export_type}' and row_count > 0 order by all
            """
        )
        assert counted.to_pylist() == recorded.to_pylist() != []


def test_events_are_in_one_file_a_day(on_duckdb: Project, spark: SparkProject) -> None:
    """Of a small export. Readers of some days open the files of these alone."""
    for mart in ("fct_decisions", "fct_conversions"):
        files = spark.query(
            f"select distinct export_date, input_file_name() as name from small.{mart}"
        ).to_pylist()
        assert len(files) == len({found["export_date"] for found in files}) > 2
    [plan] = spark.query(
        "explain select event_id from small.fct_decisions where export_date = date '2023-10-09'"
    ).to_pylist()
    assert "PartitionFilters: [isnotnull(export_date" in plan["plan"]


def test_a_lake_without_its_whole_path_is_refused(spark: SparkProject) -> None:
    """To Spark's server it would be another folder."""
    result = spark.dbt(
        "run", "--select", "stg_registry__metrics", "--vars", "lake: a/lake", schema="small"
    )
    assert "give its whole path, from / on." in failures(result)
